"""Exports and views: a log taken out of its folder (`formats/log.md`, sections 9 and 10).

An export is the log as C2SP clients see it with every facts body opened: all that an auditor
needs. A view is what one recipient is shown of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from bailment.errors import FormatError
from bailment.ledger.tiles import Tile

#: Bytes of the longest facts body, salt and all.
MAX_BODY = 2**18
#: Bytes of the longest line of a view.
MAX_LINE = 2**19

_LENGTH = 4
_T = TypeVar("_T")


def bodies_path(bundle: Tile) -> str:
    """Where an export has the facts bodies of an entry bundle."""
    return bundle.path.replace("tile/entries", "facts", 1)


def encode_bodies(bodies: Iterable[bytes]) -> bytes:
    """The bodies of a bundle, each behind its length as a big-endian uint32."""
    return b"".join(len(body).to_bytes(_LENGTH) + body for body in bodies)


def decode_bodies(data: bytes, width: int) -> list[bytes]:
    """The `width` bodies of a bundle; FormatError unless `data` is exactly that."""
    bodies: list[bytes] = []
    at = 0
    for _ in range(width):
        start = at + _LENGTH
        size = int.from_bytes(data[at:start])
        at = start + size
        if len(data) < max(start, at) or size > MAX_BODY:
            raise FormatError(f"the facts bundle ends within body `{len(bodies)}`")
        bodies.append(data[start:at])
    if at != len(data):
        raise FormatError(f"the facts bundle goes on after `{width}` bodies")
    return bodies


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ShownHeads(_Line, frozen=True):
    """A `log.heads` record: its place in the log, and the recipient's slot under its root.

    `slot` is the slot's place among `slots`, `salt` its salt, `path` its inclusion proof.
    """

    index: int
    entry: str
    proof: tuple[bytes, ...]
    slot: int
    slots: int
    salt: bytes
    path: tuple[bytes, ...]


class ViewHead(_Line, frozen=True):
    """The first line of a view; `heads` is None where no heads record came after a record of the
    recipient's."""

    v: int
    recipient: str
    checkpoint: str
    records: int
    heads: ShownHeads | None


class Shown(_Line, frozen=True, omit_defaults=True):
    """One record of the recipient's: the entry, what opens its facts, and its inclusion proof.

    `personal` is what opens the personal part, where names are shown.
    """

    index: int
    entry: str
    facts: bytes
    proof: tuple[bytes, ...]
    personal: bytes = b""


_head_decoder = msgspec.json.Decoder(ViewHead)
_shown_decoder = msgspec.json.Decoder(Shown)


def encode_line(line: ViewHead | Shown) -> bytes:
    """A line of a view, with its newline."""
    return msgspec.json.encode(line) + b"\n"


def decode_head(line: bytes) -> ViewHead:
    """The first line of a view; FormatError if it is none."""
    head = _decode(line, _head_decoder)
    if head.v != 1:
        raise FormatError(f"view version `{head.v}` is unknown")
    return head


def decode_shown(line: bytes) -> Shown:
    """A further line of a view; FormatError if it is none."""
    return _decode(line, _shown_decoder)


def _decode(line: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise FormatError(f"not a line of a view: {error}") from None
