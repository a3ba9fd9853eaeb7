"""What the detectors find in simulated fleets, and what they find wrongly.

    nice -n 19 python benchmarks/detection.py             # the whole table
    python benchmarks/detection.py --quick                # two small worlds, under a minute
    ... [--seeds 9001,9002] [--recipients 24] [--json] [--write docs/detection-evaluation.md]

Worlds of 35 days: 14 to learn from, 7 of which the budget is measured, 14 later ones that are
reported. All recipients are ones that no model was trained on. Breaches begin on days 22, 24 and 28
and are followed for five days, each on a copy of what had been learnt by then.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
from detection_rig.seeds import DAYS, EVALUATION, LATER, LEARNT
from detection_rig.trial import Breach, World, evaluate, quantile, rate, share, weeks_of

from bailment.drills.fleet import CROWDS, SCENARIOS, assumptions

BEGIN, END = "<!-- {}: written by benchmarks/detection.py -->", "<!-- end -->"
Interval = tuple[float, float, float]


#: What is run of each world, as (keys are bound, false alerts are judged).
FORMS = {
    "Bearer keys": (False, True),
    "Bound keys": (True, True),
    "Bearer keys, and nobody judges": (False, False),
}


def trial(job: tuple[int, int, str]) -> World:
    seed, recipients, form = job
    bound, judged = FORMS[form]
    scenarios = SCENARIOS if judged else ()
    return evaluate(seed, recipients, scenarios, bound=bound, judged=judged)


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


class Outcome(msgspec.Struct, frozen=True):
    """Of breaches of one scenario: shares, then median and 90th percentile of those noticed."""

    recall: Interval
    within_12: Interval
    requests: list[Interval]
    minutes: list[Interval]
    by: dict[str, float]


def outcome(breaches: list[Breach]) -> Outcome:
    noticed = [one for one in breaches if one.requests]
    requests = sorted(float(one.requests) for one in noticed)
    minutes = sorted(one.minutes for one in noticed)
    by = Counter(one.by for one in noticed).most_common(3)
    return Outcome(
        share(len(noticed), len(breaches)),
        share(sum(count <= 12 for count in requests), len(breaches)),
        [quantile(requests, part) for part in (0.5, 0.9)] if noticed else [],
        [quantile(minutes, part) for part in (0.5, 0.9)] if noticed else [],
        {kind: count / len(breaches) for kind, count in by},
    )


def _said(interval: Interval) -> str:
    return f"{interval[0]:.2f} ({interval[1]:.2f} to {interval[2]:.2f})"


def _count(interval: Interval) -> str:
    return f"{interval[0]:g} ({interval[1]:g} to {interval[2]:g})"


def _time(interval: Interval) -> str:
    """Minutes, or hours where they are many."""
    hours = interval[0] >= 120
    found, low, high = (one / 60 if hours else one for one in interval)
    if hours:
        return f"{found:.1f} h ({low:.1f} to {high:.1f})"
    return f"{found:.0f} min ({low:.0f} to {high:.0f})"


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
        if any(world.breaches for world in worlds):
            lines += ["", *_breaches(worlds)]
    return "\n".join(lines)


def _breaches(worlds: list[World]) -> Iterator[str]:
    cells = ("breach", "recall", "within 12 requests", "requests: median", "p90")
    yield f"| {' | '.join((*cells, 'time: median', 'p90', 'by'))} |"
    yield "|---|---|---|---|---|---|---|---|"
    said = {name: one.says for name, one in SCENARIOS.items()}
    said |= {name: one.says for name, one in CROWDS.items()}
    for name, says in said.items():
        breaches = [b for world in worlds for b in world.breaches if b.scenario == name]
        if breaches:
            yield f"| **{name}** {says} ({len(breaches)}) | {_row(breaches)} |"
    alone = [one for world in worlds for one in world.alone]
    for name in CROWDS:
        seen = [found for which, found in alone if which == name]
        if seen:
            yield ""
            yield (
                f"Of the {len(seen)} keys of {name}, looked at one by one, "
                f"{_said(share(sum(seen), len(seen)))} are found."
            )


def _row(breaches: list[Breach]) -> str:
    told = outcome(breaches)
    cells = [_said(told.recall), _said(told.within_12)]
    cells += [_count(one) for one in told.requests] or ["", ""]
    cells += [_time(one) for one in told.minutes] or ["", ""]
    return " | ".join([*cells, ", ".join(f"{kind} {part:.2f}" for kind, part in told.by.items())])


def write(page: Path, name: str, text: str) -> None:
    """Put a text between its marks on a page."""
    before, mark, rest = page.read_text().partition(BEGIN.format(name))
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{mark}\n{text.strip()}\n\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", default=",".join(map(str, EVALUATION)))
    parser.add_argument("--recipients", type=int, default=24)
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
    jobs = [] if options.read else [(seed, recipients, form) for form in FORMS for seed in seeds]
    with ProcessPoolExecutor(options.jobs) as pool:
        worlds = list(pool.map(trial, jobs))
    found = {
        form: worlds[place * len(seeds) : (place + 1) * len(seeds)]
        for place, form in enumerate(FORMS)
    }
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
