"""Detectors that score: what they remember is bounded, a model is read with care, and in a small
world the breach is found at its first request while everyday work stays within the budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bailment.detect import actor_cluster, habits, many_credentials, model, relay
from bailment.detect.catalogue import INLINE, STREAM
from bailment.detect.engine import Engine
from bailment.detect.event import Event
from bailment.drills import fleet
from bailment.errors import FormatError
from bailment.ledger.context import Context
from bailment.ledger.detection_records import FindingRaised
from bailment.spec.detection import RULES, DetectionTerms

SCORING: tuple[Any, ...] = (actor_cluster, relay, many_credentials)
CARD = Path(__file__).parents[2] / "docs/model-card.md"


def _sizes(value: Any) -> int:
    """How many entries the tables within a state have."""
    if isinstance(value, dict):
        return len(value) + sum(map(_sizes, value.values()))
    return sum(map(_sizes, value)) if isinstance(value, list) else 0


def _flood(number: int) -> Event:
    context = Context(
        *(number + 1, f"{number % 600}", "", f"p{number}", f"c{number}", f"{number}"),
        workspace=f"w{number}",
        conversation=f"v{number}",
    )
    time = 1_800_000_000_000 + number * 60_000
    return Event(number, time, "opened", "r", "o", "ana", "d", "d", context=context)


@pytest.mark.parametrize("detector", SCORING, ids=lambda one: one.KIND)
def test_what_is_remembered_of_a_person_is_bounded(detector: Any) -> None:
    state, terms, sizes = detector.begin(RULES[detector.KIND]), RULES[detector.KIND], []
    for number in range(6_000):
        state, _ = detector.step(state, _flood(number), _flood(number).time, terms)
        if number in (2_999, 5_999):
            sizes.append(_sizes(msgspec.to_builtins(getattr(state, "people", {}))))
    assert sizes[0] == sizes[1] < 1_000


def test_ages_and_counts_do_not_grow_with_time() -> None:
    person, shared = habits.Habits(), habits.Shared()
    numbers = []
    for day in range(400):
        event = msgspec.structs.replace(_flood(0), time=_flood(0).time + day * habits.DAY)
        numbers.append(habits.look(person, shared, event, event.time))
        habits.learn(person, shared, event, event.time)
    assert len(numbers[0]) == len(habits.FEATURES)
    assert numbers[-1] == numbers[210]


@pytest.mark.parametrize(
    "trees",
    [
        [[]],
        [[[0, 1.0, 0, 1], [-1, 1.0, 0, 0]]],
        [[[0, 1.0, 1, 7], [-1, 1.0, 0, 0]]],
        [[[9, 1.0, 1, 1]]],
    ],
    ids=["empty", "back to itself", "beyond the end", "an unknown feature"],
)
def test_a_model_that_leads_nowhere_is_refused(trees: list[Any]) -> None:
    made = {"name": "m", "trained": "t", "features": ["a"], "base": 0.0, "trees": trees}
    with pytest.raises(FormatError):
        model.model_of(msgspec.json.encode(made), ("a",))


def test_a_model_is_for_its_features_and_scores_in_millionths() -> None:
    tree = [[0, 0.5, 1, 2], [-1, -50.0, 0, 0], [-1, 50.0, 0, 0]]
    made = {"name": "m", "trained": "t", "features": ["a"], "base": 0.0, "trees": [tree]}
    read = model.model_of(msgspec.json.encode(made), ("a",))
    assert (read.score([0.0]), read.score([1.0])) == (0, 999_999)
    with pytest.raises(FormatError):
        model.model_of(msgspec.json.encode(made), ("b",))
    with pytest.raises(FormatError):
        model.model_of(b"{", ("a",))


def test_the_card_says_what_the_shipped_models_are_and_from_when_on_they_count() -> None:
    said = CARD.read_text()
    for name, detector in (("actor_cluster", actor_cluster), ("relay", relay)):
        assert model.shipped(name, habits.FEATURES).trained in said
        assert f"{RULES[detector.KIND].threshold:,}" in said
    assert all(f"`{feature}`" in said for feature in habits.FEATURES)


@pytest.mark.slow
def test_outsiders_are_found_at_the_first_request_and_everyday_work_is_left_alone() -> None:
    world = fleet.Fleet(1301, 2, 28)
    for recipient in range(2):
        engine = Engine((*INLINE, *STREAM), DetectionTerms())
        false = _judging(engine, list(fleet.events(world.background(0, 21, {recipient}), step=4)))
        assert sum(day >= 14 for day in false) <= 1
        victim = next(one for one in world.victims(21) if one.recipient == recipient)
        first = next(world.attack("A", victim, 21, seed=5))
        (event,) = fleet.events([first], start=engine.mark)
        records = [one for one in engine.take(event) if isinstance(one, FindingRaised)]
        assert any(event.index in one.records for one in records)


def _judging(engine: Engine, events: list[Event]) -> list[int]:
    """The days of findings, of each of which somebody says at once that it was in order."""
    days = []
    for event in events:
        for found in engine.take(event):
            if isinstance(found, FindingRaised):
                days.append((event.time - fleet.EPOCH) // fleet.DAY)
                said = Event(engine.mark, event.time, "judged", finding=found.finding)
                engine.take(msgspec.structs.replace(said, reason="benign"))
    return days
