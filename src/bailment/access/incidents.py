"""Which incidents are open. What comes after the end of one belongs in another, and a finding in
one at a time: else two people act on it, each without the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bailment.access.reasons import Reason, Refused
from bailment.access.state import Incident, Indexed, State
from bailment.ledger.incident_records import IncidentClosed, IncidentNoted, IncidentOpened


def not_open(register: Indexed, incident: str) -> Refused | None:
    """Why nothing can be done about an incident, or None: there is none, or it is closed."""
    known = register.state.incidents.get(incident)
    if known is None:
        return _wrong(f"there is no incident `{incident}`")
    if known.closed:
        return _wrong(f"the incident `{incident[:8]}` is closed: open a new one")
    return None


def _opened(register: Indexed, facts: IncidentOpened, now: int) -> Refused | None:
    if facts.incident in register.state.incidents:
        return _wrong("the incident exists already")
    return _cited(register, facts)


def _noted(register: Indexed, facts: IncidentNoted, now: int) -> Refused | None:
    return not_open(register, facts.incident) or _cited(register, facts)


def _closed(register: Indexed, facts: IncidentClosed, now: int) -> Refused | None:
    known = register.state.incidents.get(facts.incident)
    if known is not None and known.closed:
        return _wrong(f"the incident `{facts.incident[:8]}` is closed already")
    return not_open(register, facts.incident)


def _cited(register: Indexed, facts: IncidentOpened | IncidentNoted) -> Refused | None:
    """Why it may not cite these findings: another that is open does."""
    for name, one in register.state.incidents.items():
        both = [finding for finding in facts.findings if finding in one.findings]
        if both and not one.closed and name != facts.incident:
            return _wrong(
                f"the open incident `{name[:8]}` has the finding `{both[0][:8]}` already: add to "
                f"it with `bailment incident note {name[:8]}`, or close it first"
            )
    return None


def write(state: State, facts: object, time: int) -> bool:
    """Fold one of these records into the state; False if it is another."""
    match facts:
        case IncidentOpened():
            state.incidents[facts.incident] = Incident(list(facts.findings))
        case IncidentNoted():
            known = state.incidents[facts.incident]
            known.findings += (one for one in facts.findings if one not in known.findings)
        case IncidentClosed():
            state.incidents[facts.incident].closed = time
        case _:
            return False
    return True


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)


RULES: dict[type, Callable[[Indexed, Any, int], Refused | None]] = {
    IncidentOpened: _opened,
    IncidentNoted: _noted,
    IncidentClosed: _closed,
}
