"""The one place that reads the time."""

from __future__ import annotations

import time
from time import CLOCK_BOOTTIME, clock_gettime


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def steady_ms() -> float:
    """Milliseconds since some moment, by a clock that nobody can set and that counts while the
    machine sleeps."""
    return clock_gettime(CLOCK_BOOTTIME) * 1000
