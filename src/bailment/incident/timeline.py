"""What happened when, of an incident: every entry with the record behind it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bailment.ledger.detection_records import FindingJudged, FindingRaised, StepUpAsked
from bailment.ledger.evidence_records import EvidenceStaled
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import (
    ContainmentExecuted,
    ContainmentPlanned,
    ContainmentVerified,
    IncidentClosed,
    IncidentNoted,
    IncidentOpened,
    NoticeAcknowledged,
    NoticeSent,
    RotationDemanded,
    RotationDone,
    Times,
)
from bailment.ledger.records import HoldAdded, HoldLifted


class Moment(msgspec.Struct, frozen=True):
    """One entry: `at` (ms) is when it occurred where that is known, else when it was recorded;
    `told` says that the record's personal part has a text, and `whom` is the subject of the act."""

    at: int
    what: str
    record: int
    times: Times = Times()
    told: bool = False
    whom: str = ""


def timeline(entries: Iterable[tuple[int, int, Facts]]) -> list[Moment]:
    """The moments of an incident's records and findings, given with entry and time (ms), in the
    order in which they happened."""
    found = [one for index, time, facts in entries if (one := _moment(index, time, facts))]
    return sorted(found, key=lambda one: (one.at, one.record))


def _moment(index: int, time: int, facts: Facts) -> Moment | None:
    match facts:
        case FindingRaised():
            times = Times(occurred=facts.since, detected=time)
            return Moment(facts.since or time, facts.sentence, index, times)
        case IncidentOpened():
            # When it occurred is another moment than that of its opening.
            return Moment(time, f"opened: {facts.title}", index, facts.times, told=True)
        case IncidentNoted():
            at = next((one for one in _order(facts.times) if one), time)
            return Moment(at, "noted", index, facts.times, told=True)
        case IncidentClosed():
            return Moment(time, f"closed: {facts.reason}", index)
        case ContainmentPlanned():
            acts = "1 act" if facts.acts == 1 else f"{facts.acts} acts"
            beside = f", {facts.beside} of them not exposed" if facts.beside else ""
            cut = f"cuts off {facts.cut or 'nobody'}{beside}"
            return Moment(time, f"a plan of {acts} that {cut}", index)
        case ContainmentExecuted():
            done = sum(not (one.proposal or one.failed) for one in facts.acts)
            waiting = sum(bool(one.proposal) for one in facts.acts)
            what = f"contained: {done} of {len(facts.acts)} acts done"
            return Moment(time, what + (f", {waiting} wait for signatures" * bool(waiting)), index)
        case ContainmentVerified():
            what = f"verified: {facts.refused} of {facts.decided} refused, {facts.open} open"
            return Moment(time, what, index)
        case RotationDemanded():
            return Moment(time, "asked to replace", index, whom=facts.subject)
        case RotationDone():
            return Moment(time, f"replaced: {facts.how}", index)
        case NoticeSent():
            return Moment(time, "notice sent", index, whom=f"recipient:{facts.organisation}")
        case NoticeAcknowledged():
            return Moment(time, "notice read", index, whom=f"recipient:{facts.organisation}")
        case FindingJudged():
            return Moment(time, f"judged {facts.verdict}: {facts.reason}", index)
        case StepUpAsked():
            return Moment(time, "asked to sign in again", index, whom=f"person:{facts.person}")
        case HoldAdded():
            return Moment(time, "on hold", index, whom=facts.subject)
        case HoldLifted():
            return Moment(time, f"hold {facts.hold[:8]} lifted: {facts.reason}", index)
        case EvidenceStaled():
            what = f"evidence marked stale ({', '.join(facts.kinds)})"
            return Moment(time, what, index, whom=f"recipient:{facts.recipient}")
    return None


def _order(times: Times) -> tuple[int, ...]:
    return times.occurred, times.detected, times.aware, times.classified, times.determined
