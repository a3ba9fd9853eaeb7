"""Tables of networks: whose network an address is in, in which country, and of what kind it is.

A table is a value made of bytes. The file that ships with the package and the one that
`bailment network refresh` makes are alike and differ in how much they hold:

    bailment-networks 1 LF
    one line of JSON: Head LF
    LZMA (.xz) of the layers, one after the other: asn, country, kind, and the same for IPv6

A layer cuts the space of addresses at its starts; from each start on, up to the next, its value
holds, 0 for unknown. It is stored as the differences between starts and as the values, each a
column of little-endian integers whose lowest bytes come first, then the next ones and so on, which
compresses well. Of an IPv6 address the upper 64 bits count. A value of `asn` is the number, one of
`country` two letters as a number of base 27, one of `kind` an index of `KINDS`.
"""

from __future__ import annotations

import ipaddress
import lzma
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from bailment.errors import FormatError

KINDS = ("", "hosting", "vpn", "tor")
LAYERS = ("asn", "country", "kind", "asn6", "country6", "kind6")
_MAGIC = b"bailment-networks 1\n"
#: The most that a file, its head and what it unpacks to may have, in bytes.
MAX_FILE, _MAX_HEAD, _MAX_UNPACKED = 64 << 20, 64 << 10, 256 << 20
_MEMORY = 128 << 20
_DAY_MS = 86_400_000
_BIG_ENDIAN = array("H", [1]).tobytes() == b"\0\1"


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public list that tables were made of: its file's name, SHA-256 in hex and date (ms), the
    rows that were read, what it is and its licence."""

    name: str
    sha256: str
    date: int
    rows: int
    what: str = ""
    licence: str = ""


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`built`: the date of the oldest source, ms; `sizes` the starts of each layer."""

    built: int
    sources: tuple[Source, ...]
    sizes: tuple[int, ...]


class Layer(NamedTuple):
    """Starts in ascending order, and the value that holds from each on."""

    starts: Sequence[int]
    values: Sequence[int]

    def at(self, place: int) -> int:
        found = bisect_right(self.starts, place)
        return self.values[found - 1] if found else 0


class Found(NamedTuple):
    """What tables say of an address; 0 or empty where they say nothing."""

    asn: int = 0
    country: str = ""
    kind: str = ""


NOTHING = Found()
EMPTY = Layer((), ())


class Tables:
    """Look-up of addresses. Never changed; newer tables are another value."""

    def __init__(self, head: Head, layers: Sequence[Layer]) -> None:
        self.head = head
        self._layers = tuple(layers)

    @property
    def built(self) -> int:
        """The date of the oldest of the sources, ms."""
        return self.head.built

    def age_days(self, now: int) -> int:
        """Whole days since then."""
        return max(0, now - self.built) // _DAY_MS

    def lookup(self, address: str) -> Found:
        """What is known of an address; of one that is not public, or none at all, nothing."""
        try:
            place = ipaddress.ip_address(address)
        except ValueError:
            return NOTHING
        return self.find(place)

    def find(self, place: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Found:
        """What is known of a parsed address."""
        if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped is not None:
            place = place.ipv4_mapped
        if not place.is_global:
            return NOTHING
        if place.version == 4:
            number, (asn, country, kind) = int(place), self._layers[:3]
        else:
            number, (asn, country, kind) = int(place) >> 64, self._layers[3:]
        return Found(asn.at(number), country_text(country.at(number)), KINDS[kind.at(number)])

    def ranges(self, index: int) -> Iterator[tuple[int, int, int]]:
        """What is known in the layer of this index in `LAYERS`: first, last, value."""
        return ranges_of(self._layers[index], 64 if index >= 3 else 32)

    def reduced(self, least: Sequence[int]) -> Tables:
        """Small ones: ranges of fewer IPv4 addresses than `least` says, of each layer, are unknown;
        so are all of IPv6 but their kinds. What these answer is what the full ones do."""
        layers = [
            layer_of(one for one in ranges_of(layer) if one[1] - one[0] + 1 >= few)
            for layer, few in zip(self._layers[:3], least, strict=True)
        ]
        return tables_of(self.head.sources, [*layers, EMPTY, EMPTY, self._layers[5]])

    def encode(self) -> bytes:
        """The file of these tables."""
        body = b"".join(
            _pack(_differences(layer.starts), index >= 3) + _pack(layer.values, False)
            for index, layer in enumerate(self._layers)
        )
        packed = lzma.compress(body, preset=6 | lzma.PRESET_EXTREME)
        return _MAGIC + msgspec.json.encode(self.head) + b"\n" + packed


def tables_of(sources: Sequence[Source], layers: Sequence[Layer]) -> Tables:
    """Tables of layers in the order of `LAYERS`."""
    head = Head(
        min((source.date for source in sources), default=0),
        tuple(sources),
        tuple(len(layer.starts) for layer in layers),
    )
    return Tables(head, layers)


def read_tables(data: bytes) -> Tables:
    """The tables in a file's bytes. FormatError if it is not such a file, or damaged."""
    if len(data) > MAX_FILE or not data.startswith(_MAGIC):
        raise FormatError("not a file of tables of networks")
    line, _, packed = data[len(_MAGIC) :].partition(b"\n")
    try:
        head = msgspec.json.decode(line[:_MAX_HEAD], type=Head)
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
        body = unpacker.decompress(packed, _MAX_UNPACKED)
    except (msgspec.DecodeError, UnicodeDecodeError, lzma.LZMAError) as error:
        raise FormatError(f"the tables of networks are damaged: {str(error).lower()}") from None
    sizes = head.sizes
    wanted = sum(size * (12 if index >= 3 else 8) for index, size in enumerate(sizes))
    if len(sizes) != len(LAYERS) or min(sizes) < 0 or wanted != len(body) or not unpacker.eof:
        raise FormatError("the tables of networks are damaged: they are not as long as they say")
    layers, at = [], 0
    for index, size in enumerate(sizes):
        width = 8 if index >= 3 else 4
        starts = _unpack(body[at : at + size * width], width)
        at += size * width
        values = _unpack(body[at : at + size * 4], 4)
        at += size * 4
        layers.append(_checked(index, starts, values))
    return Tables(head, layers)


def _checked(index: int, differences: array[int], values: array[int]) -> Layer:
    """A layer whose starts ascend within the space of addresses, and whose values mean something.

    The first difference may be 0, no other.
    """
    starts: Sequence[int] = list(accumulate(differences))
    bits, most = (64 if index >= 3 else 32), _MOST_VALUES[index % 3]
    if starts and (min(differences[1:], default=1) == 0 or starts[-1] >> bits):
        raise FormatError(f"the tables of networks are damaged: `{LAYERS[index]}` is out of order")
    if max(values, default=0) > most:
        raise FormatError(f"the tables of networks are damaged: a value of `{LAYERS[index]}`")
    return Layer(array("Q" if index >= 3 else "I", starts), values)


_MOST_VALUES = (0xFFFFFFFF, 27 * 27 - 1, len(KINDS) - 1)


def country_value(code: str) -> int:
    """A country's code as a number; FormatError if it is not of two capital letters."""
    if len(code) != 2 or not (code.isascii() and code.isalpha() and code.isupper()):
        raise FormatError(f"`{code[:8]}` is no country's code")
    return (ord(code[0]) - 64) * 27 + ord(code[1]) - 64


def country_text(value: int) -> str:
    """And back; empty for 0."""
    return chr(value // 27 + 64) + chr(value % 27 + 64) if value else ""


def layer_of(ranges: Iterable[tuple[int, int, int]], bits: int = 32) -> Layer:
    """A layer of ranges `(first, last, value)` in ascending order, of which none lies within the
    one before. Neighbours of one value become one."""
    starts: list[int] = []
    values: list[int] = []
    end = holds = 0
    for first, last, value in ranges:
        if starts and first <= starts[-1]:  # of IPv6 only the upper half is looked at
            first = starts[-1] + 1
            if first > last:
                continue
        if holds and first > end:
            starts.append(end)
            values.append(0)
            holds = 0
        if value != holds:
            starts.append(first)
            values.append(value)
            holds = value
        end = last + 1
    if holds and not end >> bits:
        starts.append(end)
        values.append(0)
    return Layer(array("Q" if bits == 64 else "I", starts), array("I", values))


def ranges_of(layer: Layer, bits: int = 32) -> Iterator[tuple[int, int, int]]:
    """The ranges of a layer that have a value: first, last, value."""
    ends = [*(start - 1 for start in layer.starts[1:]), (1 << bits) - 1][: len(layer.starts)]
    for first, last, value in zip(layer.starts, ends, layer.values, strict=True):
        if value:
            yield first, last, value


def _differences(starts: Sequence[int]) -> list[int]:
    return [*starts[:1], *(after - before for before, after in pairwise(starts))]


def _pack(numbers: Sequence[int], wide: bool) -> bytes:
    column = array("Q" if wide else "I", numbers)
    if _BIG_ENDIAN:
        column.byteswap()
    raw, width = column.tobytes(), column.itemsize
    return b"".join(raw[plane::width] for plane in range(width))


def _unpack(planes: bytes, width: int) -> array[int]:
    size = len(planes) // width
    raw = bytearray(len(planes))
    for plane in range(width):
        raw[plane::width] = planes[plane * size : (plane + 1) * size]
    column = array("Q" if width == 8 else "I", bytes(raw))
    if _BIG_ENDIAN:
        column.byteswap()
    return column
