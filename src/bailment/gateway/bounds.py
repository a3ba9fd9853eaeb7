"""One client's connection: uvicorn's HTTP protocol with the bounds it lacks.

Who goes over a bound gets a small problem document (RFC 9457) and loses the connection. How large
a body may be is the application's to say; how slowly it may come is said here.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bailment.access.answers import ANSWERS
from bailment.access.reasons import Reason
from bailment.gateway.dialects.base import PROBLEM_TYPE
from bailment.gateway.handshake import tls_extension

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

SLICE: Final = 32_768  # bytes parsed between two looks at the bounds
MAX_PIPELINE: Final = 16  # requests that wait behind the one that is being answered
MAX_DISCARD: Final = 262_144  # bytes of a body nobody waits for, read to keep the connection
SEND_BUFFER: Final = 65_536  # bytes of an answer that the kernel may hold for a slow reader
LINGER: Final = 2.0  # seconds for a refused client to read why before its connection is cut


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one client may cost.

    A head may take `header_seconds`, from the connection or its own first byte. A body may take
    `body_seconds`, and one more for each `body_pace` bytes that have come. A client that takes
    nothing of its answer for `write_seconds` is cut, and one that asks nothing for
    `idle_seconds` after an answer.
    """

    connections: int = 4096
    header_count: int = 100
    header_bytes: int = 32_768
    target_bytes: int = 8_192
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    body_pace: int = 16_384
    write_seconds: float = 60.0
    idle_seconds: float = 65.0


class _Phase(Enum):
    """What the parser expects or is in."""

    HEAD = auto()
    BODY = auto()
    NEXT = auto()  # the message is complete and the next has not begun


class _Corked:
    """The transport as an answer sees it: all it writes in one turn of the loop goes out at once.

    A head and its body are then one system call, which is a sixth of what a request costs.
    """

    __slots__ = ("_loop", "_parts", "_size", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.is_closing = transport.is_closing
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > SLICE:
            self.flush()

    def flush(self) -> None:
        parts, size = self._parts, self._size
        self._parts, self._size = [], 0
        if not parts or self._transport.is_closing():
            return
        if size > SLICE:
            self._transport.writelines(parts)
        else:
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        self.flush()
        self._transport.close()


class BoundedProtocol(HttpToolsProtocol):
    """One connection of uvicorn's, within `Bounds`."""

    def __init__(
        self,
        bounds: Bounds,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.bounds = bounds
        self.headers = []
        self._phase = self._timed = _Phase.HEAD
        self._messages = 0
        self._head_bytes = 0
        self._body_bytes = 0
        self._body_due = 0.0  # loop time by which a body of no bytes is too slow
        self._body_held = False
        self._refused = False
        self._unsent = 0
        self._extensions: dict[str, Any] = {}
        self._clock: asyncio.TimerHandle | None = None  # times what is read
        self._stall: asyncio.TimerHandle | None = None  # times what is written
        self._cut: asyncio.TimerHandle | None = None  # times a refused client's leave

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._corked = _Corked(transport, self.loop)
        if tls := transport.get_extra_info("ssl_object"):
            self._extensions = {"tls": tls_extension(tls)}
        # What the kernel holds for a slow reader still goes out after a cut, so it holds little.
        # Setting it also ends its growth (tcp(7), SO_SNDBUF).
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        over = len(self.connections) - self.bounds.connections
        if over > self.bounds.connections:
            transport.abort()  # too many even to be told
        elif over > 0:
            self._refuse(Reason.OVERLOADED)
        else:
            self._clock = self.loop.call_later(self.bounds.header_seconds, self._check_head)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._clock, self._stall, self._cut):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if len(data) <= SLICE:
            self._feed(data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), SLICE):
                self._feed(view[start : start + SLICE])
        if self._phase is not self._timed:
            self._time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    # What the parser calls; an exception stops it and arrives in `_feed`

    def on_message_begin(self) -> None:
        self._phase = _Phase.HEAD
        self._messages += 1
        self._head_bytes = 0
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        bounds = self.bounds
        fields = b"".join(chain.from_iterable(self.headers))
        if (
            len(self.headers) > bounds.header_count
            or len(fields) > bounds.header_bytes
            or len(self.url) > bounds.target_bytes
        ):
            self._refuse(Reason.HEADERS_TOO_LARGE)
            raise ValueError("refused")
        if not fields.isascii():
            for _, value in self.headers:
                value.decode("utf-8")
        if self.parser.should_upgrade():
            # What follows an upgrade is taken for another request, so none is let in.
            raise ValueError("an upgrade")
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", self._corked)
        self._phase = _Phase.BODY
        self._body_bytes = 0
        self.headers = []  # trailers must not join the headers that the application reads

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if not self.cycle.response_complete:
            super().on_body(body)
        elif self._body_bytes > MAX_DISCARD:
            self._refuse(Reason.BODY_TOO_LARGE)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = _Phase.NEXT
        self.headers = []

    # What uvicorn calls

    def on_response_complete(self) -> None:
        self._corked.flush()
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writing()
        elif self._phase is _Phase.HEAD:
            self._time()  # the next head has its whole time from here

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_writing()

    # The bounds

    def _feed(self, data: bytes | memoryview) -> None:
        if self._refused or self.transport.is_closing():
            return
        messages = self._messages
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(Reason.REQUEST_MALFORMED)
            return
        if self._phase is _Phase.HEAD and self._messages == messages:
            self._head_bytes += len(data)
        bounds = self.bounds
        if self._head_bytes > bounds.header_bytes or len(self.headers) > bounds.header_count:
            self._refuse(Reason.HEADERS_TOO_LARGE)
        elif len(self.pipeline) > MAX_PIPELINE:
            self._refuse(Reason.OVERLOADED)

    def _time(self) -> None:
        """Time the phase in which the parser was left; most requests come whole and need none."""
        self._timed = self._phase
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if self._refused:
            return
        if self._phase is _Phase.HEAD:
            self._clock = self.loop.call_later(self.bounds.header_seconds, self._check_head)
        elif self._phase is _Phase.BODY:
            self._body_held = False
            self._body_due = self.loop.time() + self.bounds.body_seconds
            self._clock = self.loop.call_at(self._body_due, self._check_body)

    def _check_head(self) -> None:
        if self._answering():
            self._clock = self.loop.call_later(self.bounds.header_seconds, self._check_head)
        else:
            self._refuse(Reason.REQUEST_SLOW)

    def _check_body(self) -> None:
        now = self.loop.time()
        allowed = self._body_bytes / self.bounds.body_pace
        was_held = self._body_held
        self._body_held = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self._body_held or was_held:  # it is the application that has not read all this time
            self._body_due = now + self.bounds.body_seconds - allowed
        if self._body_due + allowed <= now:
            self._refuse(Reason.BODY_SLOW)
        else:
            self._clock = self.loop.call_at(self._body_due + allowed, self._check_body)

    def _watch_writing(self) -> None:
        """See to it that what is written, but not sent, becomes less."""
        if self._stall is not None:
            self._stall.cancel()
        self._unsent = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(self.bounds.write_seconds, self._check_writing)

    def _check_writing(self) -> None:
        if not (self.flow.write_paused or self.transport.is_closing()):
            return
        if self.transport.get_write_buffer_size() < self._unsent:
            self._watch_writing()
        else:
            self.transport.abort()

    def _answering(self) -> bool:
        # Before the first request there is no cycle, though uvicorn's annotation knows of none.
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]

    def _refuse(self, reason: Reason) -> None:
        """Read no more; answer, if it is this request's turn; and let the connection go."""
        if self._refused:
            return
        self._refused = True
        self._corked.flush()
        self._unset_keepalive_if_required()
        in_body, answering = self._phase is _Phase.BODY, self._answering()
        if answering and not in_body:
            self.cycle.keep_alive = False  # what was asked before is answered first
            return
        if answering and (self.pipeline or self.cycle.response_started):
            self.transport.abort()
            return
        if answering:
            self.cycle.disconnected = True
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
        if answering or not in_body:
            self.transport.write(self._problem(reason))
        # Closing now, with bytes unread, would reset the connection under the answer.
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._cut = self.loop.call_later(LINGER, self.transport.abort)

    def _problem(self, reason: Reason) -> bytes:
        answer = ANSWERS[reason]
        problem = {
            "type": PROBLEM_TYPE + reason,
            "title": answer.title,
            "status": answer.status,
            "detail": "",
            "reason": reason.value,
        }
        body = msgspec.json.encode(problem)
        fields = b"".join(b"%b: %b\r\n" % field for field in self.server_state.default_headers)
        return b"%b%bcontent-type: application/problem+json\r\n%b%d\r\n\r\n%b" % (
            STATUS_LINE[answer.status],
            fields,
            b"connection: close\r\ncontent-length: ",
            len(body),
            body,
        )
