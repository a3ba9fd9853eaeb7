"""The worker is stopped and killed while many ask: no access waits for it, and none is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bailment.gateway import prompts
from bailment.ledger.records import AccessClosed, AccessOpened

from ..world import DIALECTS, PATIENCE, Device, World, world

pytestmark = [pytest.mark.anyio, pytest.mark.journey]
#: Who ask at once, how often each in one turn, and how long their prompts are: in all more than a
#: socket's buffers and the queue before it take from nobody's reading.
PEOPLE, EACH, LONG = 8, 60, "x" * 2_000


class Traffic:
    """Devices that ask in every dialect, one question after the other."""

    def __init__(self, devices: list[Device]) -> None:
        self._devices = devices
        self.asked = 0

    async def turn(self) -> None:
        """All of them at once; each answer must be whole."""
        await asyncio.gather(*map(self._one, self._devices))

    async def _one(self, device: Device) -> None:
        for number in range(EACH):
            dialect = list(DIALECTS)[number % len(DIALECTS)]
            words = f"{number} {LONG}"
            said: dict[str, Any] = {"messages": [{"role": "user", "content": words}]}
            if dialect == "responses":
                said = {"input": words}
            if number % 10 == 9:
                async with device.stream(dialect, **said) as answered:
                    assert answered.status_code == 200
                    assert b"data: " in await answered.aread()
            else:
                answered = await device.ask(dialect, **said)
                assert answered.status_code == 200 and answered.json()
            self.asked += 1


async def told(at: World) -> dict[str, Any]:
    """What the issuer says of its worker, once that runs."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found: dict[str, Any] = (await at.console.get("http://console/status")).json()["worker"]
            if found["state"] == "running":
                return found
            await asyncio.sleep(0.05)


async def test_who_asks_takes_no_notice_of_a_worker_that_stands_still_or_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "ROOM", 50)
    async with world(tmp_path, worker=True) as at:
        recipient = await at.recipient()
        people = [await recipient.person(f"Person{number}") for number in range(PEOPLE)]
        traffic = Traffic([await person.device() for person in people])
        first = await told(at)
        os.kill(first["pid"], signal.SIGSTOP)
        await traffic.turn()
        saturated = await at.metric('bailment_prompts_total{outcome="dropped"}')
        assert saturated > 0, "it was to have more than it can take"
        assert (await told(at))["position"] == first["position"]
        os.kill(first["pid"], signal.SIGCONT)
        for _ in range(2):
            pid = (await told(at))["pid"]
            going = asyncio.create_task(traffic.turn())
            asked = traffic.asked
            async with asyncio.timeout(PATIENCE):
                while traffic.asked < asked + PEOPLE:  # noqa: ASYNC110 - it is under way
                    await asyncio.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            await going
        assert (await told(at))["restarts"] == 2
        opened = {one.access for one in at.of(AccessOpened)}
        assert len(opened) == traffic.asked == 3 * PEOPLE * EACH
        await at.until(lambda: len(at.of(AccessClosed)) == len(opened))
        closed = at.of(AccessClosed)
        assert {one.access for one in closed} == opened
        assert {one.outcome for one in closed} == {"complete"}
        async with asyncio.timeout(PATIENCE):  # and who came last has read it all
            while (await told(at))["behind"]:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
