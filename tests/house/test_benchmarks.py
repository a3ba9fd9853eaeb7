"""`make bench` measures, and leaves what is committed alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_makes_committed_data_is_not_among_the_benchmarks() -> None:
    """The first word of what each says of itself tells which make data."""
    told = subprocess.run(["make", "-n", "bench"], cwd=ROOT, capture_output=True, text=True)
    run = set(re.findall(r"benchmarks/(\w+)\.py", told.stdout))
    there = {path.stem: path.read_text() for path in (ROOT / "benchmarks").glob("*.py")}
    makes = {name for name, text in there.items() if re.match('"""(Derives|Makes|Trains) ', text)}
    assert makes >= {"fleet_tables", "static_table", "train_detection"}
    assert run == there.keys() - makes
