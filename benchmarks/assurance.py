"""Measure evaluation beside encoding the same evidence: `python benchmarks/assurance.py`.

What is measured, and what is not: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from statistics import median

import msgspec

from bailment.assurance.evaluation import Evaluation, evaluate, evaluation_digest
from bailment.assurance.explanation import explain
from bailment.assurance.item import Item
from bailment.assurance.screen import screen
from bailment.assurance.standing import advance
from bailment.cli import catalogue
from bailment.spec.compiled import AtLeast, Check, Claim, CompiledSpec, Leaf, Node, compile_spec
from bailment.spec.validation import load

ROOT = Path(__file__).parents[1]
DAY = 86_400_000
NOW = 20_000 * DAY
PEOPLE = tuple(sha256(bytes([n])).hexdigest()[:32] for n in range(20))
RECIPIENTS = 50
#: Reports of each kind, the oldest of which fails.
REPORTS = 4


def leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, AtLeast):
        for part in node.of:
            yield from leaves(part)
    else:
        yield node


def shown(spec: CompiledSpec, kind: str) -> tuple[dict[str, str], dict[str, int]]:
    """Checks and claims with which everything holds at the highest tier, and so at each below."""
    checks: dict[str, str] = {}
    claims: dict[str, int] = {}
    for required in spec.tiers[-1].requirements:
        for leaf in leaves(required.rule):
            if isinstance(leaf, Check) and leaf.source.kind == kind:
                checks[leaf.check] = "pass"
            elif isinstance(leaf, Claim) and leaf.source.kind == kind:
                claims[leaf.claim] = leaf.most if leaf.most is not None else leaf.least or 0
    return checks, claims


def evidence(spec: CompiledSpec, recipient: int) -> list[Item]:
    """A recipient's reports, hours apart: all is well, after nothing was."""
    items = []
    for kind in spec.kinds:
        checks, claims = shown(spec, kind)
        for number in range(REPORTS):
            digest = sha256(f"{recipient} {kind} {number}".encode()).hexdigest()
            dated = NOW - (number + 1) * 3_600_000 - recipient
            result = "fail" if number == REPORTS - 1 else "pass"
            fields = {
                "id": digest[:32],
                "kind": kind,
                "adapter": spec.kinds[kind].adapter,
                "independence": "observed",
                "collector": f"collector-{number}",
                "report": digest[32:],
                "scope": f"scope-{recipient}",
                "dated": dated,
                "received": dated + 60_000,
                "digest": digest,
                "checks": dict.fromkeys(checks, result),
                "claims": claims,
                "people": PEOPLE,
            }
            items.append(msgspec.convert(fields, Item))
    return items


def timed(work: Callable[[], object], seconds: float) -> float:
    """CPU seconds of one call: whatever else runs on the machine counts as little as it can."""
    calls, began = 0, time.process_time()
    while (took := time.process_time() - began) < seconds:
        work()
        calls += 1
    return took / calls


def case(
    name: str, spec: CompiledSpec, fleet: Sequence[list[Item]]
) -> dict[str, Callable[[], object]]:
    """What is measured of a spec and the evidence of some recipients, by name."""

    def evaluations() -> list[Evaluation]:
        return [evaluate(spec, items, (), NOW) for items in fleet]

    made = evaluations()
    top = spec.tiers[-1].rank
    assert all(one.earned == top for one in made), "the evidence must hold every tier"
    plain = [[msgspec.to_builtins(item) for item in items] for items in fleet]
    by_id = {item.id: item for items in fleet for item in items}

    def page() -> None:
        found = explain("Acme", made[0], spec, top, by_id, {})
        assert found is not None
        screen(found, None, NOW)

    return {
        f"{name}: evaluate": evaluations,
        f"{name}: json.dumps of the evidence": lambda: [json.dumps(items) for items in plain],
        f"{name}: digest of the evaluation": lambda: [evaluation_digest(one) for one in made],
        f"{name}: standing": lambda: [advance(None, one, spec.lapse, NOW) for one in made],
        f"{name}: why, one screen": page,
    }


def measure(rounds: int, seconds: float) -> dict[str, float]:
    """The median CPU seconds of each, in rounds in which they take turns."""
    example = (ROOT / "docs" / "examples" / "restricted-preview.yaml").read_bytes()
    small = compile_spec(load(example))
    large = compile_spec(load(catalogue.spec_text().encode()))
    work = case("one", small, [evidence(small, 0)])
    work |= case("fleet", large, [evidence(large, number) for number in range(RECIPIENTS)])
    gc.freeze()
    took: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, call in work.items():
            took[name].append(timed(call, seconds))
    return {name: median(times) for name, times in took.items()}


def markdown(found: dict[str, float]) -> str:
    """The table: each beside encoding the same evidence, and beside its goal."""
    lines = ["| measure | bailment | json.dumps, same evidence | ratio | goal | met |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    one, plain = found["one: evaluate"], found["one: json.dumps of the evidence"]
    lines.append(
        f"| three-tier evaluations/s, one core | {1 / one:,.0f} | {1 / plain:,.0f} "
        f"| {plain / one:.2f}x | ≥ 5,000 | {'yes' if 1 / one >= 5_000 else '**no**'} |"
    )
    fleet, plain = found["fleet: evaluate"], found["fleet: json.dumps of the evidence"]
    lines.append(
        f"| {RECIPIENTS} recipients x 45 requirements x 4 tiers | {fleet * 1e3:.1f} ms "
        f"| {plain * 1e3:.1f} ms | {plain / fleet:.2f}x | < 100 ms "
        f"| {'yes' if fleet < 0.1 else '**no**'} |"
    )
    for name, each in (("standing", RECIPIENTS), ("digest of the evaluation", RECIPIENTS)):
        took = found[f"fleet: {name}"] / each
        lines.append(f"| {name}, 45 requirements | {took * 1e6:,.0f} µs | | | | |")
    page = found["fleet: why, one screen"]
    lines.append(f"| why, one screen, 45 requirements | {page * 1e3:.1f} ms | | | | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of which the median is shown")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU time for each measure")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = measure(options.rounds, options.seconds)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    load_average = os.getloadavg()[0]
    print(
        f"Python {platform.python_version()}, {platform.system()}, {today}, one core, CPU time, "
        f"{options.rounds} rounds; load average at the end {load_average:.1f}.\n"
    )
    print(markdown(found))


if __name__ == "__main__":
    main()
