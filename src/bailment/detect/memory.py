"""Tables that detectors remember in: what was seen longest ago is forgotten first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from bailment.detect.event import Event

_APART = 32
_DEVICES = 10_000
T = TypeVar("T")


def entry(table: dict[str, T], name: str, most: int, make: Callable[[], T]) -> T:
    """What a table of at most so many entries has under a name, made if need be; it is then the
    last that will be forgotten."""
    found = table.pop(name, None)
    if found is None:
        found = make()
        if len(table) >= most:
            del table[next(iter(table))]
    table[name] = found
    return found


def touch(table: dict[str, int], name: str, now: int, most: int) -> None:
    """Remember that a name was seen now, in a table of at most so many."""
    table.pop(name, None)
    if len(table) >= most:
        del table[next(iter(table))]
    table[name] = now


def recent(table: dict[str, int], name: str, now: int, window: int) -> bool:
    """Whether a name was seen within the window."""
    seen = table.get(name)
    return seen is not None and now - seen <= window


def expire(table: dict[str, int], now: int, window: int) -> None:
    """Forget what was seen before the window; the table is in the order of sight."""
    while table:
        oldest = next(iter(table))
        if now - table[oldest] <= window:
            return
        del table[oldest]


class Tally(msgspec.Struct):
    """How often something was seen within a window: at most 32 times are kept apart."""

    seen: list[tuple[int, int, int]] = []  # time, count, entry

    def add(self, event: Event, now: int, window: int) -> int:
        """How often it was seen within the window, with this event."""
        self.seen = [one for one in self.seen if now - one[0] <= window]
        if len(self.seen) >= _APART:
            (time, count, _), (_, more, index) = self.seen[:2]
            self.seen[:2] = [(time, count + more, index)]
        self.seen.append((now, event.count, event.index))
        return sum(count for _, count, _ in self.seen)

    @property
    def since(self) -> int:
        """When it was first seen of what is counted, ms."""
        return self.seen[0][0]

    @property
    def records(self) -> tuple[int, ...]:
        """In which entries."""
        return tuple(index for _, _, index in self.seen)


class Tallies(msgspec.Struct):
    """How often something was seen of each device; of at most 10,000."""

    devices: dict[str, Tally] = {}

    def add(self, event: Event, now: int, window: int) -> tuple[Tally, int]:
        """The tally of an event's device, and how often it was seen within the window with this."""
        tally = entry(self.devices, event.device, _DEVICES, Tally)
        return tally, tally.add(event, now, window)
