"""When a sink is tried again, and how long it keeps everybody else waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bailment.control import sinks
from bailment.control.sending import Parcel, SendError
from bailment.control.sinks import Following
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import HoldAdded
from bailment.store.durable import Files
from bailment.store.folder import Folder
from bailment.store.sinks import Progress, Sink, Sinks

from ..world import PATIENCE
from .test_sink_properties import Kept, Log

pytestmark = pytest.mark.anyio


class Down:
    """Takes nothing, until it is `up`."""

    most, limit, tried, up = 10, 0, 0, False

    def __init__(self) -> None:
        self.got: list[int] = []

    async def send(self, parcels: Sequence[Parcel]) -> None:
        self.tried += 1
        if not self.up:
            raise SendError("no")
        self.got += [one.entry for one in parcels]

    async def close(self) -> None: ...


class Nobody:
    """People of whom nothing is known."""

    async def load(self, people: Iterable[str]) -> None: ...


@asynccontextmanager
async def following(
    sender: Any,
    entries: int,
    clock: Callable[[], float] = time.monotonic,
    at: int = 0,
    **more: Any,
) -> AsyncIterator[Following]:
    log = Log(["hold"] * entries)
    actions: Any = SimpleNamespace(log=log, people=Nobody())
    sink, kept = Sink("s", "http", "x", **{"classes": ("delegations",), **more}), Kept()
    made = Following(sink, Progress(at), sender, kept, actions, lambda: entries, clock)  # type: ignore[arg-type]
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it has its turn at once
            await asyncio.sleep(0)


async def test_what_comes_in_the_log_hastens_no_sink_that_failed() -> None:
    now, sender = [0.0], Down()

    async with following(sender, 1, lambda: now[0]) as follow:

        async def news() -> None:
            """A batch of the log, and the sink's turn after it: what it would send, it has sent."""
            leaf = Leaf("hold.added", 1, "r", 0, "0" * 64, "", 0, "f", 1)
            follow.notice([(1, leaf, Log(["hold"]).facts(0))])
            await until(lambda: not follow.wake.is_set())

        await until(lambda: sender.tried)
        for _ in range(200):
            await news()
        assert sender.tried == 1
        for passed, tried in ((1.0, 2), (1.0, 2), (1.0, 3), (4.9, 3), (0.2, 4)):
            now[0] += passed
            await news()
            assert sender.tried == tried
        await follow.try_now(test=False)
        await until(lambda: sender.tried == 5)


@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("past", [False, True], ids=["to send", "to refer to"])
async def test_others_have_their_turn_while_events_are_made(
    monkeypatch: pytest.MonkeyPatch, names: bool, past: bool
) -> None:
    made, at_once, sender = 0, [0], Down()

    def event(*_: object) -> dict[str, Any]:
        nonlocal made
        made += 1
        at_once[-1] += 1
        return {}

    async def others() -> None:
        while True:
            at_once.append(0)
            await asyncio.sleep(0)

    monkeypatch.setattr(Following, "_event", event)
    monkeypatch.setitem(sinks._REFERRED, "findings", (HoldAdded,))
    other = asyncio.create_task(others())
    classes = ("findings",) if past else ("delegations",)
    at = 200 if past else 0
    async with following(sender, 200, at=at, classes=classes, names=names):
        await until(lambda: made == 200)
    other.cancel()
    assert max(at_once) == 32


async def test_a_receiver_that_was_down_for_days_gets_all_in_order_whatever_we_did_meanwhile(
    tmp_path: Path,
) -> None:
    """Three days by the clock, in which the log grows and we are restarted each day."""
    folder = Folder(tmp_path)
    folder.secrets.mkdir()
    table, sink = Sinks(folder, Files()), Sink("s", "http", "x", ("delegations",))
    await table.add(sink, Progress(0), "")
    kinds: list[str] = []
    log, sender, now = Log(kinds), Down(), 0.0
    actions: Any = SimpleNamespace(log=log, people=None)

    @asynccontextmanager
    async def process() -> AsyncIterator[Following]:
        ((_, progress),) = await table.all()
        size: Callable[[], int] = lambda: len(kinds)  # noqa: E731
        made = Following(sink, progress, sender, table, actions, size, lambda: now)
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    for day in range(1, 4):
        async with process() as follow:
            while now < day * 86_400:
                tried = sender.tried
                kinds += ["hold", "heads", "hold"]
                now += 300
                follow.wake.set()
                await until(lambda tried=tried: sender.tried > tried)
            assert follow.behind == len(kinds)
    assert sender.tried == 3 * 86_400 / 300  # it was never given up
    sender.up, progress = True, Progress(0)
    async with process(), asyncio.timeout(PATIENCE):
        while progress.next < len(kinds):
            ((_, progress),) = await table.all()
    assert sender.got == [i for i, kind in enumerate(kinds) if kind == "hold"]
    assert (progress.sent, progress.attempts, progress.error) == (len(sender.got), 0, "")
    table.close()


async def test_raw_records_refer_to_nothing_that_would_be_read_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sinks._REFERRED, "findings", (HoldAdded,))
    monkeypatch.setattr(sinks, "_LAG", 0.001)
    read: list[tuple[int, int]] = []
    monkeypatch.setattr(Log, "stored", lambda _, start, end: read.append((start, end)) or [])
    async with following(Down(), 200, at=150, classes=("findings",), form="raw"):
        await until(lambda: read)
    assert read[0] == (150, 200)
