"""Drills that are over. Nothing living is ever marked as part of one, so no decision could tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, State
from bailment.ledger.drill_records import DrillNoted


def is_drill(register: Indexed, organisation: str) -> bool:
    """Whether an organisation was one of a drill's canaries, which reports do not count."""
    found = register.organisations.get(organisation)
    return found is not None and found.recipient in register.state.drilled


def _noted(register: Indexed, facts: DrillNoted, now: int) -> Refused | None:
    """Of recipients all of whose own links were ended; of a drill that was not noted before."""
    if facts.drill in register.state.drilled.values():
        return _wrong("the drill is noted already")
    for recipient in facts.recipients:
        if recipient not in register.state.recipients:
            return _wrong("there is no such recipient")
        link = register.link_of.get(recipient, "")
        granted = register.state.links.get(link)
        if granted is not None and not granted.ended:
            return _wrong("the link of one of its recipients is not ended")
    if not facts.started <= facts.ended <= now:
        return _wrong("a drill is noted when it is over")
    return None


def write(state: State, facts: object) -> bool:
    """Fold one of these records into the state; False if it is another."""
    match facts:
        case DrillNoted():
            state.drilled |= dict.fromkeys(facts.recipients, facts.drill)
        case _:
            return False
    return True


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)


RULES: dict[type, Callable[[Indexed, Any, int], Refused | None]] = {DrillNoted: _noted}
