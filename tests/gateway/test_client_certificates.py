"""Certificates at the listener: whose it takes, and what an application is told of them.

Real handshakes on loopback, with certificates made here.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.access import jwk
from bailment.access.certificate import presented_certificate, thumbprint
from bailment.clock import now_ms
from bailment.gateway.handshake import _Handshake, trust_devices
from bailment.gateway.server import Bounds, build_server
from bailment.store.authority import Authority, open_authority
from bailment.store.durable import Files
from bailment.store.folder import Folder

from .scripted import certificate

pytestmark = pytest.mark.anyio

HOUR = 3_600_000
GET = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n"


@dataclass(frozen=True)
class Shown:
    """A client's certificate with its key, as files."""

    path: Path
    der: bytes

    @property
    def thumbprint(self) -> str:
        return thumbprint(self.der)


def shown(path: Path, made: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Shown:
    pem = made.public_bytes(Encoding.PEM)
    path.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Shown(path, made.public_bytes(Encoding.DER))


class Lab:
    """A listener that says which certificate it saw."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.authority = self.another("issuer")
        self.server_pem = certificate(root)
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self.tls.load_cert_chain(self.server_pem)
        trust_devices(self.tls, self.authority.der)
        self.port = 0
        self.scopes: list[Any] = []

    def another(self, name: str) -> Authority:
        return open_authority(Folder(self.root / name), Files(), "lab.example/log", now_ms())

    def device(
        self, name: str, authority: Authority | None = None, start: int = 0, life: int = HOUR
    ) -> Shown:
        key = ec.generate_private_key(ec.SECP256R1())
        now = now_ms() + start
        made = (authority or self.authority).certify(
            "ab" * 16, jwk.from_key(key.public_key()), now, now + life
        )
        return shown(self.root / f"{name}.pem", made, key)

    def client(self, shows: Shown | None = None) -> ssl.SSLContext:
        tls = ssl.create_default_context(cafile=str(self.server_pem))
        if shows is not None:
            tls.load_cert_chain(shows.path)
        return tls

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        self.scopes.append(scope)
        body = json.dumps(presented_certificate(scope)).encode()
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    async def ask(self, tls: ssl.SSLContext, times: int = 1) -> list[str]:
        """Which certificate the listener says each request of one connection came with."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        try:
            return [await self.once(reader, writer) for _ in range(times)]
        finally:
            writer.transport.abort()

    async def once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        said: str = json.loads(await reader.readexactly(length))
        return said


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[Lab]:
    lab = Lab(root)
    server = build_server(lab, bounds=Bounds(), tls=lab.tls, drain_seconds=0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lab.port = listener.getsockname()[1]
        running = asyncio.create_task(server.serve([listener]))
        async with asyncio.timeout(60):
            try:
                yield lab
            finally:
                server.should_exit = True
                await running


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with serving(tmp_path) as made:
        yield made


async def test_a_client_without_a_certificate_is_served_as_before(lab: Lab) -> None:
    assert await lab.ask(lab.client()) == [""]
    assert lab.scopes[0]["extensions"]["tls"]["client_cert_chain"] == []


async def test_the_application_is_told_the_certificate(lab: Lab) -> None:
    mine = lab.device("mine")
    assert await lab.ask(lab.client(mine)) == [mine.thumbprint]
    told = lab.scopes[0]["extensions"]["tls"]
    assert [ssl.PEM_cert_to_DER_cert(pem) for pem in told["client_cert_chain"]] == [mine.der]
    assert told["tls_version"] == 0x0304
    assert told.keys() == {
        *("server_cert", "client_cert_chain", "client_cert_name", "client_cert_error"),
        *("tls_version", "cipher_suite"),
    }


async def test_a_connection_has_one_certificate_for_all_its_requests(lab: Lab) -> None:
    mine = lab.device("mine")
    assert await lab.ask(lab.client(mine), times=5) == [mine.thumbprint] * 5


async def test_connections_side_by_side_keep_their_own_certificates(lab: Lab) -> None:
    shows = [lab.device(f"device-{n}") for n in range(8)]
    answers = await asyncio.gather(*(lab.ask(lab.client(one), times=4) for one in shows))
    assert answers == [[one.thumbprint] * 4 for one in shows]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_is_not_resumed_under_another_certificate(
    lab: Lab, version: ssl.TLSVersion
) -> None:
    """Whatever a client keeps of a session, the certificate told is one whose key it showed in
    the handshake from which the session comes; a TLS 1.3 session is not given out at all."""
    lab.tls.maximum_version = version
    mine, other = lab.device("mine"), lab.device("other")

    def connect(shows: Shown, session: ssl.SSLSession | None) -> tuple[str, bool, Any]:
        with (
            socket.create_connection(("127.0.0.1", lab.port)) as plain,
            contexts[shows].wrap_socket(
                plain, server_hostname="127.0.0.1", session=session
            ) as made,
        ):
            made.sendall(GET)
            got = b""
            while not got.endswith(b'"'):
                got += made.recv(4096)
            return (
                json.loads(got.rpartition(b"\r\n\r\n")[2]),
                bool(made.session_reused),
                made.session,
            )

    # A session is its context's, so that one context must change what it shows.
    context = lab.client(mine)
    contexts = {mine: context, other: context}
    said, _, session = await asyncio.to_thread(connect, mine, None)
    assert said == mine.thumbprint
    context.load_cert_chain(other.path)
    said, reused, _ = await asyncio.to_thread(connect, other, session)
    assert said == (mine if reused else other).thumbprint
    assert not (reused and version is ssl.TLSVersion.TLSv1_3)


async def refused(lab: Lab, tls: ssl.SSLContext) -> None:
    """In TLS 1.3 a client hears of it when it reads."""
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await lab.ask(tls)
    assert lab.scopes == []


@pytest.fixture
def told() -> list[Any]:
    """What the handshakes say."""
    _Handshake._told.clear()
    found: list[Any] = []

    def keep(logger: Any, name: str, event: Any) -> Any:
        found.append((event["event"], event["reason"]))
        raise structlog.DropEvent

    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    return found


@pytest.fixture(autouse=True)
def _restore() -> Any:
    yield
    structlog.reset_defaults()


async def test_a_certificate_of_another_authority_fails_and_the_reason_is_told(
    lab: Lab, told: list[Any]
) -> None:
    await refused(lab, lab.client(lab.device("other", lab.another("other"))))
    assert told == [("a TLS handshake failed", "unable to get local issuer certificate")]


async def test_a_failure_that_repeats_is_told_once_a_minute(lab: Lab, told: list[Any]) -> None:
    for _ in range(3):
        await refused(lab, lab.client(lab.device("other", lab.another("other"))))
    assert len(told) == 1


async def test_an_authority_of_the_same_name_with_another_key_is_not_ours(
    lab: Lab, told: list[Any]
) -> None:
    other = lab.another("other")
    assert other.certificate.subject == lab.authority.certificate.subject
    await refused(lab, lab.client(lab.device("other", other)))


async def test_an_expired_certificate_fails_and_the_reason_is_told(
    lab: Lab, told: list[Any]
) -> None:
    await refused(lab, lab.client(lab.device("old", start=-2 * HOUR)))
    assert told == [("a TLS handshake failed", "certificate has expired")]


async def test_a_certificate_that_has_not_begun_fails(lab: Lab, told: list[Any]) -> None:
    await refused(lab, lab.client(lab.device("early", start=HOUR)))
    assert told == [("a TLS handshake failed", "certificate is not yet valid")]


async def test_a_self_signed_certificate_fails(lab: Lab, told: list[Any]) -> None:
    await refused(lab, lab.client(Shown(lab.server_pem, b"")))


async def test_who_signed_the_listeners_certificate_signs_no_clients(
    lab: Lab, told: list[Any]
) -> None:
    """The listener's own chain is no trust anchor."""
    found = [x["subject"] for x in lab.tls.get_ca_certs()]
    assert found == [((("commonName", "devices of lab.example/log"),),)]
    assert lab.tls.get_ca_certs(binary_form=True) == [lab.authority.der]


async def test_a_device_cannot_certify_others(lab: Lab, told: list[Any]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = now_ms()
    parent = lab.authority.certify("ab" * 16, jwk.from_key(key.public_key()), now, now + HOUR)
    child = lab.device("child", Authority(key, parent))
    pem = child.path.read_bytes() + parent.public_bytes(Encoding.PEM)
    child.path.write_bytes(pem)
    await refused(lab, lab.client(child))


async def test_a_certificate_for_servers_is_no_clients(lab: Lab, told: list[Any]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = now_ms()
    like = lab.authority.certify("ab" * 16, jwk.from_key(key.public_key()), now, now + HOUR)
    builder = x509.CertificateBuilder(
        like.issuer,
        like.subject,
        key.public_key(),
        x509.random_serial_number(),
        like.not_valid_before_utc,
        like.not_valid_after_utc,
    )
    for extension in like.extensions:
        value = extension.value
        if isinstance(value, x509.ExtendedKeyUsage):
            value = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(value, extension.critical)
    made = builder.sign(lab.authority.key, SHA256())
    await refused(lab, lab.client(shown(lab.root / "server.pem", made, key)))


async def test_the_key_of_a_certificate_must_be_there(lab: Lab) -> None:
    mine, other = lab.device("mine"), lab.device("other")
    lines = other.path.read_bytes().split(b"-----BEGIN PRIVATE KEY-----")
    mine.path.write_bytes(mine.path.read_bytes().split(b"-----BEGIN PRIVATE")[0])
    key = lab.root / "key.pem"
    key.write_bytes(b"-----BEGIN PRIVATE KEY-----" + lines[1])
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        ssl.create_default_context().load_cert_chain(mine.path, key)


async def test_an_older_tls_is_not_spoken(lab: Lab, told: list[Any]) -> None:
    tls = lab.client(lab.device("mine"))
    with pytest.warns(DeprecationWarning):
        tls.minimum_version = ssl.TLSVersion.TLSv1
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.set_ciphers("ALL:@SECLEVEL=0")
    await refused(lab, tls)


async def test_nothing_is_asked_for_after_the_handshake(lab: Lab) -> None:
    mine = lab.device("mine")
    tls = lab.client(mine)
    tls.post_handshake_auth = True  # a client that would answer
    assert await lab.ask(tls, times=2) == [mine.thumbprint] * 2
    assert not lab.tls.post_handshake_auth
    assert lab.tls.options & ssl.OP_NO_RENEGOTIATION
    assert lab.tls.num_tickets == 0


class Memory:
    """Handshakes without a network, for many of them."""

    def __init__(self, root: Path) -> None:
        self.lab = Lab(root)
        self.mine = self.lab.device("mine")
        self.key = self.mine.path.read_bytes().partition(b"-----BEGIN PRIVATE")
        self.root = root

    def seen(self, der: bytes) -> bytes | None:
        """The certificate that the listener sees, if its handshake ends well. A client shows these
        bytes; ssl.SSLError if it cannot even read them itself."""
        path = self.root / "changed.pem"
        path.write_text(ssl.DER_cert_to_PEM_cert(der))
        with path.open("ab") as file:
            file.write(b"".join(self.key[1:]))
        tls = self.lab.client()
        tls.load_cert_chain(path)
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = self.lab.tls.wrap_bio(up, down, server_side=True)
        client = tls.wrap_bio(down, up, server_hostname="127.0.0.1")
        done = {"client": False, "server": False}
        for _ in range(10):
            for name, end in (("client", client), ("server", server)):
                try:
                    end.do_handshake()
                    done[name] = True
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError:
                    return None
        assert all(done.values())
        return server.getpeercert(binary_form=True)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Memory:
    return Memory(tmp_path_factory.mktemp("memory"))


def test_the_whole_certificate_gets_through(memory: Memory) -> None:
    assert memory.seen(memory.mine.der) == memory.mine.der


@settings(max_examples=150)
@given(st.data())
def test_a_certificate_with_any_octet_changed_does_not_get_through(
    memory: Memory, data: st.DataObject
) -> None:
    der = bytearray(memory.mine.der)
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(der[: len(der) - data.draw(st.sampled_from([0, 0, 0, 1, 100]))])
    try:
        seen = memory.seen(changed)
    except (ssl.SSLError, ValueError):
        return  # the client itself cannot read it
    assert seen is None or seen == memory.mine.der == changed
