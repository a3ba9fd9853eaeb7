"""What waits is told in the order in which it came in, and survives a restart."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.store.outbox import Message, Outbox

_STEPS = st.lists(st.sampled_from(["take", "told", "failed", "given-up", "restart"]), max_size=30)


@settings(max_examples=40, deadline=None)
@given(_STEPS, st.lists(st.sampled_from("ab"), min_size=30, max_size=30))
def test_whatever_fails_each_is_told_all_in_order(steps: list[str], whose: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_told(Path(folder) / "outbox.db", steps, whose))


async def _told(path: Path, steps: list[str], whose: list[str]) -> None:
    outbox, taken, told, given_up = Outbox(path), [], [], []
    for number, step in enumerate(steps):
        if step == "take":
            message = Message(f"m{number:03}", whose[number], b"x")
            taken.append(message)
            await outbox.follow(number, [message], now=number)
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
