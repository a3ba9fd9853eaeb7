"""The record of a drill: written when it is over, of what nobody could tell meanwhile."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from bailment.ledger.facts import Facts


class DrillVariant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of one variant. `outcome` is `refused`, `noticed`, `unseen`, or `contained` where
    something was cut as well; `signal` a reason of refusals or a kind of finding; `requests` and
    `after` (ms) are up to it, `answers` and `tokens` what whoever attacked got."""

    name: str
    recipient: str
    outcome: str
    signal: str
    requests: int
    after: int
    answers: int
    tokens: int


class DrillNoted(Facts, frozen=True):
    """A drill was held from `started` to `ended` (ms) with these canary recipients, whose links are
    over: reports leave them out. `result` is the SHA-256 of the drill's whole result, hex."""

    TYPE: ClassVar[str] = "drill.noted"
    REGISTERS: ClassVar[bool] = True
    drill: str
    name: str
    recipients: tuple[str, ...]
    started: int
    ended: int
    variants: tuple[DrillVariant, ...]
    result: str
    author: str


DRILL_RECORDS: tuple[type[Facts], ...] = (DrillNoted,)
