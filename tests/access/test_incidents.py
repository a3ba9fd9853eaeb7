"""Nothing is added to a closed incident, and a finding is in one open incident at a time."""

from __future__ import annotations

import pytest

from bailment.access.fold import Fold
from bailment.access.notices import missing
from bailment.errors import VerificationError
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import (
    IncidentClosed,
    IncidentNoted,
    IncidentOpened,
    NoticeSent,
)

from .book import Book

A, B, FINDING = "a" * 32, "b" * 32, "f" * 32
HOUR = 3_600_000


def opened(incident: str, *findings: str) -> IncidentOpened:
    return IncidentOpened(incident, "a test", "person", "tests", findings=findings)


def noted(incident: str, *findings: str) -> IncidentNoted:
    return IncidentNoted(incident, "tests", findings=findings)


def closed(incident: str) -> IncidentClosed:
    return IncidentClosed(incident, "over", "tests")


def notice(book: Book, organisation: str, incident: str) -> NoticeSent:
    name, due = book.new_id(), book.time + HOUR
    return NoticeSent(name, incident, organisation, 1, due, due, "tests")


def refused(book: Book, facts: Facts, why: str) -> None:
    found = book.register.check(facts, book.time)
    assert found is not None
    assert why in found.detail
    with pytest.raises(VerificationError):
        book.add(facts)


@pytest.fixture
def book() -> Book:
    made = Book()
    made.add(opened(A, FINDING))
    return made


def test_a_closed_incident_takes_no_note_and_no_second_end(book: Book) -> None:
    book.add(noted(A))
    book.add(closed(A))
    refused(book, noted(A), f"`{A[:8]}` is closed: open a new one")
    refused(book, closed(A), "closed already")


def test_there_is_no_note_on_nothing_and_no_incident_twice(book: Book) -> None:
    refused(book, noted(B), "there is no incident")
    refused(book, closed(B), "there is no incident")
    refused(book, opened(A), "exists already")


def test_a_finding_is_in_one_open_incident_at_a_time_which_the_refusal_names(book: Book) -> None:
    refused(book, opened(B, FINDING), f"bailment incident note {A[:8]}")
    book.add(opened(B))
    refused(book, noted(B, FINDING), f"the open incident `{A[:8]}`")
    book.add(noted(A, FINDING))
    book.add(closed(A))
    book.add(noted(B, FINDING))


def test_a_finding_that_a_note_added_counts(book: Book) -> None:
    book.add(noted(A, "9" * 32))
    refused(book, opened(B, "9" * 32), A[:8])


def test_an_organisation_is_told_of_an_incident_once_and_by_name_of_no_closed_one(
    book: Book,
) -> None:
    acme, other = (book.recipient().its.subject for _ in range(2))
    first = notice(book, acme, A)
    book.add(first, acme)
    refused(book, notice(book, acme, A), f"by the notice `{first.notice[:8]}`")
    book.add(notice(book, other, A), other)
    book.add(opened(B))
    book.add(notice(book, acme, B), acme)
    book.add(closed(B))
    refused(book, notice(book, other, B), "closed: open a new one")


def test_nobody_is_chased_for_an_incident_that_is_closed(book: Book) -> None:
    acme = book.recipient().its.subject
    sent = notice(book, acme, A)
    book.add(sent, acme)
    assert [one.notice for one in missing(book.register, sent.due)] == [sent.notice]
    book.add(closed(A))
    assert missing(book.register, sent.due) == []


def test_incidents_outlive_a_snapshot(book: Book) -> None:
    book.add(closed(A))
    fold = Fold.decode(book.fold.encode())
    assert fold.register.state.incidents == book.register.state.incidents != {}
