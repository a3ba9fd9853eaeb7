"""The worker: reads the log, runs the stream detectors over it, and tells what they find."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from bailment.clock import now_ms
from bailment.detect.catalogue import STREAM
from bailment.detect.detector import Detector
from bailment.detect.engine import Engine
from bailment.detect.grouping import Recorded, pack
from bailment.errors import FormatError
from bailment.ledger.detection_records import FindingGrouped, FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.records import SpecApplied
from bailment.spec.detection import DetectionTerms
from bailment.spec.policy import MAX_TOKEN_MS
from bailment.store.folder import Folder
from bailment.worker.following import Following
from bailment.worker.keeping import Kept, load, save
from bailment.worker.report import Report
from bailment.worker.tape import Tape

logger = structlog.get_logger("bailment.worker")

#: How many entries are read before anything else is looked at.
CHUNK = 512
#: Who knows nothing learns from at most so many entries, before what is told begins.
MOST_LEARNT = 500_000
#: What is known is kept at least so often, seconds; but it takes no more of the time than a tenth.
KEPT_EVERY, _SHARE = 10.0, 10


class Worker:
    """Over one issuer's log. `tell` hands a record in, and says whether it arrived.

    Where nothing is known from before, what is found from entry `since` on is told; without it,
    from the end of the log. `alive` is called now and then while it learns.
    """

    def __init__(
        self,
        folder: Folder,
        tell: Callable[[Recorded], bool],
        since: int | None = None,
        detectors: Iterable[Detector[Any]] = STREAM,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._tell = tell
        self._path = folder.worker
        self.following = Following(folder, alive)
        self._engine = Engine(detectors, DetectionTerms())
        self._pending: deque[Recorded] = deque()
        self._found: list[Recorded] = []
        self._told = 0
        self._rate = 0.0
        self._kept_at, self._kept_cost = time.monotonic(), 0.0
        kept = self._load()
        if kept is not None:
            self._resume(kept)
        else:
            end = self.following.end()
            self._learn(end if since is None else min(since, end))
        self._kept = self.tape.position

    @property
    def report(self) -> Report:
        waiting = len(self._pending) + len(self._found)
        return Report(self.tape.position, waiting, self._told, rate=round(self._rate))

    def turn(self) -> bool:
        """Tell what waits, or read on; whether there is more to do at once."""
        if self._pending:
            return self._hand_in()
        end = self.following.end()
        start = self.tape.position
        self._read(min(end, start + CHUNK))
        behind = self.tape.position < end
        if not behind:
            self._found += self._engine.tick(max(now_ms(), self.tape.time))
        self._keep()
        return behind or bool(self._pending)

    def read_on(self, stop: int) -> None:
        """Read up to here at once; what is found on the way is told in the next turns."""
        self._read(max(stop, self.tape.position))

    def finish(self) -> None:
        """Keep what is known, and close."""
        if not self._pending:
            self._write()
        self.following.close()

    # Beginning

    def _load(self) -> Kept | None:
        try:
            kept = load(self._path)
        except FormatError as error:
            logger.warning("what was known is lost", why=str(error))
            return None
        if kept is not None and kept.position > self.following.end():
            logger.warning("what was known is of another log", path=str(self._path))
            return None
        return kept

    def _resume(self, kept: Kept) -> None:
        """Go on from where it was; what was to be told then, and is not in the log, is told."""
        self.tape = Tape(self.following.register_at(kept.position), kept.position, kept.seen)
        self.tape.time = kept.time
        self._engine.terms = self.tape.register.conditions.detection
        try:
            self._engine.decode(kept.engine)
        except FormatError as error:
            logger.warning("what detectors knew is lost", why=str(error))
        types, end = (FindingRaised, FindingGrouped), self.following.end()
        told = {_name(one) for one in self.following.facts(types, kept.position, end)}
        self._pending += (one for one in kept.untold if _name(one) not in told)

    def _learn(self, position: int) -> None:
        """Step over what is before `position` without telling anything of it.

        What is in the log already, from there on, is not told again.
        """
        following, kinds = self.following, {one.KIND for one in self._engine.detectors}
        start = max(0, position - MOST_LEARNT)
        terms = following.register_at(position).conditions.detection
        windows = [terms.rule(kind).window_ms for kind in kinds]
        if windows and position:
            last = next(following.reader.records(position - 1, position)).leaf.time
            back = max(*windows, 2 * MAX_TOKEN_MS)
            start = max(start, following.reader.first_since(last - back))
        start = min(start, position) if windows else position
        self.tape = Tape(following.register_at(start), start)
        self._engine.terms = terms
        known = []
        for record in following.records(start, position):
            if isinstance(record.facts, FindingRaised) and record.facts.kind in kinds:
                known.append((record.facts.finding, record.leaf.time))
            event = self.tape.take(record.index, record.leaf.time, record.facts)
            if event is not None:
                self._engine.take(event)
        self._engine.unsaid()
        for one in following.of_types((FindingRaised.TYPE,), position, following.end()):
            if isinstance(one.facts, FindingRaised) and one.facts.kind in kinds:
                known.append((one.facts.finding, one.leaf.time))
        for finding, at in known:
            self._engine.known(finding, at)

    # Going on

    def _read(self, stop: int) -> None:
        start, began = self.tape.position, time.monotonic()
        for record in self.following.records(start, stop):
            event = self.tape.take(record.index, record.leaf.time, record.facts)
            if isinstance(record.facts, SpecApplied):
                self._engine.terms = self.tape.register.conditions.detection
            if event is not None:
                self._found += self._engine.take(event)
        if stop > start:
            self._rate = (stop - start) / max(1e-6, time.monotonic() - began)

    def _keep(self) -> None:
        """Keep what is known before it is told, and every few seconds."""
        since = time.monotonic() - self._kept_at
        due = since >= KEPT_EVERY and self.tape.position > self._kept
        if (due or self._found) and since >= _SHARE * self._kept_cost:
            self._write()

    def _write(self) -> None:
        began = time.monotonic()
        self._pending += self._found
        self._found.clear()
        pending = pack(self._pending)
        position, engine = self.tape.position, self._engine.encode()
        save(self._path, Kept(position, self.tape.time, self.tape.seen, engine, pending))
        self._kept = position
        self._kept_at = time.monotonic()
        self._kept_cost = self._kept_at - began

    def _hand_in(self) -> bool:
        """Tell the first that waits; whether to go on at once."""
        if not self._tell(self._pending[0]):
            return False
        self._pending.popleft()
        self._told += 1
        return True


def _name(record: Facts) -> tuple[object, ...]:
    """By what a told record is known again."""
    if not isinstance(record, FindingGrouped):
        return (getattr(record, "finding", ""),)
    return record.finding, record.kind, record.count, record.since, record.until
