"""`bailment serve` as a process: signals, sudden death, and what is in its log afterwards."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from bailment.ledger.records import AccessClosed, AccessOpened
from bailment.store.view import open_view

from ..world import PATIENCE, STREAM, Asked, Device, World, broken, canned, chunk, events, world
from .scripted import Peer

pytestmark = [pytest.mark.anyio, pytest.mark.journey]


@pytest.fixture
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """An issuer that was served, with everybody enrolled, and stopped."""
    async with world(tmp_path_factory.mktemp("lab"), "drain_seconds = 0.3") as made:
        yield made


@asynccontextmanager
async def serving(lab: World) -> AsyncIterator[asyncio.subprocess.Process]:
    """The issuer's folder, served by a process of its own."""
    await lab.stop()
    command = (sys.executable, "-m", "bailment", "serve", "-d", str(lab.folder.root))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(2 * PATIENCE):  # a new process loads all that it needs
            while not await ready(lab):
                assert process.returncode is None, await process.communicate()
                await asyncio.sleep(0.05)  # it has no other way to tell
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(lab: World) -> bool:
    try:
        return (await lab.http.get(lab.url + "/readyz")).status_code == 200
    except httpx2.TransportError:
        return False


async def endless(peer: Peer, asked: Asked) -> None:
    await peer.send(STREAM, *map(chunk, events(canned(asked)[0])[:3]))
    await peer.gone()


def outcomes(lab: World) -> list[str]:
    """How each access in the log ended; every one must have."""
    view = open_view(lab.folder)
    records = [record.facts for record in view.reader.records()]
    opened = [facts.access for facts in records if isinstance(facts, AccessOpened)]
    ended = {facts.access: facts.outcome for facts in records if isinstance(facts, AccessClosed)}
    assert view.fold.admission.open == {}
    return [ended[access] for access in opened]


async def greeted(device: Device) -> Device:
    """A device that knows the new process's nonce, and has a token."""
    await device.get("/v1/models")
    return await device.renew()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_asked_to_stop_it_closes_every_access_and_ends_well(
    lab: World, number: signal.Signals
) -> None:
    device = await lab.device()
    async with serving(lab) as process:
        await greeted(device)
        assert (await device.ask()).status_code == 200
        lab.model.play = endless
        async with device.wire(stream=True) as wire:
            await wire.until(lambda: wire.body.count(b"\n\n") == 3)
            process.send_signal(number)
            await wire.end()
            assert broken(wire.body) == "draining"
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    assert outcomes(lab) == ["complete", "complete", "aborted"]
    assert not lab.folder.control_socket.exists()


async def test_killed_it_starts_again_and_closes_what_was_open(lab: World) -> None:
    device = await lab.device()
    lab.model.play = endless
    async with serving(lab) as process:
        await greeted(device)
        async with device.wire(stream=True) as wire:
            await wire.until(lambda: wire.body.count(b"\n\n") == 3)
            process.kill()
            await process.wait()
    assert len(open_view(lab.folder).fold.admission.open) == 1
    async with serving(lab) as process:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    assert outcomes(lab) == ["complete", "aborted"]


async def test_it_listens_where_it_was_told_to_and_nowhere_else(lab: World) -> None:
    async with serving(lab) as process:
        inodes = await asyncio.to_thread(listening, process.pid)
    assert inodes == {f"0100007F:{lab.port:04X}"}


def listening(pid: int) -> set[str]:
    """The addresses, as the kernel writes them, of a process's listening TCP sockets."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            sockets.add(str(descriptor.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1])
    return found
