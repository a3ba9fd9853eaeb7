"""What is done about an incident, as records: open, note, close; tell, replace."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from bailment.access.reasons import Reason, Refused
from bailment.access.rotation import no_later
from bailment.clock import now_ms
from bailment.control.actions import Actions, Denied
from bailment.control.containment import (
    Containment,
    ContainmentActs,
    ExecuteContainment,
    PlanContainment,
    VerifyContainment,
)
from bailment.control.evaluator import Evaluator
from bailment.control.holding import Holding
from bailment.control.requests import Act, Line
from bailment.control.rotation import at_once_worthless, demand
from bailment.incident.notices import Draft
from bailment.incident.subjects import is_handle, unfit
from bailment.ledger.incident_records import (
    MOST_TEXT,
    CustodyDeclared,
    IncidentClosed,
    IncidentNoted,
    IncidentOpened,
    NoticeSent,
    Times,
)

#: What a person tells at length; it is kept in the personal part, under the incident's own key.
Text = str


class OpenIncident(Act, frozen=True, tag="incident-open"):
    """Open one; `text` is what a tip said."""

    title: Line
    source: Literal["finding", "tip", "person"]
    subjects: tuple[Line, ...] = ()
    findings: tuple[str, ...] = ()
    times: Times = Times()
    text: Text = ""


class NoteIncident(Act, frozen=True, tag="incident-note"):
    """Add to its timeline, or to what it is about."""

    incident: str
    text: Text
    subjects: tuple[Line, ...] = ()
    findings: tuple[str, ...] = ()
    times: Times = Times()


class CloseIncident(Act, frozen=True, tag="incident-close"):
    """Nothing more is to be done."""

    incident: str
    reason: Line


class DeclareCustody(Act, frozen=True, tag="custody-declare"):
    """Say which secrets lie in a system outside; `ended` that none do any more."""

    system: Line
    kind: Line = ""
    runs: Line = ""
    reached: tuple[Line, ...] = ()
    stored: tuple[Line, ...] = ()
    since: int = 0
    ended: bool = False


class Rotated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A credential to replace: whose, by which organisation, and why."""

    subject: str
    organisation: str
    why: str


class Rotate(Act, frozen=True, tag="rotate"):
    """Make credentials worthless where the issuer can, and have the rest replaced in time."""

    credentials: tuple[Rotated, ...]
    within: int = 0
    incident: str = ""


class SendNotices(Act, frozen=True, tag="notice-send"):
    """Tell organisations of an incident."""

    incident: str
    notices: tuple[Draft, ...]


IncidentActs = (
    OpenIncident
    | NoteIncident
    | CloseIncident
    | DeclareCustody
    | ContainmentActs
    | SendNotices
    | Rotate
)


class IncidentDesk:
    """These acts, over one log."""

    def __init__(self, actions: Actions, holding: Holding, evaluator: Evaluator) -> None:
        self._actions = actions
        self._containment = Containment(actions, holding, evaluator)

    async def perform(self, act: IncidentActs) -> dict[str, Any]:
        """Do it; what there is to say about it afterwards."""
        match act:
            case OpenIncident():
                return await self._open(act)
            case NoteIncident():
                self._check(act)
                noted = IncidentNoted(
                    act.incident, act.author, act.subjects, act.findings, act.times
                )
                return await self._tell(noted, act.incident, act.text)
            case CloseIncident():
                closed = IncidentClosed(act.incident, act.reason, act.author)
                await self._actions.append(lambda now: closed)
            case DeclareCustody():
                await self._declare(act)
            case PlanContainment() | ExecuteContainment() | VerifyContainment():
                return await self._containment.perform(act)
            case Rotate():
                within = act.within or self._actions.log.fold.register.conditions.response.rotate_ms
                done = [await self._rotated(one, within, act) for one in act.credentials]
                return {"rotated": done}
            case SendNotices():
                return {"notices": [await self._send(one, act) for one in act.notices]}
        return {}

    async def _open(self, act: OpenIncident) -> dict[str, Any]:
        self._check(act)
        name = os.urandom(16).hex()
        opened = IncidentOpened(
            *(name, act.title, act.source, act.author, act.subjects, act.findings, act.times)
        )
        return await self._tell(opened, name, act.text)

    async def _tell(
        self, facts: IncidentOpened | IncidentNoted, incident: str, text: str
    ) -> dict[str, Any]:
        if len(text) > MOST_TEXT:
            raise _denied(f"the text has more than {MOST_TEXT} characters")
        personal = {"text": text} if text else None
        done = await self._actions.append(lambda now: facts, person=incident, personal=personal)
        return {"incident": incident, "record": done.index}

    def _check(self, act: OpenIncident | NoteIncident) -> None:
        """Denied unless its subjects are some, and nothing of it happened later than now."""
        self._require(act.subjects)
        for name in act.times.__struct_fields__:
            self._passed(name, getattr(act.times, name))

    def _require(self, subjects: Iterable[str]) -> None:
        register = self._actions.log.fold.register
        why = next(filter(None, (unfit(register, one) for one in subjects)), "")
        if why:
            raise _denied(why)

    def _passed(self, name: str, time: int) -> None:
        if not 0 <= time <= max(now_ms(), self._actions.log.fold.time):
            raise _denied(f"`{name}` is a time to come; what is told of an incident has happened")

    async def _declare(self, act: DeclareCustody) -> None:
        if not is_handle(act.system):
            raise _denied(f"`{act.system}` is no name of a system; write one like ci-vault")
        self._require(filter(None, (act.runs, *act.reached, *act.stored)))
        self._passed("since", act.since)
        facts = CustodyDeclared(
            *(act.system, act.kind, act.runs, act.author, act.reached, act.stored),
            since=act.since,
            ended=act.ended,
        )
        await self._actions.append(lambda now: facts)

    async def _rotated(self, one: Rotated, within: int, act: Rotate) -> dict[str, Any]:
        """What was done at once, and what was asked of the organisation."""
        told = {"subject": one.subject, "organisation": one.organisation}
        try:
            at_once = await at_once_worthless(self._actions, one.subject, one.why, act.author)
            given = (one.subject, one.organisation, one.why, act.author, act.incident)
            rotation = await demand(self._actions, *given, within=within)
        except Denied as denied:
            return {**told, "failed": str(denied)[:300]}
        known = self._actions.log.fold.register.state.rotations.get(one.subject)
        until = known.until if known is not None else 0
        return {**told, "rotation": rotation, "at_once": at_once, "until": until}

    async def _send(self, one: Draft, act: SendNotices) -> str:
        """The id of the notice. What a demand on record has in force is not put off by it."""
        name, register = os.urandom(16).hex(), self._actions.log.fold.register
        response = register.conditions.response

        def make(now: int) -> NoticeSent:
            until, due = now + response.rotate_ms, now + response.acknowledge_ms
            until = min([no_later(register, whose, until) for whose in one.rotate], default=until)
            told = (one.since, until, due, act.author, one.subjects, one.check, one.rotate)
            return NoticeSent(name, act.incident, one.organisation, *told, one.accesses)

        await self._actions.append(make)
        return name


def _denied(why: str) -> Denied:
    return Denied(Refused(Reason.CHAIN_BROKEN, why))
