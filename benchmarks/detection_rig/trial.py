"""Runs the shipped detectors, in the shipped engine, over one simulated world."""

from __future__ import annotations

import math
from collections.abc import Iterable
from random import Random
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
#: Many people's keys at once: on which day, and how many groups of people in a world.
CROWD_DAY, CROWDS = 28, 3
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
    #: Of each person whose key was used among many: which breach, and whether one of the detectors
    #: that look at one credential found it.
    alone: list[tuple[str, bool]] = []


def engine(detectors: Iterable[Detector[Any]] = ALONE) -> Engine:
    return Engine(detectors, DetectionTerms())


def evaluate(
    seed: int, recipients: int, scenarios: Iterable[str], *, bound: bool, judged: bool = True
) -> World:
    """Background and breaches of one world; breaches are put on copies of what was learnt. Nobody
    says of a false alert that it was in order if not `judged`."""
    world = fleet.Fleet(seed, recipients, DAYS)
    found = World(seed, recipients)
    crowds = [] if bound or not judged else list(_crowds(world))
    for number in range(recipients):
        _Recipient(world, number, found, bound, judged).run(tuple(scenarios), crowds)
    crowd = engine((many_credentials,))
    before = fleet.events(world.background(0, CROWD_DAY), bound=bound, step=STEP)
    index = _background(crowd, before, found, False, judged)
    kept = crowd.encode()
    for name, victims, asks in crowds:
        own = world.of(victims, CROWD_DAY, CROWD_DAY + FOLLOWED)
        found.breaches.append(_replay(name, fleet.merged(own, iter(asks)), (crowd, kept), bound))
    after = world.background(CROWD_DAY, DAYS)
    crowd.decode(kept)
    rest = fleet.events(after, bound=bound, start=index, step=STEP)
    _background(crowd, rest, found, False, judged)
    return found


def _crowds(world: fleet.Fleet) -> Iterable[tuple[str, list[fleet.Person], list[fleet.Ask]]]:
    for name, crowd in fleet.CROWDS.items():
        everybody = Random(f"{world.seed}/{name}").sample(
            able := world.victims(CROWD_DAY), min(len(able), CROWDS * crowd.people)
        )
        size = len(everybody) // CROWDS
        for group in range(CROWDS):
            victims = everybody[group * size : (group + 1) * size]
            yield (
                name,
                victims,
                fleet.crowd_asks(crowd, victims, world.seed, CROWD_DAY, group, FOLLOWED),
            )


class _Recipient:
    """One recipient's weeks."""

    def __init__(
        self, world: fleet.Fleet, number: int, found: World, bound: bool, judged: bool
    ) -> None:
        self.world, self.number, self.found = world, number, found
        self.bound, self.judged = bound, judged
        self.engine, self.seen, self.index = engine(), set[tuple[str, int]](), 0

    def run(
        self,
        scenarios: tuple[str, ...],
        crowds: list[tuple[str, list[fleet.Person], list[fleet.Ask]]],
    ) -> None:
        begins = BEGINNINGS[self.number % len(BEGINNINGS)]
        self._weeks(0, begins)
        self._breaches(scenarios, begins)
        self._weeks(begins, CROWD_DAY)
        kept = self.engine.encode()
        for name, victims, asks in crowds:
            for victim in (one for one in victims if one.recipient == self.number):
                theirs = iter([ask for ask in asks if ask.person == victim.number])
                own = self.world.of([victim], CROWD_DAY, CROWD_DAY + FOLLOWED)
                one = _replay(name, fleet.merged(own, theirs), (engine(), kept), self.bound)
                self.found.alone.append((name, one.requests > 0))
        self._weeks(CROWD_DAY, DAYS)

    def _weeks(self, first: int, last: int) -> None:
        if first == last:
            return
        asks = self.world.background(first, last, {self.number})
        stream = fleet.events(asks, bound=self.bound, start=self.index, step=STEP)
        self.index = max(
            self.index,
            _background(self.engine, stream, self.found, True, self.judged, self.seen),
        )

    def _breaches(self, scenarios: tuple[str, ...], day: int) -> None:
        kept, world = self.engine.encode(), self.world
        victims = [one for one in world.victims(day) if one.recipient == self.number]
        for place, scenario in enumerate(scenarios if victims else ()):
            victim = victims[(self.number * 5 + place * 3) % len(victims)]
            asks = fleet.merged(
                world.of([victim], day, day + FOLLOWED),
                world.attack(scenario, victim, day, world.seed, FOLLOWED),
            )
            self.found.breaches.append(_replay(scenario, asks, (engine(), kept), self.bound))


def _background(
    running: Engine,
    stream: Iterable[Event],
    found: World,
    alone: bool,
    judged: bool,
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
            if judged:
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


def _replay(
    scenario: str, asks: Iterable[fleet.Ask], learnt: tuple[Engine, bytes], bound: bool
) -> Breach:
    """A breach among its holder's requests, by an engine that takes up what was learnt."""
    running, kept = learnt
    running.decode(kept)
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


def quantile(ordered: list[float], part: float) -> tuple[float, float, float]:
    """A quantile with a 95 % interval, by the order of what was seen (binomial)."""
    last, many = len(ordered) - 1, len(ordered)
    reach = 1.96 * math.sqrt(many * part * (1 - part))
    places = (many * part, many * part - reach, many * part + reach)
    found, low, high = (ordered[min(last, max(0, int(place)))] for place in places)
    return found, low, high


def weeks_of(worlds: list[World], first: int, last: int) -> float:
    return sum(world.recipients for world in worlds) * (last - first) / 7


__all__ = [
    "LATER",
    "LEARNT",
    "Breach",
    "World",
    "evaluate",
    "quantile",
    "rate",
    "share",
    "weeks_of",
]
