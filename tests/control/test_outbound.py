"""What the issuer calls because somebody else said so is public, https, small and quick: SSRF."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpcore2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bailment.control import oidc
from bailment.control.oidc import SignInFailed
from bailment.control.outbound import Outbound, OutboundError, Resolve, is_public
from bailment.ledger.identity_records import ProviderRegistered

from ..gateway.scripted import certificate

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"
INSIDE = [
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::", "::127.0.0.1", "2001:db8::1"),
    *("", "login.example", "127.1", "2130706433", "0x7f.1"),
]


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_inside_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1:248:1893:25c8:1946", "1.1.1.1"])
def test_the_addresses_of_others_are_public(address: str) -> None:
    assert is_public(address)


def names(*answers: list[str]) -> tuple[Resolve, list[str]]:
    """A DNS that answers each question with the next of these, the last one for ever."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that are connected to; nobody is."""
    called: list[str] = []

    async def connect_tcp(self: object, host: str, port: int, *_: object) -> None:
        called.append(host)
        raise httpcore2.ConnectError("nobody answers")

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect_tcp)
    return called


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1"])
async def test_a_name_that_points_inside_is_not_called(address: str, connected: list[str]) -> None:
    resolve, _ = names([address])
    with pytest.raises(OutboundError, match="not public") as caught:
        await Outbound(resolve=resolve).get("https://login.example/")
    assert connected == []
    assert address not in str(caught.value)  # what our DNS answers is nobody else's business


async def test_one_address_inside_spoils_the_others(connected: list[str]) -> None:
    resolve, _ = names([PUBLIC, "10.0.0.1"])
    with pytest.raises(OutboundError, match="not public"):
        await Outbound(resolve=resolve).get("https://login.example/")
    assert connected == []


async def test_dns_rebinding_what_was_checked_is_what_is_connected_to(
    connected: list[str],
) -> None:
    """A DNS that answers a public address first and one inside ever after gains nothing."""
    resolve, asked = names([PUBLIC], ["127.0.0.1"])
    with pytest.raises(OutboundError, match="cannot be called"):
        await Outbound(resolve=resolve).get("https://login.example/")
    assert (asked, connected) == (["login.example"], [PUBLIC])


@pytest.mark.parametrize(
    "url",
    [
        *("http://login.example/", "ftp://login.example/", "file:///etc/passwd", "gopher://a/"),
        *("https://", "https://:443/", "//login.example", "", "https://login.example:0/"),
        *("https://user@login.example/", "https://u:p@login.example/", "https://a.example/#b"),
        *("https://a.example\\@b.example/", "https://a.example/ x", "https://a.example/\r\nx: y"),
        *("https://[::1", "https://a.example:99999/", "https://é.example/"),
    ],
)
async def test_what_is_no_https_url_is_not_called(url: str, connected: list[str]) -> None:
    resolve, asked = names([PUBLIC])
    outbound = Outbound(frozenset({"inside.example"}), resolve=resolve)
    with pytest.raises(OutboundError):
        outbound.check(url)
    with pytest.raises(OutboundError):
        await outbound.get(url)
    assert (asked, connected) == ([], [])


async def test_an_address_in_the_url_is_looked_at_like_any_other(connected: list[str]) -> None:
    for host in ("127.0.0.1", "[::1]", "169.254.169.254", "2130706433", "0x7f.1", "127.1"):
        with pytest.raises(OutboundError):
            await Outbound().get(f"https://{host}/latest/meta-data/")
    assert connected == []


@pytest.mark.parametrize("host", ["a..example", ".example", "a" * 64 + ".example"])
async def test_what_is_no_host_name_is_an_error_like_any_other(
    host: str, connected: list[str]
) -> None:
    with pytest.raises(OutboundError, match="cannot be called"):
        await Outbound().get(f"https://{host}/")
    assert connected == []


@asynccontextmanager
async def answering(
    answer: bytes, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says this to everybody; its port, and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            if answer:
                writer.write_eof() if context is None else None
            else:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


def plain(body: bytes, head: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return head + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body


async def test_a_host_that_the_operator_lets_be_inside_is_called() -> None:
    async with answering(plain(b"{}")) as (port, asked):
        outbound = Outbound(frozenset({f"127.0.0.1:{port}"}))
        fetched = await outbound.get(f"http://127.0.0.1:{port}/x")
        assert (fetched.status, fetched.body) == (200, b"{}")
        assert asked[0].startswith(b"GET /x HTTP/1.1\r\n")
        other = Outbound(frozenset({f"127.0.0.1:{port + 1}"}))
        with pytest.raises(OutboundError):
            await other.get(f"http://127.0.0.1:{port}/x")
        assert len(asked) == 1


async def test_redirects_are_not_followed() -> None:
    async with answering(plain(b"secret")) as (inner, inside):
        moved = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:%d/" % inner
        async with answering(plain(b"", moved)) as (port, _):
            outbound = Outbound(frozenset({"127.0.0.1"}))
            with pytest.raises(OutboundError, match="leads elsewhere"):
                await outbound.get(f"http://127.0.0.1:{port}/")
        assert inside == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_without_end_is_cut_off(chunked: bool) -> None:
    body = b"x" * 5000
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = head + b"1388\r\n" + body + b"\r\n0\r\n\r\n" if chunked else plain(body)
    async with answering(answer) as (port, _):
        outbound = Outbound(frozenset({"127.0.0.1"}), most=4096)
        with pytest.raises(OutboundError, match="more than 4096 bytes"):
            await outbound.get(f"http://127.0.0.1:{port}/")


async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    async with answering(b"") as (port, _):
        outbound = Outbound(frozenset({"127.0.0.1"}), seconds=0.05)
        with pytest.raises(OutboundError, match=r"took more than 0\.05 s"):
            await outbound.get(f"http://127.0.0.1:{port}/")


async def test_what_is_compressed_is_not_taken() -> None:
    """It could be small and become large."""
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip"
    async with answering(plain(b"x", head)) as (port, _):
        with pytest.raises(OutboundError, match="compressed"):
            await Outbound(frozenset({"127.0.0.1"})).get(f"http://127.0.0.1:{port}/")


async def test_what_is_no_http_is_an_error_like_any_other() -> None:
    async with answering(b"SSH-2.0-x\r\n\r\n") as (port, _):
        with pytest.raises(OutboundError, match="cannot be called"):
            await Outbound(frozenset({"127.0.0.1"})).get(f"http://127.0.0.1:{port}/")


async def test_tls_is_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    """The certificate is for 127.0.0.1; being connected there by another name does not do."""
    pem = certificate(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    trusting = ssl.create_default_context(cafile=str(pem))
    async with answering(plain(b"{}"), serving) as (port, asked):
        hosts = frozenset({"127.0.0.1", "login.example"})
        resolve, _ = names(["127.0.0.1"])
        outbound = Outbound(hosts, trusting, resolve)
        assert (await outbound.get(f"https://127.0.0.1:{port}/")).body == b"{}"
        with pytest.raises(OutboundError, match="cannot be called"):
            await outbound.get(f"https://login.example:{port}/")
        with pytest.raises(OutboundError, match="cannot be called"):
            await Outbound(hosts).get(f"https://127.0.0.1:{port}/")
        assert len(asked) == 1


# Through OpenID Connect


def registered(issuer: str) -> ProviderRegistered:
    return ProviderRegistered("0" * 32, issuer, "bailment", "sub", "", "")


@pytest.mark.parametrize(
    "issuer",
    ["https://169.254.169.254", "https://127.0.0.1", "https://[::1]", "http://10.0.0.1"],
)
async def test_ssrf_through_oidc_discovery(issuer: str, connected: list[str]) -> None:
    with pytest.raises(SignInFailed, match="cannot be asked"):
        await oidc.discover(Outbound(), registered(issuer))
    assert connected == []


@pytest.mark.parametrize("member", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/", "file:///etc/passwd", "http://localhost:9/", "javascript:x", ""],
)
async def test_ssrf_through_an_endpoint_in_the_description(member: str, url: str) -> None:
    async def described(port: int) -> bytes:
        issuer = f"http://127.0.0.1:{port}"
        told = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/a",
            "token_endpoint": f"{issuer}/t",
            "jwks_uri": f"{issuer}/k",
        }
        return plain(oidc.canonical.encode(told | {member: url}))

    async with describing(described) as port:
        outbound = Outbound(frozenset({f"127.0.0.1:{port}"}))
        with pytest.raises(SignInFailed, match="no usable address"):
            await oidc.discover(outbound, registered(f"http://127.0.0.1:{port}"))


async def test_ssrf_through_the_jwks_uri_by_a_name_that_points_inside(
    connected: list[str],
) -> None:
    """The description is checked before it is believed, and each call is checked by itself."""
    resolve, _ = names(["10.0.0.1"])
    outbound = Outbound(resolve=resolve)
    provider = oidc.Provider(
        registered("https://login.example"),
        *(f"https://keys.example/{one}" for one in ("a", "t", "k")),
        names_itself=True,
    )
    request = oidc.Request.new("https://gateway.example/cb", 0, ())
    credentials = oidc.Credentials(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(SignInFailed, match="cannot be asked"):
        await oidc.redeem(outbound, provider, request, "code", credentials, 0, 0)
    assert connected == []


@asynccontextmanager
async def describing(described: object) -> AsyncIterator[int]:
    """A server that describes itself as a provider, with its own port in it."""
    served: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(await described(served[0]))  # type: ignore[operator]
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        served.append(server.sockets[0].getsockname()[1])
        yield served[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "[::1]", "[::ffff:10.0.0.1]"])
def test_what_can_be_seen_to_be_inside_is_refused_before_it_is_called(host: str) -> None:
    with pytest.raises(OutboundError, match="is inside"):
        Outbound().check(f"https://{host}/hook")
    Outbound(frozenset((host.strip("[]"),))).check(f"https://{host}/hook")
    Outbound().check("https://93.184.216.34/hook")
