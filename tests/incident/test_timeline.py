"""What happened when: five times apart, in the order in which it happened, not of the telling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailment.incident.timeline import Moment, timeline
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import (
    IncidentClosed,
    IncidentNoted,
    IncidentOpened,
    RotationDone,
    Times,
)
from bailment.ledger.records import LogHeads

A, F = "a" * 32, "f" * 32
OPENED = IncidentOpened(A, "copied keys", "tip", "noor", times=Times(100, 200, 300))


def noted(**times: int) -> IncidentNoted:
    return IncidentNoted(A, "noor", times=Times(**times))


def one(facts: Facts, at: int = 1000) -> Moment:
    (found,) = timeline([(7, at, facts)])
    return found


def test_the_five_times_are_told_apart_as_they_were_said() -> None:
    said = Times(1, 2, 3, 4, 5)
    assert one(IncidentNoted(A, "noor", times=said)).times == said
    odd = Times(occurred=50, detected=40, aware=30, classified=20, determined=10)
    moment = one(IncidentNoted(A, "noor", times=odd))
    assert (moment.times, moment.at) == (odd, 50)


def test_a_time_that_is_missing_stays_so_and_the_entry_lies_where_it_was_recorded() -> None:
    moment = one(noted())
    assert (moment.at, moment.times) == (1000, Times())
    only = one(noted(determined=400))
    assert (only.at, only.times.determined, only.times.occurred) == (400, 400, 0)


def test_what_was_told_late_lies_where_it_happened() -> None:
    entries: list[tuple[int, int, Facts]] = [
        (1, 1000, OPENED),
        (2, 2000, noted(determined=1500)),
        (3, 3000, noted(occurred=50)),
        (4, 4000, IncidentClosed(A, "over", "noor")),
    ]
    assert [moment.record for moment in timeline(entries)] == [3, 1, 2, 4]


def test_an_incident_lies_where_it_was_opened_and_says_when_it_occurred() -> None:
    moment = one(OPENED)
    assert (moment.at, moment.times, moment.told) == (1000, Times(100, 200, 300), True)


def test_a_finding_occurred_before_it_was_detected() -> None:
    moment = one(FindingRaised(F, "relay", "ten people work through one device", 500, 900))
    assert (moment.at, moment.times) == (500, Times(occurred=500, detected=1000))
    assert one(FindingRaised(F, "relay", "nobody knows since when", 0, 0)).at == 1000


def test_other_records_are_no_part_of_it() -> None:
    assert timeline([(1, 1000, LogHeads("00"))]) == []


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8), st.randoms())
def test_in_whatever_order_it_is_read_the_timeline_is_the_same(
    said: list[tuple[int, int]], chance: object
) -> None:
    entries: list[tuple[int, int, Facts]] = [
        (index, 100 + index, noted(occurred=occurred, determined=determined))
        for index, (occurred, determined) in enumerate(said)
    ]
    entries.append((99, 20, RotationDone(A, "gone", "issuer")))
    shuffled = list(entries)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    told = timeline(shuffled)
    assert told == timeline(entries)
    assert len(told) == len(entries)
    assert [one.at for one in told] == sorted(one.at for one in told)
