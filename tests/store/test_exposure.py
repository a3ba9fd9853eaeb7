"""The index counts every access once, however often and by whomever it is brought up to date."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.incident.blast_radius import Use
from bailment.ledger.context import Context
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import CustodyDeclared
from bailment.store.exposure import Entry, Exposure

from ..access.book import DAY, PURPOSE, START, Book


def fixed() -> list[Facts]:
    """Two devices' records: a token each, three accesses, two of them closed."""
    book = Book()
    acme = book.recipient()
    found: list[Facts] = []
    for number in range(2):
        device = book.device(acme, book.person(acme))
        token = book.make_token(device)
        context = Context(asn=number + 1, client="sdk")
        given = {"networks": ("10.0.0.0/8",), "context": context}
        accesses = [book.make_access(device, token, **given) for _ in range(3 - number)]
        found += [token, *accesses]
        found += [_closed(one.access) for one in accesses[:2]]
    return [*found, CustodyDeclared("vault", "ci", "vendor:v", "tests")]


def _closed(access: str) -> Facts:
    from bailment.ledger.records import AccessClosed

    return AccessClosed(access, "complete", 200, 3, 4, True)


#: Everything happens while the tokens live, ms.
STEP = 20_000
FACTS = fixed()


def entries(start: int, stop: int | None = None) -> Iterator[Entry]:
    for index, facts in list(enumerate(FACTS))[start:stop]:
        yield index, START + index * STEP, facts


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Exposure]:
    made = Exposure(tmp_path / "exposure.db")
    yield made
    made.close()


def all_of(index: Exposure) -> list[Use]:
    names = {facts.device for facts in FACTS if hasattr(facts, "device")}
    return sorted(index.uses(names), key=lambda one: one.first)


def test_every_access_is_counted_with_its_tokens_and_where_it_came_from(index: Exposure) -> None:
    index.follow(entries)
    first, second = all_of(index)
    assert (first.count, first.tokens, first.network, first.client) == (3, 14, "AS1", "sdk")
    assert (second.count, second.tokens, second.network) == (2, 14, "AS2")
    assert (first.purpose, first.model, first.declared) == (PURPOSE, "small", "10.0.0.0/8")
    assert (first.first, first.last) == (1, 3)
    assert (first.began, first.ended) == (START + STEP, START + 3 * STEP)
    assert [facts for _, _, facts in index.told("vault")] == [FACTS[-1]]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, len(FACTS)), max_size=5))
def test_in_whatever_pieces_it_is_read_the_index_is_the_same(stops: list[int]) -> None:
    with TemporaryDirectory() as root:
        _compare(Path(root), stops)


def _compare(root: Path, stops: list[int]) -> None:
    whole, pieces = Exposure(root / "whole.db"), Exposure(root / "pieces.db")
    whole.follow(entries)
    for stop in (*stops, None):
        pieces.follow(lambda start, stop=stop: entries(start, stop))  # type: ignore[misc]
    assert all_of(pieces) == all_of(whole)
    assert pieces.position == len(FACTS)
    whole.close()
    pieces.close()


def test_two_that_bring_it_up_to_date_at_once_count_nothing_twice(tmp_path: Path) -> None:
    one, other = Exposure(tmp_path / "e.db"), Exposure(tmp_path / "e.db")

    def overtaken(start: int) -> Iterator[Entry]:
        if not start:  # somebody else is faster
            other.follow(entries)
        yield from entries(start)

    assert one.follow(overtaken) == 0
    assert sum(use.count for use in all_of(one)) == 5


def test_what_a_late_window_misses_is_counted(index: Exposure) -> None:
    index.follow(entries)
    first = all_of(index)[0]
    asked = first.ended + DAY
    assert index.before([first.device], first.began, asked, ()) == 3
    assert index.before([first.device], first.began, asked, {("AS2", "sdk")}) == 0
    assert index.before([first.device], first.began, first.began, ()) == 0


def test_devices_are_found_by_the_networks_that_they_were_used_from(index: Exposure) -> None:
    index.follow(entries)
    first, second = all_of(index)
    assert index.seen_from("AS1") == [first.device]
    assert set(index.seen_from("10.0.0.0/8")) == {first.device, second.device}
    assert index.seen_from("AS3") == []
    assert sum(use.count for use in index.of("model", "small")) == 5
    assert index.of("purpose", "none") == []


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    Exposure(tmp_path / "e.db").close()
    assert (tmp_path / "e.db").stat().st_mode & 0o077 == 0
    assert os.access(tmp_path / "e.db", os.R_OK)
