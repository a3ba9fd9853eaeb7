"""When the issuer itself cannot go on: no access, a clear word, holds where they still can be, and
every access that was opened is closed. Each test has an issuer of its own."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bailment.errors import BailmentError
from bailment.ledger.records import AccessClosed, AccessOpened, AccessRefused, HoldAdded
from bailment.store.log import Log
from bailment.store.staging import CommitFailed

from ..world import DIALECTS, STREAM, Asked, World, broken, canned, chunk, events, refused, world
from .scripted import Peer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), "drain_seconds = 0.2") as made:
        yield made


class Endless:
    """A model's server that streams a little, and ends the stream when told to."""

    def __init__(self) -> None:
        self.began = 0
        self.finish = asyncio.Event()
        self.given_up = asyncio.Event()

    async def play(self, peer: Peer, asked: Asked) -> None:
        pieces = list(map(chunk, events(canned(asked)[0])))
        await peer.send(STREAM, *pieces[:3])
        self.began += 1
        gone = asyncio.create_task(peer.gone())
        finish = asyncio.create_task(self.finish.wait())
        await asyncio.wait((gone, finish), return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self.given_up.set()
        finish.cancel()
        gone.cancel()
        await asyncio.gather(gone, finish, return_exceptions=True)
        await peer.send(*pieces[3:], b"0\r\n\r\n")


def all_closed(lab: World) -> bool:
    opened = [facts.access for facts in lab.of(AccessOpened)]
    return sorted(opened) == sorted(facts.access for facts in lab.of(AccessClosed))


# The log cannot be written


@pytest.mark.parametrize("stream", [False, True], ids=["JSON", "SSE"])
@pytest.mark.parametrize("kind", ["access.opened", "access.closed"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_failed_commit_lets_nothing_out_and_ends_the_process(
    lab: World, dialect: str, kind: str, stream: bool
) -> None:
    device, asked, size = await lab.device(), len(lab.model.requests), lab.size
    lab.brake.error = CommitFailed("the log could not be written: disk I/O error")
    async with lab.brake.holding(kind), device.wire(dialect, stream=stream) as wire:
        await lab.brake.reach()
        lab.brake.go.set()
        with pytest.raises(BailmentError, match="the process ends: the log could not be"):
            await lab.ended()
        got = await wire.end()
    if kind == "access.opened" or not stream:
        assert got.startswith(b"HTTP/1.1 503 ")
        assert b"log-unavailable" in got
        assert b"Hello" not in got
    else:
        assert broken(wire.body) == "log-unavailable"
        assert not got.endswith(b"0\r\n\r\n")
    assert len(lab.model.requests) - asked == (kind == "access.closed")
    assert lab.size == size + (kind == "access.closed")


async def test_after_a_failed_commit_all_that_comes_is_refused(lab: World) -> None:
    device = await lab.device()
    lab.model.play = (endless := Endless()).play
    async with device.wire(stream=True) as wire:
        await wire.until(lambda: wire.body.count(b"\n\n") == 3)
        lab.issuer.log.sequencer.fail(OSError(errno.EIO, "input/output error"))
        asking = [device.ask(dialect) for dialect in DIALECTS]
        answers = await asyncio.gather(*asking)
        for dialect, answered in zip(DIALECTS, answers, strict=True):
            assert refused(answered, dialect) == (503, "log-unavailable")
        # No hold could reach the stream any more, so it is cut at once.
        await wire.end()
        assert broken(wire.body) == "log-unavailable"
        await asyncio.wait_for(endless.given_up.wait(), 10)
        with pytest.raises(BailmentError, match="input/output error"):
            await lab.ended()


async def test_what_was_acknowledged_before_a_failure_is_there_after_a_restart(
    lab: World,
) -> None:
    device = await lab.device()
    for _ in range(3):
        assert (await device.ask()).status_code == 200
    acknowledged = [(at, facts) for at, _, facts in lab.news]
    lab.brake.error = CommitFailed("the log could not be written")
    async with lab.brake.holding("access.opened"):
        asking = asyncio.create_task(device.ask())
        await lab.brake.reach()
        lab.brake.go.set()
        with pytest.raises(BailmentError):
            await lab.ended()
        await asyncio.gather(asking, return_exceptions=True)
    lab.brake.error = None
    await lab.restart()
    stored = [record.facts for record in lab.issuer.log.reader.records()]
    assert [facts for _, facts in acknowledged] == [stored[at] for at, _ in acknowledged]
    assert (await device.renew()) is device
    assert (await device.ask()).status_code == 200


# The disk is almost full


async def test_below_the_reserve_there_is_no_access_but_holds_fit(
    lab: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await lab.device()
    asked = len(lab.model.requests)
    with monkeypatch.context() as patched:
        patched.setattr(Log, "free_bytes", lambda log: 1_000_000)
        await readiness(lab, "disk-reserve\n")
        since = lab.size
        for dialect in DIALECTS:
            assert refused(await device.ask(dialect), dialect) == (503, "disk-reserve")
        fetched = await device.fetch()
        assert (fetched.status_code, fetched.json()["reason"]) == (503, "disk-reserve")
        hold = await lab.hold("everything")
        assert [facts.hold for facts in lab.of(HoldAdded, since)] == [hold]
        await lab.lift(hold)
        assert lab.of(AccessOpened, since) == []
        assert len(lab.model.requests) == asked
    await readiness(lab, "ready\n")
    assert (await device.ask()).status_code == 200


async def readiness(lab: World, text: str) -> None:
    """Wait until `/readyz` says so."""
    async with asyncio.timeout(10):
        while (await lab.http.get(lab.url + "/readyz")).text != text:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the disk is looked at once a second


# The end


async def test_at_the_end_what_can_finish_finishes_and_the_rest_is_cut(lab: World) -> None:
    quick, slow = Endless(), Endless()
    device = await lab.device()
    lab.model.play = quick.play
    async with device.wire(stream=True) as finished:
        await finished.until(lambda: finished.body.count(b"\n\n") == 3)
        lab.model.play = slow.play
        async with device.wire("messages", stream=True) as cut:
            await cut.until(lambda: cut.body.count(b"\n\n") == 3)
            lab.ask_to_stop()
            await readiness(lab, "draining\n")
            assert refused(await device.ask()) == (503, "draining")
            quick.finish.set()
            assert (await finished.end()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            await cut.end()
            assert broken(cut.body) == "draining"
            await lab.ended()
    assert slow.given_up.is_set()
    ends = {facts.access: facts.outcome for facts in lab.of(AccessClosed)}
    first, second = (facts.access for facts in lab.of(AccessOpened))
    assert ends == {first: "complete", second: "aborted"}


async def test_a_client_that_does_not_read_does_not_hold_up_the_end(
    lab: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailment.cli.serve._LAST_WORDS", 0.2)
    await lab.restart()

    async def flood(peer: Peer, asked: Asked) -> None:
        await peer.send(STREAM)
        while True:
            await peer.send(chunk(events(canned(asked)[0])[1] * 100))

    lab.model.play = flood
    device = await lab.device()
    async with device.wire(stream=True, reading=False, buffer=4096):
        await lab.until(lambda: lab.of(AccessOpened))
        await lab.settle()
        lab.ask_to_stop()
        await lab.ended()
    assert all_closed(lab)
    assert lab.of(AccessClosed)[0].outcome == "aborted"


async def test_nothing_is_left_open_when_it_ends_under_load(lab: World) -> None:
    devices = [await lab.device() for _ in range(4)]

    async def ask(device: Any) -> None:
        while True:
            await device.ask()
            await device.ask("messages", stream=True)

    asking = [asyncio.create_task(ask(device)) for device in devices for _ in range(3)]
    await lab.until(lambda: len(lab.of(AccessClosed)) > 30)
    lab.ask_to_stop()
    await lab.ended()
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert all_closed(lab)
    assert not {facts.reason for facts in lab.of(AccessRefused)} - {"draining"}


async def test_an_access_that_a_dead_process_left_open_is_closed_as_aborted(
    lab: World,
) -> None:
    endless = Endless()
    lab.model.play = endless.play
    device = await lab.device()
    async with device.wire(stream=True) as wire:
        await wire.until(lambda: wire.body.count(b"\n\n") == 3)
        # The process dies: what is committed stays, and nothing else is written.
        lab.issuer.log.sequencer.fail(sqlite3.OperationalError("the machine is gone"))
        with pytest.raises(BailmentError):
            await lab.ended()
    assert not all_closed(lab)
    await lab.restart()
    assert all_closed(lab)
    (closed,) = lab.of(AccessClosed)
    assert (closed.outcome, closed.measured) == ("aborted", False)
    assert closed.reason == "the gateway restarted"
    lab.model.play = type(lab.model)(lab.events, lambda: None).play
    await device.renew()
    assert (await device.ask()).status_code == 200


async def test_a_restart_forgets_no_token_hold_or_budget(lab: World) -> None:
    held, free = await lab.device(), await lab.device()
    register = lab.register
    person = register.path(register.link_of[held.id])[-2].subject
    await lab.hold(f"person:{person}")
    epoch, digest = register.epoch, lab.issuer.log.fold.encode()
    await lab.restart()
    assert lab.register.epoch == epoch
    assert lab.issuer.log.fold.encode() == digest
    for device in (held, free):
        device.nonce = (await lab.http.get(lab.url + "/v1/models")).headers["dpop-nonce"]
    assert refused(await held.ask()) == (403, "held")
    assert (await free.ask()).status_code == 200


# What runs beside


@pytest.mark.parametrize(
    "run",
    ["control.notices.Notices", "control.sink_acts.SinkTasks", "worker.supervisor.Supervisor"],
)
async def test_what_runs_beside_the_servers_does_not_stop_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    broke = asyncio.Event()

    async def breaks(_: object) -> None:
        await broke.wait()
        raise RuntimeError("a malfunction of it")

    monkeypatch.setattr(f"bailment.{run}.run", breaks)
    async with world(tmp_path, worker=True) as lab:
        broke.set()
        with pytest.raises(BailmentError, match="the process ends: a malfunction of it"):
            await lab.ended()
