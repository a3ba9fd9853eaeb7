"""A credential that was to be replaced and was not is good for nothing; a new one is."""

from __future__ import annotations

import pytest

from bailment.access.decision import Allowed, decide
from bailment.access.fold import Fold
from bailment.access.reasons import Reason, Refused
from bailment.access.rotation import no_later
from bailment.errors import VerificationError
from bailment.ledger.incident_records import RotationDemanded, RotationDone

from .book import Book, Party

HOUR = 3_600_000


class Case:
    """A person with two devices, of which one has to be replaced within the hour."""

    def __init__(self) -> None:
        self.book = book = Book()
        self.recipient = book.recipient()
        self.person = book.person(self.recipient)
        self.old = book.device(self.recipient, self.person)
        self.other = book.device(self.recipient, self.person)
        self.organisation = self.recipient.its.subject
        self.until = book.time + HOUR
        self.demand(self.old)

    def demand(self, device: Party) -> str:
        name = self.book.new_id()
        subject = f"device:{device.its.subject}"
        facts = RotationDemanded(name, subject, self.organisation, self.until, "stolen", "tests")
        self.book.add(facts, self.organisation)
        return name

    def decide(self, device: Party, now: int) -> Allowed | Refused:
        token = self.book.make_token(device, until=now + 1)
        return decide(self.book.ask(token), self.book.register, now)


def test_the_old_key_is_refused_from_the_deadline_on_and_not_before() -> None:
    case = Case()
    assert isinstance(case.decide(case.old, case.until - 1), Allowed)
    refused = case.decide(case.old, case.until)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.ROTATION_OVERDUE
    assert refused.subject == f"device:{case.old.its.subject}"
    assert isinstance(case.decide(case.other, case.until), Allowed)


def test_a_later_demand_gives_no_more_time_and_revives_no_dead_key() -> None:
    case = Case()
    case.book.time, first = case.until, case.until
    subject = f"device:{case.old.its.subject}"
    case.until += HOUR
    with pytest.raises(VerificationError, match="sooner, by an earlier demand"):
        case.demand(case.old)
    case.until = no_later(case.book.register, subject, case.until)
    again = case.demand(case.old)
    known = case.book.register.state.rotations[subject]
    assert (known.rotation, known.until) == (again, first)
    refused = case.decide(case.old, first)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.ROTATION_OVERDUE


def test_what_is_done_is_asked_no_longer() -> None:
    case = Case()
    rotation = case.demand(case.other)
    case.book.add(RotationDone(rotation, "another device", "tests"))
    assert isinstance(case.decide(case.other, case.until), Allowed)
    assert isinstance(case.decide(case.old, case.until), Refused)


def test_a_demand_outlives_a_snapshot() -> None:
    case = Case()
    fold = Fold.decode(case.book.fold.encode())
    assert fold.register.state.rotations == case.book.register.state.rotations != {}


def test_nothing_is_demanded_of_nobody_or_for_yesterday() -> None:
    case = Case()
    for organisation, until in (("0" * 32, case.until), (case.organisation, case.book.time)):
        facts = RotationDemanded("1" * 32, "device:x", organisation, until, "stolen", "tests")
        with pytest.raises(VerificationError):
            case.book.add(facts)
    with pytest.raises(VerificationError):
        case.book.add(RotationDone("2" * 32, "never asked", "tests"))
