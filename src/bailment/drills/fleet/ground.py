"""The measured part: networks of the world and percentiles of traces, from the tables shipped."""

from __future__ import annotations

import ipaddress
import json
from functools import cache
from importlib import resources
from random import Random

import msgspec


class Network(msgspec.Struct, frozen=True):
    """One /24 of a real autonomous system; `base` is its first address."""

    asn: int
    country: str
    kind: str
    base: int

    def address(self, rng: Random) -> str:
        """An address in it."""
        return str(ipaddress.IPv4Address(self.base + rng.randrange(1, 255)))


#: Hours east of Greenwich; of large countries, of one of their large cities.
ZONES: dict[str, float] = {
    "US": -5,
    "GB": 0,
    "DE": 1,
    "FR": 1,
    "NL": 1,
    "SE": 1,
    "CH": 1,
    "PL": 1,
    "ES": 1,
    "IT": 1,
    "IE": 0,
    "CA": -5,
    "AU": 10,
    "JP": 9,
    "KR": 9,
    "SG": 8,
    "IN": 5.5,
    "IL": 2,
    "BR": -3,
    "ZA": 2,
    "MX": -6,
    "TR": 3,
    "UA": 2,
    "VN": 7,
    "NG": 1,
    "AR": -3,
    "RO": 2,
    "ID": 7,
}
#: Where recipients are, by weight; the rest of the table's countries are travelled to.
SEATS: dict[str, int] = {
    "US": 20,
    "GB": 8,
    "DE": 6,
    "FR": 5,
    "NL": 3,
    "SE": 2,
    "CH": 2,
    "CA": 4,
    "AU": 3,
    "JP": 4,
    "KR": 2,
    "SG": 2,
    "IL": 2,
    "IN": 3,
    "IE": 1,
    "ES": 1,
    "IT": 1,
    "PL": 1,
}


def _table(name: str) -> object:
    return json.loads((resources.files(__package__) / "data" / f"{name}.json").read_text())


@cache
def _ranges() -> dict[tuple[str, str], list[tuple[int, int, int]]]:
    """By country and kind: autonomous system, first address, number of addresses."""
    rows = msgspec.convert(_table("networks"), list[tuple[int, str, str, int, int]])
    found: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for asn, country, kind, first, addresses in rows:
        found.setdefault((country, kind), []).append((asn, first, addresses))
    return found


@cache
def traces() -> dict[str, list[int]]:
    """Percentiles 0..100 by name: `chat_in`, `chat_out`, `code_in`, `code_out`, `turn_gap`."""
    return msgspec.convert(_table("traces"), dict[str, list[int]])


def draw(name: str, rng: Random) -> int:
    """One value as in the traces."""
    values, at = traces()[name], rng.random() * 100
    low = int(at)
    return round(values[low] + (values[low + 1] - values[low]) * (at - low))


def network(rng: Random, country: str, kind: str = "") -> Network:
    """One network in `country`; where it has none of the kind, in another."""
    ranges = _ranges()
    if (country, kind) not in ranges:
        country = rng.choice([c for c, k in ranges if k == kind])
    asn, first, addresses = rng.choice(ranges[country, kind])
    return Network(asn, country, kind, first // 256 * 256 + rng.randrange(addresses // 256) * 256)


def near(rng: Random, found: Network) -> Network:
    """Another network of the same autonomous system, as changing addresses of CI are."""
    ranges = [one for one in _ranges()[found.country, found.kind] if one[0] == found.asn]
    _, first, addresses = rng.choice(ranges)
    base = first // 256 * 256 + rng.randrange(addresses // 256) * 256
    return Network(found.asn, found.country, found.kind, base)


def seat(rng: Random) -> str:
    """The country of a recipient."""
    return rng.choices(list(SEATS), list(SEATS.values()))[0]


def elsewhere(rng: Random, country: str) -> str:
    """Another country."""
    return rng.choice([one for one in ZONES if one != country])
