"""What is done about an incident, as records: open, note, close; contain, and see that it held."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from bailment.access.coverage import dead
from bailment.access.details import person_of
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed
from bailment.access.two_person import record_of
from bailment.clock import now_ms, steady_ms
from bailment.control.actions import Actions, Denied, Proposed
from bailment.control.holding import AddHold, Holding
from bailment.control.requests import Act, Line
from bailment.control.rotation import at_once_worthless, demand
from bailment.incident.containment import Act as Planned
from bailment.incident.containment import still_allowed
from bailment.incident.notices import Draft
from bailment.ledger.incident_records import (
    ContainmentExecuted,
    ContainmentPlanned,
    ContainmentVerified,
    CustodyDeclared,
    Done,
    IncidentClosed,
    IncidentNoted,
    IncidentOpened,
    NoticeSent,
    Times,
)
from bailment.ledger.records import HoldAdded

#: What a person tells at length; it is kept in the personal part, under the incident's own key.
Text = str
_MOST_TEXT = 16_000
#: Longer than any stream takes that can be cut, ms.
_PATIENCE = 5_000.0
#: What may run or reach a shared system, or be kept there, and is in no register.
_OUTSIDE = ("vendor", "system", "source")


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


class PlanContainment(Act, frozen=True, tag="containment-plan"):
    """A plan was made: its digest, and how many it cuts off."""

    incident: str
    plan: str
    acts: int
    cut: int
    beside: int


class ExecuteContainment(Act, frozen=True, tag="containment-execute"):
    """Do what a plan says, act by act."""

    incident: str
    plan: str
    acts: tuple[Planned, ...]


class VerifyContainment(Act, frozen=True, tag="containment-verify"):
    """Decide again for these devices and workloads."""

    incident: str
    plan: str
    devices: tuple[str, ...]


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
    | PlanContainment
    | ExecuteContainment
    | VerifyContainment
    | SendNotices
    | Rotate
)


class IncidentDesk:
    """These acts, over one log."""

    def __init__(self, actions: Actions, holding: Holding) -> None:
        self._actions = actions
        self._holding = holding

    async def perform(self, act: IncidentActs) -> dict[str, Any]:
        """Do it; what there is to say about it afterwards."""
        match act:
            case OpenIncident():
                return await self._open(act)
            case NoteIncident():
                noted = IncidentNoted(
                    act.incident, act.author, act.subjects, act.findings, act.times
                )
                return await self._tell(noted, act.incident, act.text)
            case CloseIncident():
                closed = IncidentClosed(act.incident, act.reason, act.author)
                await self._actions.append(lambda now: closed)
            case DeclareCustody():
                await self._declare(act)
            case PlanContainment():
                planned = ContainmentPlanned(
                    act.incident, act.plan, act.acts, act.cut, act.beside, act.author
                )
                await self._actions.append(lambda now: planned)
            case ExecuteContainment():
                return await self._execute(act)
            case VerifyContainment():
                return await self._verify(act)
            case Rotate():
                within = act.within or self._actions.log.fold.register.conditions.response.rotate_ms
                done = [await self._rotated(one, within, act) for one in act.credentials]
                return {"rotated": done}
            case SendNotices():
                return {"notices": [await self._send(one, act) for one in act.notices]}
        return {}

    async def _open(self, act: OpenIncident) -> dict[str, Any]:
        name = os.urandom(16).hex()
        opened = IncidentOpened(
            *(name, act.title, act.source, act.author, act.subjects, act.findings, act.times)
        )
        return await self._tell(opened, name, act.text)

    async def _tell(
        self, facts: IncidentOpened | IncidentNoted, incident: str, text: str
    ) -> dict[str, Any]:
        if len(text) > _MOST_TEXT:
            raise _denied(f"the text has more than {_MOST_TEXT} characters")
        personal = {"text": text} if text else None
        done = await self._actions.append(lambda now: facts, person=incident, personal=personal)
        return {"incident": incident, "record": done.index}

    async def _declare(self, act: DeclareCustody) -> None:
        register = self._actions.log.fold.register
        for subject in filter(None, (act.runs, *act.reached, *act.stored)):
            if not _known(register, subject):
                raise _denied(f"there is no `{subject}`; a firm outside is written vendor:NAME")
        facts = CustodyDeclared(
            *(act.system, act.kind, act.runs, act.author, act.reached, act.stored),
            since=act.since,
            ended=act.ended,
        )
        await self._actions.append(lambda now: facts)

    async def _execute(self, act: ExecuteContainment) -> dict[str, Any]:
        """Each act by itself: one that cannot be done keeps none of the others from it."""
        done, cut = [], 0
        for one in act.acts:
            try:
                before = self._before(one, act.incident)
                if before is not None:
                    done.append(before)
                    continue
                made, number = await self._do(one, act)
                done.append(Done(one.act, one.subject, made))
                cut += number
            except Proposed as proposed:
                done.append(Done(one.act, one.subject, proposal=proposed.proposal))
            except Denied as denied:
                done.append(Done(one.act, one.subject, failed=str(denied)[:300]))
        executed = ContainmentExecuted(act.incident, act.plan, tuple(done), act.author)
        record = await self._actions.append(lambda now: executed)
        return {
            "acts": msgspec.to_builtins(done),
            "cut": cut,
            "record": record.index,
            "executed": now_ms(),
        }

    def _before(self, one: Planned, incident: str) -> Done | None:
        """What was done of an act already; Denied if it should have been, and was not."""
        register, now = self._actions.log.fold.register, self._actions.log.sequencer.time
        if one.act == "rotate":
            rotation = register.state.rotations.get(one.subject)
            if rotation is not None and rotation.incident == incident:
                return Done(one.act, one.subject, rotation.rotation, already=True)
            over = dead(register, one.subject, now)
            return Done(one.act, one.subject, already=True) if over else None
        for hold in register.holds_on.get(one.subject, ()):
            if not hold.until or now < hold.until:
                return Done(one.act, one.subject, hold.hold, already=True)
        for name, proposal in register.state.proposals.items():
            if now < proposal.until and _proposes(proposal.act, one.subject):
                return Done(one.act, one.subject, proposal=name, already=True)
        if one.act == "held":
            raise _denied("it is not on hold any more: make another plan")
        return None

    async def _do(self, one: Planned, act: ExecuteContainment) -> tuple[str, int]:
        """The id of what was made, and how many streams it cut."""
        if one.act == "hold":
            reason = f"incident {act.incident[:8]}"
            hold = AddHold(act.author, one.subject, reason, selects=one.selects)
            told = await self._holding.hold(hold)
            return str(told["hold"]), int(told["cut"])
        why = f"incident {act.incident[:8]}: {one.why}"
        given = (one.subject, one.organisation, why, act.author, act.incident)
        return await demand(self._actions, *given, within=one.within), 0

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

    async def _verify(self, act: VerifyContainment) -> dict[str, Any]:
        """Whether everything that a plan cut is refused, and nothing of it is in flight."""
        register = self._actions.log.fold.register
        left = await self._open_of(act.devices)
        allowed = still_allowed(register, act.devices, self._actions.log.sequencer.time)
        number = len(act.devices)
        verified = ContainmentVerified(
            *(act.incident, act.plan, number, number - len(allowed), left, act.author),
            allowed=tuple(allowed[:256]),
        )
        record = await self._actions.append(lambda now: verified)
        told = {"decided": number, "refused": number - len(allowed), "allowed": allowed}
        contained = not allowed and not left
        return {**told, "open": left, "contained": contained, "record": record.index}

    async def _send(self, one: Draft, act: SendNotices) -> str:
        """The id of the notice."""
        name, response = os.urandom(16).hex(), self._actions.log.fold.register.conditions.response

        def make(now: int) -> NoticeSent:
            until, due = now + response.rotate_ms, now + response.acknowledge_ms
            told = (one.since, until, due, act.author, one.subjects, one.check, one.rotate)
            return NoticeSent(name, act.incident, one.organisation, *told, one.accesses)

        await self._actions.append(make)
        return name

    async def _open_of(self, devices: Iterable[str]) -> int:
        """How many accesses of these devices' people the log has as open, after some patience."""
        fold = self._actions.log.fold
        paths = (fold.register.path(fold.register.link_of.get(one, "")) for one in devices)
        people, end = {person_of(path) for path in paths if path}, steady_ms() + _PATIENCE
        while True:
            left = sum(one.person in people for one in fold.admission.open.values())
            if not left or steady_ms() >= end:
                return left
            await asyncio.sleep(0.02)


def _proposes(act: dict[str, Any], subject: str) -> bool:
    """Whether a proposed act is a hold on the subject."""
    record = record_of(act)
    return isinstance(record, HoldAdded) and record.subject == subject


def _known(register: Indexed, subject: str) -> bool:
    kind, _, name = subject.partition(":")
    if kind in _OUTSIDE:
        return bool(name)
    return name in register.links if kind == "link" else name in register.link_of


def _denied(why: str) -> Denied:
    return Denied(Refused(Reason.CHAIN_BROKEN, why))
