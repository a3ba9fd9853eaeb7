"""What people make of findings, and what they lay out for thieves."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec

from bailment.access.tripwire import LAID
from bailment.control.actions import Actions, Denied
from bailment.control.requests import Act, Line
from bailment.errors import FormatError
from bailment.ledger.detection_records import FindingJudged, FindingRaised, StepUpEnded
from bailment.ledger.identity_records import TripwireSet
from bailment.store.log import Log

_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class JudgeFinding(Act, frozen=True, tag="finding-judge"):
    """Say what the finding of an entry was. If it was in order nobody has to sign in again because
    of it, and what was seen is not unusual any more. The last one to say so counts."""

    finding: _Id
    record: Annotated[int, msgspec.Meta(ge=0)]
    verdict: Literal["misuse", "benign", "known"]
    reason: Line


class EndStepUp(Act, frozen=True, tag="step-up-end"):
    """Ask it of a person no more to sign in again."""

    person: Line
    reason: Line


class LayTripwire(Act, frozen=True, tag="tripwire-lay"):
    """Register what was laid out in a system for whoever should not read there, by its SHA-256."""

    kind: str
    secret: str
    system: Line


JudgingActs = JudgeFinding | EndStepUp | LayTripwire


async def judge(actions: Actions, act: JudgingActs) -> dict[str, Any]:
    """Do it; what there is to say about it afterwards."""
    match act:
        case LayTripwire():
            if act.kind not in LAID:
                raise FormatError(f"what is laid out is one of {', '.join(LAID)}")
            facts = TripwireSet(act.secret, act.kind, f"system:{act.system}")
            await actions.append(lambda now: facts)
            return {"subject": facts.subject}
        case EndStepUp():
            await _end(actions, act.person, act.reason, act.author)
            return {"person": act.person}
        case JudgeFinding():
            await asyncio.to_thread(_check, actions.log, act)
            judged = FindingJudged(act.finding, act.verdict, act.reason, act.author)
            await actions.append(lambda now: judged)
            asked = actions.log.fold.register.state.step_ups
            people = [who for who, (_, finding) in asked.items() if finding == act.finding]
            freed = []
            for person in people if act.verdict != "misuse" else ():
                try:
                    await _end(actions, person, f"the finding was {act.verdict}", act.author)
                except Denied:
                    # They have signed in meanwhile: nobody asks it of them any more.
                    if person in asked:
                        raise
                else:
                    freed.append(person)
            return {"finding": act.finding, "freed": freed}


def _check(log: Log, act: JudgeFinding) -> None:
    """FormatError if the entry is no such finding: nobody judges what was not found."""
    for one in log.reader.records(act.record, min(act.record + 1, log.fold.size)):
        if isinstance(one.facts, FindingRaised) and one.facts.finding == act.finding:
            return
    raise FormatError(f"there is no finding `{act.finding}` in the log; bailment finding list")


async def _end(actions: Actions, person: str, reason: str, author: str) -> None:
    ended = StepUpEnded(person, reason, author)
    await actions.append(lambda now: ended)
