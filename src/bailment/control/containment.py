"""What contains an incident: a plan on record, done act by act, and looked at again afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Annotated, Any

import msgspec
from msgspec import UNSET

from bailment.access.coverage import dead
from bailment.access.reasons import Reason, Refused
from bailment.access.staling import marks
from bailment.access.two_person import record_of
from bailment.assurance.standing import tier_at
from bailment.clock import now_ms, steady_ms
from bailment.control.actions import Actions, Denied, Proposed
from bailment.control.evaluator import Evaluator
from bailment.control.holding import AddHold, Holding
from bailment.control.requests import Act
from bailment.control.rotation import demand
from bailment.incident.containment import Act as Planned
from bailment.incident.containment import Plan, for_good, still_allowed
from bailment.ledger.evidence_records import EvidenceStaled
from bailment.ledger.incident_records import (
    ContainmentExecuted,
    ContainmentPlanned,
    ContainmentVerified,
    Done,
    IncidentClosed,
)
from bailment.ledger.records import HoldAdded
from bailment.store.incidents import Incidents

#: Longer than any stream takes that can be cut, ms.
_PATIENCE = 5_000.0
#: Decisions that are made again before others have their turn.
_AT_ONCE = 32
_Devices = Annotated[tuple[str, ...], msgspec.Meta(max_length=50_000)]


class PlanContainment(Act, frozen=True, tag="containment-plan"):
    """A plan was made: its digest, and how many it cuts off."""

    incident: str
    plan: str
    acts: int
    cut: int
    beside: int


class ExecuteContainment(Act, frozen=True, tag="containment-execute"):
    """Do what a plan says, act by act, if it is one that was put on record."""

    plan: Plan


class VerifyContainment(Act, frozen=True, tag="containment-verify"):
    """Decide again for these devices and workloads; and see that the organisations in `lost` are
    not above the tier of that rank."""

    incident: str
    plan: str
    devices: _Devices
    lost: dict[str, int] = msgspec.field(default_factory=dict)


ContainmentActs = PlanContainment | ExecuteContainment | VerifyContainment


class Containment:
    """These acts, over one log."""

    def __init__(self, actions: Actions, holding: Holding, evaluator: Evaluator) -> None:
        self._actions = actions
        self._holding = holding
        self._evaluator = evaluator

    async def perform(self, act: ContainmentActs) -> dict[str, Any]:
        """Do it; what there is to say about it afterwards."""
        match act:
            case PlanContainment():
                planned = ContainmentPlanned(
                    act.incident, act.plan, act.acts, act.cut, act.beside, act.author
                )
                await self._actions.append(lambda now: planned)
            case ExecuteContainment():
                return await self._execute(act.plan, act.author)
            case VerifyContainment():
                return await self._verify(act)
        return {}

    async def _execute(self, plan: Plan, author: str) -> dict[str, Any]:
        """Each act by itself: one that cannot be done keeps none of the others from it."""
        digest = await asyncio.to_thread(self._on_record, plan)
        done, cut = [], 0
        for one in plan.acts:
            try:
                before = self._before(one, plan)
                if before is not None:
                    done.append(before)
                    continue
                made, number = await self._do(one, plan.incident, author)
                done.append(Done(one.act, one.subject, made))
                cut += number
            except Proposed as proposed:
                done.append(Done(one.act, one.subject, proposal=proposed.proposal))
            except Denied as denied:
                done.append(Done(one.act, one.subject, failed=str(denied)[:300]))
        executed = ContainmentExecuted(plan.incident, digest, tuple(done), author)
        record = await self._actions.append(lambda now: executed)
        return {
            "acts": msgspec.to_builtins(done),
            "cut": cut,
            "record": record.index,
            "executed": now_ms(),
        }

    def _on_record(self, plan: Plan) -> str:
        """The plan's digest; Denied unless it was put on record for its incident, which is open."""
        log, digest = self._actions.log, plan.digest
        incidents = Incidents(log.folder, log.reader, log.fold.register)
        try:
            incidents.follow()
            told = [facts for _, _, facts in incidents.index.told(plan.incident)]
        finally:
            incidents.close()
        if not any(isinstance(one, ContainmentPlanned) and one.plan == digest for one in told):
            raise _denied("no such plan is on record for the incident: it was changed since")
        if any(isinstance(one, IncidentClosed) for one in told):
            raise _denied("the incident is closed: open another")
        return digest

    def _before(self, one: Planned, plan: Plan) -> Done | None:
        """What was done of an act already; Denied if it should have been, and was not."""
        register, now = self._actions.log.fold.register, self._actions.log.sequencer.time
        if one.act == "rotate":
            rotation = register.state.rotations.get(one.subject)
            if rotation is not None and rotation.incident == plan.incident:
                return Done(one.act, one.subject, rotation.rotation, already=True)
            over = dead(register, one.subject, now)
            return Done(one.act, one.subject, already=True) if over else None
        if one.act == "stale":
            stale = marks(register.proven(one.subject.partition(":")[2]))
            if all(stale.get(kind, 0) >= plan.made for kind in one.kinds):
                return Done(one.act, one.subject, already=True)
        elif hold := for_good(register, one.subject):  # one that ends by itself contains nothing
            return Done(one.act, one.subject, hold, already=True)
        for name, proposal in register.state.proposals.items():
            if now < proposal.until and _proposes(proposal.act, one):
                return Done(one.act, one.subject, proposal=name, already=True)
        if one.act == "held":
            raise _denied("it is not on hold any more: make another plan")
        return None

    async def _do(self, one: Planned, incident: str, author: str) -> tuple[str, int]:
        """The id of what was made, and how many streams it cut."""
        if one.act == "hold":
            hold = AddHold(author, one.subject, f"incident {incident[:8]}", selects=one.selects)
            told = await self._holding.hold(hold)
            return str(told["hold"]), int(told["cut"])
        if one.act == "stale":
            name, why = one.subject.partition(":")[2], f"incident {incident[:8]}"
            marked = EvidenceStaled(name, one.kinds, why, author, incident)
            await self._actions.append(lambda now: marked, urgent=True)
            return "", 0
        why = f"incident {incident[:8]}: {one.why}"
        given = (one.subject, one.organisation, why, author, incident)
        return await demand(self._actions, *given, within=one.within), 0

    async def _verify(self, act: VerifyContainment) -> dict[str, Any]:
        """Whether everything that a plan cut is refused, nothing of it is in flight, and nobody
        holds what was to be lost."""
        if act.lost:
            await self._evaluator.settled()
        register, sequencer = self._actions.log.fold.register, self._actions.log.sequencer
        left = await self._open_of(set(act.devices))
        allowed: list[str] = []
        for at in range(0, len(act.devices), _AT_ONCE):
            allowed += still_allowed(register, act.devices[at : at + _AT_ONCE], sequencer.time)
            await asyncio.sleep(0)  # accesses go first
        number = len(act.devices)
        now = sequencer.time
        tiers = {one: tier_at(register.proven(one).standing, now) for one in act.lost}
        verified = ContainmentVerified(
            *(act.incident, act.plan, number, number - len(allowed), left, act.author),
            allowed=tuple(allowed[:256]),
            tiers=tiers or UNSET,
        )
        record = await self._actions.append(lambda now: verified)
        told = {"decided": number, "refused": number - len(allowed), "allowed": allowed}
        above = [one for one, rank in act.lost.items() if tiers[one] > rank]
        contained = not allowed and not left and not above
        told |= {"open": left, "tiers": tiers, "above": above}
        return {**told, "contained": contained, "record": record.index}

    async def _open_of(self, devices: Collection[str]) -> int:
        """How many accesses of these devices the log has as open, after some patience; one whose
        device is not known, from before it was kept, may be theirs."""
        fold, end = self._actions.log.fold, steady_ms() + _PATIENCE
        while True:
            left = sum(
                not one.device or one.device in devices for one in fold.admission.open.values()
            )
            if not left or steady_ms() >= end:
                return left
            await asyncio.sleep(0.02)


def _proposes(act: dict[str, Any], one: Planned) -> bool:
    """Whether it is proposed to do this act of a plan, or the like."""
    record = record_of(act)
    if isinstance(record, EvidenceStaled) and one.act == "stale":
        return one.subject.partition(":")[2] == record.recipient and one.kinds == record.kinds
    return isinstance(record, HoldAdded) and one.act != "stale" and record.subject == one.subject


def _denied(why: str) -> Denied:
    return Denied(Refused(Reason.CHAIN_BROKEN, why))
