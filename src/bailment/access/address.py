"""Where a caller calls from, as far as the configured proxies can say."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence


def caller_address(
    peer: str, headers: Iterable[tuple[bytes, bytes]], proxies: Sequence[str]
) -> str:
    """The nearest address that no configured proxy vouches for (RFC 7239 §8.1).

    `X-Forwarded-For` may come in several lines, of which the last are the nearest: some proxies
    add a line of their own behind the one that the caller made up.
    """
    if not proxies:
        return peer
    lines = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
    hops = [hop.strip() for hop in ",".join(lines).split(",") if hop.strip()]
    address = peer
    while hops and _within(address, proxies):
        address = hops.pop()
    return address


def _within(address: str, blocks: Sequence[str]) -> bool:
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped:
        place = place.ipv4_mapped
    return any(place in ipaddress.ip_network(block) for block in blocks)
