"""The laws: no record, no access; nothing opens after a hold; a cut reaches all in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest

from bailment.ledger.records import AccessClosed, AccessOpened, HoldAdded

from ..world import (
    DIALECTS,
    STREAM,
    Asked,
    Device,
    Play,
    World,
    broken,
    canned,
    chunk,
    events,
    refused,
    world,
)
from .scripted import Peer

pytestmark = pytest.mark.anyio

#: What ends a stream in each dialect.
LAST = {"chat": b"[DONE]", "responses": b"response.completed", "messages": b"message_stop"}
CLEAN_END = b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
async def lab(shared: World) -> AsyncIterator[World]:
    """The shared issuer, with a model's server that behaves again after each test."""
    play = shared.model.play
    shared.events.clear()
    yield shared
    shared.model.play = play


def person_of(device: Device) -> str:
    register = device.world.register
    return f"person:{register.path(register.link_of[device.id])[-2].subject}"


# No record, no access


@pytest.mark.parametrize("stream", [False, True], ids=["JSON", "SSE"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_nothing_happens_before_the_access_is_on_the_record(
    lab: World, dialect: str, stream: bool
) -> None:
    device, asked = await lab.device(), len(lab.model.requests)
    async with lab.brake.holding("access.opened"), device.wire(dialect, stream=stream) as wire:
        await lab.brake.reach()
        await lab.settle()
        assert len(lab.model.requests) == asked
        assert wire.got == b""
        lab.brake.release()
        await wire.until(lambda: LAST[dialect] in wire.got if stream else wire.body)
    assert lab.events[:2] == ["access.opened is durable", "the model is asked"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_answer_waits_until_its_end_is_on_the_record(lab: World, dialect: str) -> None:
    device = await lab.device()
    async with lab.brake.holding("access.closed"), device.wire(dialect) as wire:
        await lab.brake.reach()
        await lab.settle()
        assert wire.got == b""
        lab.brake.release()
        await wire.until(lambda: wire.got.endswith(b"}"))
    assert lab.events[-1] == "access.closed is durable"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_end_of_a_stream_waits_until_it_is_on_the_record(
    lab: World, dialect: str
) -> None:
    device = await lab.device()
    async with lab.brake.holding("access.closed"), device.wire(dialect, stream=True) as wire:
        await lab.brake.reach()
        await lab.settle()
        assert wire.body.count(b"\n\n") > 3
        assert LAST[dialect] not in wire.got
        assert not wire.got.endswith(CLEAN_END)
        lab.brake.release()
        await wire.until(lambda: wire.got.endswith(CLEAN_END))
        assert LAST[dialect] in wire.got


async def test_a_list_of_models_waits_for_both_records(lab: World) -> None:
    device = await lab.device()
    for kind in ("access.opened", "access.closed"):
        async with lab.brake.holding(kind):
            asking = asyncio.create_task(device.get("/v1/models"))
            await lab.brake.reach()
            await lab.settle()
            assert not asking.done()
            lab.brake.release()
            assert (await asking).status_code == 200


async def test_a_token_is_given_out_only_once_it_is_on_the_record(lab: World) -> None:
    device = await lab.device()
    async with lab.brake.holding("token.issued"):
        asking = asyncio.create_task(device.fetch())
        await lab.brake.reach()
        await lab.settle()
        assert not asking.done()
        lab.brake.release()
        assert (await asking).status_code == 200


# A hold reaches what is in flight


class Held:
    """A model's server that goes on for ever in some way, and what becomes of it."""

    def __init__(self, begin: Callable[[Peer, Asked], Awaitable[None]]) -> None:
        self.began = asyncio.Event()
        self.given_up = asyncio.Event()
        self._begin = begin

    async def play(self, peer: Peer, asked: Asked) -> None:
        await self._begin(peer, asked)
        self.began.set()
        await peer.gone()
        self.given_up.set()


async def silent(peer: Peer, asked: Asked) -> None:
    pass


async def some_events(peer: Peer, asked: Asked) -> None:
    body, _ = canned(asked)
    await peer.send(STREAM, *map(chunk, events(body)[:3]))


async def half_an_answer(peer: Peer, asked: Asked) -> None:
    body, _ = canned(asked)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    await peer.send(head + body[:100])


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_hold_cuts_a_stream_while_the_model_is_silent(lab: World, dialect: str) -> None:
    held = Held(some_events)
    lab.model.play = held.play
    device, since = await lab.device(), lab.size
    async with device.wire(dialect, stream=True) as wire:
        await wire.until(lambda: wire.body.count(b"\n\n") == 3)
        async with lab.held(person_of(device)):
            got = await wire.end()
            assert not got.endswith(CLEAN_END)
            assert LAST[dialect] not in got
            assert broken(wire.body) == "held"
            assert person_of(device).encode() in events(wire.body)[-1]
            await asyncio.wait_for(held.given_up.wait(), 10)
            closed = await lab.closed(since)
            assert (closed.outcome, closed.reason, closed.measured) == ("cut", "held", False)
            assert closed.bytes == len(b"".join(events(wire.body)[:-1]))


@pytest.mark.parametrize("begin", [silent, half_an_answer])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_hold_refuses_an_answer_that_has_not_come(
    lab: World, dialect: str, begin: Play
) -> None:
    held = Held(begin)
    lab.model.play = held.play
    device, since = await lab.device(), lab.size
    asking = asyncio.create_task(device.ask(dialect))
    await held.began.wait()
    async with lab.held(person_of(device)):
        assert refused(await asking, dialect) == (403, "held")
        await asyncio.wait_for(held.given_up.wait(), 10)
        closed = await lab.closed(since)
        assert (closed.outcome, closed.reason, closed.bytes) == ("cut", "held", 0)


@pytest.mark.parametrize("stream", [False, True], ids=["JSON", "SSE"])
async def test_no_end_of_an_answer_goes_out_after_a_hold(lab: World, stream: bool) -> None:
    """The record of the end is on its way into the log when the hold overtakes it there."""
    device, since = await lab.device(), lab.size
    async with lab.brake.holding("hold.added"):
        holding = asyncio.create_task(lab.hold(person_of(device)))
        await lab.brake.reach()
        async with device.wire(stream=stream) as wire:
            await lab.settle()
            lab.brake.release()
            hold = await holding
            await wire.until(lambda: b"held" in wire.got)
            assert b"[DONE]" not in wire.got
    assert lab.of(AccessOpened, since) == []
    await lab.lift(hold)


async def test_a_hold_overtakes_the_end_of_an_answer(lab: World) -> None:
    device, since = await lab.device(), lab.size
    other = await lab.device()
    async with lab.brake.holding("token.issued"):
        # Something is being committed, so that the end of the answer waits for the next batch.
        lab.model.play = Held(half_an_answer).play
        finish = asyncio.Event()

        async def in_two_parts(peer: Peer, asked: Asked) -> None:
            body, _ = canned(asked)
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
            await finish.wait()
            await peer.send(body)

        lab.model.play = in_two_parts
        asking = asyncio.create_task(device.ask())
        await lab.until(lambda: lab.of(AccessOpened, since))
        renewing = asyncio.create_task(other.fetch())
        await lab.brake.reach()
        finish.set()
        await lab.settle()  # the record of the end waits now
        holding = asyncio.create_task(lab.hold(person_of(device)))
        await lab.settle()  # and the hold before it
        lab.brake.release()
        assert refused(await asking) == (403, "held")
        await renewing
        await lab.lift(await holding)
    kinds = [type(facts) for at, _, facts in lab.news if at >= since]
    assert kinds.index(HoldAdded) < kinds.index(AccessClosed)
    # The record tells what became of the answer, and still what it cost.
    closed = await lab.closed(since)
    assert (closed.outcome, closed.reason, closed.bytes) == ("cut", "held", 0)
    assert closed.measured


async def test_a_hold_behind_the_record_of_a_listing_lets_no_list_out(lab: World) -> None:
    device, since = await lab.device(), lab.size
    async with lab.brake.holding("access.opened"):
        asking = asyncio.create_task(device.get("/v1/models"))
        await lab.brake.reach()
        holding = asyncio.create_task(lab.hold(person_of(device)))
        await lab.settle()
        lab.brake.release()
        assert refused(await asking) == (403, "held")
    closed = await lab.closed(since)
    assert (closed.outcome, closed.reason, closed.bytes) == ("cut", "held", 0)
    await lab.lift(await holding)


class Flood:
    """A stream without end; `sent` counts its bytes."""

    def __init__(self) -> None:
        self.sent = 0
        self.given_up = asyncio.Event()

    async def play(self, peer: Peer, asked: Asked) -> None:
        event = events(canned(asked)[0])[1]
        piece = chunk(event * (20_000 // len(event)))
        try:
            await peer.send(STREAM)
            while True:
                await peer.send(piece)
                self.sent += len(piece)
        finally:
            self.given_up.set()

    async def stuck(self, lab: World) -> None:
        """Wait until nobody takes any more of it."""
        before = -1
        while self.sent != before or not before:
            before = self.sent
            await lab.settle()


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_hold_cuts_a_stream_that_nobody_reads(lab: World, dialect: str) -> None:
    flood = Flood()
    lab.model.play = flood.play
    device, since = await lab.device(), lab.size
    async with device.wire(dialect, stream=True, reading=False, buffer=4096) as wire:
        await flood.stuck(lab)
        assert flood.sent < 16 << 20  # what the kernel takes; the gateway keeps no more
        async with lab.held(person_of(device)):
            await asyncio.wait_for(flood.given_up.wait(), 10)
            closed = await lab.closed(since)
            assert (closed.outcome, closed.reason) == ("cut", "held")
            # Nothing after it for somebody who begins to read at last.
            wire.read()
            got = await wire.end()
            assert not got.endswith(CLEAN_END)
            assert broken(wire.body) == "held"


async def test_a_hold_cuts_a_stream_that_is_read_slowly(lab: World) -> None:
    flood = Flood()
    lab.model.play = flood.play
    device, since = await lab.device(), lab.size
    async with device.stream() as answered:
        reading = answered.aiter_raw()
        async for _ in reading:
            break
        async with lab.held(person_of(device)):
            await lab.closed(since)
            last = b""
            with pytest.raises(Exception, match=r"peer closed connection|incomplete"):
                async for part in reading:
                    last = (last + part)[-2000:]
                    await asyncio.sleep(0)
            assert broken(last) == "held"


async def test_a_hold_on_one_cuts_no_other(lab: World) -> None:
    one, other = Held(some_events), Held(some_events)
    device, bystander = await lab.device(), await lab.device()
    lab.model.play = one.play
    async with device.wire(stream=True) as cut:
        await one.began.wait()
        lab.model.play = other.play
        async with bystander.wire(stream=True) as kept:
            await other.began.wait()
            async with lab.held(person_of(device)):
                await cut.end()
                await lab.settle()
                assert not kept.ended
                assert not other.given_up.is_set()


async def test_an_ended_link_cuts_what_is_below_it(lab: World) -> None:
    held = Held(some_events)
    lab.model.play = held.play
    device, since = await lab.device(), lab.size
    async with device.wire(stream=True) as wire:
        await held.began.wait()
        link = lab.register.link_of[device.id]
        await lab.act("link-end", link=link, reason="a test")
        await wire.end()
        assert broken(wire.body) == "link-ended"
        assert (await lab.closed(since)).reason == "link-ended"


async def test_an_erased_person_is_cut_off(lab: World) -> None:
    held = Held(some_events)
    lab.model.play = held.play
    device, since = await lab.device(), lab.size
    async with device.wire(stream=True) as wire:
        await held.began.wait()
        await lab.act("person-erase", person=person_of(device)[7:], reason="a test")
        await wire.end()
        assert (await lab.closed(since)).reason == "link-ended"


@pytest.mark.parametrize("subject", ["recipient", "everything"])
async def test_in_the_logs_order_nothing_is_opened_after_the_hold_that_covers_it(
    lab: World, subject: str
) -> None:
    recipient = await lab.recipient()
    devices = [await (await recipient.person(f"P{n}")).device() for n in range(5)]
    since = lab.size

    async def ask(device: Device, stream: bool) -> list[int]:
        statuses = []
        for _ in range(8):
            try:
                statuses.append((await device.ask(stream=stream)).status_code)
            except httpx2.RemoteProtocolError:  # a stream that was cut
                statuses.append(403)
        return statuses

    asking = [asyncio.create_task(ask(device, odd)) for device in devices for odd in (False, True)]
    await lab.until(lambda: len(lab.of(AccessOpened, since)) >= 15)
    name = "everything" if subject == "everything" else f"recipient:{recipient.id}"
    async with lab.held(name):
        statuses = [status for each in await asyncio.gather(*asking) for status in each]
        after = lab.size
        assert refused(await devices[0].ask()) == (403, "held")
    assert {200, 403} == set(statuses)
    order = [(at, facts) for at, _, facts in lab.news if since <= at < after]
    (hold,) = [at for at, facts in order if isinstance(facts, HoldAdded)]
    opened = [at for at, facts in order if isinstance(facts, AccessOpened)]
    assert 15 <= len(opened) < 80
    assert max(opened) < hold
    assert len(lab.of(AccessClosed, since)) == len(opened)
    assert await lab.metric("bailment_accesses_open") == 0


# A client that leaves


@pytest.mark.parametrize(
    ("begin", "stream"), [(silent, False), (silent, True), (half_an_answer, False)]
)
async def test_a_client_that_leaves_ends_the_models_work(
    lab: World, begin: Play, stream: bool
) -> None:
    held = Held(begin)
    lab.model.play = held.play
    device, since = await lab.device(), lab.size
    async with device.wire(stream=stream) as wire:
        await held.began.wait()
        wire.leave()
        await asyncio.wait_for(held.given_up.wait(), 10)
        closed = await lab.closed(since)
        assert (closed.outcome, closed.measured) == ("client-left", False)
    assert await lab.metric("bailment_accesses_open") == 0


@pytest.mark.parametrize("reading", [True, False])
async def test_a_client_that_leaves_a_stream_ends_the_models_work(
    lab: World, reading: bool
) -> None:
    flood = Flood()
    lab.model.play = flood.play
    device, since = await lab.device(), lab.size
    async with device.wire(stream=True, reading=reading) as wire:
        if reading:
            await wire.until(lambda: len(wire.got) > 100_000)
        else:
            await flood.stuck(lab)
        wire.leave()
        await asyncio.wait_for(flood.given_up.wait(), 10)
        closed = await lab.closed(since)
        assert closed.outcome == "client-left"
        assert closed.output > 100
