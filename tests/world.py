"""A whole issuer in the test's own event loop, and the parties that deal with it.

Nothing is stood in for but the model's server: folder, log, gateway, control plane and listener are
what `bailment serve` runs, reached over sockets. Parties are made as in life: the issuer's console
registers a recipient, whose admin signs links; a device enrols by invitation and fetches tokens.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch
from urllib.parse import urlencode

import httpx2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access import jwk
from bailment.access.assertion import TYPE_URI, make_assertion
from bailment.access.chain import Link, commit_person, sign_link
from bailment.access.proof import make_proof
from bailment.cli.serve import Issuer, initialise, opened, run
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import AccessClosed, AccessOpened, AccessRefused, Budget
from bailment.store.folder import Folder
from bailment.store.staging import Batch, Staging

from .gateway.scripted import ModelServer, Peer, certificate, model_server, response

FIXTURES = Path(__file__).parent / "gateway" / "fixtures"
ORIGIN = "lab.example/log"
CONTACT = "security@lab.example"
PURPOSE = "red-team"
DAY = 86_400_000
#: A budget's window (seconds) that no test sees the end of.
YEARS = 10**9
#: Nothing in a test may take this long (seconds), however busy the machine: it hangs instead.
PATIENCE = 60

AUDITOR = "an auditor's credential"
F = TypeVar("F", bound=Facts)

DIALECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (
        "/v1/chat/completions",
        {"model": "smollm2", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16},
    ),
    "responses": (
        "/v1/responses",
        {"model": "smollm2", "input": "hello", "max_output_tokens": 16},
    ),
    "messages": (
        "/v1/messages",
        {"model": "smollm2", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16},
    ),
}
#: Its server must answer fast.
HASTY = "hasty"
_SETTINGS = """
[issuer]
origin = "{origin}"
url = "{url}"
contact = "{contact}"

[listen]
port = {port}
{listen}
[limits]
{limits}
[models.smollm2]
url = "{model}"
key_file = "model.key"
context = 8192
output = 512

[models.hasty]
url = "{model}"
context = 8192
output = 512
first_byte_seconds = 0.1
idle_seconds = 0.1

[models.other]
url = "{model}"
context = 4096
output = 256

[auditors]
ann = "{auditor}"

[worker]
enabled = {worker}
"""


class Clock:
    """The issuer's clock: the real one, and what a test adds to it (ms).

    The product has one clock, so a test that moves it must have the only issuer there is.
    """

    issuers = 0

    def __init__(self) -> None:
        self._ahead = 0

    @property
    def ahead(self) -> int:
        return self._ahead

    @ahead.setter
    def ahead(self, ahead: int) -> None:
        assert Clock.issuers == 1, "another issuer would see the time move"
        self._ahead = ahead

    def time_ns(self) -> int:
        return time.time_ns() + self._ahead * 1_000_000

    def now(self) -> int:
        """What the issuer takes for now, ms."""
        return self.time_ns() // 1_000_000


class Brake:
    """Holds back or fails the commit of a batch that holds a record of the type `on`."""

    def __init__(self, events: list[str]) -> None:
        self.on = ""
        self.error: Exception | None = None
        self.reached = threading.Event()
        self.go = threading.Event()
        self._events = events

    def before(self, batch: Batch) -> None:
        if self.on and f'"{self.on}"'.encode() in batch.leaves:
            self.reached.set()
            assert self.go.wait(PATIENCE)
            if self.error is not None:
                raise self.error

    def after(self, batch: Batch) -> None:
        for kind in (AccessOpened.TYPE, AccessClosed.TYPE):
            if f'"{kind}"'.encode() in batch.leaves:
                self._events.append(f"{kind} is durable")

    @asynccontextmanager
    async def holding(self, kind: str) -> AsyncIterator[None]:
        """Hold back the commits of this type of record inside the block."""
        self.reached.clear()
        self.go.clear()
        self.on = kind
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        self.on = ""
        self.go.set()

    async def reach(self) -> None:
        """Wait until a commit is held back."""
        assert await asyncio.to_thread(self.reached.wait, PATIENCE)


class BrakedStaging(Staging):
    def __init__(self, path: Path, *, read_only: bool = False, brake: Brake) -> None:
        super().__init__(path, read_only=read_only)
        self._brake = brake

    def commit(self, batch: Batch) -> None:
        self._brake.before(batch)
        super().commit(batch)
        self._brake.after(batch)


@dataclass(frozen=True)
class Asked:
    """A request as the model's server got it."""

    path: str
    head: bytes
    body: bytes

    @property
    def members(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.body)
        return members

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        return {name: value for name, _, value in (line.partition(": ") for line in lines)}


Play = Callable[[Peer, Asked], Awaitable[None]]


class Model:
    """The model's server. `play` answers one request; a test replaces it."""

    def __init__(self, events: list[str], changed: Callable[[], None]) -> None:
        self.requests: list[Asked] = []
        self.play: Play = answer
        self._events = events
        self._changed = changed

    async def script(self, peer: Peer) -> None:
        while True:
            asked = Asked(*await peer.request())
            self.requests.append(asked)
            self._events.append("the model is asked")
            self._changed()
            await self.play(peer, asked)


def canned(asked: Asked) -> tuple[bytes, bool]:
    """What a real server answered, and whether that is a stream."""
    name = {
        "/v1/chat/completions": "chat",
        "/v1/responses": "responses",
        "/v1/messages": "messages",
        "/v1/messages/count_tokens": "count-tokens",
    }[asked.path]
    stream = bool(asked.members.get("stream"))
    return (FIXTURES / f"{name}.{'sse' if stream else 'json'}").read_bytes(), stream


async def answer(peer: Peer, asked: Asked) -> None:
    """Answer as a real server did."""
    body, stream = canned(asked)
    if stream:
        await peer.send(STREAM, chunk(body), END)
    else:
        await peer.answer(body, b"content-type: application/json\r\n")


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def events(stream: bytes) -> list[bytes]:
    """The events of a stream."""
    return [event + b"\n\n" for event in stream.split(b"\n\n") if event]


def refusing(status: int, body: bytes = b'{"error":{"message":"no"}}') -> Play:
    """A server that answers everything with this status."""

    async def play(peer: Peer, asked: Asked) -> None:
        await peer.send(response(body).replace(b"200 OK", b"%d Other" % status))

    return play


#: The kinds of error that each status has in each dialect.
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
}


def refused(answered: httpx2.Response, dialect: str = "chat") -> tuple[int, str]:
    """Status and reason of a refusal, which must be one in the dialect's own shape."""
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["cache-control"] == "no-store"
    assert answered.headers["dpop-nonce"]
    body = answered.json()
    error, status = body["error"], answered.status_code
    reason: str = error["code"]
    server_error = "api_error" if dialect == "messages" else "server_error"
    assert error["type"] == _KINDS.get(status, server_error)
    assert error["details"]["error_code"] == error["details"]["reason"] == reason
    # RFC 9457, beside the SDK's own members or, where those take its names, inside them.
    problem = error["details"] if dialect == "messages" else body
    assert problem["type"] == f"urn:bailment:reason:{reason}"
    assert problem["status"] == status
    assert problem["title"] in error["message"]
    assert {"detail", "instance"} <= problem.keys()
    assert (body.get("type") == "error") == (dialect == "messages")
    challenge = answered.headers.get("www-authenticate", "")
    assert challenge.startswith("DPoP ") == (status == 401)
    return status, reason


def broken(stream: bytes) -> str:
    """The reason in the error event that ends a broken stream."""
    last = events(stream)[-1]
    data = last.partition(b"data: ")[2]
    reason: str = json.loads(data)["error"]["code"]
    return reason


@dataclass
class Key:
    """Somebody who signs."""

    world: World
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    nonce: str | None = None

    def __post_init__(self) -> None:
        self.public = jwk.from_key(self.private.public_key())

    def proof(
        self, method: str, path: str, body: bytes = b"", token: str | None = None, /, **changes: Any
    ) -> str:
        """A DPoP proof; `changes` replace what `make_proof` is given."""
        given: dict[str, Any] = {
            "method": method,
            "target": self.world.url + path,
            "body_sha256": sha256(body).digest(),
            "token": token,
            "nonce": self.nonce,
            "jti": secrets.token_urlsafe(16),
            "now_s": self.world.clock.now() // 1000,
        }
        return make_proof(self.private, self.public, **{**given, **changes})

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        token: str | None = None,
        query: str = "",
        headers: dict[str, str] | None = None,
        **changes: Any,
    ) -> httpx2.Response:
        """Send a signed request, a second time if the issuer wants its nonce in the proof."""
        while True:
            fields = {"dpop": self.proof(method, path, body, token, **changes), **(headers or {})}
            if token is not None:
                fields.setdefault("authorization", f"DPoP {token}")
            answered = await self.world.http.request(
                method, self.world.url + path + query, content=body, headers=fields
            )
            fresh, known = answered.headers.get("dpop-nonce"), self.nonce
            self.nonce = fresh
            if fresh == known or "nonce" in changes or not _wants_nonce(answered):
                return answered

    async def post(self, path: str, value: object, **more: Any) -> httpx2.Response:
        """Send JSON."""
        headers = {"content-type": "application/json"}
        return await self.send("POST", path, json.dumps(value).encode(), headers=headers, **more)


def _wants_nonce(answered: httpx2.Response) -> bool:
    found = answered.json() if answered.status_code in (400, 401) else {}
    return found.get("reason") == "proof-nonce"


@dataclass
class Device(Key):
    """A device that is enrolled, or about to be."""

    id: str = ""
    code: str = ""
    token: str = ""
    #: The handle that came with the last token.
    handle: str = ""

    async def fetch(self, purpose: str = PURPOSE, models: Iterable[str] = ()) -> httpx2.Response:
        """Ask for a token."""
        return await self.request_token(authorization_details=_detail(purpose, models))

    async def request_token(
        self, *, key: Key | None = None, headers: dict[str, str] | None = None, **form: str
    ) -> httpx2.Response:
        """`POST /oauth/token`; `form` replaces parameters, `key` signs in place of the device."""
        signer = key or self
        given = {
            "grant_type": "client_credentials",
            "client_id": self.id,
            "client_assertion_type": TYPE_URI,
            "client_assertion": self.assertion(signer),
            "authorization_details": _detail(PURPOSE),
        }
        body = urlencode({**given, **form}).encode()
        fields = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        answered = await signer.send("POST", "/oauth/token", body, headers=fields)
        self.keep(answered)
        return answered

    def keep(self, answered: httpx2.Response) -> None:
        """Keep the handle of a token that came."""
        if answered.status_code == 200:
            self.handle = answered.json().get("ratchet", "")

    def assertion(self, signer: Key | None = None, **changes: Any) -> str:
        """A client assertion; `changes` replace what `make_assertion` is given."""
        given: dict[str, Any] = {
            "device": self.id,
            "audience": self.world.url,
            "jti": secrets.token_urlsafe(16),
            "now_s": self.world.clock.now() // 1000,
            "ratchet": self.handle,
        }
        return make_assertion((signer or self).private, **{**given, **changes})

    async def renew(self, purpose: str = PURPOSE, models: Iterable[str] = ()) -> Device:
        """Fetch a token and keep it."""
        fetched = await self.fetch(purpose, models)
        assert fetched.status_code == 200, fetched.text
        self.token = fetched.json()["access_token"]
        return self

    def request(
        self,
        dialect: str = "chat",
        *,
        body: bytes | None = None,
        path: str = "",
        proof: dict[str, Any] | None = None,
        **members: Any,
    ) -> tuple[str, bytes, dict[str, str]]:
        """URL path, body and headers of a signed question, not sent yet."""
        own, default = DIALECTS[dialect]
        path = path or own
        if body is None:
            body = json.dumps({**default, **members}).encode()
        headers = {
            "content-type": "application/json",
            "authorization": f"DPoP {self.token}",
            "dpop": self.proof("POST", path, body, self.token, **(proof or {})),
        }
        if dialect == "messages":
            headers["anthropic-version"] = "2023-06-01"
        return path, body, headers

    async def ask(
        self, dialect: str = "chat", *, headers: Mapping[str, str | None] | None = None, **more: Any
    ) -> httpx2.Response:
        """Ask the model. `headers` replace those of `request`, None takes one out."""
        path, body, fields = self.request(dialect, **more)
        merged = {**fields, **(headers or {})}
        return await self.world.http.post(
            self.world.url + path,
            content=body,
            headers={name: value for name, value in merged.items() if value is not None},
        )

    @asynccontextmanager
    async def stream(self, dialect: str = "chat", **more: Any) -> AsyncIterator[httpx2.Response]:
        """Ask for a stream."""
        path, body, headers = self.request(dialect, stream=True, **more)
        url = self.world.url + path
        async with self.world.http.stream("POST", url, content=body, headers=headers) as answered:
            yield answered

    @asynccontextmanager
    async def wire(
        self, dialect: str = "chat", *, reading: bool = True, buffer: int = 0, **more: Any
    ) -> AsyncIterator[Wire]:
        """Ask over a connection of our own."""
        path, body, headers = self.request(dialect, **more)
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = [f"POST {path} HTTP/1.1", "host: gateway", f"content-length: {len(body)}", *lines]
        connection = socket.socket()
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.world.port))
        wire = Wire(*await asyncio.open_connection(sock=connection, limit=buffer or 65_536))
        try:
            wire.writer.write("\r\n".join([*head, "", ""]).encode() + body)
            if reading:
                wire.read()
            yield wire
        finally:
            wire.leave()

    async def get(self, path: str, headers: dict[str, str] | None = None) -> httpx2.Response:
        """GET as a model's client does."""
        return await self.send("GET", path, token=self.token, headers=headers)


def _detail(purpose: str, models: Iterable[str] = ()) -> str:
    detail = {"type": "bailment_access", "purpose": purpose, "models": list(models)}
    return json.dumps([detail])


@dataclass
class Person:
    """Somebody whom a recipient named."""

    by: Recipient
    link: Link
    code: str

    @property
    def id(self) -> str:
        return self.link.subject

    async def enrol(self, device: Device | None = None, code: str = "") -> Device:
        """A device shows the invitation; nobody has confirmed it yet."""
        device = device or Device(self.by.world)
        sent = await device.post(
            "/enrol/requests", {"invitation": code or self.code, "name": "laptop"}
        )
        assert sent.status_code == 201, sent.text
        device.id, device.code = sent.json()["device"], sent.json()["code"]
        return device

    async def device(self, **narrow: Any) -> Device:
        """An enrolled and confirmed device, with a token."""
        device = await self.enrol()
        await self.by.confirm(device, **narrow)
        return await device.renew()


@dataclass
class Recipient:
    """An organisation with its admin's key."""

    world: World
    admin: Key
    link: Link

    @property
    def id(self) -> str:
        return self.link.subject

    def sign(self, link: Link) -> str:
        return sign_link(link, self.admin.private, self.admin.public.thumbprint)

    async def grant(self, link: Link, personal: dict[str, str] | None = None) -> httpx2.Response:
        """Send a link that the admin signs; a person's commits to the name."""
        if personal is not None and link.kind == "person" and not link.personal:
            personal = {"salt": os.urandom(16).hex(), **personal}
            link = msgspec.structs.replace(link, personal=commit_person(personal))
        value: dict[str, Any] = {"link": self.sign(link)}
        if personal is not None:
            value["personal"] = personal
        return await self.world.http.post(self.world.url + "/delegations", json=value)

    def below(self, kind: str, parent: Link | None = None, **narrow: Any) -> Link:
        """A link under the recipient's, or under `parent`, as long as that lasts."""
        parent = parent or self.link
        given = {
            "id": os.urandom(16).hex(),
            "parent": parent.id,
            "kind": kind,
            "subject": os.urandom(16).hex(),
            "start": parent.start,
            "until": parent.until,
        }
        return Link(**{**given, **narrow})

    async def person(self, name: str = "Maria", **narrow: Any) -> Person:
        link = self.below("person", **narrow)
        sent = await self.grant(link, {"name": name, "email": f"{name.lower()}@acme.example"})
        assert sent.status_code == 201, sent.text
        return Person(self, link, sent.json()["invitation"]["code"])

    async def confirm(self, device: Device, **narrow: Any) -> Link:
        """The admin looks up the device by its code and signs its link."""
        found = await self.admin.send("GET", "/enrol/pending", query=f"?code={device.code}")
        assert found.status_code == 200, found.text
        seen = found.json()
        parent = self.world.register.links[seen["parent"]]
        given = {"subject": seen["device"], "key": seen["key"], **narrow}
        link = self.below("device", parent, **given)
        sent = await self.grant(link)
        assert sent.status_code == 201, sent.text
        return link


class Wire:
    """A connection of a client, byte by byte; what comes is kept in `got`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.got = b""
        self.ended = False
        self._reader = reader
        self._reading: asyncio.Task[None] | None = None
        self._came = asyncio.Event()

    def read(self) -> None:
        """Begin to read, and go on until the end."""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(ConnectionError):
            while part := await self._reader.read(65_536):
                self.got += part
                self._came.set()
        self.ended = True
        self._came.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._came.clear()
                await self._came.wait()

    async def end(self) -> bytes:
        """Everything, once the connection has ended."""
        await self.until(lambda: self.ended)
        return self.got

    @property
    def body(self) -> bytes:
        """The body that came, without the framing of its chunks."""
        head, _, rest = self.got.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" not in head.lower():
            return rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return body

    def leave(self) -> None:
        """Go away without a word."""
        if self._reading is not None:
            self._reading.cancel()
        self.writer.transport.abort()


class World:
    """An issuer that serves; with `tls` by a certificate that its clients know."""

    def __init__(self, root: Path, tls: bool = False) -> None:
        self.root = root
        self.pem = certificate(root) if tls else None
        self.folder = Folder(root / "issuer")
        self.clock = Clock()
        #: What happened, in order: commits of accesses, and requests at the model's server.
        self.events: list[str] = []
        self.brake = Brake(self.events)
        self.news: list[tuple[int, Leaf, Facts]] = []
        self.model = Model(self.events, self._change)
        self.server: ModelServer
        self.issuer: Issuer
        self.http = self.client()
        self.console: httpx2.AsyncClient
        self.port = 0
        self._asked = asyncio.Event()
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.pem else 'http'}://127.0.0.1:{self.port}"

    def context(self, shown: Path | None = None) -> ssl.SSLContext:
        """What knows the issuer's certificate, and shows the one in this file with its key."""
        context = ssl.create_default_context(cafile=str(self.pem))
        if shown is not None:
            context.load_cert_chain(shown)
        return context

    def client(self, shown: Path | None = None) -> httpx2.AsyncClient:
        """A client of the issuer's, which shows the certificate in this file."""
        verify = self.context(shown) if self.pem else True
        return httpx2.AsyncClient(timeout=PATIENCE, verify=verify)

    @property
    def register(self) -> Any:
        return self.issuer.log.fold.register

    # Running

    async def make(
        self, limits: str = "", listen: str = "", more: str = "", *, worker: bool = False
    ) -> None:
        """Make the folder, with a port that is ours from here on."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        if self.pem is not None:
            self.pem.chmod(0o600)
            listen += f'certificate = "{self.pem}"\nkey = "{self.pem}"\n'
        text = _SETTINGS.format(
            origin=ORIGIN,
            contact=CONTACT,
            url=self.url,
            port=self.port,
            model=f"unix://{self.server.path}",
            auditor=sha256(AUDITOR.encode()).hexdigest(),
            limits=limits,
            listen=listen,
            worker=str(worker).lower(),
        )
        await initialise(self.folder, text + more, ORIGIN, "tests")
        key = self.folder.root / "model.key"
        key.write_text("the-models-key")
        key.chmod(0o600)

    async def start(self) -> None:
        """Serve; returns once it does."""
        ready = asyncio.Event()
        self._asked.clear()
        self._running = asyncio.create_task(self._serve(ready))
        waiting = asyncio.create_task(ready.wait())
        done, _ = await asyncio.wait(
            (self._running, waiting), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
        )
        if self._running in done:
            waiting.cancel()
            await self._running
        assert done

    async def _serve(self, ready: asyncio.Event) -> None:
        staging = partial(BrakedStaging, brake=self.brake)
        async with opened(self.folder, staging) as self.issuer:
            self.issuer.log.sequencer.listeners.append(self._notice)
            with self._listener as listener:
                await run(self.issuer, listener, self._asked, ready)

    def ask_to_stop(self) -> None:
        """As SIGTERM does."""
        self._asked.set()

    async def stop(self) -> None:
        """Stop, and wait for the end; raises what the process would."""
        if self._running is not None:
            self.ask_to_stop()
            self.brake.release()
            running, self._running = self._running, None
            await running

    async def ended(self) -> None:
        """Wait for the end; raises what the process would."""
        running, self._running = self._running, None
        assert running is not None
        await asyncio.wait_for(running, PATIENCE)

    async def restart(self) -> None:
        """Stop and serve the same folder again."""
        await self.stop()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        await self.start()

    # Watching

    def _notice(self, news: list[tuple[int, Leaf, Facts]]) -> None:
        self.news += news
        self._change()

    def _change(self) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a record or a request at the model makes it true."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def of(self, kind: type[F], since: int = 0) -> list[F]:
        """The durable records of one type, from the entry at index `since` on."""
        return [facts for at, _, facts in self.news if isinstance(facts, kind) and at >= since]

    @property
    def size(self) -> int:
        return self.issuer.log.fold.size

    def refusals(self, since: int) -> list[tuple[str, int]]:
        """Reason and count of the refusals on the record since then."""
        return [(facts.reason, facts.count) for facts in self.of(AccessRefused, since)]

    async def closed(self, since: int = 0) -> AccessClosed:
        """The one access since then, once it is closed."""

        # One from before may close only now, if the test before did not wait for it.
        def ended() -> list[AccessClosed]:
            mine = {facts.access for facts in self.of(AccessOpened, since)}
            return [facts for facts in self.of(AccessClosed, since) if facts.access in mine]

        await self.until(ended)
        assert len(self.of(AccessOpened, since)) == len(ended()) == 1
        return ended()[0]

    async def metric(self, name: str) -> float:
        """A sample of `/metrics`; 0 if it is not there."""
        text = (await self.http.get(self.url + "/metrics")).text
        found = [line for line in text.splitlines() if line.startswith(name + " ")]
        return float(found[0].split()[-1]) if found else 0.0

    async def settle(self) -> None:
        """Let the issuer do whatever it could do by now: it answers others several times over."""
        for _ in range(5):
            assert (await self.http.get(self.url + "/healthz")).status_code == 200

    # Doing

    async def act(self, act: str, **members: Any) -> dict[str, Any]:
        """Something that the issuer's staff do."""
        value = {"act": act, "author": "tests", **members}
        sent = await self.console.post("http://console/act", json=value)
        assert sent.status_code == 200, sent.text
        done: dict[str, Any] = sent.json()
        return done

    async def hold(self, subject: str, until: int = 0) -> str:
        done = await self.act("hold-add", subject=subject, reason="a test", until=until)
        hold: str = done["hold"]
        return hold

    async def lift(self, hold: str) -> None:
        await self.act("hold-lift", hold=hold, reason="the test is over")

    @asynccontextmanager
    async def held(self, subject: str) -> AsyncIterator[None]:
        """A hold inside the block."""
        hold = await self.hold(subject)
        try:
            yield
        finally:
            await self.lift(hold)

    async def recipient(
        self,
        models: tuple[str, ...] = ("smollm2",),
        purposes: tuple[str, ...] = (PURPOSE,),
        networks: tuple[str, ...] = (),
        budget: Budget | None = None,
        depth: int = 0,
        until: int = 0,
    ) -> Recipient:
        admin = Key(self)
        done = await self.act(
            "recipient-add",
            handle=f"acme-{secrets.token_hex(4)}",
            contact="security@acme.example",
            key=admin.public.jwk,
            models=models,
            purposes=purposes,
            networks=networks,
            budget={"tokens": budget.tokens, "seconds": budget.seconds} if budget else None,
            depth=depth,
            until=until or self.clock.now() + 30 * DAY,
        )
        return Recipient(self, admin, self.register.links[done["link"]])

    async def ceiling(self) -> int:
        """What the default question of `chat` may cost at the most."""
        since = self.size
        await (await self.device()).ask()
        return self.of(AccessOpened, since)[0].ceiling

    async def device(self, **grant: Any) -> Device:
        """A device with a token, of a new person at a new recipient."""
        person = await (await self.recipient(**grant)).person()
        return await person.device()


@asynccontextmanager
async def world(
    root: Path,
    limits: str = "",
    listen: str = "",
    more: str = "",
    start: bool = True,
    tls: bool = False,
    worker: bool = False,
) -> AsyncIterator[World]:
    """An issuer in `root`, served and stopped. The rest are lines of its settings."""
    made = World(root, tls)
    async with model_server(root, made.model.script) as made.server, made.http:
        transport = httpx2.AsyncHTTPTransport(uds=str(made.folder.control_socket))
        made.console = httpx2.AsyncClient(transport=transport, timeout=PATIENCE)
        async with made.console:
            with patch("bailment.clock.time", made.clock):
                await made.make(limits, listen, more, worker=worker)
                Clock.issuers += 1
                try:
                    if start:
                        await made.start()
                    yield made
                finally:
                    Clock.issuers -= 1
                    await made.stop()
