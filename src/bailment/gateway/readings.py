"""Keeps the comparisons with the model servers' counters in the log, so that a start goes on from
them: what went around the gateway while it was down is found when it is up again."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog

from bailment.clock import now_ms
from bailment.gateway.reconciler import Reconciler
from bailment.ledger.counters import CountersRead, Reading
from bailment.ledger.leaf import decode_leaf
from bailment.ledger.records import AccessClosed, AccessOpened
from bailment.store.log import Log
from bailment.store.reader import LogReader
from bailment.store.sequencer import News

logger = structlog.get_logger("bailment.readings")

#: A record at least so often (ms), if there is anything new to say, and at least every so many
#: entries, so that a start finds it among the last ones.
_MINUTE_MS, _ENTRIES = 60_000, 50_000
_LOOK_BACK, _STEP = 250_000, 4_096
_ACCESSES = frozenset((AccessOpened.TYPE, AccessClosed.TYPE))


class Readings:
    """The reconcilers of one gateway, and their record."""

    def __init__(self, log: Log, reconcilers: Sequence[Reconciler]) -> None:
        self._log = log
        self._reconcilers = reconcilers
        self._kept = CountersRead(0, {})
        self._time = 0

    def restore(self) -> None:
        """Go on from the log's last record of it. Before anything is appended."""
        if not self._reconcilers:
            return
        kept = _last(self._log.reader, self._log.fold.size)
        if kept is None:
            return
        self._kept = kept
        for reconciler in self._reconcilers:
            compared = kept.models.get(reconciler.model)
            if compared is not None and not reconciler.resume(compared):
                logger.warning("the model has another meter than before", model=reconciler.model)
        news = _accesses(self._log.reader, kept.size, self._log.fold.size)
        for reconciler in self._reconcilers:
            reconciler.follow(news)

    def follow(self, news: News) -> None:
        """Take note of what has become durable."""
        for reconciler in self._reconcilers:
            reconciler.follow(news)

    async def compare(self, reconciler: Reconciler) -> None:
        """Compare one model's counters; keep where that leads, at once or within a minute."""
        moved = await reconciler.compare()
        long_ago = now_ms() - self._time >= _MINUTE_MS
        if moved or long_ago or self._log.fold.size - self._kept.size >= _ENTRIES:
            await self.keep()

    async def keep(self) -> None:
        """Put on the record where the comparisons stand, unless it says so already."""
        models = {each.model: each.state() for each in self._reconcilers}
        stand = CountersRead(self._log.fold.size, {k: v for k, v in models.items() if v})
        grown = stand.size - self._kept.size >= _ENTRIES
        self._time = now_ms()
        if stand.models and (grown or _timeless(stand) != _timeless(self._kept)):
            self._kept = stand
            await self._log.sequencer.append(self._log.sequencer.draft(stand))


def _timeless(stand: CountersRead) -> dict[str, object]:
    """What it says but for when it was seen last."""
    replace = msgspec.structs.replace
    return {
        model: replace(found, last=Reading(0, found.last.input, found.last.output))
        for model, found in stand.models.items()
    }


def _last(reader: LogReader, end: int) -> CountersRead | None:
    """The last record of the comparisons, if it is among the last entries."""
    for stop in range(end, max(0, end - _LOOK_BACK), -_STEP):
        rows = reader.stored(max(0, stop - _STEP), stop)
        found = [row for row in rows if decode_leaf(row.entry).type == CountersRead.TYPE]
        if found:
            facts = reader.open(found[-1]).facts
            return facts if isinstance(facts, CountersRead) else None
    return None


def _accesses(reader: LogReader, start: int, end: int) -> News:
    news: News = []
    for row in reader.stored(start, end):
        if decode_leaf(row.entry).type in _ACCESSES:
            record = reader.open(row)
            news.append((record.index, record.leaf, record.facts))
    return news
