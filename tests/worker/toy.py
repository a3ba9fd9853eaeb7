"""A detector for tests, and the worker's process with it: `python toy.py DIR SINCE`.

Every second access of a device is a finding, and every sixth begins another that goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bailment.detect.event import Event, Finding
from bailment.spec.detection import RuleTerms

#: Of a rule that leads to nothing by itself.
KIND = "many-credentials"


class Seen(msgspec.Struct):
    accesses: dict[str, int] = {}


def begin(terms: RuleTerms) -> Seen:
    return Seen()


def step(state: Seen, event: Event, now: int, terms: RuleTerms) -> tuple[Seen, Sequence[Finding]]:
    if event.what != "opened":
        return state, ()
    count = state.accesses[event.device] = state.accesses.get(event.device, 0) + 1
    if count % 2:
        return state, ()
    subject, key = f"device:{event.device}", str(count // 6)
    finding = Finding(KIND, subject, "a test", event.time, event.time, (event.index,), key=key)
    return state, (finding,)


if __name__ == "__main__":
    from bailment.cli.reach import answer
    from bailment.store.folder import Folder
    from bailment.worker.process import run

    detectors: list[Any] = [sys.modules[__name__]]
    run(Folder(Path(sys.argv[1])), int(sys.argv[2]), 1 << 31, answer, detectors)
