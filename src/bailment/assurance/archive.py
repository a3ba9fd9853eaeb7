"""One member of a ZIP archive (APPNOTE.TXT 6.3), within bounds.

Inspect compresses with Zstandard (method 93), which `zipfile` reads from Python 3.14 on only; and
what it raises for bytes that anybody may have written is not bounded. Only the central directory
says what is in an archive, as for every other reader: what it does not list is not there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from bailment.errors import FormatError

try:
    from backports import zstd
except ImportError:  # from Python 3.14 on it is in the standard library
    from compression import zstd  # type: ignore[import-not-found, no-redef]

MAGIC = b"PK\x03\x04"

_END = struct.Struct("<4s4H2IH")  # §4.3.16
_ENTRY = struct.Struct("<4s6H3I5H2I")  # §4.3.12
_LOCAL = struct.Struct("<4s5H3I2H")  # §4.3.7
_LONGEST_COMMENT = 0xFFFF


class _Entry(NamedTuple):
    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def member(archive: bytes, name: str, most: int) -> bytes | None:
    """The bytes of a member, at most so many; None if the archive has none of that name.

    FormatError if it is no archive, or one that is truncated, damaged, encrypted, in Zip64 or in
    parts, that lists the member twice, or whose member is longer than `most` or other than listed.
    """
    wanted = name.encode()
    found = [entry for entry in _directory(archive) if entry.name == wanted]
    if not found:
        return None
    if len(found) > 1:
        raise FormatError(f"the archive holds `{name}` twice")
    (entry,) = found
    if entry.flags & 1:
        raise FormatError(f"`{name}` is encrypted")
    if entry.size > most:
        raise FormatError(f"`{name}` is longer than {most >> 20} MiB")
    content = _unpacked(_packed(archive, entry, name), entry, name)
    if len(content) != entry.size or zlib.crc32(content) != entry.crc:
        raise FormatError(f"`{name}` is damaged")
    return content


def _directory(archive: bytes) -> Iterator[_Entry]:
    end = archive.rfind(b"PK\x05\x06", max(0, len(archive) - _END.size - _LONGEST_COMMENT))
    if end < 0 or len(archive) < end + _END.size:
        raise FormatError("the archive ends in the middle")
    _, disk, first, here, count, size, at, comment = _END.unpack_from(archive, end)
    if count == 0xFFFF or 0xFFFFFFFF in (size, at):
        raise FormatError("the archive is in Zip64")
    if (disk, first, here) != (0, 0, count) or end + _END.size + comment != len(archive):
        raise FormatError("the archive is not whole")
    if at + size != end:
        raise FormatError("the archive's directory is damaged")
    for _ in range(count):
        if at + _ENTRY.size > end:
            raise FormatError("the archive's directory is damaged")
        magic, _, _, flags, method, _, _, crc, packed, size, *lengths, _, _, _, offset = (
            _ENTRY.unpack_from(archive, at)
        )
        named = at + _ENTRY.size
        at = named + sum(lengths)
        if magic != b"PK\x01\x02" or at > end:
            raise FormatError("the archive's directory is damaged")
        name = archive[named : named + lengths[0]]
        yield _Entry(name, flags, method, crc, packed, size, offset)
    if at != end:
        raise FormatError("the archive's directory is damaged")


def _packed(archive: bytes, entry: _Entry, name: str) -> bytes:
    """The member's bytes as they are stored; what its local header says of them does not count."""
    start = entry.offset + _LOCAL.size
    if start > len(archive) or not archive.startswith(MAGIC, entry.offset):
        raise FormatError(f"`{name}` is not where the archive says")
    *_, named, extra = _LOCAL.unpack_from(archive, entry.offset)
    begin = start + named + extra
    packed = archive[begin : begin + entry.packed]
    if archive[start : start + named] != entry.name or len(packed) != entry.packed:
        raise FormatError(f"`{name}` is not where the archive says")
    return packed


def _unpacked(packed: bytes, entry: _Entry, name: str) -> bytes:
    """At most one byte more than the directory says, whatever the member would grow to."""
    try:
        match entry.method:
            case 0:
                return packed
            case 8:
                return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.size + 1)
            case 93:
                return zstd.ZstdDecompressor().decompress(packed, entry.size + 1)
    except (zlib.error, zstd.ZstdError):
        raise FormatError(f"`{name}` is damaged") from None
    raise FormatError(f"`{name}` is compressed by method {entry.method}, which is not read here")
