"""Runs detectors over a log that is there already: what they would have found, and when.

For hunting, and for trying another number of a rule before it is put in force.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from bailment.access.register import Register
from bailment.detect.detector import Detector
from bailment.detect.engine import Engine
from bailment.detect.grouping import Recorded
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.records import SpecApplied
from bailment.spec.detection import DetectionTerms
from bailment.worker.tape import Tape


class Hit(msgspec.Struct):
    """A finding that would be raised at `time` (ms), with how often its like was seen in all.

    `recorded`: the log has the very same. Of kinds of which there were too many to tell one by one
    `finding` is that of the flood, or empty.
    """

    time: int
    raised: FindingRaised
    count: int
    recorded: bool = False


class Replay:
    """Takes the entries of a log in order. With `terms` these hold throughout, otherwise those of
    the spec in force at each entry. `hits` are in the order in which they would be raised."""

    def __init__(
        self, detectors: Iterable[Detector[Any]], terms: DetectionTerms | None = None
    ) -> None:
        self.hits: list[Hit] = []
        #: How many were counted by kind alone, because there were too many in a minute.
        self.untold = 0
        self.events = 0
        self._engine = Engine(detectors, terms or DetectionTerms())
        self._fixed = terms is not None
        self._tape = Tape()
        self._of: dict[str, Hit] = {}
        self._recorded: set[str] = set()

    @property
    def register(self) -> Register:
        return self._tape.register

    def take(self, index: int, time: int, facts: Facts) -> None:
        """Step over the next entry; VerificationError if it cannot stand there."""
        event = self._tape.take(index, time, facts)
        if isinstance(facts, SpecApplied) and not self._fixed:
            self._engine.terms = self.register.conditions.detection
        if isinstance(facts, FindingRaised):
            self._recorded.add(facts.finding)
        if event is not None:
            self.events += 1
            self._add(self._engine.take(event))

    def end(self) -> None:
        """No entry comes any more."""
        self._add(self._engine.end())
        for hit in self.hits:
            hit.recorded = hit.raised.finding in self._recorded

    def _add(self, records: Iterable[Recorded]) -> None:
        for record in records:
            if isinstance(record, FindingRaised):
                hit = self._of[record.finding] = Hit(self._tape.time, record, record.count)
                self.hits.append(hit)
            elif record.finding:
                self._of[record.finding].count += record.count
            else:
                self.untold += record.count
