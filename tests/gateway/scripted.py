"""A model server for tests: one coroutine plays each connection, byte by byte."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bailment.gateway.upstream import Upstream, UpstreamConfig

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "model")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "model.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


class Peer:
    """The server's end of one connection. `number` counts connections from 1."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[str, bytes, bytes]:
        """The path, head and body of the next request; IncompleteReadError at the end."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await self.reader.readexactly(int(fields[b"content-length"]))
        return head.split(b" ")[1].decode(), head, body

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def answer(self, body: bytes, head: bytes = b"") -> None:
        await self.send(response(body, head))

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass

    def cut(self) -> None:
        self.writer.transport.abort()


def response(body: bytes, head: bytes = b"") -> bytes:
    """A response of known length; `head` adds fields."""
    return b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


Script = Callable[[Peer], Awaitable[None]]


class ModelServer:
    """What the tests ask of the server beyond its script."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.failures: list[BaseException] = []


@asynccontextmanager
async def model_server(folder: Path, script: Script) -> AsyncIterator[ModelServer]:
    """Serve `script` on a unix socket in `folder`; a failed assertion in it fails the test."""
    state = ModelServer(folder / "model.sock")
    tasks: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        state.connections += 1
        state.open += 1
        state.most_open = max(state.most_open, state.open)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await script(Peer(state.connections, reader, writer))
        except AssertionError as failure:
            state.failures.append(failure)
        finally:
            state.open -= 1
            writer.close()

    server = await asyncio.start_unix_server(play, state.path)
    try:
        yield state
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not state.failures, state.failures


@asynccontextmanager
async def pooled(
    folder: Path, script: Script, **config: Any
) -> AsyncIterator[tuple[Upstream, ModelServer]]:
    """A client and its scripted server. Nothing in a test may take 10 s: it hangs instead."""
    async with asyncio.timeout(10), model_server(folder, script) as server:
        client = Upstream(UpstreamConfig(f"unix://{server.path}", **config))
        try:
            yield client, server
        finally:
            await client.close()
