"""What waits is told in the order in which it came in, survives a restart, and has a bound."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.store.outbox import ROOM, Message, Outbox, Standing, standing

_STEPS = st.lists(st.sampled_from(["take", "told", "failed", "given-up", "restart"]), max_size=30)


def _message(entry: int, organisation: str) -> Message:
    return Message(f"m{entry:05}", organisation, b"x")


@settings(max_examples=40, deadline=None)
@given(_STEPS, st.lists(st.sampled_from("ab"), min_size=30, max_size=30))
def test_whatever_fails_each_is_told_all_in_order(steps: list[str], whose: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_told(Path(folder) / "outbox.db", steps, whose))


async def _told(path: Path, steps: list[str], whose: list[str]) -> None:
    outbox, taken, told, given_up = Outbox(path), [], [], []
    for number, step in enumerate(steps):
        if step == "take":
            message = _message(number, whose[number])
            taken.append(message)
            await outbox.follow(number, [(number, message)], now=number)
        elif step == "restart":
            outbox.close()
            outbox = Outbox(path)
        elif first := await outbox.first():
            one = first[0][1]
            if step == "told":
                await outbox.told(one, number)
                told.append(one.id)
            else:
                due = None if step == "given-up" else 1000 + number
                await outbox.failed(one, "no", due)
                given_up += [one.id] if due is None else []
    while first := await outbox.first():
        await outbox.told(first[0][1], 0)
        told.append(first[0][1].id)
    outbox.close()
    for name in "ab":
        came = [one.id for one in taken if one.organisation == name and one.id not in given_up]
        assert [one for one in told if one in came] == came
    assert sorted(told + given_up) == sorted(one.id for one in taken)


class Log:
    """Entry after entry is for `a`; every third for `b`, too."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox, self.size = outbox, 0

    def of(self, start: int, end: int, *whose: str) -> list[tuple[int, Message]]:
        every = [(entry, name) for entry in range(start, end) for name in ("a", "b")]
        wanted = [(i, name) for i, name in every if name in whose and (name == "a" or i % 3 == 0)]
        return [(i, Message(f"{name}{i:05}", name, b"x")) for i, name in wanted]

    async def grow(self, entries: int) -> None:
        start, self.size = self.size, self.size + entries
        await self.outbox.follow(self.size, self.of(start, self.size, "a", "b"))

    async def read_on(self, most: int = 37) -> bool:
        late = await self.outbox.late()
        if late is None:
            return False
        end = min(late.end, late.start + most)
        messages = self.of(late.start, end, late.organisation)
        await self.outbox.catch_up(late.organisation, end, messages, 0)
        return True

    async def tell(self, organisation: str) -> str:
        for _, one in await self.outbox.first():
            if one.organisation == organisation:
                await self.outbox.told(one, 0)
                return one.id
        return ""


@pytest.mark.anyio
async def test_above_its_bound_nothing_is_kept_but_where_to_read_on_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    path, told = tmp_path / "outbox.db", []
    outbox = Outbox(path)
    log = Log(outbox)
    await log.grow(ROOM)
    assert (await outbox.status("a")).behind == 0
    await log.grow(1000)
    waits = await outbox.status("a")
    assert (waits.waiting, waits.behind) == (ROOM, 1000)
    assert await outbox.standing() == Standing(2 * ROOM, 0, 0, 1000)
    assert not await log.read_on()  # there is no room
    outbox.close()
    log.outbox = outbox = Outbox(path)
    while got := await log.tell("a"):
        told.append(got)
        if len(told) == 500:
            await log.grow(300)  # which come behind what it has not read yet
        while await log.read_on():
            pass
        assert (await outbox.status("a")).waiting <= ROOM
    assert told == [f"a{i:05}" for i in range(1400)]
    assert (await outbox.status("a")).behind == 0
    await log.grow(3)
    assert await log.tell("a") == "a01400"  # as if nothing had been
    assert standing(path) == await outbox.standing()
    outbox.close()


@pytest.mark.anyio
async def test_what_was_given_up_counts_for_the_bound_and_keeps_nobody_from_the_rest(
    tmp_path: Path,
) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    log = Log(outbox)
    await log.grow(ROOM + 50)
    for _ in range(ROOM):
        (message,) = [one for _, one in await outbox.first() if one.organisation == "a"]
        await outbox.failed(message, "no", None)
    assert not await log.read_on()
    assert (await outbox.status("a"))[:2] == (0, ROOM)
    await outbox.retry("a", 0)
    told = []
    while got := await log.tell("a"):
        told.append(got)
        while await log.read_on():
            pass
    assert told == [f"a{i:05}" for i in range(ROOM + 50)]
    outbox.close()


@pytest.mark.anyio
async def test_who_ends_its_webhook_is_late_for_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    log = Log(outbox)
    await log.grow(ROOM + 50)
    late = log.of(ROOM, ROOM + 50, "a")
    await outbox.drop("a")
    await outbox.catch_up("a", ROOM + 50, late, 0)  # which was just being read
    assert (await outbox.status("a"))[:2] == (0, 0)
    assert await outbox.late() is None
    outbox.close()
