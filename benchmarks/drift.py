"""Measures what `purpose-drift` notices: `python benchmarks/drift.py PROMPTS`.

PROMPTS is a gzipped file of JSON lines with `source` and `text`. Written down before anything was
run: rules and constants were chosen on `DEVELOPMENT` alone, and what others are in `UNSEEN` is for
the figures. What is measured, and what is not: docs/drift.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bailment.detect.drift import COMMONEST, FULL, Seen, likeness, pack, usual_of
from bailment.detect.static_table import parse
from bailment.worker.embedding import TABLE, Embedder

ROOT = Path(__file__).parents[1]
PAGE, BEGIN, END = ROOT / "docs" / "drift.md", "<!-- figures -->\n", "<!-- end -->\n"

DEVELOPMENT = ("purplellama_frr", "xstest", "selfinstruct_seed")
UNSEEN = ("arenahard", "selfinstruct_user", "awesome")
#: What a recipient asks, what others ask instead, and who is a stranger on purpose.
TRIALS = (
    ("purplellama_frr", UNSEEN, "purplellama_instruct"),
    ("purplellama_instruct", UNSEEN, "purplellama_frr"),
    ("arenahard", ("selfinstruct_user", "awesome", "purplellama_instruct"), ""),
)
IN_DEVELOPMENT = (
    ("purplellama_frr", ("xstest", "selfinstruct_seed"), ""),
    ("xstest", ("purplellama_frr", "selfinstruct_seed"), ""),
)
WINDOW, SHARES = 10, (9, 5, 2)
ON_WINDOWS, OFF_WINDOWS = 2_000, 300
#: Prompts of each source, drawn once; and how many others are held against one reference.
MOST, HELD_OUT = 500, 200
#: What an application may send with each request: does it help to read it too?
SYSTEM = (
    "You are a careful assistant of the platform team. Answer in short paragraphs, say what you "
    "are not sure of, never invent sources, keep to the facts that you were given and ask when "
    "something is missing. "
)

Vectors = dict[str, list[bytes]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("prompts", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--development", action="store_true", help="on those sources alone")
    parser.add_argument("--system", action="store_true", help="with a system prompt before each")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    asked = parser.parse_args()
    if asked.prompts is None:
        print("nothing is measured: name a file of prompts, which do not come with the project")
        return
    trials = IN_DEVELOPMENT if asked.development else TRIALS
    texts = _texts(asked.prompts, {name for on, off, more in trials for name in (on, *off, more)})
    rows = []
    for embedder in _embedders():
        vectors, cost = _embedded(embedder, texts, SYSTEM if asked.system else "")
        for on, off, stranger in trials:
            found = [_trial(vectors, on, off, stranger, seed) for seed in range(asked.seeds)]
            rows += _rows(embedder.name, on, found, cost)
    if asked.json:
        json.dump(rows, sys.stdout, indent=1)
        return
    table = _table(rows)
    print(table)
    if asked.write:
        page = re.sub(f"(?s){BEGIN}.*{END}", lambda _: BEGIN + table + END, PAGE.read_text())
        PAGE.write_text(page)


def _embedders() -> list[Embedder]:
    from bailment.worker.minilm import load_minilm

    model = load_minilm()
    table = parse(TABLE.read_bytes())
    return [table] if model is None else [model, table]


def _texts(path: Path, sources: set[str]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            said = json.loads(line)
            found.setdefault(said["source"], {})[said["text"]] = None
    drawn = {}
    for source in sorted(sources & found.keys()):
        texts = list(found[source])
        random.Random(source).shuffle(texts)
        drawn[source] = texts[:MOST]
    return drawn


def _embedded(
    embedder: Embedder, texts: dict[str, list[str]], before: str
) -> tuple[Vectors, float]:
    """Vectors by source, and the median of what one takes, ms."""
    costs, vectors = [], {}
    for source, prompts in texts.items():
        vectors[source] = []
        for prompt in prompts:
            began = time.perf_counter()
            vectors[source].append(pack(embedder.embed(before + prompt)))
            costs.append((time.perf_counter() - began) * 1000)
    return vectors, statistics.median(costs)


def _trial(
    vectors: Vectors, on: str, off: Sequence[str], stranger: str, seed: int
) -> dict[str, float]:
    """Shares of windows below the line: `false`, `SOURCE SHARE` and `stranger`."""
    chance = random.Random(seed)
    own = chance.sample(vectors[on], len(vectors[on]))
    reference, rest = own[:FULL], own[FULL : FULL + HELD_OUT]
    seen = [Seen(index, index, "", vector) for index, vector in enumerate(reference)]
    line = usual_of(seen, WINDOW, COMMONEST).line
    likes = [likeness(vector, reference) for vector in rest]

    def below(others: Sequence[float], share: int, windows: int) -> float:
        count = 0
        for _ in range(windows):
            window = chance.sample(others, share) + chance.sample(likes, WINDOW - share)
            count += statistics.fmean(window) < line
        return count / windows

    found = {"false": below([], 0, ON_WINDOWS)}
    for source in off:
        drawn = chance.sample(vectors[source], min(HELD_OUT // 2, len(vectors[source])))
        others = [likeness(vector, reference) for vector in drawn]
        for share in SHARES:
            found[f"{source} {share * 10} %"] = below(others, share, OFF_WINDOWS)
    if stranger:
        drawn = chance.sample(vectors[stranger], HELD_OUT // 2)
        found["stranger"] = below(
            [likeness(vector, reference) for vector in drawn], WINDOW, OFF_WINDOWS
        )
    return found


def _rows(
    name: str, on: str, found: list[dict[str, float]], cost: float
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for what in found[0]:
        shares = [one[what] for one in found]
        rows.append(
            {
                "embedder": name,
                "recipient": on,
                "windows": what,
                "told": round(statistics.fmean(shares), 4),
                "low": round(min(shares), 4),
                "high": round(max(shares), 4),
                "seeds": len(shares),
                "ms_per_prompt": round(cost, 2),
            }
        )
    return rows


def _table(rows: list[dict[str, object]]) -> str:
    """For each recipient and kind of window: what share of each embedder's is told of."""
    names = list(dict.fromkeys(str(row["embedder"]) for row in rows))
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        place = cells.setdefault((str(row["recipient"]), str(row["windows"])), {})
        mean, low, high = (f"{float(str(row[key])) * 100:.4g}" for key in ("told", "low", "high"))
        place[str(row["embedder"])] = f"{mean} ({low} to {high})"
    costs = {str(row["embedder"]): row["ms_per_prompt"] for row in rows}
    lines = [
        "| the recipient asks | windows | "
        + " | ".join(f"{name}, % told of ({costs[name]} ms a prompt)" for name in names)
        + " |",
        "| --- | --- |" + " ---: |" * len(names),
    ]
    for (on, what), by_name in cells.items():
        lines.append(f"| {on} | {what} | " + " | ".join(by_name[name] for name in names) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
