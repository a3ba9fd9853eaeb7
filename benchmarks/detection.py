"""What the detectors find in simulated fleets, and what they find wrongly.

    nice -n 19 python benchmarks/detection.py             # the whole table
    python benchmarks/detection.py --quick                # two small worlds, under a minute
    ... [--seeds 9001,9002] [--recipients 30] [--json] [--write docs/detection-evaluation.md]

Worlds of 35 days: 14 to learn from, 7 of which the budget is measured, 14 later ones that are
reported. All recipients are ones that no model was trained on. Breaches begin on days 22, 24 and 28
and are followed for five days, each on a copy of what had been learnt by then.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
from detection_rig.seeds import DAYS, EVALUATION, LATER, LEARNT
from detection_rig.trial import Breach, World, evaluate, rate, share, weeks_of

from bailment.drills.fleet import SCENARIOS, assumptions

BEGIN, END = "<!-- {}: written by benchmarks/detection.py -->", "<!-- end -->"
Interval = tuple[float, float, float]


def trial(job: tuple[int, int, bool]) -> World:
    seed, recipients, bound = job
    return evaluate(seed, recipients, SCENARIOS, bound=bound)


def alerts(worlds: list[World]) -> list[tuple[str, Interval, Interval]]:
    """False alerts a recipient and week: by detector and of all, in the week of the budget and in
    later ones."""
    early, later = weeks_of(worlds, LEARNT, LATER), weeks_of(worlds, LATER, DAYS)
    found = [one for world in worlds for one in world.alerts]
    any_days = [("any, once a person and day", day) for world in worlds for day in world.any_days]
    rows = []
    for kind in [*sorted({kind for kind, _ in found}), "any, once a person and day"]:
        days = [day for name, day in (*found, *any_days) if name == kind]
        rows.append(
            (
                kind,
                rate(sum(day < LATER for day in days), early),
                rate(sum(day >= LATER for day in days), later),
            )
        )
    return rows


def outcome(breaches: list[Breach]) -> dict[str, object]:
    """Of breaches of one scenario."""
    noticed = [one for one in breaches if one.requests]
    requests = sorted(one.requests for one in noticed)
    minutes = sorted(one.minutes for one in noticed)
    by = Counter(one.by for one in noticed).most_common(3)
    return {
        "breaches": len(breaches),
        "recall": share(len(noticed), len(breaches)),
        "within_12": share(sum(count <= 12 for count in requests), len(breaches)),
        "requests": (statistics.median(requests), _p90(requests)) if noticed else None,
        "minutes": (statistics.median(minutes), _p90(minutes)) if noticed else None,
        "by": {kind: count / len(breaches) for kind, count in by},
    }


def _p90(ordered: list[int] | list[float]) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)]


def _said(interval: Interval) -> str:
    return f"{interval[0]:.2f} ({interval[1]:.2f} to {interval[2]:.2f})"


def _time(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def tables(found: dict[str, list[World]]) -> str:
    """Everything as tables in Markdown."""
    lines: list[str] = []
    for kind, worlds in found.items():
        people = f"{sum(world.events for world in worlds):,} requests"
        seeds = ", ".join(str(world.seed) for world in worlds)
        size = f"{worlds[0].recipients} recipients each, worlds {seeds}"
        lines += ["", f"**{kind}**: {size}; {people} that mean no harm.", ""]
        lines += [
            "| false alerts a recipient and week | third week | later weeks |",
            "|---|---|---|",
        ]
        lines += [f"| {name} | {_said(one)} | {_said(two)} |" for name, one, two in alerts(worlds)]
        lines += [
            "",
            "| breach | recall | within 12 requests | requests: median, p90 | ... time | by |",
        ]
        lines += ["|---|---|---|---|---|---|"]
        for name, scenario in SCENARIOS.items():
            breaches = [b for world in worlds for b in world.breaches if b.scenario == name]
            lines.append(f"| **{name}** {scenario.says} ({len(breaches)}) | {_row(breaches)} |")
    return "\n".join(lines)


def _row(breaches: list[Breach]) -> str:
    told = outcome(breaches)
    requests, minutes, by = told["requests"], told["minutes"], told["by"]
    assert isinstance(by, dict)
    cells = [_said(told["recall"]), _said(told["within_12"])]  # type: ignore[arg-type]
    if isinstance(requests, tuple) and isinstance(minutes, tuple):
        cells += [f"{requests[0]:g}, {requests[1]:g}", ", ".join(map(_time, minutes))]
    else:
        cells += ["", ""]
    return " | ".join([*cells, ", ".join(f"{kind} {part:.2f}" for kind, part in by.items())])


def write(page: Path, name: str, text: str) -> None:
    """Put a text between its marks on a page."""
    before, mark, rest = page.read_text().partition(BEGIN.format(name))
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{mark}\n{text.strip()}\n\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", default=",".join(map(str, EVALUATION)))
    parser.add_argument("--recipients", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="two worlds of six recipients")
    parser.add_argument("--jobs", type=int, default=1, help="worlds at once")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, help="a page whose tables are written anew")
    parser.add_argument("--read", type=Path, help="what an earlier run wrote as JSON")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    recipients = options.recipients
    if options.quick:
        seeds, recipients = [1301, 1302], 6
    jobs = (
        []
        if options.read
        else [(seed, recipients, bound) for bound in (False, True) for seed in seeds]
    )
    with ProcessPoolExecutor(options.jobs) as pool:
        worlds = list(pool.map(trial, jobs))
    found = {"Bearer keys": worlds[: len(seeds)], "Bound keys": worlds[len(seeds) :]}
    if options.read:
        found = msgspec.json.decode(options.read.read_bytes(), type=dict[str, list[World]])
    if options.json:
        print(json.dumps(msgspec.to_builtins(found)))
    else:
        print(tables(found))
    if options.write:
        write(options.write, "tables", tables(found))
        write(options.write, "assumptions", assumptions.table())


if __name__ == "__main__":
    main()
