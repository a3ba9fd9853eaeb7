"""What people make of findings, and what they lay out for thieves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from bailment.access.tripwire import LAID
from bailment.control.actions import Actions, Denied
from bailment.control.requests import Act, Line
from bailment.errors import FormatError
from bailment.ledger.detection_records import FindingJudged, StepUpEnded
from bailment.ledger.identity_records import TripwireSet

_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class JudgeFinding(Act, frozen=True, tag="finding-judge"):
    """Say what a finding was. If it was in order nobody has to sign in again because of it, and
    what was seen is not unusual any more."""

    finding: _Id
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


async def _end(actions: Actions, person: str, reason: str, author: str) -> None:
    ended = StepUpEnded(person, reason, author)
    await actions.append(lambda now: ended)
