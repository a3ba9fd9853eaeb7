"""The ratchet under software keys: a copied key file is noticed when its second holder appears.

Each token comes with a fresh handle, and the next request must show it, so that the tokens of one
device are one line. Who copied key and handle makes a second line, and of two that show the same
handle the later is one too many. Which of them stole cannot be told: the line is forked, and both
are out.

An answer may be lost on its way. So the handle before the last is taken once more, if the token
that came with the last one was never used.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from bailment.access.reasons import Reason, Refused
from bailment.ledger.records import TokenIssued

#: The kind of the finding after which a line is over.
FORKED = "ratchet-forked"


class Line(msgspec.Struct, omit_defaults=True):
    """Where a device's line of tokens stands; handles by their SHA-256, in hex.

    current   the handle that came with the newest token
    token     the hash of that token
    before    the handle that was shown for it (empty: none), while it may be shown again; else None
    forked    whether it was seen twice: then it is over, and the device enrols anew
    """

    current: str
    token: str
    before: str | None = None
    forked: bool = False


def admit(line: Line | None, facts: TokenIssued) -> Refused | None:
    """Why a token may not be the next of its device's line, or None."""
    shown = _shown(facts)
    if line is None:
        return _refused("no handle was given to this device") if shown else None
    if line.forked:
        return _refused("two held this device's key: enrol it anew")
    if facts.ratchet is UNSET:
        return _refused("the device's tokens come with handles")
    if shown in (line.current, line.before):
        return None
    what = "the handle shown was used before" if shown else "no handle was shown"
    return _refused(f"{what}: somebody else may hold this device's key")


def advance(line: Line | None, facts: TokenIssued) -> Line | None:
    """The line after a token that was admitted to it."""
    if facts.ratchet is UNSET:
        return line
    shown = _shown(facts)
    once = line is None or shown == line.current
    return Line(facts.ratchet, facts.token, shown if once else None)


def use(line: Line | None, token: str) -> None:
    """Note that a token was used: then its answer was not lost."""
    if line is not None and line.token == token:
        line.before = None


def _shown(facts: TokenIssued) -> str:
    return "" if facts.previous is UNSET else facts.previous


def _refused(detail: str) -> Refused:
    return Refused(Reason.RATCHET_FORKED, detail)
