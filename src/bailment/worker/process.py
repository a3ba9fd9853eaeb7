"""The worker's process: `serve` starts it, and it ends with whoever started it."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from bailment.detect.catalogue import STREAM
from bailment.detect.detector import Detector
from bailment.store.folder import Folder
from bailment.worker.answering import Answer, Answering
from bailment.worker.drifting import Drifting
from bailment.worker.report import Report
from bailment.worker.telling import Telling
from bailment.worker.worker import Worker

#: Seconds between two looks at the log where it does not grow, and between two reports.
_LOOK, _REPORT = 0.25, 1.0
#: How much nicer it is than the process that serves.
_NICE = 10


def run(
    folder: Folder,
    since: int | None,
    memory: int,
    answer: Answer,
    detectors: Sequence[Detector[Any]] = STREAM,
) -> None:
    """Work until standard input ends; reports go to standard output, one JSON a line.

    `since` is where a worker begins that knows nothing yet (`Worker`), `memory` the most bytes
    that it may have mapped, `answer` says how far something reaches.
    """
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it holds the key over the bodies
    if not sys.stdin.isatty():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for who started it
    telling, reporter = Telling(folder), _Reporter()
    worker = Worker(folder, telling.tell, since, detectors, reporter.still)
    drifting = Drifting(folder, telling.tell, lambda: worker.tape.register.conditions.detection)
    drifting.start()
    answering = Answering(folder, worker, answer)
    more = True
    while not _ended(0 if more else _LOOK, answering):
        more = worker.turn()
        more = answering.turn() or more
        reporter.say(msgspec.structs.replace(worker.report, refused=telling.refused))
    answering.finish()
    drifting.finish()
    worker.finish()


class _Reporter:
    """Says something once a second, however often it is asked to."""

    def __init__(self) -> None:
        self._said = 0.0
        self._last = Report(0)

    def still(self) -> None:
        """Nothing is new, but it is alive: it begins, or reads."""
        self.say(self._last)

    def say(self, report: Report) -> None:
        self._last = report
        now = time.monotonic()
        if now - self._said < _REPORT:
            return
        self._said = now
        with contextlib.suppress(BrokenPipeError):  # standard input will say who is gone
            os.write(1, msgspec.json.encode(report) + b"\n")


def _ended(seconds: float, answering: Answering) -> bool:
    """Whether standard input has ended, after so many seconds at most in which nobody asks."""
    asked = answering.listener.fileno()
    readable, _, _ = select.select([0, asked], [], [], seconds)
    if asked in readable:
        answering.take()
    return 0 in readable and not os.read(0, 4096)
