"""Canonical JSON: RFC 8785 restricted to what needs no floating point.

Values are None, bool, str, list, dict and integers within ±(2^53 - 1); object keys are ASCII,
so that sorting by bytes and by UTF-16 code units agree. Within that subset msgspec's sorted
encoding is byte for byte RFC 8785 (held by a property test against an independent encoder).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from bailment.errors import FormatError

MAX_INTEGER = 2**53 - 1

_encoder = msgspec.json.Encoder(order="sorted")


def encode(value: object) -> bytes:
    """The canonical bytes of `value` (a JSON value or a msgspec Struct of such values).

    The caller promises the subset above; `check` tests it for values from outside.
    """
    return _encoder.encode(value)


def digest(data: bytes) -> str:
    """The SHA-256 of canonical bytes, as hex."""
    return hashlib.sha256(data).hexdigest()


def check(value: object) -> None:
    """Raise FormatError unless `value` lies within the canonical subset."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= ch <= "\udfff" for ch in value):
            raise FormatError("a string holds a lone surrogate")
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise FormatError(f"integer `{value}` is beyond 2^53 - 1")
    elif isinstance(value, list):
        for item in value:
            check(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise FormatError(f"object key `{key!r}` is not ASCII")
            check(item)
    else:
        raise FormatError(f"`{type(value).__name__}` has no canonical form")


def decode(data: bytes) -> Any:
    """Parse canonical bytes, refusing everything that is not exactly canonical."""
    value = parse_unique(data)
    check(value)
    if encode(value) != data:
        raise FormatError("the JSON is not in canonical form")
    return value


class DuplicateKey(FormatError):
    """An object names the same key twice."""


def parse_unique(data: bytes) -> Any:
    """Parse JSON (RFC 8259, UTF-8 without BOM), refusing duplicate keys, NaN and Infinity."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 at byte {error.start}") from None
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise FormatError(f"not JSON: {error.msg.lower()} at {where}") from None
    except RecursionError:
        raise FormatError("the JSON is nested too deeply") from None
    except ValueError as error:  # an integer of more digits than the interpreter converts
        raise FormatError(f"not JSON: {str(error)[:80].lower()}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                shown = key[:80].encode(errors="backslashreplace").decode()  # lone surrogates
                raise DuplicateKey(f"the key `{shown}` appears twice in one object")
            seen.add(key)
    return result


def _no_constant(name: str) -> Any:
    raise FormatError(f"`{name}` is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
