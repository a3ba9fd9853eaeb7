"""The index counts every access once, however often and by whomever it is brought up to date."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.errors import BailmentError
from bailment.incident.blast_radius import Use
from bailment.ledger.context import Context
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import CustodyDeclared
from bailment.store.exposure import Exposure, Read

from ..access.book import DAY, PURPOSE, START, Book
from ..world import PATIENCE


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


def entries(start: int, stop: int | None = None, log: bytes = b"") -> Iterator[Read]:
    """`log` are leaves that another log has."""
    for index, facts in list(enumerate(FACTS))[start:stop]:
        yield index, START + index * STEP, facts, log + bytes([index])


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
        to = None if stop is None else max(stop, pieces.position)  # a log never gets shorter
        pieces.follow(lambda start, to=to: entries(start, to))  # type: ignore[misc]
    assert all_of(pieces) == all_of(whole)
    assert pieces.position == len(FACTS)
    whole.close()
    pieces.close()


def test_two_that_bring_it_up_to_date_at_once_count_nothing_twice(tmp_path: Path) -> None:
    one, other = Exposure(tmp_path / "e.db"), Exposure(tmp_path / "e.db")

    def overtaken(start: int) -> Iterator[Read]:
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


class Warned(list[str]):
    """What was warned of."""

    def __call__(self, why: str) -> None:
        self.append(why)


@pytest.mark.parametrize(("known", "now"), [(len(FACTS), 4), (4, len(FACTS)), (4, 4)])
def test_an_index_of_another_log_is_made_again_and_somebody_is_told(
    tmp_path: Path, known: int, now: int
) -> None:
    index, warned = Exposure(tmp_path / "e.db"), Warned()
    index.follow(lambda start: entries(start, known, b"other"))
    index.close()
    whole, index = Exposure(tmp_path / "whole.db"), Exposure(tmp_path / "e.db", warned)
    whole.follow(lambda start: entries(start, now))
    assert index.follow(lambda start: entries(start, now)) == now
    assert all_of(index) == all_of(whole)
    assert ["of another log" in why for why in warned] == [True]
    assert index.follow(lambda start: entries(start, now)) == 0
    assert len(warned) == 1


def test_of_a_log_that_was_restored_shorter_nothing_stays_that_is_gone(tmp_path: Path) -> None:
    index, warned = Exposure(tmp_path / "e.db"), Warned()
    index.follow(entries)
    index.close()
    index = Exposure(tmp_path / "e.db", warned)
    assert index.follow(lambda start: entries(start, 2)) == 2
    assert [use.count for use in all_of(index)] == [1]
    assert warned


def test_of_the_same_log_nothing_is_read_again(tmp_path: Path) -> None:
    warned = Warned()
    for stop in (3, 6, None):
        index = Exposure(tmp_path / "e.db", warned)
        index.follow(lambda start, stop=stop: entries(start, stop))  # type: ignore[misc]
        index.close()
    assert warned == []


@pytest.mark.parametrize("at", [0, 4096])
def test_a_damaged_index_is_made_again(tmp_path: Path, at: int) -> None:
    path, warned = tmp_path / "e.db", Warned()
    index = Exposure(path)
    index.follow(entries)
    expected = all_of(index)
    index.close()  # and with that all is in the one file
    data = path.read_bytes()
    path.write_bytes(data[:at] + b"\xa5" * (len(data) - at))
    index = Exposure(path, warned)
    index.follow(entries)
    assert all_of(index) == expected
    assert warned


def test_damage_that_a_question_meets_is_said_and_the_next_is_answered(tmp_path: Path) -> None:
    path, warned = tmp_path / "e.db", Warned()
    index = Exposure(path)
    index.follow(entries)
    expected = all_of(index)
    index.close()
    index = Exposure(path, warned)
    page = index.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'uses'")[0][0] - 1
    size = index.rows("PRAGMA page_size")[0][0]
    with path.open("r+b") as file:
        file.seek(page * size)
        file.write(b"\xa5" * size)
    with pytest.raises(BailmentError, match="malformed") as raised:
        all_of(index)
    assert raised.value.hint == "ask again"
    index.follow(entries)
    assert all_of(index) == expected
    assert len(warned) == 1


def test_an_older_versions_index_is_made_again(tmp_path: Path) -> None:
    path, warned = tmp_path / "e.db", Warned()
    index = Exposure(path)
    index.follow(entries)
    index.rows("PRAGMA user_version = 1")
    index.close()
    index = Exposure(path, warned)
    assert index.follow(entries) == len(FACTS)
    assert ["older version" in why for why in warned] == [True]


def test_one_that_was_deleted_under_somebody_is_made_again(index: Exposure, tmp_path: Path) -> None:
    index.follow(entries)
    for path in tmp_path.glob("exposure.db*"):
        path.unlink()
    assert index.follow(entries) == len(FACTS)
    assert (tmp_path / "exposure.db").exists()


def test_names_are_right_where_somebody_else_began_anew(tmp_path: Path) -> None:
    one, other = Exposure(tmp_path / "e.db"), Exposure(tmp_path / "e.db")
    one.follow(lambda start: entries(start, 3, b"other"))
    other.follow(lambda start: reversed_names(start, 3))
    one.follow(reversed_names)
    whole = Exposure(tmp_path / "whole.db")
    whole.follow(reversed_names)
    assert all_of(one) == all_of(whole)


def reversed_names(start: int, stop: int | None = None) -> Iterator[Read]:
    """The log with the second device's records first, so that names come in another order."""
    facts = [*FACTS[len(FACTS) // 2 :], *FACTS[: len(FACTS) // 2]]
    for index, one in list(enumerate(facts))[start:stop]:
        yield index, START + index * STEP, one, bytes([index])


def test_while_one_writes_another_waits_for_its_turn(tmp_path: Path) -> None:
    one, other, third = (Exposure(tmp_path / "e.db") for _ in range(3))
    waits = threading.Thread(target=other.follow, args=(entries,))
    with one.writing():
        waits.start()
        assert all_of(third) == []  # who only reads waits for nobody
    waits.join(PATIENCE)
    assert other.position == len(FACTS)


def test_many_that_open_it_at_once_make_one(tmp_path: Path) -> None:
    def run(_: int) -> None:
        index = Exposure(tmp_path / "e.db")
        index.follow(entries)
        index.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(16)))
    index = Exposure(tmp_path / "e.db")
    assert sum(use.count for use in all_of(index)) == 5
