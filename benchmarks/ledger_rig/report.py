"""The results as Markdown: each measure beside the same bytes in SQLite, and beside its goal."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from statistics import median
from typing import Any

PARTS = {
    "entries": "log/tile/entries",
    "facts and personal parts": "bodies",
    "hash tiles": "log/tile/[0-9]*",
    "staged, not in bundles yet": "staging.db*",
    "snapshots": "snapshots",
    "keys": "keys.db*",
}
"""What lies where in an issuer's folder."""


@dataclass(frozen=True)
class Row:
    """One line. `goal` is a bound on `ours`: at least if it is positive, at most if negative."""

    what: str
    ours: float
    peer: float = nan
    goal: float = nan
    unit: str = ""

    def cells(self) -> list[str]:
        ratio = number(self.ours / self.peer) if self.peer else "-"
        met = self.ours >= self.goal if self.goal > 0 else self.ours <= -self.goal
        wanted = f"{'≥' if self.goal > 0 else '≤'} {number(abs(self.goal))}{self.unit}"
        judged = ["-", "-"] if isnan(self.goal) else [wanted, "yes" if met else "**no**"]
        return [
            self.what,
            number(self.ours) + self.unit,
            number(self.peer) + ("" if isnan(self.peer) else self.unit),
            ratio,
            *(judged if not isnan(self.ours) else ["-", "-"]),
        ]


def number(value: float) -> str:
    """Three significant figures, or all before the point; a dash for nan."""
    if isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rows(found: dict[str, Any]) -> list[Row]:
    """Every measure that was taken."""
    lines = [
        Row("records/s, one core", *_middle(found["throughput"], "rate"), 10_000),
        Row("CPU per record", *_middle(found["throughput"], "cpu_us"), unit=" µs"),
    ]
    for name, gate in found["gates"].items():
        for cut in ("p50", "p99"):
            goal = -25 if (name, cut) == ("500/s, sync + 2 ms", "p99") else nan
            lines.append(Row(f"gate {cut} at {name}", *_middle(gate, f"{cut}_ms"), goal, " ms"))
    start, audit = found.get("start"), found.get("audit")
    if start:
        what = f"start at {start['records']:,} records"
        lines.append(Row(what, start["seconds"], goal=-5, unit=" s"))
        lines.append(Row("… the whole process, to ready", start["process_seconds"], unit=" s"))
        lines.append(Row("memory after the start", start["rss_mb"], unit=" MB"))
        lines.append(Row("memory at most, while filling", found["build"]["peak_mb"], unit=" MB"))
    if audit:
        what = f"audit of {audit['entries']:,} entries, all cores"
        lines.append(Row(what, audit["seconds"], unit=" s"))
        lines.append(Row("… decisions made again/s", audit["decisions"] / audit["seconds"]))
        lines.append(Row("… export before it", audit["export_seconds"], unit=" s"))
    return lines


def _middle(runs: dict[str, Any], value: str) -> tuple[float, float]:
    """Ours and the peer's, at the median of the rounds."""
    ours, peer = (median(run[value] for run in runs[side]) for side in ("ours", "peer"))
    return ours, peer


def sizes_table(found: dict[str, Any]) -> str:
    """Bytes on disk for each access, by part."""
    accesses = found["sizes"]["accesses"]
    parts = found["sizes"]["bytes"]
    lines = [[name, f"{size / accesses:,.0f}"] for name, size in parts.items()]
    lines.append(["all", f"{sum(parts.values()) / accesses:,.0f}"])
    return table(["part", "bytes per access"], lines)


def markdown(about: dict[str, Any], found: dict[str, Any]) -> str:
    heads = ["measure", "bailment", "SQLite, same bytes", "ratio", "goal", "met"]
    syncs = ", ".join(
        f"{_middle(gate, 'sync_ms')[0]:.2f} ms ({name})" for name, gate in found["gates"].items()
    )
    text = f"""# Ledger benchmark

{about["cpu"]}, {about["cores"]} cores, {about["kernel"]}, {about["date"]}.
Log and load on a core each; medians of {about["rounds"]} rounds. A sync took: {syncs}.

{table(heads, [row.cells() for row in rows(found)])}
"""
    if "sizes" in found:
        text += f"\n## On disk\n\n{sizes_table(found)}\n"
    if "audit" in found:
        audit = found["audit"]
        text += (
            f"\nThe audit made {audit['decisions']:,} decisions again and agreed with "
            f"{audit['agreed']:,}; it found {audit['findings']} violations.\n"
        )
    return text
