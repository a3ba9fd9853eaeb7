"""What the issuer's own receivers are sent: each follows the log from its own position, in order.

Nobody waits for anybody: a receiver that hangs keeps only itself behind. One that is down is tried
again until it is back, and then is sent all that it missed, from the log.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec
import structlog

from bailment import canonical
from bailment.clock import now_ms
from bailment.control.actions import Actions
from bailment.control.sending import Parcel, Sender, SendError, Unfit
from bailment.detect.ocsf import Mapper
from bailment.detect.ocsf_shapes import CLASSES, JSONObject, shortened
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import NoticeSent, RotationDemanded
from bailment.ledger.leaf import Leaf, decode_leaf
from bailment.ledger.records import AccessOpened, HoldAdded, TokenIssued
from bailment.ledger.tree import leaf_hash
from bailment.store.reader import Record, Stored
from bailment.store.sequencer import News
from bailment.store.sinks import Progress, Sink, Sinks
from bailment.store.vault import Erased

logger = structlog.get_logger("bailment.sinks")

#: How long after each failure it is tried again, s; the last again and again.
_PAUSES = (1, 2, 5, 10, 30, 60, 120, 300)
#: Entries read at once, and how many before a position are read for what its records refer to.
_CHUNK, _BEFORE = 1000, 20_000
#: How many events are made before others have their turn.
_TURN = 32
#: How long the position on disk may lag behind a log in which nothing is to be sent, s.
_LAG = 30.0
#: What later records refer to, by which class of records.
_REFERRED: dict[str, tuple[type[Facts], ...]] = {
    "accesses": (TokenIssued, AccessOpened),
    "delegations": (HoldAdded,),
    "incidents": (NoticeSent, RotationDemanded),
}


class Following:
    """One sink at work. `durable` says how many entries the disk has, `clock` seconds that only go
    forward, `oldest` the time (ms) of what waits longest, 0 if nothing does."""

    def __init__(
        self,
        sink: Sink,
        progress: Progress,
        sender: Sender,
        sinks: Sinks,
        actions: Actions,
        durable: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sink, self.progress, self._sender = sink, progress, sender
        self._sinks, self._log, self._durable = sinks, actions.log, durable
        self._people = actions.people
        self._wanted = {kind.TYPE for name in sink.classes for kind in CLASSES[name]}
        self._referred = {kind.TYPE for name in sink.classes for kind in _REFERRED.get(name, ())}
        self._read = self._wanted | self._referred
        self._mapper = self._new_mapper()
        #: Up to here nothing was read of what later records may refer to.
        self._unread = 0
        self._waiting: deque[Parcel] = deque()
        self._size = sender.most
        self._at = progress.next
        self._kept = progress.next
        self._sending = asyncio.Lock()
        self._clock = clock
        #: When one that failed is tried again; what comes in the log does not hasten it.
        self._not_before = 0.0
        self.wake = asyncio.Event()

    @property
    def oldest(self) -> int:
        return self._waiting[0].time if self._waiting else 0

    @property
    def unfit(self) -> bool:
        """Whether it cannot be sent anything, as long as it is not begun anew."""
        return isinstance(self._sender, Unfit)

    @property
    def behind(self) -> int:
        """Entries of the log that it has not passed yet."""
        return max(0, self._durable() - self.progress.next)

    def notice(self, news: News) -> None:
        """Pass over what is not for it; wake where something is."""
        passed = self._at == news[0][0] and not self._waiting
        if passed and not any(facts.TYPE in self._read for _, _, facts in news):
            self._at = self.progress.next = news[-1][0] + 1
        else:
            self.wake.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._keep()  # what is wrong with it, or was
        await self._remember()
        try:
            while True:
                self.wake.clear()
                pause = _LAG
                if not self.progress.paused:
                    pause = await self._advance()
                if self._kept != self.progress.next:
                    await self._keep()
                if pause:
                    # Not `wait_for`: in Python 3.11 it loses a cancellation that comes with the
                    # wake, and whoever ends this would wait for ever.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self.wake.wait()
        finally:
            await self._sender.close()

    async def try_now(self, test: bool) -> str:
        """Send a test event, or only try again; why that failed, or empty."""
        self._size, self._not_before = self._sender.most, 0.0
        if test:
            try:
                async with self._sending:
                    await self._sender.send([_test(self._log.fold.register.state.origin)])
            except SendError as error:
                await self._failed(str(error))
                return str(error)
            self.progress.well()
            await self._keep()
        self.wake.set()
        return ""

    async def _advance(self) -> float:
        """Send what can be sent; how long to wait, s."""
        while not self.progress.paused:
            if (rest := self._not_before - self._clock()) > 0:
                return rest
            if not self._waiting:
                await self._fill()
            if not self._waiting:
                return _LAG
            batch = [self._waiting[i] for i in range(min(self._size, len(self._waiting)))]
            try:
                async with self._sending:
                    await self._sender.send(batch)
            except SendError as error:
                return await self._failed(str(error))
            for _ in batch:
                self._waiting.popleft()
            self._size = min(self._sender.most, self._size * 2)
            one = self.progress
            one.sent, one.last = one.sent + len(batch), now_ms()
            one.well()
            one.next = self._waiting[0].entry if self._waiting else self._at
            await self._keep()
        return _LAG

    async def _failed(self, why: str) -> float:
        self._size = max(1, self._size // 2)  # one that is refused shall not keep the others
        one = self.progress
        if one.error != why[:300]:
            logger.warning("a sink takes nothing", sink=self.sink.name, why=why[:300])
        one.failed(why, now_ms())
        pause = float(_PAUSES[min(one.attempts, len(_PAUSES)) - 1])
        self._not_before = self._clock() + pause
        await self._keep()
        return pause

    async def _keep(self) -> None:
        await self._sinks.keep(self.sink.name, self.progress)
        self._kept = self.progress.next

    # From the log

    async def _remember(self) -> None:
        """Read what the first records may refer to."""
        refers = self.sink.form != "raw" and self._referred
        start = max(0, self._at - _BEFORE) if refers else self._at
        if refers:
            self._unread = start
            self._mapper.recall(self._log.fold.register)
        await self._read_back(start, self._at, self._read)

    async def _read_back(self, start: int, end: int, types: set[str]) -> None:
        """Make events of these records for the sake of what the mapper remembers of them."""
        for turn, (one, _) in enumerate(await self._records(start, end, types)):
            await self._breathe(turn)
            if one is not None:
                self._event(one.index, one.leaf, one.entry, one.facts)

    async def _fill(self) -> None:
        """Take the next entries in, up to as many as are read at once; all, if none is wanted."""
        size = self._durable()
        while self._at < size and not self._waiting:
            end = min(size, self._at + _CHUNK)
            for turn, (one, stored) in enumerate(await self._records(self._at, end, self._read)):
                await self._breathe(turn)
                if one is not None and self._unread and self._mapper.lacks(one.facts):
                    end_of_it, self._unread = self._unread, 0  # all of the log, but only once
                    await self._read_back(0, end_of_it, self._referred)
                if one is None:
                    self.progress.unreadable += 1
                    logger.error("an entry cannot be sent: it was erased", entry=stored.index)
                elif (parcel := self._parcel(one)) is not None:
                    self._waiting.append(parcel)
            self._at = end
        if not self._waiting:
            self.progress.next = self._at

    async def _breathe(self, turn: int) -> None:
        """Let accesses have their turn between events. Not in a thread: the register that they are
        made with changes in this one."""
        if turn % _TURN == 0:
            await asyncio.sleep(0)

    async def _records(
        self, start: int, end: int, types: set[str]
    ) -> list[tuple[Record | None, Stored]]:
        """Records of these types, and the names of whom their events may name: what has to be read
        and decrypted is, in a thread."""
        found = await asyncio.to_thread(self._opened, start, end, types)
        if self.sink.names:
            opened = (one.facts for one, _ in found if one is not None)
            await self._people.load({who for facts in opened for who in self._who(facts)})
        return found

    def _who(self, facts: Facts) -> Iterator[str]:
        """Whom the event of a record may name, by id; whoever held a token was in its record."""
        register = self._log.fold.register
        device, link = getattr(facts, "device", ""), getattr(facts, "link", "")
        kind, _, subject = str(getattr(facts, "subject", "")).partition(":")
        yield from (getattr(facts, "person", ""), device, subject if kind == "person" else "")
        for one in register.path(link or register.link_of.get(device, "")):
            if one.kind == "person":
                yield one.subject

    def _opened(self, start: int, end: int, types: set[str]) -> list[tuple[Record | None, Stored]]:
        found: list[tuple[Record | None, Stored]] = []
        reader = self._log.reader
        for stored in reader.stored(start, end) if start < end else ():
            if decode_leaf(stored.entry).type in types:
                try:
                    found.append((reader.open(stored), stored))
                except Erased:
                    found.append((None, stored))
        return found

    def _parcel(self, one: Record) -> Parcel | None:
        event = self._event(one.index, one.leaf, one.entry, one.facts)
        if event is None or one.leaf.type not in self._wanted:
            return None
        body = msgspec.json.encode(event)
        if self._sender.limit and len(body) > self._sender.limit:
            self.progress.cut += 1
            body = _cut(event, len(body))
        severity = event.get("severity_id", 1)
        return Parcel(one.index, one.leaf.time, one.leaf.type, severity, body)

    def _event(self, index: int, leaf: Leaf, entry: bytes, facts: Facts) -> JSONObject | None:
        digest = leaf_hash(entry).hex()
        if self.sink.form == "raw":
            told = msgspec.json.decode(canonical.encode(facts))
            head = {"entry": index, "time": leaf.time, "type": leaf.type, "leaf_hash": digest}
            return head | {"facts": told}
        register = self._log.fold.register
        return self._mapper.read(index, leaf.time, digest, facts, register)

    def _new_mapper(self) -> Mapper:
        origin = self._log.fold.register.state.origin
        if not self.sink.names:
            return Mapper(origin)
        return Mapper(origin, lambda one: self._people.of(one).get("name", ""), authors=True)


def _cut(event: JSONObject, size: int) -> bytes:
    if "class_uid" in event:
        return msgspec.json.encode(shortened(event, size))
    return msgspec.json.encode({**event, "facts": {}, "truncated": True, "bytes": size})


def _test(origin: str) -> Parcel:
    """A finding that says of itself that it is a test."""
    now = now_ms()
    event = {
        "class_uid": 2004,
        "category_uid": 2,
        "activity_id": 99,
        "type_uid": 200499,
        "severity_id": 1,
        "time": now,
        "message": "a test of this receiver",
        "finding_info": {"uid": "test", "title": "test"},
        "verdict_id": 6,
        "metadata": {
            "version": "1.8.0",
            "profiles": ["incident"],
            "product": {"name": "bailment", "vendor_name": "bailment"},
            "log_name": origin,
        },
    }
    return Parcel(0, now, "sink.test", 1, msgspec.json.encode(event))
