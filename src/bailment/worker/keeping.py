"""What the worker knows, kept in one file of its own, so that a restart neither forgets nor says
anything twice.

The file is written before anything is told, with what is to be told in it. It is replaced as a
whole, but not synced: that would keep the log's own syncs waiting. What a power cut takes of it is
known again from the log, as far as that is read anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from bailment.detect.event import Seen
from bailment.detect.grouping import Recorded, unpack
from bailment.errors import FormatError
from bailment.store.durable import PRIVATE


class Kept(msgspec.Struct):
    """`position` entries were read; `pending` are records that are told next: type and facts."""

    position: int
    time: int
    seen: Seen
    engine: bytes
    pending: list[tuple[str, bytes]]

    @property
    def untold(self) -> list[Recorded]:
        """The pending records; FormatError if they are none."""
        return unpack(self.pending)


def load(path: Path) -> Kept | None:
    """What was kept; None if there is nothing. FormatError if it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.msgpack.decode(data, type=Kept)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise FormatError(f"`{path}` cannot be read: {error}") from None


def save(path: Path, kept: Kept) -> None:
    """Keep it, in the place of what was kept before."""
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
    with open(descriptor, "wb") as file:
        file.write(msgspec.msgpack.encode(kept))
    os.rename(beside, path)
