"""Requests that arrive whether or not the ones before were answered: an open loop.

    python arrivals.py RATE SECONDS CORE

writes, at each arrival, the moment it is due as 8 bytes: nanoseconds of the system's monotonic
clock, which all processes share. Gaps are exponential, as of many independent clients. It runs on
a core of its own, so that a busy log cannot slow down its own load.
"""

from __future__ import annotations

import os
import random
import struct
import sys
import time

LEAD_NS = 300_000_000


def main(rate: float, seconds: float) -> None:
    chance = random.Random(1)
    due = time.monotonic_ns() + LEAD_NS
    end = due + int(seconds * 1e9)
    while due < end:
        while (left := due - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        os.write(1, struct.pack("<q", due))
        due += int(chance.expovariate(rate) * 1e9)


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[3])})
    main(float(sys.argv[1]), float(sys.argv[2]))
