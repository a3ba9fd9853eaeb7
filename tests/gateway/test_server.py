"""What a client can cost the listener, against a running one on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bailment.gateway.bounds import MAX_DISCARD, MAX_PIPELINE, SLICE
from bailment.gateway.server import Bounds, build_server

from .scripted import certificate

pytestmark = pytest.mark.anyio

GET = b"GET /echo HTTP/1.1\r\nhost: gateway\r\n\r\n"
LARGE = b"x" * 20_000_000


class App:
    """Says what it received; `/early` answers before reading, `/held` after `go`."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.calls = 0
        self.told: list[str] = []
        self.connections: set[Any] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.told.append("lifespan ends")
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.calls += 1
        path = scope["path"]
        if path == "/early":
            await self.answer(send, b"early")
            return
        if path == "/large":
            await self.answer(send, LARGE)
            self.told.append("large sent")
            return
        if path == "/endless":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while self.connections:
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
                await asyncio.sleep(0)
            return
        if path == "/full":
            await self.fill(send)
            return
        if path == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        if path in ("/held", "/begun"):
            try:
                await self.go.wait()
            finally:
                await asyncio.sleep(0.05)
                self.told.append("request ends")
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.told.append("disconnect")
                return
            size += len(message["body"])
            more = message["more_body"]
        headers = [[n.decode(), v.decode()] for n, v in scope["headers"]]
        seen = {"path": path, "size": size, "headers": headers, "client": scope["client"]}
        await self.answer(send, json.dumps(seen).encode())

    async def fill(self, send: Any) -> None:
        """Answer until the client's and the kernel's buffers are full, and ours has a little."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        (connection,) = self.connections
        while not connection.transport.get_write_buffer_size():
            part = {"type": "http.response.body", "body": b"x" * 32_768, "more_body": True}
            await send(part)
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})

    async def answer(self, send: Any, body: bytes) -> None:
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})


class Client:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def drip(self, data: bytes, seconds: float) -> None:
        """Send a byte at a time until the server has had enough."""
        with suppress(ConnectionError, RuntimeError):
            for byte in data:
                await self.send(bytes([byte]))
                await asyncio.sleep(seconds)

    async def answer(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await self.reader.readexactly(int(fields[b"content-length"]))
        return int(head.split(b" ")[1]), body

    async def echo(self) -> dict[str, Any]:
        status, body = await self.answer()
        assert status == 200
        seen: dict[str, Any] = json.loads(body)
        return seen

    async def refusal(self) -> tuple[int, str]:
        """The status and reason of a problem document, after which the connection ends."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert b"content-type: application/problem+json\r\n" in head
        assert b"connection: close\r\n" in head
        problem = json.loads(await self.reader.read())
        assert problem["type"] == f"urn:bailment:reason:{problem['reason']}"
        assert problem["title"]
        status: int = problem["status"]
        assert head.startswith(b"HTTP/1.1 %d " % status)
        return status, problem["reason"]


class Running:
    def __init__(self, app: App, server: Any, port: int, tls: ssl.SSLContext | None) -> None:
        self.app = app
        self.state = server.server_state
        self.port = port
        self.tls = tls
        self.clients: list[Client] = []

    async def connect(self, data: bytes = b"") -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls))
        self.clients.append(client)
        await client.send(data)
        return client

    async def empty(self) -> None:
        """Wait until the server holds no connection and no request."""
        while self.state.connections or self.state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    bounds: Bounds, server_tls: ssl.SSLContext | None = None, client_tls: Any = None
) -> AsyncIterator[Running]:
    """A server, started and stopped. Nothing in a test may take a minute, however busy the
    machine: it hangs instead."""
    app = App()
    server = build_server(app, bounds=bounds, tls=server_tls, drain_seconds=0.5)
    app.connections = server.server_state.connections
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    async with asyncio.timeout(60):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        await server.startup([listener])
        await server.on_tick(0)
        running = Running(app, server, port, client_tls)
        try:
            yield running
        finally:
            for client in running.clients:
                client.writer.transport.abort()
            app.go.set()
            server.servers[0].close()
            listener.close()
            await running.empty()
            await server.lifespan.shutdown()


# Heads


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 101 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 102,
        b"GET / HTTP/1.1\r\n" + b"x: %b\r\n" % (b"y" * 33_000) + b"\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * 5_000_000,
        b"GET / HTTP/1.1\r\n" + b"y" * 5_000_000,
        b"GET /" + b"y" * 8_193 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /" + b"y" * 5_000_000,
        b"\r\n" * 100_000,
    ],
    ids=["10,000", "101", "102 and no end", "33 KB", "5 MB", "name", "URL", "5 MB URL", "nothing"],
)
@pytest.mark.parametrize("first", [b"", GET], ids=["first", "kept"])
async def test_a_head_over_the_bounds_is_refused_at_once(first: bytes, head: bytes) -> None:
    async with serving(Bounds(idle_seconds=0.1)) as running:
        client = await running.connect(first)
        if first:
            await client.echo()
            if not head.strip():
                return await running.empty()  # empty lines do not keep an idle connection
        sending = asyncio.ensure_future(client.send(head))
        assert await client.refusal() == (431, "headers-too-large")
        assert all(len(held.headers) <= SLICE / 5 for held in running.state.connections)
        assert running.app.calls == bool(first)
        client.writer.transport.abort()
        await asyncio.gather(sending, return_exceptions=True)
        return None


async def test_a_head_within_the_bounds_is_served() -> None:
    head = b"GET /%b HTTP/1.1\r\n" % (b"y" * 8_191) + b"x: %b\r\n" % (b"z" * 300) * 99 + b"\r\n"
    async with serving(Bounds()) as running:
        client = await running.connect(head)
        seen = await client.echo()
        assert len(seen["headers"]) == 99
        assert len(seen["path"]) == 8_192


@pytest.mark.parametrize("head", [b"", b"\r\n" * 400, b"GET /echo HTTP/1.1\r\nx: " + b"y" * 400])
async def test_a_head_that_drips_is_refused(head: bytes) -> None:
    async with serving(Bounds(header_seconds=0.1)) as running:
        client = await running.connect()
        dripping = asyncio.ensure_future(client.drip(head, 0.01))
        assert await client.refusal() == (408, "request-slow")
        dripping.cancel()
        assert running.app.calls == 0


async def test_a_second_head_that_drips_is_refused() -> None:
    async with serving(Bounds(header_seconds=0.1)) as running:
        client = await running.connect(GET)
        await client.echo()
        dripping = asyncio.ensure_future(client.drip(GET[:-2] + b"x: " + b"y" * 400, 0.01))
        assert await client.refusal() == (408, "request-slow")
        dripping.cancel()
        assert running.app.calls == 1


async def test_a_second_head_behind_an_answer_that_takes_long_is_not_slow() -> None:
    async with serving(Bounds(header_seconds=0.5)) as running:
        client = await running.connect(post("/held", 0) + GET[:9])
        await asyncio.sleep(0.8)
        running.app.go.set()
        assert (await client.echo())["path"] == "/held"
        await client.send(GET[9:])
        assert (await client.echo())["path"] == "/echo"


async def test_a_second_request_may_take_longer_than_a_connection_may_be_idle() -> None:
    async with serving(Bounds(idle_seconds=0.05)) as running:
        client = await running.connect(GET)
        await client.echo()
        await client.send(post("/held", 0))
        await asyncio.sleep(0.2)
        running.app.go.set()
        assert (await client.echo())["path"] == "/held"


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with serving(Bounds(idle_seconds=0.05)) as running:
        client = await running.connect(GET)
        await client.echo()
        assert await client.reader.read() == b""
        await running.empty()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nx: \xff\xfe\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET noslash HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: y\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\nhost: x\n\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\nab",
        b"CONNECT host:443 HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(data: bytes) -> None:
    async with serving(Bounds()) as running:
        client = await running.connect(data)
        assert await client.refusal() == (400, "request-malformed")
        assert running.app.calls == 0


async def test_utf_8_in_a_header_is_served() -> None:
    async with serving(Bounds()) as running:
        client = await running.connect("GET / HTTP/1.1\r\nx: Zoë\r\n\r\n".encode())
        assert (await client.echo())["headers"] == [["x", "Zoë"]]


# Bodies


def post(path: str, length: int, more: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\ncontent-length: %d\r\n%b\r\n" % (path.encode(), length, more)


async def test_a_body_that_drips_is_refused_and_the_application_is_told() -> None:
    async with serving(Bounds(body_seconds=0.1)) as running:
        client = await running.connect(post("/echo", 1000))
        dripping = asyncio.ensure_future(client.drip(b"x" * 999, 0.01))
        assert await client.refusal() == (408, "body-slow")
        dripping.cancel()
        assert running.app.told == ["disconnect"]


async def test_a_body_that_keeps_the_pace_may_take_longer() -> None:
    async with serving(Bounds(body_seconds=0.2, body_pace=100)) as running:
        client = await running.connect(post("/echo", 1000))
        for _ in range(10):  # 100 bytes, worth a second, every 0.05 s
            await client.send(b"x" * 100)
            await asyncio.sleep(0.05)
        assert (await client.echo())["size"] == 1000


@pytest.mark.parametrize("more", [b"", b"expect: 100-continue\r\n"])
async def test_a_body_that_the_application_does_not_read_is_not_slow(more: bytes) -> None:
    async with serving(Bounds(body_seconds=0.05)) as running:
        client = await running.connect(post("/held", 1_000_000, more))
        if not more:
            sending = asyncio.ensure_future(client.send(b"x" * 1_000_000))
        await asyncio.sleep(0.3)
        running.app.go.set()
        if more:
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            sending = asyncio.ensure_future(client.send(b"x" * 1_000_000))
        assert (await client.echo())["size"] == 1_000_000
        await sending


async def test_a_body_that_breaks_its_framing_is_refused_and_the_application_is_told() -> None:
    head = b"POST /held HTTP/1.1\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
    async with serving(Bounds()) as running:
        client = await running.connect(head + b"2\r\nab\r\nzz\r\n")
        assert await client.refusal() == (400, "request-malformed")
        running.app.go.set()
        while "disconnect" not in running.app.told:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_refused_body_is_read_so_that_its_sender_comes_to_read_why() -> None:
    head = b"POST /held HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    good = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    async with serving(Bounds()) as running:
        client = await running.connect(head + good * 3 + b"zz\r\n" + LARGE)
        assert await client.refusal() == (400, "request-malformed")


async def test_a_slow_body_under_an_answer_that_has_begun_cuts_it() -> None:
    async with serving(Bounds(body_seconds=0.05)) as running:
        client = await running.connect(post("/begun", 1000))
        answer = await client.reader.read()
        assert answer.endswith(b"5\r\nbegun\r\n")  # and no last chunk
        running.app.go.set()
        await running.empty()


async def test_an_answer_before_the_body_keeps_the_connection_if_the_body_is_small() -> None:
    async with serving(Bounds()) as running:
        client = await running.connect(post("/early", MAX_DISCARD))
        assert await client.answer() == (200, b"early")
        await client.send(b"x" * MAX_DISCARD + GET)
        assert (await client.echo())["path"] == "/echo"


async def test_an_answer_before_a_large_body_is_not_cut_off_by_it() -> None:
    async with serving(Bounds()) as running:
        client = await running.connect()
        sending = asyncio.ensure_future(client.send(post("/early", len(LARGE)) + LARGE))
        assert await client.answer() == (200, b"early")
        assert await client.reader.read() == b""
        await asyncio.gather(sending, return_exceptions=True)
        client.writer.close()
        await running.empty()


async def test_trailers_do_not_join_the_headers() -> None:
    chunked = b"POST /echo HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serving(Bounds()) as running:
        client = await running.connect(chunked + b"2\r\nab\r\n0\r\nauthorization: forged\r\n\r\n")
        seen = await client.echo()
        assert seen["headers"] == [["transfer-encoding", "chunked"]]
        assert seen["size"] == 2
        await client.send(GET)
        assert (await client.echo())["headers"] == [["host", "gateway"]]


async def test_trailers_over_the_bounds_cost_the_connection() -> None:
    chunked = b"POST /echo HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serving(Bounds()) as running:
        client = await running.connect(chunked + b"2\r\nab\r\n0\r\n" + b"x: y\r\n" * 102)
        assert await client.refusal() == (431, "headers-too-large")


# Connections


async def test_a_connection_is_kept_and_its_requests_are_told_apart() -> None:
    async with serving(Bounds()) as running:
        client = await running.connect()
        for size in (0, 10, 100_000, 0):
            await client.send(post(f"/{size}", size) + b"x" * size)
            seen = await client.echo()
            assert (seen["path"], seen["size"]) == (f"/{size}", size)
        assert len(running.state.connections) == 1


async def test_forwarded_addresses_are_not_believed() -> None:
    async with serving(Bounds()) as running:
        client = await running.connect(GET[:-2] + b"x-forwarded-for: 1.2.3.4\r\n\r\n")
        assert (await client.echo())["client"][0] == "127.0.0.1"


async def test_pipelined_requests_are_answered_in_order() -> None:
    asked = b"".join(post(f"/{n}", 3_000) + b"x" * 3_000 for n in range(MAX_PIPELINE))
    async with serving(Bounds()) as running:
        client = await running.connect(asked + GET)
        for n in range(MAX_PIPELINE):
            seen = await client.echo()
            assert (seen["path"], seen["size"]) == (f"/{n}", 3_000)
        assert (await client.echo())["path"] == "/echo"


async def test_a_flood_of_pipelined_requests_ends_the_connection() -> None:
    async with serving(Bounds()) as running:
        client = await running.connect()
        sending = asyncio.ensure_future(client.send(GET * 100_000))
        with suppress(ConnectionError):
            await client.reader.read()
        assert running.app.calls <= SLICE / len(GET) + 1
        client.writer.transport.abort()
        await asyncio.gather(sending, return_exceptions=True)
        await running.empty()


async def test_garbage_behind_a_request_does_not_spoil_its_answer() -> None:
    async with serving(Bounds()) as running:
        client = await running.connect(post("/held", 0) + b"\x00garbage")
        running.app.go.set()
        assert (await client.echo())["path"] == "/held"
        assert await client.reader.read() == b""


async def test_a_connection_over_the_limit_is_told_and_one_far_over_is_not() -> None:
    async with serving(Bounds(connections=2)) as running:
        kept = [await running.connect(GET) for _ in range(2)]
        for client in kept:
            await client.echo()
        over = [await running.connect(GET) for _ in range(2)]
        for client in over:
            assert await client.refusal() == (503, "overloaded")
        far_over = await running.connect()
        with suppress(ConnectionError):
            assert await far_over.reader.read() == b""
        for client in [*over, kept[0]]:
            client.writer.transport.abort()
        while len(running.state.connections) > 1:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        assert (await (await running.connect(GET)).echo())["path"] == "/echo"
        await kept[1].send(GET)
        assert (await kept[1].echo())["path"] == "/echo"


@pytest.mark.parametrize("path", [b"/large", b"/full", b"/endless"])
@pytest.mark.parametrize("close", [b"", b"connection: close\r\n"], ids=["kept", "closed"])
async def test_a_client_that_does_not_read_is_cut(path: bytes, close: bytes) -> None:
    async with serving(Bounds(write_seconds=0.1, idle_seconds=0.1)) as running:
        await running.connect(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, close))
        await running.empty()


async def test_a_client_that_reads_slowly_gets_all() -> None:
    async with serving(Bounds(write_seconds=0.2)) as running:
        client = await running.connect(b"GET /large HTTP/1.1\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        for _ in range(10):
            await client.reader.readexactly(len(LARGE) // 10)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        await client.send(GET)
        await client.echo()


async def test_bounds_hold_under_tls(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(pem)
    client_tls = ssl.create_default_context(cafile=str(pem))
    async with serving(Bounds(), server_tls, client_tls) as running:
        client = await running.connect(GET)
        assert (await client.echo())["path"] == "/echo"
        sending = asyncio.ensure_future(client.send(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000))
        status, body = await client.answer()
        assert (status, json.loads(body)["reason"]) == (431, "headers-too-large")
        client.writer.transport.abort()
        await asyncio.gather(sending, return_exceptions=True)


async def test_a_handshake_that_never_ends_is_cut(tmp_path: Path) -> None:
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(certificate(tmp_path))
    async with serving(Bounds(header_seconds=0.1), server_tls) as running:
        client = await running.connect(b"\x16\x03\x01")
        with suppress(ConnectionError):
            assert await client.reader.read() == b""


async def test_a_refused_client_that_stays_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bailment.gateway.bounds.LINGER", 0.1)
    async with serving(Bounds()) as running:
        client = await running.connect(b"\x00")
        await client.refusal()
        await running.empty()  # though the client never closed


async def test_a_request_cancelled_at_the_end_of_the_drain_ends_before_the_lifespan() -> None:
    app = App()
    server = build_server(app, bounds=Bounds(), drain_seconds=0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    serving = asyncio.ensure_future(server.serve([listener]))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/held", 0))
        while not app.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        server.should_exit = True
        await serving
        assert app.told == ["request ends", "lifespan ends"]
        await reader.read()
        writer.close()
