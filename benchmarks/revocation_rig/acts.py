"""One revocation, seen from the command and from the client; and the log that stands still."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .people import PROBES, SHORT, WITHIN, Holder


@dataclass(frozen=True)
class Taken:
    """One revocation; all in ms from when the command spoke to the issuer."""

    kind: str
    cut: int
    """Streams that the issuer says it cut."""
    told_refused: float
    told_cut: float
    """What the issuer reported of itself."""
    answered: float
    """When the command had its answer: effective."""
    refused: float
    """When the client had its first refusal, asking all the time."""
    allowed: float
    """When it had its last answer that was none (negative: before the command)."""
    last_cut: float
    """When the last of its streams had ended, by its client."""


async def act(socket: Path, name: str, **members: Any) -> dict[str, Any]:
    """What a command says to the control socket."""
    body = json.dumps({"act": name, "author": "benchmark", **members}).encode()
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        head = f"POST /act HTTP/1.1\r\nHost: control\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        async with asyncio.timeout(WITHIN):
            answer = await reader.read()
    finally:
        writer.close()
    status, _, rest = answer.partition(b" ")[2].partition(b" ")
    done: dict[str, Any] = json.loads(rest.partition(b"\r\n\r\n")[2])
    if status != b"200":
        raise RuntimeError(f"{name}: {done}")
    return done


async def take(socket: Path, holder: Holder, kind: str) -> Taken:
    """Hold a subject of the holder's while the holder asks and streams; lift it afterwards."""
    probing = asyncio.create_task(probe(holder))
    await asyncio.sleep(0.05)
    began = time.perf_counter()
    done = await act(socket, "hold-add", subject=holder.subjects[kind], reason="benchmark")
    answered = time.perf_counter()
    async with asyncio.timeout(WITHIN):
        ends = await asyncio.gather(*(stream.ended for stream in holder.streams))
        allowed, refused = await probing
    reasons = {stream.reason() for stream in holder.streams}
    if not done["effective"] or reasons != {"held"} or done["cut"] < len(ends):
        raise RuntimeError(f"{kind}: {done} and {reasons}")
    holder.streams.clear()
    await act(socket, "hold-lift", hold=done["hold"], reason="benchmark")

    def after(at: float) -> float:
        return (at - began) * 1000

    return Taken(
        kind,
        done["cut"],
        done["refused_after"],
        done["cut_after"],
        after(answered),
        after(refused),
        after(allowed),
        after(max(ends)),
    )


async def probe(holder: Holder) -> tuple[float, float]:
    """Ask one thing after the other until refused: when the last answer came, and the refusal."""
    address = urlsplit(holder.session.issuer)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    allowed = time.perf_counter()
    try:
        for request in holder.requests(SHORT, PROBES):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200 "):
                if json.loads(body)["error"]["code"] != "held":
                    raise RuntimeError(f"refused for another reason: {body!r}")
                return allowed, time.perf_counter()
            allowed = time.perf_counter()
    finally:
        writer.close()
    raise RuntimeError(f"not refused after {PROBES} requests")


@dataclass(frozen=True)
class Silence:
    """What the log's standing still did; s from when its writer was stopped."""

    stale: float
    """When a request was first refused as `feed-stale`."""
    first_cut: float
    last_cut: float
    streams: int
    waiting: int
    """Requests of the first second, which wait for their record and were not served."""
    back: float
    """When access was served again, from when the writer went on."""


async def fall_silent(issuer: Any, holders: list[Holder], stop: Any) -> Silence:
    """Stop the writer's thread until every stream is cut, asking all the time."""
    address = urlsplit(issuer.url)
    asker, streams = holders[0], [stream for holder in holders for stream in holder.streams]
    requests = iter(asker.requests(SHORT, PROBES))

    async def ask() -> tuple[str, float]:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(next(requests))
            head = await reader.readuntil(b"\r\n\r\n")
            return head.split(b" ", 2)[1].decode(), time.perf_counter()
        finally:
            writer.close()

    asking: list[asyncio.Task[tuple[str, float]]] = []
    with stop():
        began = time.perf_counter()
        while not all(stream.ended.done() for stream in streams):
            asking.append(asyncio.create_task(ask()))
            await asyncio.sleep(0.05)
            if time.perf_counter() - began > WITHIN:
                raise RuntimeError("the streams were not cut")
        done = [task.result() for task in asking if task.done()]
        waiting = sum(not task.done() for task in asking)
    if {status for status, _ in done} != {"503"}:
        raise RuntimeError(f"answers while the log stood still: {done}")
    went_on = time.perf_counter()
    while (await ask())[0] != "200":  # noqa: ASYNC110 - there is no other way to know
        await asyncio.sleep(0.02)
    back = time.perf_counter() - went_on
    await asyncio.gather(*asking)
    ends = [stream.ended.result() - began for stream in streams]
    if {stream.reason() for stream in streams} != {"feed-stale"}:
        raise RuntimeError("streams ended for another reason")
    first = min(at for _, at in done) - began
    return Silence(first, min(ends), max(ends), len(streams), waiting, back)


@contextlib.contextmanager
def saturated(command: list[str]) -> Iterator[None]:
    """A process that reads the log over and over beside, as fast as a core goes."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError("the reader ended")
    finally:
        process.kill()
        process.wait()
