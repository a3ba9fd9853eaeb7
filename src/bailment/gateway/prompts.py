"""Hands what was asked to the worker, which looks for use off purpose.

Prompts are never stored: they wait in memory, a thousand at most and a minute at most, and go out
by a socket that only this user may open. No access waits for it. What finds no room pushes out what
is oldest; that, and what waited too long, is counted.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from pathlib import Path

import structlog

from bailment.detect.prompt import Asked, encode
from bailment.gateway.journal import Access
from bailment.gateway.metrics import Metrics

logger = structlog.get_logger("bailment.gateway")

#: How many prompts may wait.
ROOM = 1_000
#: And for how long, s: a worker that ended is back within seconds, and one that is not back by then
#: is tried again so late that what people asked had better not lie about until then.
KEPT = 60.0
#: Process, user and group of a peer, as the kernel tells them (unix(7), SO_PEERCRED).
_PEER = struct.Struct("3i")


class Prompts:
    """Those of one gateway. Whoever connects last is handed what waits, and what comes. `dropped`
    counts those since the start that nobody was handed."""

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self._path = path
        self._counted = metrics.prompts
        self.dropped = 0
        self._waiting: deque[tuple[float, Asked]] = deque()  # since when, by the loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._came = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._handing: asyncio.Task[None] | None = None

    def offer(self, access: Access, text: str) -> None:
        """Take what an access asked; where nobody can be handed anything it is not even kept."""
        if self._server is None or not text:
            return
        if len(self._waiting) >= ROOM:
            self._waiting.popleft()
            self._drop()
        token = access.request.token
        asked = Asked(
            access.index,
            access.time,
            access.recipient,
            token.device,
            token.purpose,
            access.request.model,
            text,
        )
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time(), asked))
        if self._timer is None:
            self._timer = loop.call_later(KEPT, self._expire)
        self._came.set()

    async def start(self) -> None:
        """Listen. Its path is the owner's alone before anybody can connect."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(self._path))
            self._path.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._connected, sock=listener)
        except OSError as error:
            listener.close()
            logger.warning("nobody will look for use off purpose", why=str(error))

    async def stop(self) -> None:
        """Let go of whoever listens, and forget what waits."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._handing is not None:
            self._handing.cancel()
            await asyncio.gather(self._handing, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
        self._path.unlink(missing_ok=True)

    def _expire(self) -> None:
        """Drop what waited too long, and look again when the next will have."""
        loop = asyncio.get_running_loop()
        while self._waiting and self._waiting[0][0] + KEPT <= loop.time():
            self._waiting.popleft()
            self._drop()
        self._timer = None
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0][0] + KEPT, self._expire)

    async def _connected(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if _user_of(writer) != os.geteuid():
            logger.warning("another user wanted to be handed prompts")
            writer.close()
            return
        if self._handing is not None:
            self._handing.cancel()
        self._handing = asyncio.create_task(self._hand(writer))
        # Also of one that is cancelled before it began, of which nothing else runs.
        self._handing.add_done_callback(lambda _: writer.close())

    async def _hand(self, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                while not self._waiting:
                    self._came.clear()
                    await self._came.wait()
                since, asked = self._waiting.popleft()
                try:
                    writer.write(encode(asked))
                    await writer.drain()
                except (OSError, asyncio.CancelledError):  # who connects next is handed it
                    self._again(since, asked)
                    raise
                self._counted.labels("handed").inc()
        except OSError:
            return

    def _drop(self) -> None:
        self.dropped += 1
        self._counted.labels("dropped").inc()

    def _again(self, since: float, asked: Asked) -> None:
        """Put back what did not go out; dropped if there is no room by now."""
        if len(self._waiting) >= ROOM:
            self._drop()
            return
        self._waiting.appendleft((since, asked))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(since + KEPT, self._expire)


def _user_of(writer: asyncio.StreamWriter) -> int:
    peer = writer.get_extra_info("socket")
    _, user, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(user)
