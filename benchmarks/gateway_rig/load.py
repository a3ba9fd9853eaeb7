"""The load: wrk for whole answers, a small client of our own for paced streams."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from . import meter
from .targets import PATH, Presentation, Target

SCRIPT = Path(__file__).parent / "wrk.lua"
FILLER = "A gateway lets through only those whom it can name, and it writes each of them down. "
TOKENS = 32
STREAM_MS = 20 + (TOKENS - 1) * 10
STREAMS = 16
HELD = 256
HOLD_WITHIN = 60  # seconds until every held stream has its first token


def prompt(pace: str = "", **more: object) -> bytes:
    """A chat completion request of 1.5 KB."""
    messages = [{"role": "user", "content": (pace + FILLER * 20)[:1420]}]
    request = {"model": "bench", "messages": messages, "max_tokens": 128, **more}
    return json.dumps(request, separators=(",", ":")).encode()


WHOLE = prompt()
PACED = prompt(f"pace=20,{TOKENS},10 ", stream=True)
SILENT = prompt("pace=20,2,3600000 ", stream=True)


def head(target: Target, body: bytes, credential: Presentation) -> bytes:
    """A request head, without the empty line that ends it."""
    headers = {
        "Host": urlsplit(target.url).netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **credential.headers,
    }
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in lines).encode()


def requests(target: Target, body: bytes, count: int) -> list[bytes]:
    """`count` whole requests, each with its own proof if the target wants proofs."""
    credential = target.present(body, count)
    start = head(target, body, credential)
    if not credential.proofs:
        return [start + b"\r\n" + body] * count
    return [start + f"DPoP: {proof}\r\n\r\n".encode() + body for proof in credential.proofs]


@dataclass(frozen=True)
class Whole:
    """A run of whole answers at one concurrency."""

    rate: float
    """Requests per second."""
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """CPU time of the target for one request."""
    requests: int
    busy: list[float]
    """The share of the time that core 0 (target) and core 1 (load and model) were busy."""


def run_wrk(
    target: Target, folder: Path, connections: int, seconds: int, most: int, think_ms: int = 0
) -> Whole:
    """Drive `target` with at most `most` requests; any answer but 200 fails the benchmark."""
    credential = target.present(WHOLE, most)
    files = {name: folder / name for name in ("RIG_HEAD", "RIG_BODY", "RIG_PROOFS")}
    files["RIG_HEAD"].write_bytes(head(target, WHOLE, credential))
    files["RIG_BODY"].write_bytes(WHOLE)
    files["RIG_PROOFS"].write_text("".join(f"{proof}\n" for proof in credential.proofs))
    if not credential.proofs:
        del files["RIG_PROOFS"]
    environment = {name: str(path) for name, path in files.items()}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    before = meter.Reading.take(target.processes())
    done = subprocess.run(
        [*command, "-s", SCRIPT, target.url],
        env=os.environ | environment | {"RIG_THINK": str(think_ms)},
        capture_output=True,
        text=True,
        check=True,
    )
    after = meter.Reading.take(target.processes())
    found = json.loads(done.stdout.partition("\nRIG ")[2])
    if found["failed"] or found["refused"] or found["exhausted"] or not found["requests"]:
        raise RuntimeError(f"{target.name} at {connections} connections: {found}")
    return Whole(
        rate=found["requests"] / (found["microseconds"] / 1e6),
        p50_ms=found["p50"] / 1000,
        p99_ms=found["p99"] / 1000,
        cpu_us=(after.cpu_ns - before.cpu_ns) / found["requests"] / 1000,
        requests=found["requests"],
        busy=after.busy_since(before),
    )


class StreamClient(asyncio.Protocol):
    """A connection that asks for one stream after another and times their first tokens."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> None:
        self.parts: list[bytes] = []
        self.first: asyncio.Future[float] = self.loop.create_future()
        self.whole: asyncio.Future[bytes] = self.loop.create_future()
        self.sent = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        if not self.first.done() and b"data:" in data:
            self.first.set_result(time.perf_counter() - self.sent)
        tail = data if len(data) >= 5 else b"".join(self.parts[-5:])
        if tail.endswith(b"0\r\n\r\n") and not self.whole.done():
            self.whole.set_result(b"".join(self.parts))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        for waiting in (self.first, self.whole):
            if not waiting.done():
                waiting.set_exception(exc or ConnectionError(b"".join(self.parts)[:500]))
                waiting.exception()  # seen here, in case that nobody awaits it


async def connect(target: Target) -> StreamClient:
    loop = asyncio.get_running_loop()
    host, _, port = urlsplit(target.url).netloc.partition(":")
    _, client = await loop.create_connection(lambda: StreamClient(loop), host, int(port))
    return client


@dataclass(frozen=True)
class Paced:
    """A run of paced streams."""

    ttft_p50_ms: float
    """From the request's last byte sent to the first `data:` received."""
    ttft_p99_ms: float
    cpu_us: float
    """CPU time of the target for one stream."""
    streams: int
    busy: list[float]


async def run_streams(target: Target, seconds: int) -> Paced:
    """Keep 16 streams open for about `seconds`, begun at different phases."""
    each = max(1, seconds * 1000 // STREAM_MS)
    prepared = requests(target, PACED, each * STREAMS)
    times: list[float] = []

    async def keep_streaming(place: int) -> None:
        await asyncio.sleep(place * STREAM_MS / 1000 / STREAMS)
        client = await connect(target)
        for number in range(each):
            if client.closed:
                client = await connect(target)
            client.ask(prepared[place * each + number])
            answer = await client.whole
            if not answer.startswith(b"HTTP/1.1 200") or answer.count(b'"content":"') < TOKENS:
                raise RuntimeError(f"{target.name} broke a stream: {answer[:500]!r}")
            times.append(await client.first)
        client.transport.close()

    before = meter.Reading.take(target.processes())
    await asyncio.gather(*(keep_streaming(place) for place in range(STREAMS)))
    after = meter.Reading.take(target.processes())
    times.sort()
    return Paced(
        ttft_p50_ms=times[len(times) // 2] * 1000,
        ttft_p99_ms=times[len(times) * 99 // 100] * 1000,
        cpu_us=(after.cpu_ns - before.cpu_ns) / len(times) / 1000,
        streams=len(times),
        busy=after.busy_since(before),
    )


async def bytes_per_stream(target: Target) -> float:
    """How far the resident set grows for each of 256 streams held open after a first token."""
    before = meter.rss_bytes(target.processes())
    clients = [await connect(target) for _ in range(HELD)]
    for client, request in zip(clients, requests(target, SILENT, HELD), strict=True):
        client.ask(request)
    async with asyncio.timeout(HOLD_WITHIN):
        await asyncio.gather(*(client.first for client in clients))
    grown = meter.rss_bytes(target.processes()) - before
    for client in clients:
        client.transport.abort()
    return grown / HELD
