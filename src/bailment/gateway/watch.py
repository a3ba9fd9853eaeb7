"""The inline detectors: what the log says of each request, looked at as soon as it is durable.

The sequencer's listener only notes what came; a task of its own steps through that, a little at a
time, so that no request waits for it. What detectors find is on the record well within a second.
After a restart they go on from what they knew; where that is lost, they learn from the end of the
log, and tell only what is of the last minute and not on the record.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec
import structlog

from bailment.access.slot import slot_of
from bailment.detect.catalogue import INLINE
from bailment.detect.citing import by_kind
from bailment.detect.consequence import cited
from bailment.detect.engine import Engine
from bailment.detect.event import EventReader, Finding, Seen
from bailment.detect.grouping import LONGEST_MS, Recorded, pack, unpack
from bailment.errors import FormatError
from bailment.gateway.metrics import Metrics
from bailment.gateway.responding import Responding
from bailment.ledger.detection_records import FindingGrouped, FindingJudged, FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.records import SpecApplied
from bailment.store.durable import Files
from bailment.store.log import Log
from bailment.store.sequencer import News, Sequenced

logger = structlog.get_logger("bailment.findings")

#: So many entries are stepped through before others have their turn.
_AT_ONCE = 32
#: So many records that the log refused are kept, to be tried again.
_MOST_REFUSED = 10_000
#: From so many entries at most is learnt where nothing is known.
MOST_LEARNT = 50_000
#: What was found this long before the end of the log, and is not on the record, is told after a
#: restart; what findings should have led to, too.
_UNTOLD_MS, _UNDONE_MS = 60_000, 600_000
#: Seconds between two looks at what is due by the clock.
_LOOK = 1.0

_Entry = tuple[int, int, Facts]


class _Kept(msgspec.Struct):
    """`refused` are records that the log has not taken yet."""

    seen: Seen
    engine: bytes
    refused: list[tuple[str, bytes]] = []


class Watch:
    """One gateway's."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._engine = Engine(INLINE, log.fold.register.conditions.detection)
        self._reader = EventReader()
        self._responding = Responding(log)
        self._path = log.folder.watch
        self._before = log.fold.size
        self._news: deque[_Entry] = deque()
        self._reports: deque[Finding] = deque()
        self._refused: deque[Recorded] = deque()
        self._wake = asyncio.Event()
        self._ending = False
        log.sequencer.listeners.append(self._notice)

    def report(self, found: Finding) -> None:
        """Something was seen that the log does not have."""
        self._reports.append(found)
        self._wake.set()

    def start(self) -> None:
        """Begin to look."""
        self._running = asyncio.create_task(self._run())

    async def finish(self) -> None:
        """At the end: what is still to be said, and what was learnt. Where the log has failed
        neither can be."""
        self._ending = True
        self._wake.set()
        await asyncio.gather(self._running, return_exceptions=True)
        if self._log.sequencer.failed.done():
            return
        await self._step()
        await self._record(self._engine.end())
        await self._step()
        refused = pack(self._refused)
        kept = msgspec.msgpack.encode(_Kept(self._reader.seen, self._engine.encode(), refused))
        try:
            await asyncio.to_thread(Files().write, self._path, kept)
        except OSError as error:
            logger.error("what detectors know is not kept", why=str(error))

    async def _run(self) -> None:
        """A malfunction outside of detectors ends the process."""
        try:
            await self._catch_up()
            while not self._ending:
                await self._rest()
                await self._step()
        except Exception as error:
            self._log.sequencer.fail(error)
            raise

    def _notice(self, news: News) -> None:
        self._news.extend((index, leaf.time, facts) for index, leaf, facts in news)
        self._wake.set()

    async def _rest(self) -> None:
        if self._wake.is_set():
            return
        # Not `wait_for`: in Python 3.11 it loses a cancellation that comes with the wake.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK):
                await self._wake.wait()

    async def _step(self) -> None:
        """All that came, and what is due."""
        self._wake.clear()
        while self._news or self._reports:
            recorded: list[Recorded] = []
            raised: list[FindingRaised] = []
            now = self._log.sequencer.time
            while self._reports:
                recorded += self._engine.report(self._reports.popleft(), now)
            for _ in range(min(_AT_ONCE, len(self._news))):
                index, time, facts = self._news.popleft()
                recorded += self._take(index, time, facts)
                if isinstance(facts, FindingRaised):
                    raised.append(facts)
            await self._record(recorded)
            for finding in raised:
                await self._responding.to(finding)
            await asyncio.sleep(0)
        await self._record(self._engine.tick(self._log.sequencer.time))

    def _take(self, index: int, time: int, facts: Facts) -> list[Recorded]:
        register = self._log.fold.register
        if isinstance(facts, SpecApplied):
            self._engine.terms = register.conditions.detection
        event = self._reader.read(index, time, facts, register)
        return self._engine.take(event) if event is not None else []

    async def _record(self, recorded: Iterable[Recorded]) -> None:
        sequencer, register = self._log.sequencer, self._log.fold.register
        again, self._refused = list(self._refused), deque()
        new = [
            by_kind(one, register) if isinstance(one, FindingRaised) else one for one in recorded
        ]
        for one in new:
            if isinstance(one, FindingRaised):
                self._metrics.findings.labels(one.kind).inc()
                logger.warning("finding", kind=one.kind, sentence=one.sentence)
        records = again + new
        if not records:  # as for nearly every request
            return
        drafts = [sequencer.draft(one, slot_of(one, register)) for one in records]
        answers = await asyncio.gather(*map(sequencer.append, drafts))
        for one, answer in zip(records, answers, strict=True):
            if isinstance(answer, Sequenced):
                continue
            logger.error("a finding is not on the record yet", why=str(answer))
            if len(self._refused) == _MOST_REFUSED:
                logger.error("a finding is lost", record=self._refused.popleft())
            self._refused.append(one)

    # After a restart

    async def _catch_up(self) -> None:
        """Step over what is in the log already."""
        known = await asyncio.to_thread(self._load)
        mark, size = self._engine.mark, self._before
        start = max(mark, size - MOST_LEARNT) if known else await asyncio.to_thread(self._first)
        exact = known and start == mark
        found: list[Recorded] = []
        entries: list[_Entry] = []
        at = start
        while at < size:
            stop = min(size, at + 512)
            chunk = await asyncio.to_thread(self._read, at, stop)
            for number, (index, time, facts) in enumerate(chunk):
                found += self._take(index, time, facts)
                if not number % _AT_ONCE:
                    await asyncio.sleep(0)
            entries += (one for one in chunk if isinstance(one[2], _OF_FINDINGS) or cited(one[2]))
            at = stop
        if not exact:
            self._engine.unsaid()
        for _, time, facts in entries:
            if isinstance(facts, FindingRaised):
                self._engine.known(facts.finding, time)
        await self._record(self._untold(found, entries, exact=exact))
        for finding in self._undone(entries):
            await self._responding.to(finding)

    def _load(self) -> bool:
        """Take up what was known; whether anything was."""
        try:
            kept = msgspec.msgpack.decode(self._path.read_bytes(), type=_Kept)
            self._engine.decode(kept.engine)
            self._refused.extend(unpack(kept.refused))
        except FileNotFoundError:
            return False
        except (msgspec.DecodeError, msgspec.ValidationError, FormatError) as error:
            logger.warning("what detectors knew is lost", why=str(error))
            return False
        self._reader = EventReader(kept.seen)
        return self._engine.mark <= self._before

    def _first(self) -> int:
        """Where to begin where nothing is known."""
        terms = self._engine.terms
        window = max(terms.rule(one.KIND).window_ms for one in INLINE)
        first = self._log.reader.first_since(self._log.fold.time - window)
        return max(first, self._before - MOST_LEARNT)

    def _read(self, start: int, stop: int) -> list[_Entry]:
        records = self._log.reader.records(start, stop)
        return [(one.index, one.leaf.time, one.facts) for one in records]

    def _untold(
        self, found: list[Recorded], entries: list[_Entry], *, exact: bool
    ) -> Iterator[Recorded]:
        """Of what was found in the log just now, that which is not in it."""
        recent = self._log.fold.time - LONGEST_MS
        told = {_name(facts, exact) for _, time, facts in entries if exact or time >= recent}
        since = 0 if exact else self._log.fold.time - _UNTOLD_MS
        for one in found:
            may = exact or (isinstance(one, FindingRaised) and one.until >= since)
            if may and _name(one, exact) not in told:
                yield one

    def _undone(self, entries: list[_Entry]) -> list[FindingRaised]:
        """Findings of the last minutes that nobody judged, and that led to nothing yet."""
        since = self._log.fold.time - _UNDONE_MS
        done = {cited(facts) for _, _, facts in entries}
        done |= {facts.finding for _, _, facts in entries if isinstance(facts, FindingJudged)}
        raised = [facts for _, time, facts in entries if time >= since]
        return [one for one in raised if isinstance(one, FindingRaised) and one.finding not in done]


_OF_FINDINGS = (FindingRaised, FindingGrouped, FindingJudged)


def _name(facts: Facts, exact: bool) -> object:
    """By what a record of a finding is known again; if not exactly, then by what it is about."""
    match facts:
        case FindingRaised():
            return facts.finding if exact else facts.finding[:16]
        case FindingGrouped():
            return facts.finding, facts.kind, facts.since, facts.until, facts.count
    return None
