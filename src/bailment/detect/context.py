"""What is told of a request's origin, without saying where that is or what was asked.

Hashes are HMAC-SHA256 (RFC 2104) under a key of the issuer's, cut to 64 bits: two that are alike
can be told to be, and who has not the key can look none up.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable

import msgspec

from bailment.detect.client import client_of
from bailment.detect.networks import NOTHING, Tables
from bailment.ledger.context import Context

_PREFIX, _WORKSPACE, _CONVERSATION = b"prefix", b"workspace", b"conversation"
_HEX = 16


class Opening(msgspec.Struct, frozen=True):
    """How a request begins, as SHA-256 digests, empty where there is nothing: `workspace` of
    system prompt and tools, `first` of the user's first message."""

    workspace: bytes = b""
    first: bytes = b""


UNOPENED = Opening()


def context_of(
    address: str, headers: Iterable[tuple[bytes, bytes]], tables: Tables, key: bytes
) -> Context:
    """What a request's head tells; `address` is the caller's, `headers` have lower-case names."""
    client = client_of(headers)
    place = _place(address)
    found = NOTHING if place is None else tables.find(place)
    return Context(
        found.asn,
        found.country,
        found.kind,
        "" if place is None else _keyed(key, _PREFIX, _prefix(place)),
        client.name,
        client.version,
        client.system,
        client.runtime,
    )


def opened(context: Context, opening: Opening, key: bytes) -> Context:
    """The same with what its body tells."""
    if not opening.workspace and not opening.first:
        return context
    whole = b"\0".join((opening.workspace, opening.first))
    return msgspec.structs.replace(
        context,
        workspace=_keyed(key, _WORKSPACE, opening.workspace) if opening.workspace else "",
        conversation=_keyed(key, _CONVERSATION, whole) if opening.first else "",
    )


def _place(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        place = ipaddress.ip_address(address)
    except ValueError:  # a unix socket's peer has none, and a proxy may send anything
        return None
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped is not None:
        return place.ipv4_mapped
    return place


def _prefix(place: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    """Its /24 or /48: 3 or 6 bytes."""
    return place.packed[: 3 if place.version == 4 else 6]


def _keyed(key: bytes, what: bytes, value: bytes) -> str:
    return hmac.digest(key, what + b"\0" + value, "sha256").hex()[:_HEX]
