"""Drills that are over. Nothing living is ever marked as part of one, so no decision could tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, State
from bailment.ledger.drill_records import DrillNoted

#: For how long (ms) a drill's recipients are granted anything at the most. Who was granted more is
#: an ordinary recipient, and stays in every count.
LONGEST = 2 * 86_400_000


def is_drill(register: Indexed, organisation: str) -> bool:
    """Whether an organisation was one of a drill's canaries, which reports do not count."""
    found = register.organisations.get(organisation)
    return found is not None and drill_of(register, found.recipient) != ""


def drill_of(register: Indexed, recipient: str) -> str:
    """The drill of which a recipient was a canary, once it is over; empty of any other."""
    return register.state.drilled.get(recipient, "")


def unfit(register: Indexed, recipient: str, started: int, ended: int) -> str:
    """Why a drill between these times (ms) cannot have had this recipient; empty if it can have."""
    if recipient not in register.state.recipients:
        return "there is no such recipient"
    if recipient in register.state.drilled:
        return "one of its recipients was another drill's"
    links = register.links_of(recipient)
    if not links:
        return "one of its recipients never had a link"
    for link in links:
        if not register.state.links[link.id].ended:
            return "a link of one of its recipients is not ended"
        if not started <= link.start <= ended:
            return "a link of one of its recipients did not begin while it was held"
        if link.until - link.start > LONGEST:
            return "a link of one of its recipients was granted for more than two days"
    return ""


def _noted(register: Indexed, facts: DrillNoted, now: int) -> Refused | None:
    """Of recipients who had their links for it alone; of a drill that was not noted before."""
    if facts.drill in register.state.drilled.values():
        return _wrong("the drill is noted already")
    if not facts.started <= facts.ended <= now:
        return _wrong("a drill is noted when it is over")
    why = (unfit(register, one, facts.started, facts.ended) for one in facts.recipients)
    return next((_wrong(detail) for detail in why if detail), None)


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
