"""The one place that reads the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import CLOCK_BOOTTIME, clock_gettime

#: What a lab adds to the time, ms; 0 everywhere else.
_ahead = 0


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000 + _ahead


def steady_ms() -> float:
    """Milliseconds since some moment, by a clock that nobody can set and that counts while the
    machine sleeps."""
    return clock_gettime(CLOCK_BOOTTIME) * 1000


@contextmanager
def simulated() -> Iterator[Callable[[int], None]]:
    """For labs, whose issuer is the only one in this process: what moves the time forward to a
    moment (ms), from where it goes on as always. At the end it is the real time again."""

    def move(moment: int) -> None:
        global _ahead
        _ahead += max(0, moment - now_ms())

    global _ahead
    try:
        yield move
    finally:
        _ahead = 0
