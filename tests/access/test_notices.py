"""A notice is sent again until somebody reads it, for as long as there is somebody who could."""

from __future__ import annotations

from msgspec import UNSET

from bailment.access.notices import CHASES, missing
from bailment.ledger.incident_records import IncidentOpened, NoticeAcknowledged, NoticeSent
from bailment.ledger.records import DelegationEnded

from .book import Book

HOUR = 3_600_000


class Case:
    """An organisation that was sent a notice, and a chaser for each that it let lie."""

    def __init__(self) -> None:
        self.book = Book()
        self.book.add(IncidentOpened("0" * 32, "a test", "person", "tests"))
        self.link = self.book.recipient().its
        self.sent: list[str] = []

    def send(self) -> None:
        book, name = self.book, self.book.new_id()
        chases = self.sent[-1] if self.sent else UNSET
        facts = NoticeSent(
            *(name, "0" * 32, self.link.subject, 1, 0, book.time + HOUR, "tests"), chases=chases
        )
        book.add(facts, self.link.subject)
        self.sent.append(name)
        book.time += HOUR

    def acknowledge(self, notice: str) -> None:
        self.book.add(NoticeAcknowledged(notice, self.link.subject, "proof"), self.link.subject)

    @property
    def missing(self) -> list[str]:
        return [one.notice for one in missing(self.book.register, self.book.time)]


def test_the_newest_is_missing_until_any_of_those_that_it_chases_is_read() -> None:
    for read in (0, 1, 2):
        case = Case()
        for number in range(3):
            case.send()
            assert case.missing == [case.sent[number]]
        case.acknowledge(case.sent[read])
        assert case.missing == []


def test_nobody_is_chased_for_ever() -> None:
    case = Case()
    case.send()
    for _ in range(CHASES):
        assert case.missing
        case.send()
    assert case.missing == []


def test_who_has_no_link_any_more_is_not_chased() -> None:
    case = Case()
    case.send()
    assert case.missing
    case.book.add(DelegationEnded(case.link.id, "tests", "no longer needed"), case.link.subject)
    assert case.missing == []
