"""What organisations were told of incidents, and whether they have read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, Noticed, State
from bailment.ledger.incident_records import NoticeAcknowledged, NoticeSent


def _sent(register: Indexed, facts: NoticeSent, now: int) -> Refused | None:
    if facts.notice in register.state.notices:
        return _wrong("the notice exists already")
    if facts.organisation not in register.organisations:
        return _wrong("there is no such organisation")
    return None


def _acknowledged(register: Indexed, facts: NoticeAcknowledged, now: int) -> Refused | None:
    """By whom it was sent to, once."""
    known = register.state.notices.get(facts.notice)
    if known is None or known.sent.organisation != facts.organisation:
        return _wrong("you have no such notice")
    return _wrong("it was acknowledged already") if known.acknowledged else None


def missing(register: Indexed, now: int) -> list[NoticeSent]:
    """The notices that nobody acknowledged by when they were due, and that no later one chases."""
    known = register.state.notices.values()
    chased = {one.sent.chases for one in known}
    return [
        one.sent
        for one in known
        if not one.acknowledged and one.sent.due <= now and one.sent.notice not in chased
    ]


def write(state: State, facts: object, time: int) -> bool:
    """Fold one of these records into the state; False if it is another. Who reads a notice has read
    those that it chases."""
    match facts:
        case NoticeSent():
            state.notices[facts.notice] = Noticed(facts, time)
        case NoticeAcknowledged():
            name: object = facts.notice
            while isinstance(name, str) and (one := state.notices.get(name)) is not None:
                one.acknowledged = one.acknowledged or time
                name = one.sent.chases
        case _:
            return False
    return True


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)


RULES: dict[type, Callable[[Indexed, Any, int], Refused | None]] = {
    NoticeSent: _sent,
    NoticeAcknowledged: _acknowledged,
}
