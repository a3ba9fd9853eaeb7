"""A simulated fleet: recipients that mean no harm, and breaches among them; seeded, in order.

    world = Fleet(seed=1, recipients=50, days=35)
    events(world.background())                       # weeks of requests, lazily
    events(world.attack("A", world.victims(20)[0], 20, seed=7))

What it takes for granted is in `assumptions.py`; what is measured, in `ground.py`.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from random import Random

from bailment.drills.fleet.asks import Ask, Client, context_of, events
from bailment.drills.fleet.assumptions import ASSUMED, Assumption
from bailment.drills.fleet.breaches import SCENARIOS, Scenario, asks_of
from bailment.drills.fleet.clients import DAY
from bailment.drills.fleet.crowd import CROWDS, Crowd, crowd_asks
from bailment.drills.fleet.days import EPOCH, day_of
from bailment.drills.fleet.people import Person, people

__all__ = [
    "ASSUMED",
    "CROWDS",
    "DAY",
    "EPOCH",
    "SCENARIOS",
    "Ask",
    "Assumption",
    "Client",
    "Crowd",
    "Fleet",
    "Person",
    "Scenario",
    "attack",
    "background",
    "context_of",
    "crowd_asks",
    "events",
    "merged",
]


class Fleet:
    """Recipients and their people over `days` days from `EPOCH` on."""

    def __init__(self, seed: int, recipients: int = 50, days: int = 35) -> None:
        self.seed, self.days = seed, days
        self.staff = people(seed, recipients, days)

    def background(
        self, first: int = 0, last: int | None = None, recipients: Collection[int] | None = None
    ) -> Iterator[Ask]:
        """What all, or the recipients named, ask on days `first` to before `last`, in order.

        It is the same request for request whichever part is asked for.
        """
        staff = [
            person
            for number, group in enumerate(self.staff)
            if recipients is None or number in recipients
            for person in group
        ]
        return self.of(staff, first, self.days if last is None else last)

    def of(self, staff: Sequence[Person], first: int, last: int) -> Iterator[Ask]:
        """The same of the people named."""
        waiting: list[Ask] = []
        since = EPOCH + first * DAY
        # A day of somebody's calendar reaches half a day into the one before, and sessions into
        # the next.
        for day in range(first - 2, last + 1):
            for person in staff:
                waiting += day_of(person, self.seed, day)
            waiting.sort(key=_when)
            until = EPOCH + min(day, last) * DAY
            done = next((n for n, ask in enumerate(waiting) if ask.time >= until), len(waiting))
            yield from (ask for ask in waiting[:done] if ask.time >= since)
            del waiting[:done]

    def victims(self, day: int, settled: int = 14) -> list[Person]:
        """Whose access a breach on `day` can use: those at work for so many days by then."""
        return [
            person
            for group in self.staff
            for person in group
            if person.first <= day - settled and person.last >= day + 7
        ]

    def attack(
        self, scenario: str, victim: Person, start: int, seed: int, days: int = 7
    ) -> Iterator[Ask]:
        """The requests of a breach that begins on day `start`, in order."""
        return asks_of(SCENARIOS[scenario], victim, self.seed, start, seed, days)


def background(seed: int, weeks: int = 5, recipients: int = 50) -> Iterator[Ask]:
    """Weeks of requests that mean no harm, in order."""
    return Fleet(seed, recipients, weeks * 7).background()


def attack(fleet: Fleet, scenario: str, start: int, seed: int) -> Iterator[Ask]:
    """A breach of one of the fleet's people, whom the seed picks."""
    return fleet.attack(scenario, Random(seed).choice(fleet.victims(start)), start, seed)


def merged(*streams: Iterator[Ask]) -> Iterator[Ask]:
    """Streams in order as one in order."""
    return heapq.merge(*streams, key=_when)


def _when(ask: Ask) -> int:
    return ask.time
