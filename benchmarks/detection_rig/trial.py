"""Runs the shipped detectors, in the shipped engine, over one simulated world."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from bailment.detect import many_credentials
from bailment.detect.catalogue import INLINE, STREAM
from bailment.detect.detector import Detector
from bailment.detect.engine import Engine
from bailment.detect.event import Event
from bailment.drills import fleet
from bailment.ledger.detection_records import FindingRaised
from bailment.spec.detection import DetectionTerms
from detection_rig.seeds import DAYS, LATER, LEARNT

#: Of one credential each; `many-credentials` is run over the whole world at once.
ALONE = tuple(one for one in (*INLINE, *STREAM) if one.KIND != many_credentials.KIND)
#: Days on which breaches begin, and for how long one is followed.
BEGINNINGS, FOLLOWED = (22, 24, 28), 5
#: How long after a false alert somebody says that it was in order; between two requests there is
#: room for so many entries of that kind.
JUDGED_MS, STEP = 4 * 3_600_000, 8


class Breach(msgspec.Struct, frozen=True):
    """How one breach went: requests of outsiders up to and with the first that was noticed, ms from
    their first, and by which detector; `requests` is 0 where none was."""

    scenario: str
    bound: bool
    requests: int = 0
    minutes: float = 0.0
    by: str = ""


class World(msgspec.Struct):
    """What one world showed: alerts as (detector, day), one a person, detector and day; `any_days`
    the days of alerts, one a person and day whichever detector it was."""

    seed: int
    recipients: int
    events: int = 0
    alerts: list[tuple[str, int]] = []
    any_days: list[int] = []
    breaches: list[Breach] = []


def engine(detectors: Iterable[Detector[Any]] = ALONE) -> Engine:
    return Engine(detectors, DetectionTerms())


def evaluate(seed: int, recipients: int, scenarios: Iterable[str], *, bound: bool) -> World:
    """Background and breaches of one world; breaches are put on copies of what was learnt."""
    world = fleet.Fleet(seed, recipients, DAYS)
    found = World(seed, recipients)
    for number in range(recipients):
        _recipient(world, number, tuple(scenarios), found, bound)
    crowd = engine((many_credentials,))
    _background(crowd, fleet.events(world.background(), bound=bound, step=STEP), found, False)
    return found


def _recipient(
    world: fleet.Fleet, number: int, scenarios: tuple[str, ...], found: World, bound: bool
) -> None:
    running = engine()
    seen: set[tuple[str, int]] = set()
    begins = BEGINNINGS[number % len(BEGINNINGS)]
    before = fleet.events(world.background(0, begins, {number}), bound=bound, step=STEP)
    indexes = _background(running, before, found, True, seen)
    kept = running.encode()
    for place, scenario in enumerate(scenarios):
        victims = [person for person in world.victims(begins) if person.recipient == number]
        if victims:
            victim = victims[(number * 5 + place * 3) % len(victims)]
            found.breaches.append(_breach(world, scenario, victim, begins, kept, bound))
    after = world.background(begins, DAYS, {number})
    _background(
        running, fleet.events(after, bound=bound, start=indexes, step=STEP), found, True, seen
    )


def _background(
    running: Engine,
    stream: Iterable[Event],
    found: World,
    alone: bool,
    seen: set[tuple[str, int]] | None = None,
) -> int:
    """Take events and count alerts; the index of the event after the last."""
    seen = set() if seen is None else seen
    index = 0
    waiting: list[tuple[int, str]] = []
    for event in stream:
        index = event.index + STEP
        found.events += alone
        if waiting and waiting[0][0] <= event.time:
            _judge(running, waiting, event)
        for record in running.take(event):
            if not isinstance(record, FindingRaised):
                continue
            waiting.append((event.time + JUDGED_MS, record.finding))
            day = (event.time - fleet.EPOCH) // fleet.DAY
            person = event.person
            if day >= LEARNT and (f"{record.kind} {person}", day) not in seen:
                seen.add((f"{record.kind} {person}", day))
                found.alerts.append((record.kind, day))
                if (person, day) not in seen:
                    seen.add((person, day))
                    found.any_days.append(day)
    return index


def _judge(running: Engine, waiting: list[tuple[int, str]], event: Event) -> None:
    """Somebody looked at what was found some hours ago, and it was in order."""
    for place in range(1, STEP):
        if waiting and waiting[0][0] <= event.time:
            _, finding = waiting.pop(0)
            index = event.index - STEP + place
            running.take(Event(index, event.time, "judged", finding=finding, reason="benign"))


def _breach(
    world: fleet.Fleet, scenario: str, victim: fleet.Person, day: int, kept: bytes, bound: bool
) -> Breach:
    running = engine()
    running.decode(kept)
    asks = fleet.merged(
        world.of([victim], day, day + FOLLOWED),
        world.attack(scenario, victim, day, world.seed, FOLLOWED),
    )
    both = list(asks)
    outsiders, begun, made = set[int](), 0, 0
    for ask, event in zip(
        both, fleet.events(both, bound=bound, start=running.mark + STEP), strict=True
    ):
        if ask.outsider:
            begun, made = begun or ask.time, made + 1
            outsiders.add(event.index)
        if event.what == "refused":
            return Breach(scenario, bound, 1, 0.0, "refused")
        for record in running.take(event):
            if outsiders.intersection(record.records):
                kind = record.kind or "again"
                return Breach(scenario, bound, made, (ask.time - begun) / 60_000, kind)
    return Breach(scenario, bound)


def rate(alerts: int, weeks: float) -> tuple[float, float, float]:
    """Alerts a recipient and week with a 95 % interval (Poisson, by Byar's approximation)."""

    def byar(found: int, sign: int) -> float:
        many = found + (sign > 0)
        if not many:
            return 0.0
        return many * (1 - 1 / (9 * many) + sign * 1.96 / (3 * math.sqrt(many))) ** 3

    return alerts / weeks, byar(alerts, -1) / weeks, byar(alerts, 1) / weeks


def share(part: int, whole: int) -> tuple[float, float, float]:
    """A share with a 95 % interval (Wilson)."""
    if not whole:
        return 0.0, 0.0, 1.0
    p, z = part / whole, 1.96
    middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    reach = z * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return p, max(0.0, middle - reach), min(1.0, middle + reach)


def weeks_of(worlds: list[World], first: int, last: int) -> float:
    return sum(world.recipients for world in worlds) * (last - first) / 7


__all__ = ["LATER", "LEARNT", "Breach", "World", "evaluate", "rate", "share", "weeks_of"]
