"""From bytes that anybody may have written to typed values, within bounds.

The bounds. The largest real report that we know, ScubaGoggles' sample with all raw settings, has
19 MB, 300,000 values and is 12 deep; 64 MiB, two million values and a depth of 64 leave room above
it. The worst file within them took 650 MiB of memory and some seconds.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from bailment import canonical
from bailment.assurance.reasons import EvidenceReason
from bailment.errors import FormatError
from bailment.spec.quantity import DAY

MAX_SIZE = 64 * 2**20
MAX_VALUES = 2_000_000
MAX_DEPTH = 64
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# A string that never ends is one up to the end, so that no search begins twice.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.S)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_SCOPE = re.compile(r"[!-~]{1,200}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: An id that a report gives itself, and what a format may count.
ReportId = Annotated[str, Meta(pattern=r"^[!-~]{1,200}\Z")]
KindId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9._-]{0,63}\Z")]
ClaimId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
Number = Annotated[int, Meta(ge=-canonical.MAX_INTEGER, le=canonical.MAX_INTEGER)]
Natural = Annotated[int, Meta(ge=0, le=canonical.MAX_INTEGER)]
Millis = Natural
PersonId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]

T = TypeVar("T")


class Unreadable(FormatError):
    """Why a file cannot be evidence; `recognition.read` makes an `EvidenceRefused` of it."""

    def __init__(self, reason: EvidenceReason, detail: str, where: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.where = where


def parse(data: bytes) -> tuple[Any, bool]:
    """The JSON value, and whether a byte order mark stood before it; Unreadable if none can be."""
    if len(data) > MAX_SIZE:
        raise Unreadable(
            EvidenceReason.TOO_LARGE,
            f"the file is longer than {MAX_SIZE >> 20} MiB; leave out the tool's raw settings, or "
            "run it for fewer accounts",
        )
    marked = data.startswith(BYTE_ORDER_MARK)
    body = data.removeprefix(BYTE_ORDER_MARK)
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise Unreadable(EvidenceReason.TOO_LARGE, f"the file holds more than {MAX_VALUES} values")
    try:
        value = canonical.parse_unique(body)
    except canonical.DuplicateKey as error:
        raise Unreadable(EvidenceReason.DUPLICATE_KEY, str(error), _twice(body)) from None
    except FormatError as error:
        _explain(body, error)
    if _too_deep(value):
        _explain(body, None)
    return value, marked


def as_type(value: object, kind: type[T]) -> T:
    """The value as a struct, members that it does not name left out; Unreadable with the place."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        detail, _, where = str(error).partition(" - at `")
        detail = detail[:1].lower() + detail[1:]
        raise Unreadable(EvidenceReason.SHAPE, detail, where.removesuffix("`") or "$") from None
    except UnicodeEncodeError:  # in a string, or in a key beside those that are read
        raise Unreadable(EvidenceReason.SHAPE, "a string holds a lone surrogate", "$") from None


def scope_id(text: object, where: str) -> str:
    """A tenant, account or organisation id, by its `scope_key`; Unreadable if it is none."""
    if not isinstance(text, str) or not is_scope(text):
        raise Unreadable(
            EvidenceReason.SCOPE_MISSING,
            "the report does not say which tenant or account it is about",
            where,
        )
    return scope_key(text)


def is_scope(text: str) -> bool:
    """Whether a report can name it as a scope: 1 to 200 printable ASCII characters, no space."""
    return _SCOPE.fullmatch(text) is not None


def scope_key(text: str) -> str:
    """The one spelling of a scope's id: GUIDs, which tools write in both cases, in lower case."""
    return text.lower() if _GUID.fullmatch(text) else text


def time_ms(text: str, where: str) -> int:
    """An RFC 3339 time, whose offset is stated, in ms since the epoch."""
    return _moment(text, where) if _TIME.fullmatch(text) else _no_time(text, where)


def day_end_ms(text: str, where: str) -> int:
    """The last ms of a day in UTC, `2026-06-30`."""
    return (
        _moment(text + "T00:00:00Z", where) + DAY - 1
        if _DATE.fullmatch(text)
        else _no_time(text, where)
    )


def plain(text: str, length: int = 60) -> str:
    """Text from the file as it may stand in a note or a record: short, printable, ASCII."""
    return re.sub(r"[^ -~]", "?", text[:length])


def _moment(text: str, where: str) -> int:
    try:
        ms = (datetime.fromisoformat(text.upper()) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        _no_time(text, where)
    return ms if ms >= 0 else _no_time(text, where)


def _no_time(text: str, where: str) -> NoReturn:
    raise Unreadable(
        EvidenceReason.SHAPE, f"`{plain(text)}` is no time after 1970 with an offset", where
    )


def _explain(body: bytes, error: FormatError | None) -> NoReturn:
    """Say why the bytes cannot be read, and where; without an error they are nested too deep."""
    if body.startswith(_UTF_16):
        raise Unreadable(
            EvidenceReason.MALFORMED, "the file is UTF-16; write it as UTF-8", "byte 0"
        )
    if where := _deep(body):
        raise Unreadable(EvidenceReason.TOO_DEEP, f"nested more than {MAX_DEPTH} deep", where)
    if body.rstrip()[-1:] not in (b"}", b"]"):
        raise Unreadable(
            EvidenceReason.TRUNCATED, "the file ends in the middle", f"byte {len(body)}"
        )
    detail, at, where = str(error).rpartition(" at ")
    raise Unreadable(EvidenceReason.MALFORMED, detail if at else where, where if at else "")


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _deep(body: bytes) -> str:
    """Where the text goes deeper than it may; empty if it does not."""
    depth = 0
    for token in _TOKEN.finditer(body):
        if token[0] in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return f"byte {token.start()}"
        elif token[0] in b"]}":
            depth -= 1
    return ""


def _twice(body: bytes) -> str:
    """The path of the first object that names a key twice."""
    try:
        level: list[tuple[str, Any]] = [("$", json.loads(body.decode(), object_pairs_hook=_Pairs))]
    except (ValueError, RecursionError):  # what comes after is no JSON either
        return ""
    while level:
        for path, value in level:
            if isinstance(value, _Pairs) and len({key for key, _ in value}) < len(value):
                return path
        level = [child for path, value in level for child in _children(path, value)]
    return ""


class _Pairs(list[tuple[str, Any]]):
    """An object's members, as often as they stand there."""


def _children(path: str, value: object) -> list[tuple[str, Any]]:
    if isinstance(value, _Pairs):
        return [(f"{path}.{plain(key)}", child) for key, child in value]
    if isinstance(value, list):
        return [(f"{path}[{at}]", child) for at, child in enumerate(value)]
    return []
