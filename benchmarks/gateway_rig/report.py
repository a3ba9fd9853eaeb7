"""The results as Markdown: what was measured, then each goal with the ratio that it names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from statistics import median
from typing import Any

from .load import Paced, Whole

CONCURRENCY = (1, 16, 64)
STEADY = "steady"
STEADY_RATE = 500
"""Requests per second of the `steady` runs, over 64 connections."""


@dataclass
class Result:
    """Every round of one target."""

    version: str
    warm: Whole
    """Before the rounds, at 16 connections; not in the tables."""
    stream_kb: float
    """Resident memory for each open stream, before the rounds."""
    whole: dict[str, list[Whole]] = field(default_factory=dict)
    """By number of connections, and `steady`."""
    paced: list[Paced] = field(default_factory=list)
    rss_mb: float = 0
    """After all rounds."""
    left: str = ""
    """What the target left behind, in a sentence."""

    def requests(self) -> int:
        """All that were answered with 200 under measurement."""
        runs = [self.warm, *(run for runs in self.whole.values() for run in runs)]
        return sum(run.requests for run in runs) + sum(run.streams for run in self.paced)

    def of(self, concurrency: int | str, value: str) -> float:
        """The median over the rounds; nan if this was not run."""
        return middle([getattr(run, value) for run in self.whole.get(str(concurrency), [])])

    def stream(self, value: str) -> float:
        return middle([getattr(run, value) for run in self.paced])


def middle(values: Sequence[float]) -> float:
    return median(values) if values else nan


def number(value: float) -> str:
    """Three significant figures, or all before the point; a dash for nan."""
    if isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def whole_table(results: dict[str, Result]) -> str:
    heads = ["target", "load", "req/s", "p50 ms", "p99 ms", "CPU µs/req", "core 0", "core 1"]
    rows = []
    for name, result in results.items():
        for level, runs in result.whole.items():
            values = (result.of(level, value) for value in ("rate", "p50_ms", "p99_ms", "cpu_us"))
            busy = (f"{middle([run.busy[core] for run in runs]):.0%}" for core in (0, 1))
            load = f"{level} connections" if level != STEADY else f"{STEADY_RATE} req/s"
            rows.append([name, load, *map(number, values), *busy])
    return table(heads, rows)


def stream_table(results: dict[str, Result]) -> str:
    heads = ["target", "TTFT p50 ms", "TTFT p99 ms", "CPU µs/stream", "KB/open stream", "RSS MB"]
    timed = ("ttft_p50_ms", "ttft_p99_ms", "cpu_us")
    return table(
        heads,
        [
            [
                name,
                *(number(result.stream(value)) for value in timed),
                number(result.stream_kb),
                number(result.rss_mb),
            ]
            for name, result in results.items()
        ],
    )


Value = Callable[[Result], float]


@dataclass(frozen=True)
class Goal:
    """A bound on bailment's value beside a peer's: `at least` or `at most`."""

    what: str
    value: Value
    peer: str
    combine: Callable[[float, float], float]
    bound: float
    at_least: bool
    unit: str

    def row(self, results: dict[str, Result]) -> list[str]:
        """One line; among several releases of a peer the one that makes it hardest counts."""
        ours = results.get("bailment")
        mine = self.value(ours) if ours else nan
        peers = [self.value(result) for name, result in results.items() if self.is_peer(name)]
        other = (max if self.at_least else min)(peers, default=nan)
        got = self.combine(mine, other)
        met = got >= self.bound if self.at_least else got <= self.bound
        sign = "≥" if self.at_least else "≤"
        verdict = "-" if isnan(got) else "yes" if met else "**no**"
        wanted = f"{sign} {number(self.bound)}{self.unit}"
        shown = number(got) + ("" if isnan(got) else self.unit)
        return [self.what, number(mine), self.peer, number(other), shown, wanted, verdict]

    def is_peer(self, name: str) -> bool:
        return name.split()[0] == self.peer


def ratio(mine: float, other: float) -> float:
    return mine / other


def excess(mine: float, other: float) -> float:
    return mine - other


def alone(mine: float, _other: float) -> float:
    return mine


def at(level: int | str, value: str) -> Value:
    return lambda result: result.of(level, value)


def streaming(value: str) -> Value:
    return lambda result: result.stream(value)


GOALS = [
    Goal("req/s c=64", at(64, "rate"), "litellm", ratio, 20, True, "x"),
    Goal("req/s c=64", at(64, "rate"), "smg", ratio, 0.5, True, "x"),
    *(Goal(f"p99 c={c}", at(c, "p99_ms"), "nginx", ratio, 5, False, "x") for c in CONCURRENCY),
    Goal("p99 at 500/s", at(STEADY, "p99_ms"), "nginx", ratio, 5, False, "x"),
    Goal("TTFT p50, added", streaming("ttft_p50_ms"), "nginx", excess, 2, False, " ms"),
    Goal("CPU per paced stream", streaming("cpu_us"), "nginx", ratio, 3, False, "x"),
    Goal("RSS", lambda result: result.rss_mb, "", alone, 80, False, " MB"),
]


def ratios_table(results: dict[str, Result]) -> str:
    """Bailment's values as multiples of each peer's."""
    measures: list[tuple[str, Value]] = [
        *((f"req/s c={level}", at(level, "rate")) for level in CONCURRENCY),
        ("p50 c=1", at(1, "p50_ms")),
        ("CPU/req c=16", at(16, "cpu_us")),
        ("CPU/stream", streaming("cpu_us")),
        ("RSS", lambda result: result.rss_mb),
    ]
    ours = results["bailment"]
    return table(
        ["bailment ÷", *(what for what, _ in measures)],
        [
            [name, *(number(value(ours) / value(peer)) for _, value in measures)]
            for name, peer in results.items()
            if peer is not ours
        ],
    )


def markdown(machine: dict[str, Any], results: dict[str, Result]) -> str:
    versions = ", ".join(f"{name} ({result.version})" for name, result in results.items())
    heads = ["measure", "bailment", "peer", "peer's", "got", "goal", "met"]
    goals = table(heads, [goal.row(results) for goal in GOALS])
    ratios = f"## Ratios\n\n{ratios_table(results)}\n\n" if "bailment" in results else ""
    left = [
        f"{r.requests():,} requests were answered. {r.left}" for r in results.values() if r.left
    ]
    return f"""# Gateway benchmark

{machine["cpu"]}, {machine["cores"]} cores, {machine["kernel"]}, {machine["date"]}.
{machine["rounds"]} interleaved rounds of {machine["seconds"]} s, medians. Targets: {versions}.

## Whole answers (1.5 KB prompt, 0.8 KB answer)

{whole_table(results)}

## Paced streams and memory (16 at once; the model's first token at 20 ms, 32 tokens 10 ms apart)

{stream_table(results)}

{ratios}## Goals

{goals}

{"".join(left)}
"""
