"""What an operator could write about findings, each with the name an audit has for it."""

from __future__ import annotations

from typing import Any

from bailment.access.chain import read_link
from bailment.auditor.findings import Kind
from bailment.ledger.detection_records import (
    FindingGrouped,
    FindingJudged,
    FindingRaised,
    StepUpAsked,
)
from bailment.ledger.drill_records import DrillNoted
from bailment.ledger.records import DelegationEnded, DelegationGranted, HoldAdded

from .conftest import Past
from .forge import Forgery
from .forgeries import appended, change

KIND, NO_FINDING = "two-countries", "ab" * 16


def subject(past: Past, name: str = "ada") -> str:
    return f"person:{past.lived.people[name].id}"


def raised(forgery: Forgery, past: Past, **more: Any) -> tuple[int, str]:
    """The record of a finding about ada; its index and its id."""
    finding, now = past.world.id(), past.world.now
    told = {"subject": subject(past), "records": (1, 2), "response": "hold", **more}
    facts = FindingRaised(finding, KIND, "a test", now, now, **told)
    return appended(forgery, past, facts, "acme"), finding


def held(forgery: Forgery, past: Past, finding: str, kind: str = KIND, on: str = "ada") -> int:
    reason, until = f"finding {finding}: {kind}", past.world.now + 1000
    hold = HoldAdded(past.world.id(), subject(past, on), reason, f"detector:{kind}", until)
    return appended(forgery, past, hold, past.lived.people[on].party.name)


def honest(forgery: Forgery, past: Past) -> None:
    """A finding that goes on, is answered, and is judged."""
    index, finding = raised(forgery, past)
    now = past.world.now
    held(forgery, past, finding)
    person = past.lived.people["ada"].id
    asked = StepUpAsked(person, finding, KIND, f"detector:{KIND}")
    appended(forgery, past, asked, "acme")
    appended(forgery, past, FindingGrouped(finding, 3, now, now, records=(index - 1,)))
    appended(forgery, past, FindingGrouped("", 7, now, now, KIND, 2))
    appended(forgery, past, FindingJudged(finding, "benign", "travel", "me"))


@change(Kind.UNFOUNDED)
def a_finding_that_cites_what_is_after_it(forgery: Forgery, past: Past) -> int:
    return raised(forgery, past, records=(1, len(forgery.rows)))[0]


@change(Kind.UNFOUNDED)
def a_finding_that_cites_what_cannot_be(forgery: Forgery, past: Past) -> int:
    return raised(forgery, past, records=(-1,))[0]


@change(Kind.UNFOUNDED)
def more_of_a_finding_that_there_is_not(forgery: Forgery, past: Past) -> int:
    now = past.world.now
    return appended(forgery, past, FindingGrouped(NO_FINDING, 3, now, now))


@change(Kind.UNFOUNDED)
def a_judgement_of_a_finding_that_there_is_not(forgery: Forgery, past: Past) -> int:
    return appended(forgery, past, FindingJudged(NO_FINDING, "benign", "who knows", "me"))


@change(Kind.UNFOUNDED)
def a_detector_that_holds_somebody_without_a_finding(forgery: Forgery, past: Past) -> int:
    return held(forgery, past, NO_FINDING)


@change(Kind.UNFOUNDED)
def a_detector_that_holds_somebody_else(forgery: Forgery, past: Past) -> int:
    return held(forgery, past, raised(forgery, past)[1], on="bob")


@change(Kind.UNFOUNDED)
def a_hold_by_another_detector(forgery: Forgery, past: Past) -> int:
    return held(forgery, past, raised(forgery, past)[1], kind="relay")


@change(Kind.UNFOUNDED)
def a_sign_in_that_no_finding_asks_for(forgery: Forgery, past: Past) -> int:
    person = past.lived.people["ada"].id
    asked = StepUpAsked(person, NO_FINDING, KIND, f"detector:{KIND}")
    return appended(forgery, past, asked, "acme")


@change(Kind.BAD_RECORD)
def an_ordinary_recipient_that_is_said_to_have_been_a_drills(forgery: Forgery, past: Past) -> int:
    """It would be in no count any more."""
    recipient, now = past.lived.recipients["acme"], past.world.now
    link = next(
        row.facts
        for row in forgery.rows
        if row.was.recipient == recipient and isinstance(row.facts, DelegationGranted)
    )
    ended = DelegationEnded(read_link(link.link).id, "me", "no longer needed")
    appended(forgery, past, ended, "acme")
    drill = DrillNoted(past.world.id(), "breach-2026", (recipient,), 1, now, (), "00" * 32, "me")
    return appended(forgery, past, drill)
