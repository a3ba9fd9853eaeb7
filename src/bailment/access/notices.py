"""What organisations were told of incidents, and whether they have read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from bailment.access.coverage import dead
from bailment.access.incidents import not_open
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, Noticed, State
from bailment.ledger.incident_records import NoticeAcknowledged, NoticeSent

#: A notice is sent again so often at the most; who has not answered by then is for a person to ask.
CHASES = 3


def _sent(register: Indexed, facts: NoticeSent, now: int) -> Refused | None:
    if facts.notice in register.state.notices:
        return _wrong("the notice exists already")
    if facts.organisation not in register.organisations:
        return _wrong("there is no such organisation")
    told = told_before(register, facts.incident, facts.organisation)
    if told and facts.chases is UNSET:
        what = f"by the notice `{told[:8]}`: open an incident for what is new"
        return _wrong(f"the organisation was told of this incident {what}")
    return not_open(register, facts.incident)


def told_before(register: Indexed, incident: str, organisation: str) -> str:
    """The first notice by which an organisation was told of an incident; empty if it was not."""
    wanted = (incident, organisation)
    known = (one.sent for one in register.state.notices.values())
    return next((one.notice for one in known if (one.incident, one.organisation) == wanted), "")


def _acknowledged(register: Indexed, facts: NoticeAcknowledged, now: int) -> Refused | None:
    """By whom it was sent to, once."""
    known = register.state.notices.get(facts.notice)
    if known is None or known.sent.organisation != facts.organisation:
        return _wrong("you have no such notice")
    return _wrong("it was acknowledged already") if known.acknowledged else None


def missing(register: Indexed, now: int) -> list[NoticeSent]:
    """The notices to send again: past due, neither they nor those that they chase acknowledged, not
    chased by a later one or too often, of an incident that is open, and their organisation can
    still answer."""
    known = register.state.notices.values()
    chased = {one.sent.chases for one in known}
    late = [one for one in known if one.sent.due <= now and one.sent.notice not in chased]
    late = [one for one in late if not_open(register, one.sent.incident) is None]
    return [one.sent for one in late if _open(register, one) and _lives(register, one, now)]


def _open(register: Indexed, last: Noticed) -> bool:
    """Whether nobody has read any of the notices that this one ends, and they are not too many."""
    sent, one = 0, last
    while not one.acknowledged:
        sent += 1
        name = one.sent.chases
        before = register.state.notices.get(name) if isinstance(name, str) else None
        if before is None or sent > CHASES:
            return sent <= CHASES
        one = before
    return False


def _lives(register: Indexed, one: Noticed, now: int) -> bool:
    links = register.links_of(one.sent.organisation)
    return any(not dead(register, f"link:{link.id}", now) for link in links)


def as_told(register: Indexed, sent: NoticeSent) -> dict[str, Any]:
    """A notice as its organisation reads it: without who of the issuer's staff sent it, and with
    how it is answered."""
    told: dict[str, Any] = msgspec.to_builtins(sent)
    told.pop("author", None)
    how = f"your admin's key signs POST {register.state.url}/notices, as does"
    how += f" `bailment notice acknowledge {sent.notice[:8]}`"
    report = f"what was none of yours, or what you saw too: POST {register.state.url}/misuse, as "
    report += "does `bailment report-misuse`"
    told |= {"acknowledge": how, "report": report}
    return told | {"contact": register.policy.contact}


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
