"""`bailment serve` as a process: its writer stands still, it is stopped and goes on, it is told by
a signal, its control socket is gone, and it starts again with the kill switch on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import pytest

from bailment.ledger.records import AccessClosed, AccessOpened, HoldAdded
from bailment.store import switch
from bailment.store.folder import Folder, owner
from bailment.store.view import open_view
from bailment.store.writer import THREAD

from ..standstill import standing_still, thread_of
from ..world import Device, Wire, World, broken, refused, world
from .test_journey_process import endless, greeted, ready, serving

pytestmark = [pytest.mark.anyio, pytest.mark.journey]


@pytest.fixture
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), "drain_seconds = 0.3") as made:
        made.model.play = endless
        yield made


@asynccontextmanager
async def streaming(device: Device) -> AsyncIterator[Wire]:
    async with device.wire(stream=True) as wire:
        await wire.until(lambda: wire.body.count(b"\n\n") == 3)
        yield wire


@contextmanager
def writer_stands_still(process: int) -> Iterator[None]:
    """The thread that commits, in a process that is otherwise alive."""
    with ExitStack() as stack:
        try:
            stack.enter_context(standing_still(thread_of(process, THREAD)))
        except PermissionError:
            pytest.skip("ptrace is not allowed here, so no thread can be stopped")
        yield


async def seen(lab: World, why: str) -> None:
    """Wait until the process says that it serves nobody for this reason."""
    while (await lab.http.get(lab.url + "/readyz")).text != f"{why}\n":  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_writer_that_stands_still_stops_new_work_and_then_streams(lab: World) -> None:
    """The seconds are the spec's, so here they pass."""
    device = await lab.device()
    async with serving(lab) as process, AsyncExitStack() as stack:
        await greeted(device)
        wires = [await stack.enter_async_context(streaming(device)) for _ in range(5)]
        began = time.monotonic()
        with writer_stands_still(process.pid):
            await seen(lab, "feed-stale")
            stale = time.monotonic() - began
            assert refused(await device.ask()) == (503, "feed-stale")
            assert not any(wire.ended for wire in wires)
            for wire in wires:
                await wire.end()
                assert broken(wire.body) == "feed-stale"
            cut = time.monotonic() - began
        # Less than the spec's: up to a heartbeat had passed when it stopped. Never less than that.
        assert 1.0 - 0.25 <= stale < cut
        assert cut >= 3.0 - 0.25
        while not await ready(lab):  # noqa: ASYNC110 - a beat is on its way
            await asyncio.sleep(0.01)
        async with streaming(device):
            process.kill()
            await process.wait()
    records = [record.facts for record in open_view(lab.folder).reader.records()]
    ends = [(one.outcome, one.reason) for one in records if isinstance(one, AccessClosed)]
    assert [end for end in ends if end != ("complete", "")] == [("cut", "feed-stale")] * 5


async def test_a_process_that_was_stopped_sends_nothing_of_before(lab: World) -> None:
    """SIGSTOP, as of a machine that was suspended: what was open before is cut when it goes on."""
    device = await lab.device()
    async with serving(lab) as process:
        await greeted(device)
        async with streaming(device) as wire:
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(3.3)  # longer than streams may go on unheard
            process.send_signal(signal.SIGCONT)
            await wire.end()
            assert broken(wire.body) == "feed-stale"


async def test_a_signal_alone_stops_everything_and_outlives_the_process(lab: World) -> None:
    device = await lab.device()
    async with serving(lab) as process:
        await greeted(device)
        assert owner(lab.folder) == process.pid
        async with streaming(device) as wire:
            process.send_signal(signal.SIGUSR1)
            await wire.end()
            assert broken(wire.body) == "kill-switch"
        assert refused(await device.ask()) == (403, "kill-switch")
        while not switch.read(lab.folder.kill_switch).time:  # noqa: ASYNC110 - made a moment later
            await asyncio.sleep(0.01)
        assert switch.read(lab.folder.kill_switch).author == f"signal from pid {os.getpid()}"
    assert owner(lab.folder) == 0
    async with serving_stopped(lab):
        assert refused(await device.ask()) == (403, "kill-switch")


@asynccontextmanager
async def serving_stopped(lab: World) -> AsyncIterator[None]:
    """Served again, which never gets ready."""
    command = (sys.executable, "-m", "bailment", "serve", "-d", str(lab.folder.root))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        while True:
            try:
                await seen(lab, "kill-switch")
                break
            except httpx2.TransportError as error:  # the listener is not there yet
                if process.returncode is not None:
                    raise AssertionError("it has ended") from error
                await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        await process.wait()


async def test_the_kill_switch_needs_neither_log_nor_control_socket(lab: World) -> None:
    device = await lab.device()
    async with serving(lab) as process:
        await greeted(device)
        async with streaming(device) as wire:
            lab.folder.control_socket.unlink()
            with writer_stands_still(process.pid):
                began = time.monotonic()
                switch.turn_on(lab.folder.kill_switch, "ann", "they are in")
                await wire.end()
                assert time.monotonic() - began < 1.0  # else it may have been the silence
                assert broken(wire.body) == "kill-switch"
                assert refused(await device.ask()) == (403, "kill-switch")
        hold: list[HoldAdded] = []
        while not hold:  # once the log can be written again
            await asyncio.sleep(0.05)
            records = [record.facts for record in open_view(lab.folder).reader.records()]
            hold = [facts for facts in records if isinstance(facts, HoldAdded)]
        assert (hold[0].subject, hold[0].author) == ("kill-switch", "ann")
        assert not [f for f in records[records.index(hold[0]) :] if isinstance(f, AccessOpened)]


def test_nobody_owns_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert owner(Folder(tmp_path)) == 0
    (tmp_path / "lock").write_text("1")
    assert owner(Folder(tmp_path)) == 0
