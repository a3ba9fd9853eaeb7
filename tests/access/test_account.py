"""A recipient's standing as it is told: what is in force, what holds and until when."""

from __future__ import annotations

import pytest

from bailment.access.account import Account, Holding, Lacking, account

from .book import DAY, START, Book
from .small_spec import HOUR, Specified


@pytest.fixture
def book() -> Specified:
    return Specified()


def told(book: Specified, recipient: str, later: int = 0) -> Account:
    return account(book.register, recipient, book.time + later)


def test_what_holds_is_told_with_its_end_and_what_ends_first_comes_first(book: Specified) -> None:
    name = book.recipient().its.subject
    book.enclave(name, "tenant-a")
    book.show(name, book.item("roster", claims={"unmatched_accounts": 0}))
    book.show(name, book.item("scan", checks={"MFA": "pass"}))
    book.judge(name)
    found = told(book, name)
    id_1 = Holding("ID-1", "Nobody unknown", "satisfied", START + 7 * DAY)
    id_2 = Holding("ID-2", "Strong sign-in", "satisfied", START + 2 * HOUR)
    assert found.holding == {"T1": (id_1,), "T2": (id_2, id_1)}
    assert (found.tier, found.lacking) == ("T2", {})
    later = told(book, name, 2 * HOUR)
    assert later.holding == {"T1": (id_1,), "T2": (id_1,)}, "as of now, whatever was evaluated"
    assert (later.tier, later.phase) == ("T2", "grace")


def test_what_is_excused_ends_with_its_exception(book: Specified) -> None:
    name = book.recipient().its.subject
    book.add(book.grant_exception(name, "ID-2", "ada", "bo"), name)
    book.judge(name)
    found = told(book, name)
    (held,) = found.holding["T2"]
    assert (held.requirement, held.status, held.ends) == ("ID-2", "excepted", START + HOUR)
    assert found.lacking["T1"] == (Lacking("ID-1", "Nobody unknown", "missing"),)


def test_without_a_spec_nothing_is_told_to_hold() -> None:
    book = Book()
    name = book.recipient().its.subject
    assert account(book.register, name, book.time).holding == {}
