"""What `relay` must find, and what not."""

from __future__ import annotations

from bailment.detect.actor_cluster_samples import _HOME, _MINE, _asks, _usual
from bailment.detect.sample import DAY, HOUR, MINUTE, Sample, in_order

_NIGHT, _LATE = 10 * DAY + 2 * HOUR, 10 * DAY + 23 * HOUR

SAMPLES = (
    Sample(
        "late in the evening four prompts never seen before",
        in_order(
            *_usual(),
            *(_asks(_LATE + n * 7 * MINUTE, _HOME, _MINE, f"strange-{n}") for n in range(4)),
        ),
        ("device:ana-laptop",),
    ),
    Sample("the same work day after day", in_order(*_usual())),
    Sample(
        "a new task, by day",
        in_order(
            *_usual(), *(_asks(10 * DAY + (9 + n) * HOUR, _HOME, _MINE, "new") for n in range(6))
        ),
    ),
    Sample(
        "a late evening on a task in hand",
        in_order(
            *_usual(), *(_asks(_NIGHT + n * MINUTE, _HOME, _MINE, "ana-0") for n in range(12))
        ),
    ),
    Sample(
        "whoever came yesterday is learnt",
        in_order(*(_asks(n * MINUTE, _HOME, _MINE, f"b-{n % 5}", "ben") for n in range(30))),
    ),
)
