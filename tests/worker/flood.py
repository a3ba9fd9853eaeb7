"""A detector that finds two thousand things in each access, and the worker's process with it:
`python flood.py DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bailment.cli.reach import answer
from bailment.detect.event import Event, Finding
from bailment.spec.detection import RuleTerms
from bailment.store.folder import Folder
from bailment.worker.process import run

#: Of a rule that leads to nothing by itself.
KIND = "many-credentials"
EACH = 2_000


def begin(terms: RuleTerms) -> None:
    return None


def step(state: None, event: Event, now: int, terms: RuleTerms) -> tuple[None, Sequence[Finding]]:
    if event.what != "opened":
        return None, ()
    subjects = (f"person:{event.index * EACH + number:032x}" for number in range(EACH))
    about = "a test", event.time, event.time, (event.index,)
    return None, [Finding(KIND, subject, *about) for subject in subjects]


if __name__ == "__main__":
    detectors: list[Any] = [sys.modules[__name__]]
    run(Folder(Path(sys.argv[1])), 0, 1 << 31, answer, detectors)
