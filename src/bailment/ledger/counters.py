"""The record of what model servers count themselves, and how far that is held against the log."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from bailment.ledger.facts import Facts


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server's counters at one time (ms): tokens that it read and that it made."""

    time: int
    input: int
    output: int


class Compared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the comparison for one model stands.

    source         a digest of where the counters are read and which they are
    base, last     the reading from which on is compared, and the newest
    input, output  the tokens of accesses closed since `base`; ceilings, where `slack` says so
    open           accesses that are open, and the ceiling of each
    """

    source: str
    base: Reading
    last: Reading
    input: int = 0
    output: int = 0
    slack: bool = False
    open: dict[str, int] = {}


class CountersRead(Facts, frozen=True):
    """The comparison as of the first `size` entries, by model: what a start goes on from."""

    TYPE: ClassVar[str] = "counters.read"
    size: int
    models: dict[str, Compared]
