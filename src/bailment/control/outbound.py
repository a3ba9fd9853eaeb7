"""The one way by which the issuer calls a URL that somebody else chose (OWASP: SSRF).

An identity provider's discovery document, its keys, a receiver of our events: whoever names such a
URL could name the issuer's own network, or its cloud's metadata service, instead. So: https alone,
no redirects, no proxies of the environment, a bounded answer in a bounded time; and every address
that the name has must be a public one. What was checked is what is connected to: the name is
resolved once, at the connection, so that no second answer of the DNS can lead elsewhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpcore2
from starlette.concurrency import run_in_threadpool

from bailment.errors import BailmentError

#: Addresses that stand for others: NAT64 (RFC 6052, 8215), 6to4, Teredo, IPv4-compatible.
_TRANSLATED = tuple(
    map(
        ipaddress.IPv6Network,
        ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96"),
    )
)
_HEADERS = ((b"accept", b"application/json"), (b"accept-encoding", b"identity"))

#: From host and port to what `socket.getaddrinfo` answers: IP addresses as text.
Resolve = Callable[[str, int], Awaitable[list[str]]]


class OutboundError(BailmentError):
    """A URL may not be called, or what it answers is no use."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer: its status, and its body in full."""

    status: int
    body: bytes


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host; OSError if it has none, or is none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label of no characters, or of more than 63
        raise OSError("it is no host name") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Outbound:
    """Calls URLs that others chose. Raises OutboundError.

    hosts     `host` or `host:port` that the operator lets be inside, and be called without TLS:
              for demonstrations and tests
    context   whom TLS trusts; by default whom this machine does
    """

    hosts: frozenset[str] = frozenset()
    context: ssl.SSLContext | None = None
    resolve: Resolve = resolve
    most: int = 256 * 1024
    seconds: float = 10.0

    async def get(self, url: str) -> Fetched:
        """What a GET is answered with."""
        return await self._call("GET", url, {}, b"")

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Fetched:
        """What a POST of `body` is answered with."""
        return await self._call("POST", url, headers, body)

    def check(self, url: str) -> None:
        """OutboundError if the URL can be seen not to be one to call; its host is not looked up."""
        if self._check(url):
            return
        host = urlsplit(url).hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return  # a name, of which is seen when it is called
        if not is_public(host):
            raise OutboundError(f"`{url[:200]}` is inside, where nothing is called")

    def _check(self, url: str) -> bool:
        """Whether the operator lets this URL's host be anywhere."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise OutboundError(f"`{url[:200]}` is no URL") from None
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise OutboundError(f"`{url[:200]!a}` is no URL")
        if parts.username is not None or parts.fragment or not host or port == 0:
            raise OutboundError(f"`{url[:200]}` is not https://host[:port]/path alone")
        known = not self.hosts.isdisjoint({host, f"{host}:{port or _PORTS.get(parts.scheme)}"})
        if parts.scheme != "https" and not (known and parts.scheme == "http"):
            raise OutboundError(f"`{url[:200]}` is not https")
        return known

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Fetched:
        backend = _Guarded(self.resolve, anywhere=self._check(url))
        given = list(_HEADERS)
        given += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        try:
            context = self.context or await run_in_threadpool(_trusting)
            async with (
                asyncio.timeout(self.seconds),
                httpcore2.AsyncConnectionPool(context, network_backend=backend) as pool,
                pool.stream(method, url, headers=given, content=body) as answer,
            ):
                return await self._read(url, answer)
        except TimeoutError:
            raise OutboundError(f"`{url[:200]}` took more than {self.seconds:g} s") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise OutboundError(f"`{url[:200]}` cannot be called: {str(error)[:200]}") from None

    async def _read(self, url: str, answer: httpcore2.Response) -> Fetched:
        if 300 <= answer.status < 400:
            raise OutboundError(f"`{url[:200]}` leads elsewhere, where nobody follows")
        encodings = [value for name, value in answer.headers if name.lower() == b"content-encoding"]
        if any(value.lower() != b"identity" for value in encodings):
            raise OutboundError(f"`{url[:200]}` answers in a compressed form")
        parts, size = [], 0
        async for part in answer.aiter_stream():
            size += len(part)
            if size > self.most:
                raise OutboundError(f"`{url[:200]}` answers more than {self.most} bytes")
            parts.append(part)
        return Fetched(answer.status, b"".join(parts))


_PORTS = {"https": 443, "http": 80}


@cache
def _trusting() -> ssl.SSLContext:
    """Made once: reading whom this machine trusts takes tens of milliseconds."""
    return ssl.create_default_context()


class _Guarded(httpcore2.AsyncNetworkBackend):
    """Connects to the very addresses that were looked at."""

    def __init__(self, resolve: Resolve, *, anywhere: bool) -> None:
        self._resolve = resolve
        self._anywhere = anywhere
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base class's; ours is around it all
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        if not self._anywhere:
            for address in addresses:  # one that is inside spoils them all
                if not is_public(address):
                    raise OutboundError(  # not at which: that is for who runs the DNS to know
                        f"`{host}` has an address that is not public",
                        hint="an operator may allow it in bailment.toml: [outbound] hosts",
                    )
        failed: Exception = OSError("it has no address")
        for address in addresses[:4]:
            try:
                return await self._plain.connect_tcp(address, port, timeout)
            except httpcore2.NetworkError as error:
                failed = error
        raise failed


def is_public(address: str) -> bool:
    """Whether an IP address lies in nobody's own network and stands for no other address."""
    try:
        place = ipaddress.ip_address(address)
    except ValueError:  # with a scope: link-local
        return False
    if isinstance(place, ipaddress.IPv6Address):
        if place.ipv4_mapped is not None:
            place = place.ipv4_mapped
        elif any(place in block for block in _TRANSLATED):
            return False
    return place.is_global and not (place.is_multicast or place.is_reserved)
