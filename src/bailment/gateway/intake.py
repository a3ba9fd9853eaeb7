"""Intake: what a request says before anybody has proved anything, and its body, within bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from bailment.access.address import caller_address
from bailment.access.certificate import presented_certificate
from bailment.access.reasons import Reason, Refused
from bailment.access.tripwire import split

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientGone(Exception):
    """The client went away before its body was complete; nobody is left to answer."""


class Buffers:
    """The bytes of all bodies held at once, at most `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class Share:
    """What one request holds of them, given back when its block ends."""

    def __init__(self, buffers: Buffers) -> None:
        self._buffers = buffers
        self._size = 0

    def grow(self, size: int) -> bool:
        """Hold so many bytes more; False if there is no room for them."""
        if self._buffers.held + size > self._buffers.most:
            return False
        self._buffers.held += size
        self._size += size
        return True

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *error: object) -> None:
        self._buffers.held -= self._size
        self._size = 0


class Arrival(msgspec.Struct, frozen=True):
    """A request's head. `path` is as it was sent, which is what a proof is over, but for the
    organisation's `slug` that it may begin with; `address` is the caller's, as far as configured
    proxies can say; `certificate` is the `x5t#S256` of the one that the connection was made with,
    empty if none."""

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    address: str
    client: str
    certificate: str = ""
    slug: str = ""

    def header(self, name: bytes) -> str:
        """The first header of this lower-case name; empty if there is none."""
        return _first(self.headers, name)


def arrive(scope: Scope, proxies: tuple[str, ...]) -> Arrival:
    """The head of an ASGI request."""
    headers = tuple(scope["headers"])
    peer = (scope.get("client") or ("", 0))[0]
    address = caller_address(peer, headers, proxies)[:100]
    client = _printable(_first(headers, b"user-agent")[:200])
    slug, path = split(scope["raw_path"].decode("ascii"))
    certificate = presented_certificate(scope)
    return Arrival(scope["method"], path, headers, address, client, certificate, slug)


async def read_body(
    arrival: Arrival, receive: Receive, limit: int, share: Share
) -> tuple[bytes, bytes] | Refused:
    """The body and its SHA-256, which `share` holds. Raises ClientGone if the client leaves first.

    How slowly a body may come is bounded by the listener (`server.Bounds`).
    """
    declared = arrival.header(b"content-length")
    if declared.isdigit() and int(declared) > limit:
        return _too_large(limit)
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            return _too_large(limit)
        if not share.grow(len(part)):
            return Refused(Reason.OVERLOADED, "there is no room for another body just now")
        parts.append(part)
        more = message.get("more_body", False)
    body = b"".join(parts)
    return body, hashlib.sha256(body).digest()


def _too_large(limit: int) -> Refused:
    return Refused(Reason.BODY_TOO_LARGE, f"a body has at most {limit} bytes here")


def _first(headers: tuple[tuple[bytes, bytes], ...], name: bytes) -> str:
    for found, value in headers:
        if found == name:
            return value.decode("latin-1")
    return ""


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(ch for ch in text if ch.isprintable())
