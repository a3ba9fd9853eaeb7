"""The client for the model server: a bounded pool of connections, handed out in turn."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from bailment.access.reasons import Reason
from bailment.errors import ConfigurationError
from bailment.gateway.connection import Connection, UpstreamError, UpstreamResponse

__all__ = ["Upstream", "UpstreamConfig", "UpstreamError", "UpstreamResponse"]

OURS: Final = frozenset(
    {
        b"authorization",
        b"host",
        b"connection",
        b"content-length",
        b"transfer-encoding",
        b"accept-encoding",
        b"expect",
    }
)


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """How to reach the model server. Times are in seconds.

    `url` is `http://host:port/base`, `https://…`, or `unix:///path/to.sock`; `first_byte_timeout`
    runs from `send` to the end of the response head and includes the wait for a connection;
    `idle_timeout` runs while a reader waits for more of the body.
    """

    url: str
    key: str = field(default="", repr=False)
    connect_timeout: float = 5.0
    first_byte_timeout: float = 300.0
    idle_timeout: float = 60.0
    pool_size: int = 256


class Upstream:
    """The model server: a pool of at most `pool_size` connections, waited for in turn.

    `tls` replaces the default context, which verifies against the system's certificates.
    Raises ConfigurationError if the configuration cannot be used.
    """

    def __init__(self, config: UpstreamConfig, *, tls: ssl.SSLContext | None = None) -> None:
        self.config = config
        url = urlsplit(config.url)
        try:
            port = url.port
        except ValueError:
            port = 0
        self._path = url.path if url.scheme == "unix" else ""
        self._host = url.hostname or ""
        self._port = {"http": 80, "https": 443}.get(url.scheme, 0) if port is None else port
        base = "" if self._path else url.path.rstrip("/")
        authority = url.netloc or "localhost"
        reachable = bool(self._path and not url.netloc) or bool(self._host and self._port)
        if (
            not reachable
            or "@" in authority
            or url.query
            or url.fragment
            or not config.url.isprintable()
            or not _plain(authority + base)
        ):
            raise ConfigurationError(
                f"the model server's address `{config.url}` cannot be used",
                hint="write `http://host:port`, `https://host` or `unix:///path/to.sock`",
            )
        if not _plain(config.key):
            raise ConfigurationError("the model server's key holds characters no header may hold")
        self._tls = (tls or ssl.create_default_context()) if url.scheme == "https" else None
        fixed = f"host: {authority}\r\naccept-encoding: identity\r\n"
        if config.key:
            fixed += f"authorization: Bearer {config.key}\r\n"
        self._fixed = fixed.encode("ascii")
        self._base = base.encode("ascii")
        self._free = config.pool_size
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._turns: deque[asyncio.Future[Connection | None]] = deque()
        self._emptied = asyncio.Event()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(
        self, method: str, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> UpstreamResponse:
        """Send one request and return the response once its head has arrived.

        `headers` leave out the framing fields, host and accept-encoding, which are set here (as
        is authorization if there is a key). Raises UpstreamError. A request is sent a second
        time only if a connection that had already served one was closed before the first byte of
        the response, as a server does that has just given an idle connection up.
        """
        head = self._head(method, path, headers, len(body))
        loop = self._loop or self._bind()
        deadline = loop.time() + self.config.first_byte_timeout
        connection = await self._acquire(deadline)
        response = connection.request(head, body)
        error = await response.head(deadline)
        stale = connection.used and not connection.heard
        if error is not None and stale and error.reason is Reason.UPSTREAM_ABORTED:
            for other in self._idle:  # as old as the one that was closed
                other.close()
            try:
                connection = await self._acquire(deadline)
            except UpstreamError as failed:
                raise error from failed  # the first try may have been carried out
            response = connection.request(head, body)
            error = await response.head(deadline)
        if error is not None:
            raise error
        return response

    async def close(self) -> None:
        """Close every connection, and fail whatever is under way."""
        self._closed = True
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_exception(self._unreachable("the gateway is closing"))
        for connection in self._connections:
            connection.fail(Reason.UPSTREAM_ABORTED, "the gateway is closing")
        if self._connections:
            await self._emptied.wait()

    def _bind(self) -> asyncio.AbstractEventLoop:
        """Asking for the running loop is a system call (getpid), so it is asked for once."""
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _give(self, connection: Connection | None) -> None:
        """Hand a connection, or with None the right to open one, to who has waited longest."""
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        if connection is None:
            self._free += 1
        else:
            self._idle.append(connection)

    def _forget(self, connection: Connection) -> None:
        """The connection is gone, or was never made. May be called twice."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._give(None)
        if self._closed and not self._connections:
            self._emptied.set()

    def _head(
        self, method: str, path: str, headers: Sequence[tuple[bytes, bytes]], length: int
    ) -> bytes:
        if " " in path or not OURS.isdisjoint([name.lower() for name, _ in headers]):
            raise ValueError(f"`{path}` or a header field would change how the request is framed")
        fields = b"".join([b"%b: %b\r\n" % field for field in headers])
        head = b"%b %b%b HTTP/1.1\r\n%b%bcontent-length: %d\r\n\r\n" % (
            method.encode("ascii"),
            self._base,
            path.encode("ascii"),
            self._fixed,
            fields,
            length,
        )
        lines = self._fixed.count(b"\n") + len(headers) + 3
        if head.count(b"\n") != lines or head.count(b"\r") != lines:
            raise ValueError("a header field holds a line break")
        return head

    async def _acquire(self, deadline: float) -> Connection:
        if self._closed:
            raise self._unreachable("the gateway is closing")
        while self._idle:
            connection = self._idle.pop()
            if connection.usable():
                return connection
            connection.close()
        if self._free:
            self._free -= 1
            return await self._connect(deadline)
        return await self._turn(deadline) or await self._connect(deadline)

    async def _turn(self, deadline: float) -> Connection | None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Connection | None] = loop.create_future()
        self._turns.append(turn)
        timer = loop.call_at(deadline, self._overdue, turn)
        try:
            return await turn
        except BaseException:
            if turn in self._turns:
                self._turns.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:
                self._give(turn.result())  # it was handed over to a task that is gone
            raise
        finally:
            timer.cancel()

    @staticmethod
    def _overdue(turn: asyncio.Future[Connection | None]) -> None:
        if not turn.done():
            turn.set_exception(
                UpstreamError(Reason.UPSTREAM_TIMEOUT, "every connection stayed in use")
            )

    async def _connect(self, deadline: float) -> Connection:
        """Open a connection; the right to do so has been taken, and is given back if it fails."""
        loop = asyncio.get_running_loop()
        connection = Connection(loop, self.config.idle_timeout, self._give, self._forget)
        self._connections.add(connection)
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self.config.connect_timeout)):
                if self._path:
                    await loop.create_unix_connection(lambda: connection, self._path)
                else:
                    await loop.create_connection(
                        lambda: connection, self._host, self._port, ssl=self._tls
                    )
        except BaseException as error:
            connection.close()
            self._forget(connection)
            if isinstance(error, OSError):  # TimeoutError and ssl.SSLError are OSErrors
                raise self._unreachable(str(error) or "no connection in time") from error
            raise
        return connection

    def _unreachable(self, why: str) -> UpstreamError:
        return UpstreamError(
            Reason.UPSTREAM_UNREACHABLE,
            f"the model server at `{self.config.url}` cannot be reached: {why}",
        )


def _plain(text: str) -> bool:
    """Whether it can stand in a request line or a header field as it is."""
    return text.isascii() and text.isprintable() and " " not in text
