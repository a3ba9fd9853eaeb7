"""What time does: it ends tokens, links and holds, cuts what is in flight, sums refusals up; and
what it must not do: run backwards.

Each test has an issuer of its own, since the product has one clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bailment.ledger.records import AccessOpened, AccessRefused, Budget, LogHeads

from ..world import DIALECTS, STREAM, Asked, World, broken, canned, chunk, events, refused, world
from .scripted import Peer

pytestmark = pytest.mark.anyio

HOUR = 3_600_000


@pytest.fixture
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


async def fresh_nonce(lab: World) -> str:
    answered = await lab.http.get(lab.url + "/v1/models")
    nonce: str = answered.headers["dpop-nonce"]
    return nonce


async def test_an_expired_token_is_refused_and_named(lab: World) -> None:
    device, since = await lab.device(), lab.size
    lab.clock.ahead = 290_000
    device.nonce = await fresh_nonce(lab)
    assert (await device.ask()).status_code == 200
    lab.clock.ahead = 300_001
    assert refused(await device.ask()) == (401, "token-expired")
    assert lab.refusals(since) == [("token-expired", 1)]


async def test_an_expired_link_is_refused_and_named(lab: World) -> None:
    recipient = await lab.recipient()
    person = await recipient.person(until=lab.clock.now() + 120_000)
    device = await person.device()
    lab.clock.ahead = 100_000
    assert (await device.ask()).status_code == 200
    lab.clock.ahead = 120_001
    since, asked = lab.size, len(lab.model.requests)
    answered = await device.ask()
    assert refused(answered) == (403, "link-expired")
    assert person.link.id in answered.json()["detail"]
    assert lab.refusals(since) == [("link-expired", 1)]
    assert len(lab.model.requests) == asked
    assert (await device.fetch()).json()["reason"] == "link-expired"


async def test_a_hold_with_an_end_ends(lab: World) -> None:
    device = await lab.device()
    await lab.hold("everything", until=lab.clock.now() + 30_000)
    assert refused(await device.ask()) == (403, "held")
    lab.clock.ahead = 30_000
    assert (await device.ask()).status_code == 200


async def test_a_proof_is_remembered_until_its_time_is_over(lab: World) -> None:
    """Accepted at its earliest, from a clock that is ahead; tried at the last moment it is good."""
    device = await lab.device()
    lab.clock.ahead = 120_000 - lab.clock.now() % 120_000  # a nonce lives for one to two of these
    device.nonce = await fresh_nonce(lab)
    path, body, headers = device.request(proof={"now_s": lab.clock.now() // 1000 + 4})
    url = lab.url + path
    assert (await lab.http.post(url, content=body, headers=headers)).status_code == 200
    lab.clock.ahead += 66_000
    answered = await lab.http.post(url, content=body, headers=headers)
    assert refused(answered) == (401, "proof-replayed")
    lab.clock.ahead += 6_000
    answered = await lab.http.post(url, content=body, headers=headers)
    assert refused(answered) == (401, "proof-stale")


async def test_a_link_that_runs_out_cuts_a_stream_and_a_token_does_not(lab: World) -> None:
    began = asyncio.Event()

    async def endless(peer: Peer, asked: Asked) -> None:
        await peer.send(STREAM, *map(chunk, events(canned(asked)[0])[:3]))
        began.set()
        await peer.gone()

    lab.model.play = endless
    person = await (await lab.recipient()).person(until=lab.clock.now() + 600_000)
    device, since = await person.device(), lab.size
    async with device.wire(stream=True) as wire:
        await began.wait()
        lab.clock.ahead = 301_000  # a token lives 300 s
        async with lab.held("model:other"):  # whatever is in flight is judged
            await lab.settle()
        assert not wire.ended
        lab.clock.ahead = 600_001
        await wire.end()
        assert broken(wire.body) == "link-expired"
        assert (await lab.closed(since)).reason == "link-expired"


async def test_a_budget_is_fresh_in_its_next_window(lab: World) -> None:
    budget = Budget(await lab.ceiling(), 1_000_000)
    person = await (await lab.recipient()).person(budget=budget)
    device = await person.device()
    assert (await device.ask()).status_code == 200
    assert refused(await device.ask()) == (403, "budget-spent")
    lab.clock.ahead = 1_000_000_000
    device.nonce = await fresh_nonce(lab)
    await device.renew()
    assert (await device.ask()).status_code == 200


async def test_refusals_are_one_record_and_then_one_count_for_each_minute(lab: World) -> None:
    lab.clock.ahead = 60_000 - lab.clock.now() % 60_000  # the start of a minute
    first, second = await lab.device(), await lab.device()
    since = lab.size
    for _ in range(5):
        await first.ask(headers={"dpop": None})
    await second.ask(headers={"dpop": None})
    await first.ask(headers={"dpop": "x"})
    assert lab.refusals(since) == [*[("proof-missing", 1)] * 2, ("proof-malformed", 1)]
    lab.clock.ahead += 60_000
    await lab.until(lambda: len(lab.refusals(since)) == 4)
    last = lab.of(AccessRefused, since)[-1]
    assert (last.device, last.reason, last.count) == (first.id, "proof-missing", 4)
    assert last.until - last.since < 60_000
    await first.ask(headers={"dpop": None})
    assert lab.refusals(since)[-1] == ("proof-missing", 1)


async def test_heads_follow_within_a_minute_although_nobody_calls(lab: World) -> None:
    await lab.device()
    since = lab.size
    lab.clock.ahead = 60_001
    await lab.until(lambda: lab.of(LogHeads, since))


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_clock_set_back_serves_nobody_until_it_has_caught_up(
    lab: World, dialect: str
) -> None:
    device = await lab.device()
    assert (await device.ask(dialect)).status_code == 200
    since, asked = lab.size, len(lab.model.requests)
    lab.clock.ahead = -HOUR
    assert refused(await device.ask(dialect), dialect) == (503, "clock-behind")
    assert refused(await device.get("/v1/models")) == (503, "clock-behind")
    fetched = await device.fetch()
    assert (fetched.status_code, fetched.json()["reason"]) == (503, "clock-behind")
    ready = await lab.http.get(lab.url + "/readyz")
    assert (ready.status_code, ready.text) == (503, "clock-behind\n")
    assert (await lab.http.get(lab.url + "/healthz")).status_code == 200
    # Holds are accepted, at the log's own time.
    hold = await lab.hold("everything")
    times = [leaf.time for _, leaf, _ in lab.news]
    assert times == sorted(times)
    await lab.lift(hold)
    assert len(lab.model.requests) == asked
    assert lab.of(AccessOpened, since) == []
    # It comes back by itself.
    lab.clock.ahead = 0
    device.nonce = await fresh_nonce(lab)
    assert (await device.ask(dialect)).status_code == 200
    assert (await lab.http.get(lab.url + "/readyz")).status_code == 200


async def test_a_hold_cuts_what_is_in_flight_while_the_clock_is_behind(lab: World) -> None:
    began = asyncio.Event()

    async def endless(peer: Peer, asked: Asked) -> None:
        await peer.send(STREAM, *map(chunk, events(canned(asked)[0])[:3]))
        began.set()
        await peer.gone()

    lab.model.play = endless
    recipient = await lab.recipient()
    device = await (await recipient.person()).device()
    async with device.wire(stream=True) as wire:
        await began.wait()
        lab.clock.ahead = -1_000  # within what is tolerated
        await lab.settle()
        assert not wire.ended
        lab.clock.ahead = -HOUR
        async with lab.held(f"recipient:{recipient.id}"):
            await wire.end()
            assert broken(wire.body) == "held"


async def test_a_clock_a_little_behind_is_no_matter(lab: World) -> None:
    device = await lab.device()
    lab.clock.ahead = -1_500
    assert (await device.ask()).status_code == 200
    times = [leaf.time for _, leaf, _ in lab.news]
    assert times == sorted(times)
