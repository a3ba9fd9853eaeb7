"""What stops the gateway although no record says so: a log that is not heard, and the kill switch.

The log falls silent as it does in life: a commit hangs, so nothing passes the writer. The steady
clock is the test's, so nobody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import clock_gettime
from typing import Any
from unittest.mock import patch

import pytest

from bailment.access.holds import KILL_SWITCH
from bailment.ledger.enforcement_records import MaintenanceExtended
from bailment.ledger.records import AccessClosed, AccessOpened, HoldAdded, HoldLifted
from bailment.store import switch

from ..world import (
    STREAM,
    Asked,
    Device,
    Wire,
    World,
    broken,
    canned,
    chunk,
    events,
    refused,
    refusing,
    world,
)
from .scripted import Peer

pytestmark = pytest.mark.anyio

HOUR = 3_600_000
CLEAN_END = b"\r\n0\r\n\r\n"


class Steady:
    """The steady clock, and what a test adds to it (s)."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self, which: int) -> float:
        return clock_gettime(which) + self.ahead


@pytest.fixture
def steady() -> Iterator[Steady]:
    with patch("bailment.clock.clock_gettime", Steady()) as clock:
        yield clock


@pytest.fixture
async def lab(tmp_path_factory: pytest.TempPathFactory, steady: Steady) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        made.model.play = endless
        yield made


async def endless(peer: Peer, asked: Asked) -> None:
    await peer.send(STREAM, *map(chunk, events(canned(asked)[0])[:3]))
    await peer.gone()


@asynccontextmanager
async def streaming(device: Device) -> AsyncIterator[Wire]:
    """A stream under way."""
    async with device.wire(stream=True) as wire:
        await wire.until(lambda: wire.body.count(b"\n\n") == 3)
        yield wire


@asynccontextmanager
async def silence(lab: World) -> AsyncIterator[None]:
    """A commit that hangs inside the block: the log's writer gives no sign of life."""
    async with lab.brake.holding("hold.added"):
        holding = asyncio.create_task(lab.hold("model:other"))
        await lab.brake.reach()
        try:
            yield
        finally:
            lab.brake.release()
            await holding


async def status(lab: World) -> dict[str, Any]:
    found: dict[str, Any] = (await lab.console.get("http://console/status")).json()
    return found


async def until_served(lab: World) -> None:
    while (await status(lab))["access"] != "served":  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # a beat is on its way


# The feed


async def test_a_silent_log_lets_nothing_new_in_after_a_second(lab: World, steady: Steady) -> None:
    device = await lab.device()
    async with streaming(device) as wire:
        async with silence(lab):
            steady.ahead = 1.1
            assert refused(await device.ask()) == (503, "feed-stale")
            assert refused(await device.get("/v1/models")) == (503, "feed-stale")
            fetched = await device.fetch()
            assert (fetched.status_code, fetched.json()["reason"]) == (503, "feed-stale")
            ready = await lab.http.get(lab.url + "/readyz")
            assert (ready.status_code, ready.text) == (503, "feed-stale\n")
            assert (await status(lab))["access"] == "feed-stale"
            assert await lab.metric("bailment_feed_age_seconds") > 1.0
            assert not wire.ended
        await until_served(lab)
        assert not wire.ended


async def test_a_silent_log_cuts_every_stream_after_three_seconds(
    lab: World, steady: Steady
) -> None:
    first, second = await lab.device(), await lab.device()
    since = lab.size
    async with streaming(first) as one, streaming(second) as other:
        async with silence(lab):
            steady.ahead = 3.1
            for wire in (one, other):
                assert not (await wire.end()).endswith(CLEAN_END)
                assert broken(wire.body) == "feed-stale"
            assert lab.of(AccessClosed, since) == []  # the log is what stands still
        await lab.until(lambda: len(lab.of(AccessClosed, since)) == 2)
    ended = {(facts.outcome, facts.reason) for facts in lab.of(AccessClosed, since)}
    assert ended == {("cut", "feed-stale")}


async def test_an_answer_that_waits_for_its_record_is_cut_by_silence_too(
    lab: World, steady: Steady
) -> None:
    device = await lab.device()

    async def whole(peer: Peer, asked: Asked) -> None:
        await peer.send(STREAM, chunk(canned(asked)[0]), b"0\r\n\r\n")

    lab.model.play = whole
    for stream in (True, False):
        async with lab.brake.holding("access.closed"), device.wire(stream=stream) as wire:
            await lab.brake.reach()
            steady.ahead += 3.1
            await wire.until(lambda: b"feed-stale" in wire.body)
            if stream:
                assert not (await wire.end()).endswith(CLEAN_END)
            assert b"[DONE]" not in wire.body
            assert not wire.got.startswith(b"HTTP/1.1 200") or stream
        await until_served(lab)
        lab.model.play = _json


async def test_a_refusal_waits_for_its_record_but_not_for_a_silent_log(
    lab: World, steady: Steady
) -> None:
    device = await lab.device()
    lab.model.play = refusing(500)
    async with lab.brake.holding("access.closed"), device.wire() as wire:
        await lab.brake.reach()
        await lab.settle()
        assert wire.got == b""
        steady.ahead = 3.1
        await wire.until(lambda: b"upstream-refused" in wire.body)


async def _json(peer: Peer, asked: Asked) -> None:
    await peer.answer(canned(asked)[0], b"content-type: application/json\r\n")


async def test_a_loop_that_stood_still_sends_nothing_of_before(lab: World, steady: Steady) -> None:
    """The beat is heard first, and the stream is cut all the same: the response path asks."""
    device, go = await lab.device(), asyncio.Event()

    async def paused(peer: Peer, asked: Asked) -> None:
        parts = list(map(chunk, events(canned(asked)[0])))
        await peer.send(STREAM, *parts[:3])
        await go.wait()
        await peer.send(*parts[3:])

    lab.model.play = paused
    async with streaming(device) as wire:
        steady.ahead = 3.1  # as after SIGSTOP: every thread goes on at the same moment
        go.set()
        await wire.end()
        assert broken(wire.body) == "feed-stale"
        assert wire.body.count(b"\n\n") == 4


async def test_a_hold_that_hangs_lets_its_subject_do_nothing(lab: World, steady: Steady) -> None:
    """Nobody knows whether it is in the log: it is not effective, and nothing is served."""
    device = await lab.device()
    register = lab.register
    person = register.path(register.link_of[device.id])[-2].subject
    async with streaming(device) as wire, lab.brake.holding("hold.added"):
        holding = asyncio.create_task(lab.act("hold-add", subject=f"person:{person}", reason="r"))
        await lab.brake.reach()
        steady.ahead = 3.1
        assert refused(await device.ask()) == (503, "feed-stale")
        await wire.end()
        assert not holding.done()
        lab.brake.release()
        done = await holding
        assert (done["effective"], done["cut"], done["left"]) == (True, 0, 0)


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_that_is_ten_minutes_off_is_no_silence(lab: World, minutes: int) -> None:
    device = await lab.device()
    async with streaming(device) as wire:
        lab.clock.ahead = minutes * 60_000
        await lab.settle()
        assert not wire.ended
        register = lab.register
        person = register.path(register.link_of[device.id])[-2].subject
        done = await lab.act("hold-add", subject=f"person:{person}", reason="r")
        assert (done["effective"], done["cut"]) == (True, 1)
        assert done["cut_after"] >= 0
        await wire.end()
        assert broken(wire.body) == "held"


async def test_silence_is_not_hidden_by_setting_the_clock_back(lab: World, steady: Steady) -> None:
    device = await lab.device()
    async with streaming(device) as wire, silence(lab):
        lab.clock.ahead = -1_900  # within what is tolerated
        steady.ahead = 3.1
        await wire.end()
        assert broken(wire.body) == "feed-stale"


# Maintenance


async def test_maintenance_lets_everything_go_on_in_silence_for_its_time(
    lab: World, steady: Steady
) -> None:
    device = await lab.device()
    await lab.act("maintenance", until=lab.clock.now() + 600_000, reason="a disk is moved")
    assert lab.of(MaintenanceExtended)[-1].author == "tests"
    async with streaming(device) as wire, silence(lab):
        steady.ahead = 500
        await lab.settle()
        told = await status(lab)
        assert told["access"] == "served"
        assert 0 < told["maintenance"] < 600_000
        assert 0 < await lab.metric("bailment_maintenance_seconds") < 600
        assert not wire.ended
        steady.ahead = 601
        await wire.end()
        assert broken(wire.body) == "feed-stale"
        assert refused(await device.ask()) == (503, "feed-stale")


async def test_maintenance_has_the_bounds_that_the_spec_sets(lab: World) -> None:
    for until in (lab.clock.now() + HOUR + 60_000, lab.clock.now() - 1, 0):
        value = {"act": "maintenance", "author": "tests", "reason": "r", "until": until}
        assert (await lab.console.post("http://console/act", json=value)).status_code == 403
    assert lab.of(MaintenanceExtended) == []


async def test_maintenance_outlives_a_restart_but_not_its_time(lab: World, steady: Steady) -> None:
    await lab.act("maintenance", until=lab.clock.now() + 600_000, reason="r")
    await lab.restart()
    assert 500_000 < (await status(lab))["maintenance"] <= 600_000
    await lab.act("maintenance", until=0, reason="done")
    assert (await status(lab))["maintenance"] == 0
    await lab.restart()
    assert (await status(lab))["maintenance"] == 0


# The kill switch


async def test_the_kill_switch_stops_everything_by_a_file_alone(lab: World) -> None:
    device, since = await lab.device(), lab.size
    async with streaming(device) as wire:
        assert switch.turn_on(lab.folder.kill_switch, "ann", "they are in") == ""
        await wire.end()
        assert broken(wire.body) == "kill-switch"
    assert refused(await device.ask()) == (403, "kill-switch")
    fetched = await device.fetch()
    assert fetched.json()["reason"] == "kill-switch"
    assert (await lab.http.get(lab.url + "/readyz")).text == "kill-switch\n"
    assert await lab.metric("bailment_kill_switch") == 1.0
    await lab.until(lambda: lab.of(HoldAdded, since))
    hold = lab.of(HoldAdded, since)[0]
    assert (hold.subject, hold.reason, hold.author) == (KILL_SWITCH, "they are in", "ann")


async def test_an_empty_file_is_enough(lab: World) -> None:
    device = await lab.device()
    async with streaming(device) as wire:
        lab.folder.kill_switch.touch()
        await wire.end()
        assert broken(wire.body) == "kill-switch"


async def test_the_kill_switch_cuts_while_the_log_stands_still(lab: World) -> None:
    device = await lab.device()
    async with streaming(device) as wire, silence(lab):
        switch.turn_on(lab.folder.kill_switch, "ann", "r")
        await wire.end()
        assert broken(wire.body) == "kill-switch"
        assert refused(await device.ask()) == (403, "kill-switch")


async def test_the_kill_switch_survives_a_restart(lab: World) -> None:
    device, since = await lab.device(), lab.size
    await lab.stop()
    switch.turn_on(lab.folder.kill_switch, "ann", "r")
    await lab.restart()
    assert refused(await device.ask()) == (403, "kill-switch")
    await lab.until(lambda: lab.of(HoldAdded, since))


async def test_the_kill_switch_stays_on_though_its_file_is_gone(lab: World) -> None:
    device, since = await lab.device(), lab.size
    switch.turn_on(lab.folder.kill_switch, "ann", "r")
    await lab.until(lambda: lab.of(HoldAdded, since))
    lab.folder.kill_switch.unlink()
    await lab.settle()
    assert refused(await device.ask()) == (403, "kill-switch")
    await lab.restart()
    assert refused(await device.ask()) == (403, "kill-switch")
    assert lab.folder.kill_switch.exists()


async def test_the_kill_switch_goes_off_only_on_the_record(lab: World) -> None:
    device, since = await lab.device(), lab.size
    switch.turn_on(lab.folder.kill_switch, "ann", "r")
    await lab.until(lambda: lab.of(HoldAdded, since))
    hold = lab.of(HoldAdded, since)[0].hold
    lifted = {"act": "hold-lift", "author": "tests", "hold": hold, "reason": "r"}
    assert (await lab.console.post("http://console/act", json=lifted)).status_code == 403
    await lab.act("kill-switch-off", reason="it was a drill")
    assert lab.of(HoldLifted, since)[0].hold == hold
    assert not lab.folder.kill_switch.exists()
    device.nonce = None
    await device.renew()
    lab.model.play = _json
    assert (await device.ask()).status_code == 200
    await lab.restart()
    await lab.device()


async def test_what_is_off_cannot_be_turned_off(lab: World) -> None:
    value = {"act": "kill-switch-off", "author": "tests", "reason": "r"}
    assert (await lab.console.post("http://console/act", json=value)).status_code == 403


async def test_nobody_holds_the_kill_switch_by_a_hold(lab: World) -> None:
    value = {"act": "hold-add", "author": "tests", "subject": KILL_SWITCH, "reason": "r"}
    assert (await lab.console.post("http://console/act", json=value)).status_code == 403
    assert lab.of(HoldAdded) == []


async def test_a_full_disk_stops_neither_holds_nor_the_kill_switch(lab: World) -> None:
    device = await lab.device()
    async with streaming(device) as wire:
        with patch.object(type(lab.issuer.log), "free_bytes", lambda log: 0):
            lab.model.play = _json
            while refused_or_none(await device.ask()) != (503, "disk-reserve"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # it looks at the disk once a second
            register = lab.register
            person = register.path(register.link_of[device.id])[-2].subject
            done = await lab.act("hold-add", subject=f"person:{person}", reason="r")
            assert (done["effective"], done["cut"]) == (True, 1)
            await wire.end()
            assert broken(wire.body) == "held"
            with patch("os.write", side_effect=OSError(28, "No space left on device")):
                assert switch.turn_on(lab.folder.kill_switch, "ann", "r") == ""
            assert lab.folder.kill_switch.stat().st_size == 0
            while refused_or_none(await device.ask()) != (403, "kill-switch"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the guard looks four times in a beat


def refused_or_none(answered: Any) -> tuple[int, str]:
    return (200, "") if answered.status_code == 200 else refused(answered)


async def test_in_the_logs_order_nothing_is_opened_after_the_kill_switch(lab: World) -> None:
    device, since = await lab.device(), lab.size
    lab.model.play = _json
    switch.turn_on(lab.folder.kill_switch, "ann", "r")
    while not lab.of(HoldAdded, since):
        await device.ask()
    order = [facts for at, _, facts in lab.news if at >= since]
    hold = next(at for at, facts in enumerate(order) if isinstance(facts, HoldAdded))
    for _ in range(3):
        assert refused(await device.ask()) == (403, "kill-switch")
    assert not [facts for facts in order[hold:] if isinstance(facts, AccessOpened)]
