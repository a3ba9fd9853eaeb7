"""Runs detectors over events, in the order of the log, each event once.

What the engine knows can be kept and taken up again (`encode`, `decode`), so that a restart
neither forgets nor says anything twice: the ids of findings follow from what they are about.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bailment.detect.detector import Detector
from bailment.detect.event import Event, Finding
from bailment.detect.grouping import FAILED, Counts, Grouping, Recorded
from bailment.detect.isolation import step_alone
from bailment.errors import FormatError
from bailment.spec.detection import DetectionTerms

#: A detector that raised is left out for so long.
REST_MS = 60_000


class _Kept(msgspec.Struct):
    mark: int
    counts: Counts
    states: dict[str, msgspec.Raw]


class Engine:
    """Over one stream of events.

    `reorder` is how many events may wait for one before them that comes late. Where they come in
    order none has to, and what is before the last is known to have been seen.
    """

    def __init__(
        self, detectors: Iterable[Detector[Any]], terms: DetectionTerms, *, reorder: int = 0
    ) -> None:
        self.detectors = tuple(detectors)
        #: Entries of the log before this one were stepped over.
        self.mark = 0
        #: Events that came again, or too late to be put in order.
        self.dropped = 0
        self._reorder = reorder
        self._waiting: list[tuple[int, Event]] = []
        self._indexes: set[int] = set()
        self._grouping = Grouping(terms)
        self._states = {one.KIND: one.begin(terms.rule(one.KIND)) for one in self.detectors}
        self._resting: dict[str, int] = {}  # until when, ms
        self._failed: set[str] = set()  # whose last step raised

    @property
    def terms(self) -> DetectionTerms:
        return self._grouping.terms

    @terms.setter
    def terms(self, terms: DetectionTerms) -> None:
        """Another spec is in force."""
        self._grouping.terms = terms

    def take(self, event: Event) -> list[Recorded]:
        """What is to be recorded once an event has come; twice is no more than once."""
        if event.index < self.mark or event.index in self._indexes:
            self.dropped += 1
            return []
        heapq.heappush(self._waiting, (event.index, event))
        self._indexes.add(event.index)
        return self._settle(self._reorder)

    def flush(self) -> list[Recorded]:
        """No event comes any more that is before one that waits."""
        return self._settle(0)

    def tick(self, now: int) -> list[Recorded]:
        """What was counted, and is due to be told by now (ms)."""
        return list(self._grouping.tick(now))

    def end(self) -> list[Recorded]:
        """At the end: all that waits, and all that was counted."""
        return [*self.flush(), *self._grouping.end()]

    def report(self, found: Finding, now: int) -> list[Recorded]:
        """What is to be recorded of something that was seen otherwise than in an event."""
        if self.terms.rule(found.kind).response == "off":
            return []
        return list(self._grouping.add(found, now))

    def known(self, finding: str, now: int) -> None:
        """A finding that another engine over the same log wrote: it is not told again."""
        self._grouping.known(finding, now)

    def unsaid(self) -> None:
        """Nothing that was found so far was recorded: who begins in the middle of a log only
        learns from what is before."""
        self._grouping = Grouping(self.terms)

    def encode(self) -> bytes:
        """All that is known, for `decode`. Waiting events are not among it: they come again."""
        states = {
            name: msgspec.Raw(msgspec.msgpack.encode(state)) for name, state in self._states.items()
        }
        return msgspec.msgpack.encode(_Kept(self.mark, self._grouping.counts, states))

    def decode(self, data: bytes) -> None:
        """Take up what an engine knew; FormatError if it cannot be read. A detector that was not
        there, or remembers otherwise now, begins anew."""
        try:
            kept = msgspec.msgpack.decode(data, type=_Kept)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise FormatError(f"what detectors knew cannot be read: {error}") from None
        self.mark = kept.mark
        self._grouping = Grouping(self.terms, kept.counts)
        for name, state in self._states.items():
            try:
                raw = kept.states[name]
                self._states[name] = msgspec.msgpack.decode(raw, type=type(state))
            except (KeyError, msgspec.DecodeError, msgspec.ValidationError):
                continue

    def _settle(self, most: int) -> list[Recorded]:
        recorded: list[Recorded] = []
        while len(self._waiting) > most:
            _, event = heapq.heappop(self._waiting)
            self._indexes.remove(event.index)
            self.mark = event.index + 1
            for detector in self.detectors:
                for found in self._step(detector, event):
                    recorded += self._grouping.add(found, event.time)
            recorded += self._grouping.tick(event.time)
        return recorded

    def _step(self, detector: Detector[Any], event: Event) -> Sequence[Finding]:
        kind, rule = detector.KIND, self.terms.rule(detector.KIND)
        if rule.response == "off" or self._resting.get(kind, 0) > event.time:
            return ()
        answer = step_alone(detector, self._states[kind], event, event.time, rule)
        if isinstance(answer, Exception):
            return (self._fail(detector, event, answer),)
        self._states[kind], found = answer
        self._failed.discard(kind)
        return found

    def _fail(self, detector: Detector[Any], event: Event, error: Exception) -> Finding:
        """Leave a detector out for a while; one that fails again at once forgets what it knew."""
        kind = detector.KIND
        self._resting[kind] = event.time + REST_MS
        if kind in self._failed:
            self._states[kind] = detector.begin(self.terms.rule(kind))
        self._failed.add(kind)
        sentence = (
            f"the detector `{kind}` failed with `{type(error).__name__}` at entry {event.index} "
            f"and sees nothing for {REST_MS // 1000} s; report it, the others go on"
        )
        return Finding(
            FAILED, "", sentence, event.time, event.time, (event.index,), "high", key=kind
        )
