"""One connection to the model server and the response on it: HTTP/1.1 (RFC 9112), no more.

One promise comes before speed: an answer reaches the request that asked for it, or nobody. So a
connection carries one request at a time; it is used again only when its response was parsed to
the end and read to the end; and any byte that nobody asked for closes it, whether it arrives
behind a response, between two, or waits unread in the socket when the next request comes.
A response whose end cannot be told from a cut (no length, not chunked) is not accepted.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Callable
from math import inf
from typing import Final

import httptools

from bailment.access.reasons import Reason
from bailment.errors import BailmentError

HIGH_WATER: Final = 65_536  # bytes of unread body at which reading pauses
MAX_HEADERS: Final = 100
MAX_HEAD: Final = 65_536  # bytes in a row that bring no body: the head, trailers, chunk extensions
MAX_INTERIM: Final = 8  # 1xx responses before the final one
MAX_IDLE: Final = 30.0  # seconds between two requests after which a connection is not trusted


class UpstreamError(BailmentError):
    """The model server failed. `reason` says how: `UPSTREAM_UNREACHABLE` (no connection to it),
    `UPSTREAM_TIMEOUT`, `UPSTREAM_INVALID` (what it sent) or `UPSTREAM_ABORTED` (broken off).
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UpstreamResponse:
    """One response; `headers` have lower-case names. It has one reader.

    Whoever holds it reads it to its end or calls `abort`: until then it keeps its connection.
    """

    __slots__ = (
        "_connection",
        "_error",
        "_held",
        "_parts",
        "_waiter",
        "complete",
        "headers",
        "status",
        "unread",
    )

    def __init__(self, connection: Connection) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.unread = 0
        self._connection = connection
        self._held = True  # the connection is this response's, until released or closed
        self._error: UpstreamError | None = None
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None

    async def chunk(self) -> bytes:
        """The next bytes of the body, b"" at its clean end. Raises UpstreamError.

        What arrived before a failure is given out before the failure is raised. A chunk is no
        longer than HIGH_WATER and one read of the event loop (256 KiB under uvloop).
        """
        parts = self._parts
        while not parts:
            if self._error is not None:
                raise self._error
            if self.complete:
                self._release()
                return b""
            connection = self._connection
            await self._wait(connection.loop.time() + connection.idle_timeout)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.unread = 0
        if self.complete:
            self._release()
        elif self._held:
            self._connection.resume()
        return data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if data := await self.chunk():
            return data
        raise StopAsyncIteration

    async def read(self, limit: int) -> bytes:
        """The whole body; UpstreamError `UPSTREAM_INVALID` if it is longer than `limit` bytes."""
        body = await self.chunk()
        if not self.complete or self._parts:
            parts, size = [body], len(body)
            while size <= limit and (body := await self.chunk()):
                parts.append(body)
                size += len(body)
            body = b"".join(parts)
        if len(body) > limit:
            self.abort()
            raise UpstreamError(
                Reason.UPSTREAM_INVALID, f"the model server's answer is over {limit} bytes"
            )
        return body

    def abort(self) -> None:
        """Give the response up: the connection is closed, a waiting reader is woken and fails."""
        if self._held:
            self._held = False
            self._parts.clear()
            self.fail(Reason.UPSTREAM_ABORTED, "the request was given up")
            self._connection.response = None
            self._connection.close()

    def fail(self, reason: Reason, message: str) -> None:
        if self._error is None:
            self._error = UpstreamError(reason, message)
            self.wake()

    def feed(self, data: bytes) -> None:
        self._parts.append(data)
        self.unread += len(data)
        if self._waiter is not None:
            self.wake()

    def wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def head(self, deadline: float) -> UpstreamError | None:
        """Wait for the head of the response."""
        while not self.status and self._error is None:
            await self._wait(deadline)
        return self._error

    async def _wait(self, deadline: float) -> None:
        if self._waiter is not None:
            raise RuntimeError("a response has one reader")
        connection = self._connection
        self._waiter = connection.loop.create_future()
        connection.watch(deadline)
        try:
            await self._waiter
        except BaseException:
            self.abort()
            raise
        finally:
            connection.deadline = inf

    def _release(self) -> None:
        if self._held:
            self._held = False
            self._connection.release()


class Connection(asyncio.Protocol):
    """One connection: what it parses goes to `response` only, and nothing else may arrive."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        idle_timeout: float,
        freed: Callable[[Connection], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self.loop = loop
        self.idle_timeout = idle_timeout
        self.response: UpstreamResponse | None = None
        self.closing = False
        self.used = False  # it has carried an earlier request
        self.heard = False  # a byte of the current response has arrived
        self.idle_since = 0.0
        self.deadline = inf  # when the current wait is over; infinite if nobody waits
        self._freed = freed
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._barren = 0
        self._interim = 0
        self._keep_alive = False
        self._paused = False
        self._readable = select.poll()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf

    def request(self, head: bytes, body: bytes) -> UpstreamResponse:
        """Write one request; the response it returns is the only receiver until it is released."""
        response = self.response = UpstreamResponse(self)
        self._headers = []
        self._barren = self._interim = 0
        self.heard = False
        if self.closing or self._transport is None or self._transport.is_closing():
            response.fail(Reason.UPSTREAM_ABORTED, "the model server closed the connection")
        elif len(body) > HIGH_WATER:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head + body)
        return response

    def release(self) -> None:
        """The response was read to its end: back to the pool, or closed."""
        self.response = None
        transport = self._transport
        if self.closing or transport is None:
            return
        if self._keep_alive and not transport.get_write_buffer_size():
            self.resume()
            self.used = True
            self.idle_since = self.loop.time()
            self._freed(self)
        else:
            self.close()

    def usable(self) -> bool:
        """Whether it may carry another request: open, recent, and nothing waits to be read.

        The event loop may not have seen yet what the kernel has: an end of file, or bytes that
        the next request would take for its answer.
        """
        return (
            not self.closing
            and self.loop.time() - self.idle_since < MAX_IDLE
            and not self._readable.poll(0)
        )

    def close(self) -> None:
        self.closing = True
        if self._transport is not None:
            self._transport.abort()

    def fail(self, reason: Reason, message: str) -> None:
        if self.response is not None and not self.response.complete:
            self.response.fail(reason, message)
        self.close()

    def resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def watch(self, deadline: float) -> None:
        """Fail the response at `deadline` unless the wait ends first; a timer outlives many."""
        self.deadline = deadline
        if deadline < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = deadline
            self._timer = self.loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer, self._timer_at = None, inf
        if self.loop.time() >= self.deadline:
            self.fail(Reason.UPSTREAM_TIMEOUT, "the model server sent nothing for too long")
        elif self.deadline < inf:
            self.watch(self.deadline)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        if self.closing:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(Reason.UPSTREAM_ABORTED, f"the model server cut the connection: {exc or 'eof'}")
        if self._timer is not None:
            self._timer.cancel()
        del self._parser  # it refers to this object
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        response = self.response
        if response is None or response.complete or self.closing:
            self.close()
            return
        self.heard = True
        unread = response.unread
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            ours = error.__context__
            self.fail(
                Reason.UPSTREAM_INVALID,
                f"it is not taken: {ours}" if ours else f"it is not HTTP/1.1: {error}",
            )
            return
        if response.unread > HIGH_WATER and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._barren = self._barren + len(data) if response.unread == unread else 0
        if self._barren > MAX_HEAD:
            self.fail(Reason.UPSTREAM_INVALID, "the model server's header fields are too large")

    # httptools; an exception stops the parser and arrives in `data_received`

    def on_message_begin(self) -> None:
        if self.response is None or self.response.complete:
            raise ValueError("bytes after the end of the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, []  # what follows in the list are trailers
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise ValueError("too many interim responses")
            return
        if not 200 <= status <= 599:
            raise ValueError(f"status `{status}`")
        if len(headers) > MAX_HEADERS or sum(len(n) + len(v) for n, v in headers) > MAX_HEAD:
            raise ValueError("the header fields are too large")
        fields = dict(headers)
        coding = fields.get(b"transfer-encoding")
        if coding is None:
            if b"content-length" not in fields and status not in (204, 304):
                raise ValueError(
                    "the answer would end with its connection, which cannot be told from a cut; "
                    "the model server must send `content-length` or chunks"
                )
        elif coding.lower() != b"chunked":
            raise ValueError("a transfer coding other than chunked")
        if fields.get(b"content-encoding", b"identity").lower() != b"identity":
            raise ValueError("a content coding that was not asked for")
        self._keep_alive = self._parser.should_keep_alive()
        if self.response is not None:
            self.response.headers = headers
            self.response.status = status
            self.response.wake()

    def on_body(self, data: bytes) -> None:
        if self.response is not None:
            self.response.feed(data)

    def on_message_complete(self) -> None:
        response = self.response
        if response is not None and response.status:
            response.complete = True
            response.wake()
