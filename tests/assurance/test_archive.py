"""Archives as Inspect writes them are read; cut, bombed or lying ones are refused."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from bailment.assurance import results
from bailment.assurance.archive import member
from bailment.assurance.results import read
from bailment.errors import FormatError

from .inspect_logs import HEADER, LOGS, PORTS, as_json, log, zipped


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_log_of_an_older_inspect_is_read(method: int) -> None:
    data = zipped(("samples/1.json", b"{}"), ("header.json", HEADER), method=method)
    assert [one.value for one in read(data).results] == [one.value for one in read(PORTS).results]


def test_a_header_that_was_replaced_in_place_is_the_new_one() -> None:
    """As Inspect does when a score is edited: the old bytes stay, and no directory names them."""
    old = zipped(("header.json", as_json(log(status="error"))))
    new = zipped(("header.json", HEADER))
    end = new.rfind(b"PK\x05\x06")
    (at,) = struct.unpack_from("<I", new, end + 16)
    directory = bytearray(new[at:end])
    struct.pack_into("<I", directory, 42, len(old))
    tail = bytearray(new[end:])
    struct.pack_into("<I", tail, 16, len(old) + at)
    assert read(old + new[:at] + bytes(directory) + bytes(tail)).results


@pytest.mark.parametrize("path", [path for path in LOGS if path.suffix == ".eval"], ids=str)
def test_a_truncated_log_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for length in (*range(0, len(data), 97), *range(len(data) - 120, len(data))):
        with pytest.raises(FormatError):
            read(data[:length])


def test_a_bomb_is_not_let_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that owns up to its length, nor one that lies about it."""
    long = b" " * 2_000_000
    honest = zipped(("header.json", long))
    monkeypatch.setattr(results, "MAX_SIZE", 1_000_000)
    with pytest.raises(FormatError, match="is longer than"):
        read(honest)
    for method, packed in ((8, _deflated(long)), (93, zstd.compress(long))):
        assert len(packed) < 10_000
        lying = _archive(b"header.json", packed, method, size=1000, crc=0)
        with pytest.raises(FormatError, match="is damaged"):
            read(lying)


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def _archive(
    name: bytes, packed: bytes, method: int, *, size: int, crc: int, flags: int = 0, copies: int = 1
) -> bytes:
    """An archive whose directory says what it is told to."""
    common = struct.pack("<4H3I2H", flags, method, 0, 0, crc, len(packed), size, len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<H", 20) + common + name + packed
    entry = b"PK\x01\x02" + struct.pack("<HH", 20, 20) + common + bytes(14) + name
    counts = struct.pack("<4H2IH", 0, 0, copies, copies, len(entry) * copies, len(local), 0)
    return local + entry * copies + b"PK\x05\x06" + counts


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"size": len(HEADER) + 1}, "damaged"),
        ({"size": len(HEADER) - 1}, "damaged"),
        ({"crc": 1}, "damaged"),
        ({"flags": 1}, "encrypted"),
        ({"copies": 2}, "twice"),
        ({"method": 14}, "method 14"),
        ({"method": 8}, "damaged"),
        ({"method": 93}, "damaged"),
        ({"name": b"header.jso"}, "no Inspect log"),
        ({"name": b"../header.json"}, "no Inspect log"),
    ],
)
def test_an_archive_that_is_not_what_it_says_is_refused(changes: dict[str, Any], why: str) -> None:
    right: dict[str, Any] = {
        "name": b"header.json",
        "packed": HEADER,
        "method": 0,
        "size": len(HEADER),
        "crc": zlib.crc32(HEADER),
    }
    data = _archive(**(right | changes))
    if not why:
        assert read(data).results
        return
    with pytest.raises(FormatError, match=why):
        read(data)


def test_a_member_of_the_longest_length_is_read() -> None:
    data = zipped(("header.json", HEADER))
    assert member(data, "header.json", len(HEADER)) == HEADER
    with pytest.raises(FormatError, match="is longer than"):
        member(data, "header.json", len(HEADER) - 1)


def test_a_local_header_may_be_longer_than_the_directory_says() -> None:
    """As Inspect writes members that it did not know the length of."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        with file.open("header.json", "w", force_zip64=True) as entry:
            entry.write(HEADER)
        file.comment = b"PK\x05\x06"[:3] + b"x" * 0xFFFC
    assert read(stream.getvalue()).results


#: Where a number stands in what `zipped` makes of one member: from the end, the directory or the
#: start, and how it is packed.
_DISK, _COUNTS, _LENGTH, _AT, _COMMENT = 4, 8, 12, 16, 20


@pytest.mark.parametrize(
    ("part", "at", "form", "value"),
    [
        ("end", _DISK, "<H", 1),
        ("end", _DISK + 2, "<H", 1),
        ("end", _COUNTS, "<H", 2),
        ("end", _COUNTS, "<HH", 2),
        ("end", _COUNTS, "<HH", 0),
        ("end", _LENGTH, "<I", 1),
        ("end", _AT, "<I", 0),
        ("end", _COMMENT, "<H", 1),
        ("directory", 0, "<I", 0),
        ("directory", 20, "<I", 0xFFFFFFF),
        ("directory", 28, "<H", 0xFFFF),
        ("directory", 42, "<I", 1),
        ("directory", 42, "<I", 0xFFFFFFF),
        ("start", 26, "<H", 10),
        ("start", 26, "<H", 0xFFFF),
        ("start", 30, "<B", 0x48),
    ],
)
def test_a_directory_that_does_not_add_up_is_refused(
    part: str, at: int, form: str, value: int
) -> None:
    data = bytearray(zipped(("header.json", HEADER), method=zipfile.ZIP_STORED))
    end = data.rfind(b"PK\x05\x06")
    base = {"end": end, "directory": data.rfind(b"PK\x01\x02"), "start": 0}[part]
    struct.pack_into(form, data, base + at, *[value] * (len(form) - 1))
    with pytest.raises(FormatError, match=r"not whole|directory is damaged|not where"):
        member(bytes(data), "header.json", 1 << 20)


def test_an_archive_in_zip64_is_sent_back_with_what_to_do() -> None:
    data = bytearray(PORTS)
    end = data.rfind(b"PK\x05\x06")
    struct.pack_into("<2H", data, end + 8, 0xFFFF, 0xFFFF)
    with pytest.raises(FormatError, match="Zip64") as refused:
        read(bytes(data))
    assert "--header-only" in refused.value.hint
