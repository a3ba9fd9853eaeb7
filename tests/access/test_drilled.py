"""A drill is told of when it is over, of those alone whom it was held with, and who then are no
more."""

from __future__ import annotations

from typing import Any

import pytest

from bailment.access.drilled import LONGEST, is_drill
from bailment.access.reasons import Refused
from bailment.errors import VerificationError
from bailment.ledger.drill_records import DrillNoted
from bailment.ledger.records import DelegationEnded

from .book import Book, Party

HOUR = 3_600_000


def noted(book: Book, started: int, *recipients: str) -> DrillNoted:
    drill = book.new_id()
    return DrillNoted(drill, "breach-2026", recipients, started, book.time, (), "00" * 32, "tests")


def end(book: Book, party: Party) -> None:
    book.add(DelegationEnded(party.its.id, "tests", "no longer needed"), party.its.subject)


def canary(book: Book, **given: Any) -> Party:
    """A recipient of a drill that began an hour ago, whose link is not ended yet."""
    return book.recipient(**{"start": book.time - HOUR, "until": book.time + HOUR, **given})


def why(book: Book, facts: DrillNoted) -> str:
    refused = book.register.check(facts, book.time)
    return refused.detail if isinstance(refused, Refused) else ""


def test_a_drills_recipients_are_noted_once_their_links_are_ended() -> None:
    book = Book()
    party, since = canary(book), book.time - HOUR
    facts = noted(book, since, party.its.subject)
    assert "is not ended" in why(book, facts)
    assert "no such recipient" in why(book, noted(book, since, "00" * 16))
    end(book, party)
    assert not is_drill(book.register, party.its.subject)
    book.add(facts)
    assert is_drill(book.register, party.its.subject)
    assert "already" in why(book, facts)
    assert "another drill" in why(book, noted(book, since, party.its.subject))


def test_a_drill_is_not_noted_before_it_is_over() -> None:
    book = Book()
    assert "over" in why(book, noted(book, book.time + 1))


@pytest.mark.parametrize(
    ("start", "lasts", "told"),
    [
        (0, LONGEST, ""),
        (HOUR, LONGEST, ""),
        (0, LONGEST + 1, "more than two days"),
        (-1, LONGEST, "did not begin"),
        (-30 * 24 * HOUR, LONGEST, "did not begin"),
        (HOUR + 1, LONGEST, "did not begin"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_an_ordinary_recipient_whose_links_are_ended_is_in_no_drill(
    start: int, lasts: int, told: str, first: bool
) -> None:
    """Of several links each counts, whichever is the oldest."""
    book = Book()
    since = book.time - HOUR
    links = [{"start": since + start, "until": since + start + lasts}, {"start": since}]
    links[1]["until"] = since + LONGEST
    party = canary(book, **links[0 if first else 1])
    again = {"subject": party.its.subject, "key": party.public.jwk, "models": ("small",)}
    other = links[1 if first else 0]
    link = book.grant(book.issuer, "recipient", None, purposes=("red-team",), **again, **other)
    end(book, party)
    facts = noted(book, since, party.its.subject)
    assert why(book, facts), "one of them is not ended"
    end(book, Party(link=link))
    assert told in why(book, facts) if told else not why(book, facts)


def test_who_was_in_a_drill_is_granted_nothing_any_more() -> None:
    book = Book()
    party = canary(book)
    end(book, party)
    book.add(noted(book, book.time - HOUR, party.its.subject))
    again = {"subject": party.its.subject, "key": party.public.jwk, "models": ("small",)}
    with pytest.raises(VerificationError, match="was a drill's"):
        book.grant(book.issuer, "recipient", None, purposes=("red-team",), **again)
