"""What one access asked, on its way from the gateway to the worker: a line of JSON, never kept."""

from __future__ import annotations

import msgspec

from bailment.detect.wordpiece import MAX_CHARACTERS
from bailment.errors import FormatError

#: Bytes of a line at most: of the text each character may take six, of the rest there is less.
MAX_LINE = 6 * MAX_CHARACTERS + 8_192


class Asked(msgspec.Struct, frozen=True):
    """`index` and `time` (ms) are those of the access's record; `text` is what its user said last,
    cut at what is read of it."""

    index: int
    time: int
    recipient: str
    device: str
    purpose: str
    model: str
    text: str


def encode(asked: Asked) -> bytes:
    """A line, with its end."""
    return msgspec.json.encode(asked) + b"\n"


def decode(line: bytes) -> Asked:
    """What a line says; FormatError if it says nothing of the kind."""
    try:
        return msgspec.json.decode(line, type=Asked)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"not a prompt: {str(error).lower()}") from None
