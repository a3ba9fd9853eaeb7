"""Reads the public lists that tables of networks are made of, and makes them.

Which list a file is, its name says (`ROLES`); a line may be in any of these forms:

    asn, country    `first,last,value[,name]`, addresses in text or as integers, ascending; where
                    two overlap, the later one holds from its start on
    hosting, vpn    a prefix (RFC 4632) or an address
    hosting-asn     `AS64500 # name`
    tor             an address, or a row of commas with one in it: `fingerprint, address, port`

Empty lines, those that begin with `#`, and a first line of column names are passed over.
"""

from __future__ import annotations

import csv
import hashlib
import ipaddress
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from bailment.detect.networks import (
    KINDS,
    Layer,
    Source,
    Tables,
    country_value,
    layer_of,
    tables_of,
)
from bailment.errors import FormatError

Role = Literal["asn", "country", "hosting", "hosting-asn", "vpn", "tor"]
#: The first that a file's name matches is what it holds.
ROLES: tuple[tuple[re.Pattern[str], Role], ...] = (
    (re.compile(r"country.*\.csv$"), "country"),
    (re.compile(r"(datacenter|hosting)[-_]?asn.*\.txt$"), "hosting-asn"),
    (re.compile(r"(datacenter|hosting).*\.txt$"), "hosting"),
    (re.compile(r"vpn.*\.txt$"), "vpn"),
    (re.compile(r"tor.*\.(csv|txt)$"), "tor"),
    (re.compile(r"asn.*\.csv$"), "asn"),
)
#: Who publishes what each role's list is, and under which licence.
_PUBLISHERS: dict[Role, tuple[str, str]] = {
    "asn": ("ip-location-db asn", "CC-BY-4.0"),
    "country": ("ip-location-db asn-country, after the NRO", "CC-BY-4.0"),
    "hosting": ("X4BNet lists_vpn datacenter", "MIT"),
    "hosting-asn": ("X4BNet lists_vpn datacenter ASN", "MIT"),
    "vpn": ("X4BNet lists_vpn vpn", "MIT"),
    "tor": ("tor-nodes of Alireza Rezaee", "MIT"),
}
#: Without these there are no tables.
REQUIRED: tuple[Role, ...] = ("asn", "country")
#: Lines of a list, and characters of a line, at the most.
_MOST_LINES, _MOST_LINE = 4_000_000, 1_000
_WIDE = 1 << 32


class Row(NamedTuple):
    """A range of addresses, of IPv6 ones the upper 64 bits, and what is said of it."""

    version: int
    first: int
    last: int
    value: int


class Listed(NamedTuple):
    """A list that was read: rows, or numbers of autonomous systems."""

    role: Role
    source: Source
    rows: tuple[Row, ...]
    asns: frozenset[int] = frozenset()


def role_of(name: str) -> Role | None:
    """What a file of this name holds, without the `.gz`; None for one that is no such list."""
    plain = name.lower().removesuffix(".gz")
    return next((role for pattern, role in ROLES if pattern.search(plain)), None)


def read_list(role: Role, name: str, date: int, data: bytes) -> Listed:
    """The rows of a list that was so on a date (ms). FormatError names the file and the line that
    cannot be read."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        at = data.count(b"\n", 0, error.start) + 1
        raise FormatError(f"`{name}` line {at}: not UTF-8") from None
    rows: list[Row] = []
    asns: set[int] = set()
    last: dict[int, Row] = {}
    for at, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#") or (at == 1 and _titles(stripped)):
            continue
        try:
            if at > _MOST_LINES or len(line) > _MOST_LINE:
                raise ValueError("more than such a list can have")
            if role == "hosting-asn":
                asns.add(_asn(stripped.split("#")[0].strip()))
                continue
            row = _row(role, stripped)
            if role in REQUIRED:
                _check_order(last.get(row.version), row)
                last[row.version] = row
            rows.append(row)
        except (ValueError, FormatError, csv.Error) as error:
            raise FormatError(f"`{name}` line {at}: {error}") from None
    if not rows and not asns:
        raise FormatError(f"`{name}`: there is nothing in it")
    source = Source(
        name, hashlib.sha256(data).hexdigest(), date, len(rows) or len(asns), *_PUBLISHERS[role]
    )
    return Listed(role, source, tuple(rows), frozenset(asns))


def _check_order(before: Row | None, row: Row) -> None:
    """Two IPv6 ranges may begin in one half that is looked at."""
    if before is None:
        return
    least = before.first + (row.version == 4)
    if row.first < least or row.last < before.last:
        raise ValueError("the range is out of order, or lies within the one before")


def make_tables(lists: Sequence[Listed]) -> Tables:
    """Tables of all that was read. FormatError if a list is missing, or there twice for one kind of
    address."""
    for role in REQUIRED:
        if not any(one.role == role for one in lists):
            raise FormatError(f"there is no list of {role}, without which there are no tables")
    layers = []
    for version in (4, 6):
        asn, country = (_plain(lists, role, version) for role in REQUIRED)
        layers += [asn, country, _kinds(lists, version)]
    return tables_of([one.source for one in lists], layers)


def _plain(lists: Sequence[Listed], role: Role, version: int) -> Layer:
    chosen = [one.rows for one in lists if one.role == role]
    filled = [of for rows in chosen if (of := [row[1:] for row in rows if row.version == version])]
    if len(filled) > 1:
        raise FormatError(f"there are two lists of {role} for IPv{version}: which one holds?")
    return layer_of(filled[0] if filled else (), _bits(version))


def _kinds(lists: Sequence[Listed], version: int) -> Layer:
    """Of an address that is several, the kind that is last in `KINDS`."""
    hosting = frozenset().union(*(one.asns for one in lists))
    found: dict[str, list[tuple[int, int]]] = {kind: [] for kind in KINDS[1:]}
    for one in lists:
        for row in one.rows:
            if row.version != version:
                continue
            if one.role in found:
                found[one.role].append((row.first, row.last))
            elif one.role == "asn" and row.value in hosting:
                found["hosting"].append((row.first, row.last))
    bits = _bits(version)
    layers = [
        layer_of(((*span, KINDS.index(kind)) for span in _united(spans)), bits)
        for kind, spans in found.items()
    ]
    starts = sorted(set().union(*(layer.starts for layer in layers)))
    return _changes(starts, [max(layer.at(start) for layer in layers) for start in starts], bits)


def _changes(starts: Iterable[int], values: Iterable[int], bits: int) -> Layer:
    kept: list[tuple[int, int]] = []
    for start, value in zip(starts, values, strict=True):
        if value != (kept[-1][1] if kept else 0):
            kept.append((start, value))
    code = "Q" if bits == 64 else "I"
    return Layer(array(code, [start for start, _ in kept]), array("I", [one for _, one in kept]))


def _united(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans that may overlap, as some that do not."""
    first = last = -1
    for start, end in sorted(spans):
        if last >= 0 and start <= last + 1:
            last = max(last, end)
            continue
        if last >= 0:
            yield first, last
        first, last = start, end
    if last >= 0:
        yield first, last


def _row(role: Role, line: str) -> Row:
    if role in REQUIRED:
        fields = next(csv.reader([line]))
        if len(fields) < 3:
            raise ValueError("not `first,last,value`")
        value = _asn(fields[2]) if role == "asn" else country_value(fields[2].strip())
        return _range(fields[0], fields[1], value)
    shown = [field.strip() for field in line.split("#")[0].split(",")]
    if role == "tor" and len(shown) > 1:
        shown = shown[1:2]
    network = ipaddress.ip_network(shown[0])
    return _wide(network.version, int(network[0]), int(network[-1]), 1)


def _range(first: str, last: str, value: int) -> Row:
    begin, end = _address(first.strip()), _address(last.strip())
    if begin.version != end.version:
        raise ValueError("the range begins in one version of IP and ends in another")
    if int(begin) > int(end):
        raise ValueError("the range ends before it begins")
    return _wide(begin.version, int(begin), int(end), value)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if text.isascii() and text.isdigit() and len(text) <= 39:
        number = int(text)
        return ipaddress.IPv4Address(number) if number < _WIDE else ipaddress.IPv6Address(number)
    return ipaddress.ip_address(text[:64])


def _wide(version: int, first: int, last: int, value: int) -> Row:
    shift = 0 if version == 4 else 64
    return Row(version, first >> shift, last >> shift, value)


def _asn(text: str) -> int:
    digits = text.strip().removeprefix("AS")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise ValueError(f"`{text[:20]}` is no number of an autonomous system")
    if int(digits) >= _WIDE:
        raise ValueError(f"`{text[:20]}` is more than 32 bits")
    return int(digits)


def _titles(line: str) -> bool:
    """Whether a first line names columns: it has no digit outside its names."""
    return not any(ch.isdigit() for ch in line)


def _bits(version: int) -> int:
    return 32 if version == 4 else 64
