"""Tiles and entry bundles: C2SP tlog-tiles.

A hash tile at level l holds up to 256 consecutive hashes of the complete subtrees of height
8 * l; an entry bundle holds up to 256 consecutive entries. Paths are relative to the log's URL
prefix or folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from bailment.errors import FormatError, VerificationError
from bailment.ledger.tree import HASH_SIZE, MAX_SIZE, Frontier, Read, node_hash

HEIGHT = 8
WIDTH: int = 2**HEIGHT
MAX_LEVEL = 63
MAX_ENTRY = 2**16 - 1
ENTRIES = -1

# A tile's bytes by its path, or None when there is no such tile (any more).
Fetch = Callable[[str], bytes | None]

_PATH = re.compile(
    r"tile/(?:(?P<level>0|[1-9][0-9]?)|entries)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """A hash tile (level 0 to 63) or an entry bundle (level `ENTRIES`), 1 to 256 wide."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`."""
        groups = f"{self.index % 1000:03d}"
        rest = self.index // 1000
        while rest:
            groups = f"x{rest % 1000:03d}/{groups}"
            rest //= 1000
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{groups}{partial}"


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """The path of a hash tile."""
    return Tile(level, index, width).path


def entries_path(index: int, width: int = WIDTH) -> str:
    """The path of an entry bundle."""
    return Tile(ENTRIES, index, width).path


def parse_path(path: str) -> Tile:
    """The tile or bundle at `path`; FormatError unless it is exactly a path this module makes."""
    match = _PATH.fullmatch(path)
    if not match:
        raise FormatError(f"`{path[:80]}` is not the path of a tile")
    level = int(match["level"]) if match["level"] else ENTRIES
    index = int(match["index"].replace("x", "").replace("/", ""))
    tile = Tile(level, index, int(match["width"] or WIDTH))
    # The same number has one path: no zero groups in front, no partial tile of full width.
    if tile.path != path or level > MAX_LEVEL or tile.width > WIDTH or index > MAX_SIZE:
        raise FormatError(f"`{path[:80]}` is not the path of a tile")
    return tile


def new_bundles(old: int, new: int) -> Iterator[Tile]:
    """The entry bundles that a tree of `new` leaves has and one of `old` has not."""
    return _new(ENTRIES, old, new)


def new_tiles(old: int, new: int) -> Iterator[Tile]:
    """The hash tiles that a tree of `new` leaves has and one of `old` has not, lowest first."""
    level = 0
    while old != new:
        yield from _new(level, old, new)
        level, old, new = level + 1, old // WIDTH, new // WIDTH


def _new(level: int, old: int, new: int) -> Iterator[Tile]:
    if old == new:
        return
    for index in range(old // WIDTH, new // WIDTH):
        yield Tile(level, index)
    if new % WIDTH:
        yield Tile(level, new // WIDTH, new % WIDTH)


def encode_tile(tile: Tile, read: Read) -> bytes:
    """The bytes of a hash tile, its hashes taken from `read`."""
    first = tile.index * WIDTH
    return b"".join(read(tile.level * HEIGHT, first + i) for i in range(tile.width))


def tile_root(data: bytes) -> bytes:
    """The hash that stands for a full tile at the level above."""
    hashes = [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]
    while len(hashes) > 1:
        hashes = [node_hash(*pair) for pair in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """The bytes of an entry bundle; FormatError if an entry exceeds 65,535 bytes."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise FormatError(f"an entry of `{len(entry)}` bytes is longer than {MAX_ENTRY}")
        parts += (len(entry).to_bytes(2), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The `width` entries of a bundle; FormatError unless `data` is exactly that."""
    entries: list[bytes] = []
    at = 0
    for _ in range(width):
        start = at + 2
        at = start + int.from_bytes(data[at:start])
        if len(data) < max(start, at):
            raise FormatError(f"the entry bundle ends within entry `{len(entries)}`")
        entries.append(data[start:at])
    if at != len(data):
        raise FormatError(f"the entry bundle goes on after `{width}` entries")
    return entries


def tile_reader(size: int, fetch: Fetch) -> Read:
    """A `tree.Read` for the first `size` leaves over a log's tiles.

    It fetches partial tiles as a tree of `size` has them and, where one is gone, the full tile in
    its place. The hashes are only as good as `fetch`: verify what is computed from them. It
    raises VerificationError for a missing tile and FormatError for one of the wrong length.
    """

    @lru_cache(maxsize=256)
    def tile(level: int, index: int) -> bytes:
        width = min(WIDTH, (size >> HEIGHT * level) - index * WIDTH)
        data = fetch(tile_path(level, index, width))
        if data is None and width < WIDTH:
            data = _prefix(fetch(tile_path(level, index)), width)
        if data is None:
            raise VerificationError(f"`{tile_path(level, index, width)}` is missing")
        if len(data) != width * HASH_SIZE:
            raise FormatError(f"`{tile_path(level, index, width)}` has `{len(data)}` bytes")
        return data

    def read(height: int, index: int) -> bytes:
        if not 0 <= index < size >> height:
            raise FormatError(f"no subtree `{index}` of height `{height}` in a tree of `{size}`")
        level, above = divmod(height, HEIGHT)
        first = index << above
        data = tile(level, first // WIDTH)
        start = first % WIDTH * HASH_SIZE
        return tile_root(data[start : start + (HASH_SIZE << above)])

    return read


def frontier(size: int, fetch: Fetch) -> Frontier:
    """The right edge of the first `size` leaves; compare its root with a checkpoint's."""
    return Frontier.at(size, tile_reader(size, fetch))


def _prefix(full: bytes | None, width: int) -> bytes | None:
    if full is not None and len(full) != WIDTH * HASH_SIZE:
        raise FormatError(f"a full tile has `{len(full)}` bytes")
    return full and full[: width * HASH_SIZE]
