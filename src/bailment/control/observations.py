"""The gateway's own observations, as the running issuer makes them of its log.

What the windows need is read back once, beside whatever is served meanwhile, and followed from then
on as it becomes durable; asking for an observation reads no record again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from bailment.access.observing import COLLECTOR, Question, differs, kinds_of, observe, windows
from bailment.access.register import Register
from bailment.access.sightings import LEAD, Sightings
from bailment.assurance.item import Item
from bailment.ledger.records import SpecApplied
from bailment.spec.compiled import CompiledSpec
from bailment.store.log import Log
from bailment.store.sequencer import News

#: What would be read no otherwise is observed anew so many times within its age.
AFRESH = 3


class Observer:
    """One for each process that owns a log. Until it has started it has seen nothing."""

    def __init__(self, log: Log) -> None:
        #: Called when `changed` has something to say.
        self.notify: Callable[[], None] = lambda: None
        self._log = log
        self._anew: set[str] = set()
        self._sightings: Sightings | None = None
        #: From when on it has seen everything, and how long a window it keeps (ms).
        self._since = self._span = 0
        self._unread: list[News] | None = None  # what came while the log was read back
        self._reading: asyncio.Task[None] | None = None
        self._forgot = 0
        log.sequencer.listeners.append(self._hear)

    @property
    def _register(self) -> Register:
        return self._log.fold.register

    async def run(self) -> None:
        """Start; a malfunction ends the process, not just the task."""
        try:
            await self.start()
        except Exception as error:
            self._log.sequencer.fail(error)
            raise

    async def start(self) -> None:
        """Read back what the spec's longest window needs."""
        spec, fold = self._register.spec, self._log.fold
        self._span = max([kind.max_age for kind in kinds_of(spec)] if spec else [0], default=0)
        since, size = max(0, fold.time - self._span), fold.size
        self._unread = []
        sightings = Sightings(self._register)
        await asyncio.to_thread(self._read, sightings, since, size)
        for news in self._unread:
            sightings.follow(news)
        self._sightings, self._since, self._unread = sightings, since, None
        self._tell(sightings.changed() | self._register.organisations.keys())
        if self._too_short():  # by a spec that was applied meanwhile
            await self.start()

    def changed(self) -> set[str]:
        """Of whom there is something new to observe since this was last asked."""
        anew, self._anew = self._anew, set()
        return anew

    def observe(self, recipient: str, now: int) -> list[Item]:
        """What has been seen up to `now`, as items to be put on record: one for each kind of which
        the last item says something else, or has used up a third of its age."""
        spec, sequencer = self._register.spec, self._log.sequencer
        if spec is None or self._sightings is None:
            return []
        # While a commit is under way its records are older than now, and not to be seen yet.
        stop, time = self._log.fold.size, self._log.fold.time
        until = time if sequencer.size > stop else max(now, time)
        self._forget(until)
        found = []
        for asked in windows(spec, recipient, stop, until):
            item = self._item(spec, asked)
            if item is not None:
                found.append(item)
        return found

    def _item(self, spec: CompiledSpec, asked: Question) -> Item | None:
        kind = spec.kinds[asked.kind]
        proven = self._register.proven(asked.recipient)
        scopes = sorted(proven.scopes.get(kind.scope, ()))
        if self._sightings is None or not scopes or asked.since < self._since:
            return None
        item = observe(self._sightings, asked, scopes[0], os.urandom(16).hex())
        if item is None:
            return None
        known = [
            one
            for one in proven.items
            if (one.kind, one.scope, one.collector) == (item.kind, item.scope, COLLECTOR)
        ]
        last = max(known, key=lambda one: one.dated, default=None)
        if last is not None and AFRESH * (item.dated - last.dated) < kind.max_age:
            return item if item.dated > last.dated and differs(spec, last, item) else None
        return item

    def _forget(self, until: int) -> None:
        """Now and then, drop what no window reaches any more."""
        if self._sightings is not None and until - self._forgot > self._span // 16:
            self._forgot = until
            self._since = max(self._since, until - self._span - LEAD)
            self._sightings.forget(self._since)

    def _hear(self, news: News) -> None:
        if self._unread is not None:
            self._unread.append(news)
        if self._sightings is not None:
            self._sightings.follow(news)
            self._tell(self._sightings.changed())
        if any(isinstance(facts, SpecApplied) for _, _, facts in news) and self._too_short():
            self._reading = asyncio.create_task(self.run())

    def _tell(self, changed: set[str]) -> None:
        self._anew |= changed
        if changed:
            self.notify()

    def _too_short(self) -> bool:
        """Whether the spec now asks for more than is kept."""
        spec = self._register.spec
        longest = max([kind.max_age for kind in kinds_of(spec)] if spec else [0], default=0)
        return self._unread is None and self._sightings is not None and longest > self._span

    def _read(self, sightings: Sightings, since: int, size: int) -> None:
        reader = self._log.reader
        records = reader.records(reader.first_since(max(0, since - LEAD)), size)
        sightings.follow((record.index, record.leaf, record.facts) for record in records)
