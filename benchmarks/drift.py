"""Measures what `purpose-drift` notices: `python benchmarks/drift.py PROMPTS…`.

Each of PROMPTS is a gzipped file of JSON lines with `source` and `text`, or a folder of such. Rules
and constants were chosen on `DEVELOPMENT` alone; who asks off purpose, `OFF`, is for the figures.
What is measured, and what is not: docs/drift.md.
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
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from bailment.detect.drift import COMMONEST, FULL, Seen, likeness, pack, usual_of
from bailment.detect.static_table import parse
from bailment.worker.embedding import TABLE, Embedder

ROOT = Path(__file__).parents[1]
PAGE, BEGIN, END = ROOT / "docs" / "drift.md", "<!-- figures -->\n", "<!-- end -->\n"

Trial: TypeAlias = tuple[Mapping[str, int], Sequence[str], str]
Vectors: TypeAlias = dict[str, list[bytes]]
Row: TypeAlias = dict[str, object]

DEVELOPMENT = ("purplellama_frr", "xstest", "selfinstruct_seed")
OFF = ("arenahard", "alpacaeval", "awesome")
_CYBER = {"cybermetric": 10, "ctibench": 10, "nyuctf": 10}
#: What recipients ask: sources by weight; who asks instead; and who is a stranger on purpose.
TRIALS: Mapping[str, Trial] = {
    "cybermetric": ({"cybermetric": 1}, OFF, "ctibench"),
    "ctibench": ({"ctibench": 1}, OFF, "cybermetric"),
    "nyuctf": ({"nyuctf": 1}, OFF, "ctibench"),
    "purplellama_frr": ({"purplellama_frr": 1}, OFF, "purplellama_instruct"),
    "purplellama_instruct": ({"purplellama_instruct": 1}, OFF, "purplellama_frr"),
    "cyber: the first three": (_CYBER, OFF, "seceval"),
    "cyber, 30 % ordinary": (
        {"cybermetric": 7, "ctibench": 7, "nyuctf": 7, "selfinstruct_user": 9},
        OFF,
        "seceval",
    ),
    "arenahard": ({"arenahard": 1}, ("alpacaeval", "awesome", "selfinstruct_user"), ""),
}
IN_DEVELOPMENT: Mapping[str, Trial] = {
    "purplellama_frr": ({"purplellama_frr": 1}, ("xstest", "selfinstruct_seed"), ""),
    "xstest": ({"xstest": 1}, ("purplellama_frr", "selfinstruct_seed"), ""),
}
#: Of windows that are 90 % off purpose, and of a recipient's own, %.
GOAL, FALSE = 95, 0.5
WINDOW, SHARES = 10, (9, 5, 2)
#: How like its reference what is asked is, before anything is told of.
ALIKE = ("own", "line", "others")
ON_WINDOWS, OFF_WINDOWS = 2_000, 300
#: Prompts of each source, drawn once; and how many others are held against one reference.
MOST, HELD_OUT = 400, 200
#: What an application may send with each request: does it help to read it too?
SYSTEM = (
    "You are a careful assistant of the platform team. Answer in short paragraphs, say what you "
    "are not sure of, never invent sources, keep to the facts that you were given and ask when "
    "something is missing. "
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("prompts", type=Path, nargs="*")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--development", action="store_true", help="on those sources alone")
    parser.add_argument("--system", action="store_true", help="with a system prompt before each")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    asked = parser.parse_args()
    if not asked.prompts:
        print("nothing is measured: name a file of prompts, which do not come with the project")
        return
    trials = IN_DEVELOPMENT if asked.development else TRIALS
    texts = _texts(asked.prompts)
    without = {name: sorted(_sources(trial) - texts.keys()) for name, trial in trials.items()}
    trials = {name: trial for name, trial in trials.items() if not without[name]}
    wanted = set().union(*map(_sources, trials.values()))
    texts = {source: texts[source] for source in sorted(wanted)}
    rows: list[Row] = []
    for embedder in _embedders():
        vectors, cost = _embedded(embedder, texts, SYSTEM if asked.system else "")
        for name, (on, off, stranger) in trials.items():
            found = [_trial(vectors, on, off, stranger, seed) for seed in range(asked.seeds)]
            rows += _rows(embedder.name, name, found, cost)
    if asked.json:
        json.dump(rows, sys.stdout, indent=1)
        return
    missing = [
        f"Not measured, for want of prompts: {name} ({', '.join(sources)}).\n"
        for name, sources in without.items()
        if sources
    ]
    tables = "\n".join([*_tables(rows), *missing])
    print(tables)
    if asked.write:
        page = re.sub(f"(?s){BEGIN}.*{END}", lambda _: BEGIN + tables + END, PAGE.read_text())
        PAGE.write_text(page)


def _embedders() -> list[Embedder]:
    from bailment.worker.minilm import load_minilm

    model = load_minilm()
    table = parse(TABLE.read_bytes())
    return [table] if model is None else [model, table]


def _sources(trial: Trial) -> set[str]:
    on, off, stranger = trial
    return {*on, *off, *filter(None, [stranger])}


def _texts(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Prompts by source, in an order of chance; AlpacaEval without what it took from others."""
    found: dict[str, dict[str, None]] = {}
    for path in chain(*(sorted(one.glob("*.gz")) if one.is_dir() else [one] for one in paths)):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                said = json.loads(line)
                found.setdefault(said["source"], {})[said["text"].strip()] = None
    for text in found.get("selfinstruct_user", ()):
        found.get("alpacaeval", {}).pop(text, None)
    drawn = {}
    for source in sorted(found):
        texts = list(found[source])
        random.Random(source).shuffle(texts)
        drawn[source] = texts[:MOST]
    return drawn


def _embedded(
    embedder: Embedder, texts: dict[str, list[str]], before: str
) -> tuple[Vectors, float]:
    """Vectors by source, and the median of what one takes of the processor, ms."""
    costs: list[float] = []
    vectors: Vectors = {}
    for source, prompts in texts.items():
        vectors[source] = []
        for prompt in prompts:
            began = time.process_time()
            vectors[source].append(pack(embedder.embed(before + prompt)))
            costs.append((time.process_time() - began) * 1000)
    return vectors, statistics.median(costs)


def _trial(
    vectors: Vectors, on: Mapping[str, int], off: Sequence[str], stranger: str, seed: int
) -> dict[str, float]:
    """Shares of windows below the line: `false`, `SOURCE SHARE` and `stranger SOURCE`. And how like
    its reference the recipient's `own` prompts are, how like it those of the nearest of `others`,
    and where the `line` is."""
    chance = random.Random(seed)
    own = _mixed(chance, vectors, on)
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

    def like(source: str) -> list[float]:
        drawn = chance.sample(vectors[source], min(HELD_OUT // 2, len(vectors[source])))
        return [likeness(vector, reference) for vector in drawn]

    found = {"own": statistics.fmean(likes), "line": line, "others": 0.0}
    found["false"] = below([], 0, ON_WINDOWS)
    for source in off:
        others = like(source)
        found["others"] = max(found["others"], statistics.fmean(others))
        for share in SHARES:
            found[f"{source} {share * 10}"] = below(others, share, OFF_WINDOWS)
    if stranger:
        found[f"stranger {stranger}"] = below(like(stranger), WINDOW, OFF_WINDOWS)
    return found


def _mixed(chance: random.Random, vectors: Vectors, on: Mapping[str, int]) -> list[bytes]:
    """A recipient's prompts in an order of chance: as many of each source as its weight says, and
    no more in all than a reference and what is held against it."""
    most = min(FULL + HELD_OUT, *(len(vectors[one]) * sum(on.values()) // on[one] for one in on))
    own = []
    for source, weight in on.items():
        own += chance.sample(vectors[source], most * weight // sum(on.values()))
    return chance.sample(own, len(own))


def _rows(name: str, on: str, found: list[dict[str, float]], cost: float) -> list[Row]:
    rows: list[Row] = []
    for what in found[0]:
        shares = [one[what] for one in found]
        rows.append(
            {
                "embedder": name,
                "recipient": on,
                "windows": what,
                "mean": round(statistics.fmean(shares), 4),
                "low": round(min(shares), 4),
                "high": round(max(shares), 4),
                "seeds": len(shares),
                "ms_per_prompt": round(cost, 2),
            }
        )
    return rows


def _tables(rows: list[Row]) -> list[str]:
    """Of each embedder: whether recipients reach the goal, then every source by itself."""
    names = list(dict.fromkeys(str(row["embedder"]) for row in rows))
    return [_of_one(name, [one for one in rows if one["embedder"] == name]) for name in names]


def _of_one(name: str, rows: list[Row]) -> str:
    by_recipient: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_recipient.setdefault(str(row["recipient"]), {})[str(row["windows"])] = row
    goals = [
        f"{name}, {rows[0]['ms_per_prompt']} ms of a core a prompt:\n",
        "| the recipient asks | false, % | least of the sources at 90 %, % | "
        "own prompts are alike to | line | others' to | the goal is |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    header = "| the recipient asks | others ask |" + "".join(f" {s * 10} % off |" for s in SHARES)
    each = [header, "| --- | --- |" + " ---: |" * len(SHARES)]
    for recipient, by in by_recipient.items():
        off = [what.removesuffix(" 90") for what in by if what.endswith(" 90")]
        least = min((by[f"{one} 90"] for one in off), key=lambda row: float(str(row["mean"])))
        missed = [
            f"missed by {gap:.3g} points of {what}"
            for what, gap in (
                ("what is told of", GOAL - _percent(least, "mean")),
                ("what is false", _percent(by["false"], "mean") - FALSE),
            )
            if gap > 0
        ]
        goal = " and ".join(missed) or "reached"
        alike = " | ".join(f"{float(str(by[what]['mean'])):.2f}" for what in ALIKE)
        goals.append(f"| {recipient} | {_cell(by['false'])} | {_cell(least)} | {alike} | {goal} |")
        for one in off:
            shares = " | ".join(_cell(by[f"{one} {share * 10}"]) for share in SHARES)
            each.append(f"| {recipient} | {one} | {shares} |")
        for what in [what for what in by if what.startswith("stranger ")]:
            source = what.removeprefix("stranger ")
            each.append(f"| {recipient} | {source}, all of it on purpose | {_cell(by[what])} | | |")
    return "\n".join([*goals, "", *each]) + "\n"


def _percent(row: Row, key: str) -> float:
    return float(str(row[key])) * 100


def _cell(row: Row) -> str:
    mean, low, high = (f"{_percent(row, key):.4g}" for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


if __name__ == "__main__":
    main()
