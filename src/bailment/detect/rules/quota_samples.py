"""What `quota` must find, and what not."""

from __future__ import annotations

from typing import Any

from bailment.detect.event import Event
from bailment.detect.sample import DAY, HOUR, Sample, event, in_order

_BUDGET = (("l-acme", 1_000_000, DAY),)


def _closed(at: int, tokens: int, person: str = "ana", **more: Any) -> Event:
    return event(at, person, what="closed", input=tokens, **more)


def _days(tokens: int) -> list[Event]:
    return [_closed(day * DAY, tokens) for day in range(6)]


SAMPLES = (
    Sample(
        "four fifths of a link's budget",
        in_order(*(_closed(hour * HOUR, 250_000, budgets=_BUDGET) for hour in range(4))),
        ("link:l-acme",),
    ),
    Sample(
        "a person uses ten times what they ever did",
        in_order(*_days(30_000), _closed(6 * DAY, 300_000), _closed(6 * DAY + 1, 300_000)),
        ("person:ana",),
    ),
    Sample(
        "each day most of the budget, but not all",
        in_order(*(_closed(day * DAY, 700_000, budgets=_BUDGET) for day in range(4))),
    ),
    Sample("a busy day", in_order(*_days(30_000), _closed(6 * DAY, 250_000))),
    Sample("ten times nearly nothing", in_order(*_days(1000), _closed(6 * DAY, 50_000))),
    Sample("a new colleague's first big day", in_order(_closed(0, 100), _closed(DAY, 900_000))),
)
