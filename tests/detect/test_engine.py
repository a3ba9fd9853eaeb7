"""The engine: order, isolation, grouping, bounds, and going on after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.detect.catalogue import INLINE, STREAM
from bailment.detect.engine import REST_MS, Engine
from bailment.detect.event import Event, Finding
from bailment.detect.grouping import MOST_GROUPS, Recorded
from bailment.detect.sample import DAY, HOUR, MINUTE, START, event, in_order
from bailment.errors import FormatError
from bailment.ledger.detection_records import FindingGrouped, FindingRaised
from bailment.spec.detection import DetectionTerms, RuleTerms

TERMS = DetectionTerms()


class Seen(msgspec.Struct):
    events: list[int] = []


@dataclass
class Always:
    """Finds something in every event, about the person."""

    KIND: str = "quota"
    steps: list[int] = field(default_factory=list)

    def begin(self, terms: RuleTerms) -> Seen:
        return Seen()

    def step(
        self, state: Seen, event: Event, now: int, terms: RuleTerms
    ) -> tuple[Seen, Sequence[Finding]]:
        self.steps.append(event.index)
        state.events.append(event.index)
        subject, times = f"person:{event.person}", (event.time, event.time)
        return state, [Finding(self.KIND, subject, "seen", *times, (event.index,))]


@dataclass
class Broken(Always):
    """Raises at some entries, after it has changed what it knows."""

    KIND: str = "wrong-key"
    at: frozenset[int] = frozenset()

    def step(
        self, state: Seen, event: Event, now: int, terms: RuleTerms
    ) -> tuple[Seen, Sequence[Finding]]:
        answer = super().step(state, event, now, terms)
        if event.index in self.at:
            raise ZeroDivisionError
        return answer


def raised(recorded: Sequence[Recorded], kind: str = "") -> list[FindingRaised]:
    return [r for r in recorded if isinstance(r, FindingRaised) and kind in ("", r.kind)]


def grouped(recorded: Sequence[Recorded]) -> list[FindingGrouped]:
    return [one for one in recorded if isinstance(one, FindingGrouped)]


def run(engine: Engine, events: Sequence[Event]) -> list[Recorded]:
    return [one for event in events for one in engine.take(event)] + engine.end()


def test_the_first_is_told_at_once_and_the_rest_is_counted() -> None:
    engine = Engine([Always()], TERMS)
    first, *more = in_order(*(event(minute * MINUTE) for minute in range(10)))
    (told,) = engine.take(first)
    assert isinstance(told, FindingRaised)
    assert (told.kind, told.response, told.records) == ("quota", "person", (1,))
    rest = run(engine, more)
    assert not raised(rest)
    assert sum(one.count for one in grouped(rest)) == 9
    assert {one.finding for one in grouped(rest)} == {told.finding}
    assert max(one.until for one in grouped(rest)) == more[-1].time


def test_what_goes_on_is_told_ever_seldomer_and_anew_after_a_day() -> None:
    engine = Engine([Always()], TERMS)
    told = run(engine, in_order(*(event(minute * MINUTE) for minute in range(2 * 1440))))
    assert len(raised(told)) == 2
    assert len(grouped(told)) < 30
    assert len(raised(told)) + sum(one.count for one in grouped(told)) == 2 * 1440


def test_what_was_counted_is_told_although_nothing_more_comes() -> None:
    engine = Engine([Always()], TERMS)
    for one in in_order(event(0), event(1000)):
        engine.take(one)
    assert engine.tick(START + 30_000) == []
    (told,) = engine.tick(START + 2 * MINUTE)
    assert isinstance(told, FindingGrouped) and told.count == 1


def test_a_flood_is_bounded_and_nothing_of_it_is_lost() -> None:
    engine = Engine([Always()], TERMS)
    many = 100_000
    recorded: list[Recorded] = []
    for index in range(many):
        one = Event(index, START + index * 59_000 // many, "opened", person=str(index))
        recorded += engine.take(one)
    assert len(engine.encode()) < 5_000_000
    recorded += engine.end()
    assert len(recorded) < 100
    flood = raised(recorded, "findings-flood")
    assert len(flood) == 1
    told = raised(recorded, "quota")
    assert len(told) == TERMS.per_minute
    rest = [one for one in grouped(recorded) if one.kind == "quota"]
    assert len(told) + sum(one.count for one in rest) == many
    assert rest[0].subjects >= 20_000 and rest[0].finding == ""


def test_a_flood_of_one_kind_does_not_hide_another() -> None:
    other = Always("tripwire")
    engine = Engine([Always()], TERMS)
    events = [Event(n, START + n, "opened", person=str(n)) for n in range(1000)]
    recorded = [one for event in events for one in engine.take(event)]
    engine.detectors = (other,)
    engine._states[other.KIND] = other.begin(TERMS.rule(other.KIND))
    recorded += engine.take(Event(1000, START + 1000, "opened", person="her"))
    assert len(raised(recorded, "tripwire")) == 1


def test_a_flood_of_others_keeps_no_stolen_device_from_being_held() -> None:
    noise, theft = Always("undeclared-network"), Always("new-network-and-client")
    engine = Engine([noise, theft], TERMS)
    events = [Event(n, START + n, "opened", person=str(n)) for n in range(1000)]
    engine.detectors = (noise,)
    recorded = [one for event in events[:100] for one in engine.take(event)]
    engine.detectors = (theft,)
    recorded += [one for event in events[100:200] for one in engine.take(event)]
    held = raised(recorded, theft.KIND)
    assert len(held) == 100 and {one.response for one in held} == {"hold"}
    assert len(raised(recorded, noise.KIND)) == TERMS.per_minute
    # It is bounded all the same.
    recorded += [one for event in events[200:] for one in engine.take(event)]
    assert len(raised(recorded, theft.KIND)) == 8 * TERMS.per_minute


def test_groups_are_bounded_and_what_they_counted_is_told() -> None:
    engine = Engine([Always()], DetectionTerms(per_minute=10_000))
    twice = [
        Event(2 * n + m, START + n * 60, "opened", person=str(n))
        for n in range(MOST_GROUPS + 500)
        for m in (0, 1)
    ]
    recorded = run(engine, twice)
    assert len(engine._grouping.counts.groups) == MOST_GROUPS
    total = len(raised(recorded)) + sum(one.count for one in grouped(recorded))
    assert total == len(twice)


def test_one_that_raises_stops_no_other_and_is_told() -> None:
    good, bad = Always(), Broken(at=frozenset({2}))
    engine = Engine([bad, good], TERMS)
    recorded = run(engine, in_order(*(event(second * 1000) for second in range(5))))
    assert good.steps == [1, 2, 3, 4, 5]
    assert bad.steps == [1, 2]
    (failed,) = raised(recorded, "detector-failed")
    assert "`wrong-key` failed with `ZeroDivisionError`" in failed.sentence
    assert failed.records == (2,)


def test_one_that_raised_is_tried_again_and_forgets_only_if_it_fails_again() -> None:
    bad = Broken(at=frozenset({1, 3}))
    engine = Engine([bad], TERMS)
    later = REST_MS + 1
    run(engine, in_order(event(0), event(1), event(later), event(later + 1)))
    assert bad.steps == [1, 3]
    assert engine._states["wrong-key"].events == []
    run(engine, [msgspec.structs.replace(event(3 * later), index=9)])
    assert bad.steps == [1, 3, 9]


def test_one_that_is_off_does_not_run() -> None:
    always = Always()
    engine = Engine([always], DetectionTerms(rules={"quota": RuleTerms("off")}))
    assert run(engine, in_order(event(0))) == [] and always.steps == []
    engine.terms = TERMS
    assert raised(engine.take(msgspec.structs.replace(event(1), index=2)))


def test_what_was_known_is_taken_up_again() -> None:
    events = in_order(*(event(minute * MINUTE, f"p{minute % 3}") for minute in range(60)))
    whole = run(Engine([Always()], TERMS), events)
    first, second = Engine([Always()], TERMS), Engine([Always()], TERMS)
    parts = [one for event in events[:31] for one in first.take(event)]
    second.decode(first.encode())
    parts += run(second, events[20:])  # some of them come again
    assert parts == whole


def test_what_cannot_be_taken_up_is_refused() -> None:
    with pytest.raises(FormatError):
        Engine([Always()], TERMS).decode(b"\x00")


def test_a_finding_in_the_log_is_not_told_again() -> None:
    one, two = in_order(event(0), event(1000))
    (told,) = Engine([Always()], TERMS).take(one)
    again = Engine([Always()], TERMS)
    again.known(told.finding, one.time)
    assert not raised(again.take(two))


_PEOPLE = st.sampled_from(["ana", "ben", "eva"])
_WHERE = st.sampled_from(["", "AS1/NL", "AS2/US", "AS3/BR/vpn", "AS4/NL/hosting"])
_CLIENT = st.sampled_from(["", "openai-python/2.1/Linux", "curl/8/MacOS", "node/5/Windows"])
_WHAT = st.sampled_from(["opened", "opened", "opened", "refused", "closed", "token", "enrolled"])
_REASON = st.sampled_from(["proof-missing", "proof-key", "network-outside-chain", "held"])
_KIND = st.sampled_from(["", "", "decoy"])
_MODEL = st.sampled_from(["m1", "m2"])


@st.composite
def _streams(draw: st.DrawFn) -> tuple[Event, ...]:
    events = []
    for _ in range(draw(st.integers(0, 40))):
        at = draw(st.integers(0, 200)) * HOUR // 4
        more = {
            "reason": draw(_REASON),
            "model": draw(_MODEL),
            "input": draw(st.integers(0, 9**6)),
            "kind": draw(_KIND),
            "budgets": (("l", 900_000, DAY),),
        }
        events.append(
            event(at, draw(_PEOPLE), draw(_WHERE), draw(_CLIENT), draw(_WHAT), **more)  # type: ignore[arg-type]
        )
    return in_order(*events)


@settings(max_examples=60, deadline=None)
@given(_streams(), st.data())
def test_out_of_order_and_twice_they_say_the_same(
    events: tuple[Event, ...], data: st.DataObject
) -> None:
    usual = [event(hour * HOUR - 10 * DAY, "ana", "AS1/NL", "curl/7/Linux") for hour in range(9)]
    events = in_order(*usual, *events)
    doubled = [*events, *events]
    shuffled = data.draw(st.permutations(doubled))
    plain = run(Engine([*INLINE, *STREAM], TERMS), events)
    again = run(Engine([*INLINE, *STREAM], TERMS, reorder=len(doubled)), shuffled)
    assert again == plain


_WHATS = {"quota": "closed", "wrong-key": "refused", "decoy-model": "refused"} | {
    "undeclared-network": "refused"
}


_ALL = [*INLINE, *(pytest.param(one, marks=pytest.mark.slow) for one in STREAM)]


@pytest.mark.parametrize("detector", _ALL, ids=lambda one: one.KIND)
def test_a_flood_of_subjects_does_not_grow_a_detectors_memory(detector: object) -> None:
    sizes, kind = [], detector.KIND  # type: ignore[attr-defined]
    what = _WHATS.get(kind, "opened")
    reason = "network-outside-chain" if kind == "undeclared-network" else "proof-key"
    engine = Engine([detector], DetectionTerms(), reorder=0)  # type: ignore[list-item]
    for round in range(2):
        for n in range(25_000):
            index = round * 25_000 + n
            one = event(index * 10, f"p{index}", "AS1/NL", "curl/7/Linux", what)
            told = {"organisation": f"o{index}", "reason": reason, "kind": "decoy"}
            more = {"input": 9, "budgets": ((f"l{index}", 1000, DAY),)}
            engine.take(msgspec.structs.replace(one, index=index, **told, **more))
        sizes.append(len(msgspec.msgpack.encode(engine._states[kind])))
    assert sizes[1] <= sizes[0] * 1.1
