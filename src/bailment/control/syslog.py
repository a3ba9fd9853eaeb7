"""Syslog: messages (RFC 5424) over TLS (RFC 5425), TCP with octet counting (RFC 6587, section
3.4.1), UDP (RFC 5426) and a local socket of datagrams.

Syslog has no answers. Over TLS and TCP a batch counts as sent when the receiver's system has
acknowledged every byte of it; over UDP and the local socket when this system has taken it.
"""

from __future__ import annotations

import asyncio
import fcntl
import re
import socket
import ssl
import struct
import termios
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from bailment.control.sending import Parcel, SendError, rfc3339

#: Facility 13, log audit (RFC 5424, table 1).
_FACILITY = 13
#: OCSF's `severity_id` as syslog's severity: critical, error, warning, notice, informational.
_SEVERITY = {6: 2, 5: 2, 4: 3, 3: 4, 2: 5, 1: 6}
_NOTICE = 5
#: Bytes of a datagram that any receiver of today takes.
DATAGRAM = 8192
_PATIENCE = 10.0
_ESTABLISHED = 1
_PORTS = {"tls": 6514, "tcp": 601, "udp": 514}


def message(parcel: Parcel, host: str) -> bytes:
    """A message of RFC 5424, section 6; what it says is JSON in UTF-8 without a BOM."""
    priority = _FACILITY * 8 + _SEVERITY.get(parcel.severity, _NOTICE)
    name = re.sub(r"[^!-~]", "", host)[:255] or "-"
    number = parcel.entry % (2**31 - 1) + 1
    head = (
        f"<{priority}>1 {rfc3339(parcel.time)} {name} bailment - {parcel.type[:32]} "
        f'[meta sequenceId="{number}"] '
    )
    return head.encode("ascii") + parcel.body


def framed(sent: bytes) -> bytes:
    """With its length in front: RFC 5425, section 4.3."""
    return str(len(sent)).encode() + b" " + sent


class Stream:
    """One connection, made when it is needed."""

    most, limit = 100, 0

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._where = host, port
        self._context = context
        self._name = socket.gethostname()
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, parcels: Sequence[Parcel]) -> None:
        """Send all; SendError unless the receiver's system has every byte."""
        try:
            async with asyncio.timeout(_PATIENCE):
                if self._open is None or not _established(self._open[1]):
                    await self.close()
                    host, port = self._where
                    self._open = await asyncio.open_connection(host, port, ssl=self._context)
                writer = self._open[1]
                for one in parcels:
                    writer.write(framed(message(one, self._name)))
                await writer.drain()
                await _acknowledged(writer)
                if not _established(writer):
                    raise ConnectionResetError("it closed the connection")
        except TimeoutError:
            await self.close()
            raise SendError(f"it took more than {_PATIENCE:g} s") from None
        except OSError as error:  # TLS's and the resolver's are of this kind
            await self.close()
            raise SendError(str(error)) from None

    async def close(self) -> None:
        """End the connection."""
        opened, self._open = self._open, None
        if opened is not None:
            opened[1].transport.abort()
            with suppress(OSError):
                await opened[1].wait_closed()


def _established(writer: asyncio.StreamWriter) -> bool:
    """Whether the other end still hears us, as this system knows it (`TCP_INFO`, first byte)."""
    if writer.is_closing():
        return False
    found = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return bool(found[0] == _ESTABLISHED)


async def _acknowledged(writer: asyncio.StreamWriter) -> None:
    """Until TCP at the other end has acknowledged everything."""
    descriptor = writer.get_extra_info("socket").fileno()
    while not writer.is_closing():
        waiting = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0" * 4))[0]
        if not waiting and not writer.transport.get_write_buffer_size():
            return
        await asyncio.sleep(0.005)


class Datagrams:
    """UDP, or a local socket: one message each, cut by who made the parcel where it is too long."""

    most, limit = 100, DATAGRAM - 512

    def __init__(self, host: str, port: int) -> None:
        self._where = host, port
        self._name = socket.gethostname()
        self._socket: socket.socket | None = None

    async def send(self, parcels: Sequence[Parcel]) -> None:
        """Send all; SendError where this system says that nobody listens."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_PATIENCE):
                if self._socket is None:
                    self._socket = await self._connect(loop)
                for one in parcels:
                    await loop.sock_sendall(self._socket, message(one, self._name))
        except TimeoutError:
            await self.close()
            raise SendError(f"it took more than {_PATIENCE:g} s") from None
        except OSError as error:
            await self.close()
            raise SendError(str(error)) from None

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        host, port = self._where
        if not port:
            family, address = socket.AF_UNIX, host
        else:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            family, address = found[0][0], found[0][4]  # type: ignore[assignment]
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.setblocking(False)
        try:
            made.connect(address)
        except BaseException:
            made.close()
            raise
        return made

    async def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def sender(url: str, context: ssl.SSLContext) -> Stream | Datagrams:
    """What sends to a URL; ValueError where it is none for syslog."""
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return Datagrams(parts.path, 0)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("it is not tls://host[:port], tcp://…, udp://… or unix:///path")
    host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    if parts.scheme == "udp":
        return Datagrams(host, port)
    return Stream(host, port, context if parts.scheme == "tls" else None)
