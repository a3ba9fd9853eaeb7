"""Whatever fails and however often we restart, a receiver sees every event, in the log's order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment import canonical
from bailment.access.state import Indexed
from bailment.control import sinks
from bailment.control.sending import Parcel, SendError
from bailment.control.sinks import Following
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf, encode_leaf
from bailment.ledger.records import HoldAdded, LogHeads
from bailment.store.reader import Record, Stored
from bailment.store.sinks import Progress, Sink
from bailment.store.vault import Erased


class Log:
    """Entries; those of `erased` cannot be opened."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self.reader, self.fold = self, SimpleNamespace(register=Indexed(), time=0)
        self.kinds = kinds
        self.wanted = [i for i, kind in enumerate(kinds) if kind == "hold"]

    def facts(self, index: int) -> Facts:
        if self.kinds[index] == "heads":
            return LogHeads("s")
        return HoldAdded(f"{index:032x}", "model:m", "why", "me")

    def stored(self, start: int, stop: int) -> list[Stored]:
        found = []
        for index in range(start, min(stop, len(self.kinds))):
            kind = self.facts(index).TYPE
            leaf = Leaf(kind, index, "r", 0, "0" * 64, "", 0, "f", 1)
            found.append(Stored(index, encode_leaf(leaf), b"", b""))
        return found

    def open(self, stored: Stored) -> Record:
        facts = self.facts(stored.index)
        if self.kinds[stored.index] == "erased":
            raise Erased("gone")
        leaf = Leaf(facts.TYPE, stored.index, "r", 0, "0" * 64, "", 0, "f", 1)
        return Record(stored.index, stored.entry, leaf, canonical.encode(facts), facts)


class Flaky:
    """Takes so many of each batch; where that is not all of it, the batch has failed. `None`: it
    takes all, and we die before we know."""

    limit = 0

    def __init__(self, most: int, outcomes: list[int | None], died: asyncio.Event) -> None:
        self.most, self._outcomes, self._died = most, outcomes, died
        self.got: list[int] = []

    async def send(self, parcels: Sequence[Parcel]) -> None:
        took = self._outcomes.pop(0) if self._outcomes else len(parcels)
        self.got += [one.entry for one in parcels[:took]]
        if took is None:
            self._died.set()
            await asyncio.Event().wait()
        elif took < len(parcels):
            raise SendError("no")

    async def close(self) -> None: ...


class Kept:
    """What a restart finds."""

    def __init__(self) -> None:
        self.next = 0

    async def keep(self, name: str, progress: Progress) -> None:
        self.next = progress.next


async def delivered(kinds: list[str], most: int, outcomes: list[int | None]) -> list[int]:
    log, kept, got, unreadable = Log(kinds), Kept(), [], 0
    actions: Any = SimpleNamespace(log=log, people=None)
    sink = Sink("s", "http", "x", ("delegations",))
    while True:
        died = asyncio.Event()
        sender, progress = Flaky(most, outcomes, died), Progress(kept.next)
        follow = Following(sink, progress, sender, kept, actions, lambda: len(kinds))  # type: ignore[arg-type]
        task = asyncio.create_task(follow.run())
        async with asyncio.timeout(30):
            while progress.next < len(kinds) and not died.is_set() and not task.done():  # noqa: ASYNC110
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        got += sender.got
        unreadable += progress.unreadable
        if not died.is_set():
            assert unreadable >= kinds.count("erased")
            return got


@pytest.fixture(autouse=True, scope="module")
def soon() -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sinks, "_PAUSES", (0.0001,))
        patched.setattr(sinks, "_CHUNK", 3)
        yield


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["hold", "heads", "erased"]), max_size=12),
    st.integers(1, 5),
    st.lists(st.one_of(st.none(), st.integers(0, 4)), max_size=12),
)
def test_whatever_fails_every_event_arrives_at_least_once_and_first_in_order(
    kinds: list[str], most: int, outcomes: list[int | None]
) -> None:
    got = asyncio.run(delivered(kinds, most, list(outcomes)))
    assert list(dict.fromkeys(got)) == [i for i, kind in enumerate(kinds) if kind == "hold"]
