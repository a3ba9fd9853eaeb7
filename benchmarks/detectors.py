"""What detectors cost: events a second on one core, and a request's share of it.

    python benchmarks/detectors.py [--json]

Each detector alone, then those of the gateway and those of the worker together through the engine,
over the same stream: 50 organisations of 20 people who work from home, office and on the road, with
ends and refusals among their requests, and one prompt in thirty never seen before. The time of one
event is measured 200,000 times, after 50,000 of the same that nobody counts; it is the CPU's, so
that other processes do not count.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from typing import Any

import msgspec

from bailment.detect.catalogue import INLINE, STREAM
from bailment.detect.engine import Engine
from bailment.detect.event import Event
from bailment.detect.sample import DAY, START, event
from bailment.spec.detection import DetectionTerms

WARM, COUNT = 50_000, 200_000
_CLIENTS = ("openai-python/2.1/Linux x64", "openai-python/2.2/MacOS arm64", "anthropic/1.0/Linux")
_REFUSED = ("proof-missing", "network-outside-chain", "held", "model-outside-chain")


def stream(seed: int) -> list[Event]:
    """Events of four weeks; a request has its beginning and its end."""
    draw = random.Random(seed)
    events: list[Event] = []
    step = 28 * DAY // (WARM + COUNT)
    for index in range(WARM + COUNT):
        who = draw.randrange(1000)
        company = who // 20
        where = draw.choices(
            [f"AS{10_000 + who}/NL", f"AS{20_000 + company}/NL", f"AS{draw.randrange(900)}/DE"],
            [45, 50, 5],
        )[0]
        what = draw.choices(["opened", "closed", "refused"], [49, 49, 2])[0]
        client = _CLIENTS[who % 3] if draw.random() < 0.97 else draw.choice(_CLIENTS)
        one = event(index * step, f"p{who}", where, client, what)
        context = msgspec.structs.replace(one.context, workspace=_prompt(draw, who))
        told: dict[str, Any] = {
            "index": index,
            "recipient": f"o{company}",
            "organisation": f"o{company}",
            "context": context,
            "reason": draw.choice(_REFUSED) if what == "refused" else "",
            "output": draw.randrange(2000) if what == "closed" else 0,
            "budgets": ((f"l{company}", 10**9, DAY), (f"lp{who}", 10**8, DAY)),
        }
        events.append(msgspec.structs.replace(one, **told))
    assert events[0].time == START
    return events


def _prompt(draw: random.Random, who: int) -> str:
    return f"w{who % 50}" if draw.random() < 0.97 else f"w{draw.randrange(1_000_000)}"


def measure(kinds: list[Any], events: list[Event]) -> dict[str, float]:
    """Microseconds an event, and how many a second."""
    engine = Engine(kinds, DetectionTerms())
    for one in events[:WARM]:
        engine.take(one)
    gc.collect()
    gc.disable()
    spent = []
    clock = time.thread_time_ns
    for one in events[WARM:]:
        began = clock()
        engine.take(one)
        spent.append(clock() - began)
    gc.enable()
    spent.sort()
    return {
        "p50_us": spent[len(spent) // 2] / 1000,
        "p99_us": spent[len(spent) * 99 // 100] / 1000,
        "p99.9_us": spent[len(spent) * 999 // 1000] / 1000,
        "events_per_s": round(len(spent) * 1e9 / sum(spent)),
        "state_kb": round(len(engine.encode()) / 1000),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    events = stream(1)
    rows = {one.KIND: measure([one], events) for one in (*INLINE, *STREAM)}
    rows["all of the gateway"] = measure(list(INLINE), events)
    rows["all of the worker"] = measure(list(STREAM), events)
    if asked.json:
        print(json.dumps(rows, indent=2))
        return
    names = list(rows["all of the gateway"])
    print(f"{'':24}" + "".join(f"{name:>14}" for name in names))
    for kind, row in rows.items():
        print(f"{kind:24}" + "".join(f"{row[name]:>14,.1f}" for name in names))


if __name__ == "__main__":
    main()
