"""Trains the two models of detection on simulated fleets, and sets their thresholds.

    uv venv ENV && uv pip install --python ENV scikit-learn==1.9.1 -e .
    nice -n 19 ENV/bin/python benchmarks/train_detection.py [--budget 0.03] [--recipients 30]

Written are `src/bailment/detect/data/{actor_cluster,relay}.json`, and printed are the thresholds
for `spec/detection.py` with what they were measured at. Takes about five minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy
from detection_rig.seeds import CALIBRATION, DAYS, LEARNT, TRAINING
from sklearn.ensemble import HistGradientBoostingClassifier

from bailment.detect import actor_cluster, habits, model, relay
from bailment.detect.event import Event
from bailment.drills import fleet
from bailment.drills.fleet.breaches import SCENARIOS, Scenario, asks_of

DATA = Path(model.__file__).parent / "data"
DETECTORS = {"actor_cluster": actor_cluster, "relay": relay}
#: What each model learns to tell from everyday work: breaches of the evaluation, and one that is
#: none. B, C, E, G and K are never learnt from.
LEARNS = {"actor_cluster": ("A", "V", "two of the same country"), "relay": ("D", "D0")}
OTHERS = {
    "two of the same country": Scenario("", 2, "bearer", "country", "", 0.7, 10, "any"),
}
#: What no tree goes by: that only people of 14 days and more are attacked is the simulation's.
HIDDEN = ("age", "count")
#: Rows of one breach that are learnt from, and days that it is followed.
FIRST, FOLLOWED = 30, 3
Rows = dict[str, list[tuple[list[float], int, str]]]


def gather(job: tuple[int, int]) -> Rows:
    """Of one world what each model would be asked: numbers, outsider or 0, and whose day."""
    seed, recipients = job
    world = fleet.Fleet(seed, recipients, DAYS)
    found: Rows = {name: [] for name in DETECTORS}
    for number in range(recipients):
        state = habits.State()
        for day in range(DAYS):
            if day in (16, 20, 24, 28):
                _breaches(world, number, day, state, found)
            asks = list(world.background(day, day + 1, {number}))
            kept = found if day >= LEARNT else None
            for ask, event in zip(asks, fleet.events(asks), strict=True):
                _look(state, ask, event, day, kept, tuple(DETECTORS))
    return found


def _breaches(world: fleet.Fleet, number: int, day: int, state: habits.State, found: Rows) -> None:
    victims = [person for person in world.victims(day) if person.recipient == number]
    kept = msgspec.msgpack.encode(state)
    for name, scenarios in LEARNS.items():
        for place, scenario in enumerate(scenarios):
            if not victims:
                return
            victim = victims[(day * 7 + place * 3) % len(victims)]
            copy = msgspec.msgpack.decode(kept, type=habits.State)
            asks = fleet.merged(
                world.of([victim], day, day + FOLLOWED),
                asks_of(
                    (SCENARIOS | OTHERS)[scenario],
                    victim,
                    world.seed,
                    day,
                    world.seed + day,
                    FOLLOWED,
                ),
            )
            both = list(asks)
            rows: Rows = {name: []}
            for ask, event in zip(both, fleet.events(both), strict=True):
                _look(copy, ask, event, day, rows, (name,))
            found[name] += [row for row in rows[name] if row[1]][:FIRST]


def _look(
    state: habits.State,
    ask: fleet.Ask,
    event: Event,
    day: int,
    kept: Rows | None,
    names: tuple[str, ...],
) -> None:
    person, shared = habits.of(state, event)
    numbers = habits.look(person, shared, event, event.time)
    habits.learn(person, shared, event, event.time)
    for name in names if kept is not None else ():
        if kept is not None and DETECTORS[name].looked_at(numbers):
            kept[name].append((numbers, ask.outsider, f"{event.person}/{day}"))


def trained(name: str, rows: list[tuple[list[float], int, str]]) -> model.Model:
    """Trees that tell outsiders' rows from all others; both weigh the same."""
    numbers = numpy.array([row[0] for row in rows])
    for hidden in HIDDEN:
        numbers[:, habits.AT[hidden]] = 0.0
    outsider = numpy.array([row[1] > 0 for row in rows])
    weights = numpy.where(outsider, (~outsider).sum() / max(1, outsider.sum()) / 4, 1.0)
    found: Any = HistGradientBoostingClassifier(
        max_iter=120,
        learning_rate=0.08,
        max_leaf_nodes=12,
        min_samples_leaf=60,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=0,
    ).fit(numbers, outsider, sample_weight=weights)
    trees = tuple(
        tuple(
            (-1, round(float(node["value"]), 4), 0, 0)
            if node["is_leaf"]
            else (
                int(node["feature_idx"]),
                round(float(node["num_threshold"]), 6),
                int(node["left"]),
                int(node["right"]),
            )
            for node in tree[0].nodes
        )
        for tree in found._predictors
    )
    said = (
        f"worlds {', '.join(map(str, TRAINING))}; {int(outsider.sum())} requests of breaches "
        f"{', '.join(LEARNS[name])}, {int((~outsider).sum())} of everyday work"
    )
    return model.Model(name, said, habits.FEATURES, float(found._baseline_prediction[0][0]), trees)


def threshold(
    made: model.Model, rows: list[tuple[list[float], int, str]], weeks: float, budget: float
) -> tuple[int, float]:
    """The least score that stays within the budget of alerts a recipient and week, and how many
    there are then; one alert a person and day."""
    highest: dict[str, int] = {}
    for numbers, outsider, day in rows:
        if not outsider:
            highest[day] = max(highest.get(day, 0), made.score(numbers))
    ordered = sorted(highest.values(), reverse=True)
    allowed = math.floor(budget * weeks)
    limit = ordered[allowed] + 1 if allowed < len(ordered) else 1
    return limit, sum(score >= limit for score in ordered) / weeks


def _all(seeds: tuple[int, ...], recipients: int) -> Iterator[Rows]:
    with ProcessPoolExecutor(2) as pool:
        yield from pool.map(gather, [(seed, recipients) for seed in seeds])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=0.03)
    parser.add_argument("--recipients", type=int, default=30)
    options = parser.parse_args()
    worlds = list(_all(TRAINING + CALIBRATION, options.recipients))
    weeks = len(CALIBRATION) * options.recipients * (DAYS - LEARNT) / 7
    for name in DETECTORS:
        rows = [row for world in worlds[: len(TRAINING)] for row in world[name]]
        held = [row for world in worlds[len(TRAINING) :] for row in world[name]]
        made = trained(name, rows)
        (DATA / f"{name}.json").write_text(
            json.dumps(msgspec.to_builtins(made), separators=(",", ":")).replace("]],[[", "]],\n[[")
            + "\n"
        )
        limit, measured = threshold(made, held, weeks, options.budget)
        caught = [made.score(row[0]) >= limit for row in held if row[1]]
        print(
            f"{name}: {made.trained}; threshold {limit}, {measured:.3f} alerts a recipient and "
            f"week over {weeks:.0f} weeks, {sum(caught) / max(1, len(caught)):.3f} of requests"
        )


if __name__ == "__main__":
    main()
