"""A stream that falls silent closes its organisation's gate; each test has the only clock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bailment.ledger.identity_records import SignalReceived, SourceSilent
from bailment.ledger.records import AccessOpened

from ..transmitter import Transmitter, stream, transmitter
from ..world import Device, Recipient, World, refused, world
from .test_shared_signals import DISABLED, HOSTS, MAIL

pytestmark = pytest.mark.anyio

MINUTE = 60_000


@pytest.fixture
async def lab(tmp_path: object) -> AsyncIterator[World]:
    async with world(tmp_path, more=HOSTS) as made:  # type: ignore[arg-type]
        yield made


@pytest.fixture
async def idp(lab: World) -> AsyncIterator[Transmitter]:
    async with transmitter(lambda: lab.clock.now() / 1000) as made:
        yield made


@pytest.fixture
async def acme(lab: World, idp: Transmitter) -> Recipient:
    made = await lab.recipient()
    assert (await stream(made, idp.url)).status_code == 201
    return made


async def asks(device: Device) -> str:
    """Why the device is refused; empty if it is not. A token does not outlive the wait."""
    fetched = await device.fetch()
    if fetched.status_code != 200:
        return str(fetched.json()["reason"])
    device.token = fetched.json()["access_token"]
    answered = await device.ask()
    return "" if answered.status_code == 200 else refused(answered)[1]


async def test_a_stream_is_asked_for_a_sign_of_life_and_gives_it(
    lab: World, idp: Transmitter, acme: Recipient
) -> None:
    await lab.until(lambda: [one.effect for one in lab.of(SignalReceived)] == ["heard"])
    lab.clock.ahead += 5 * MINUTE
    await lab.until(lambda: [one.effect for one in lab.of(SignalReceived)] == ["heard"] * 2)
    await idp.settle()
    assert idp.answers == [202, 202]
    assert idp.asked[0]["state"] != idp.asked[1]["state"]


async def test_silence_closes_the_gate_and_a_sign_of_life_opens_it(
    lab: World, idp: Transmitter, acme: Recipient
) -> None:
    device, other = await (await acme.person()).device(), await lab.device()
    await lab.until(lambda: lab.of(SignalReceived))
    idp.mute = True
    lab.clock.ahead += 14 * MINUTE
    assert await asks(device) == ""
    lab.clock.ahead += 2 * MINUTE
    assert await asks(device) == "signals-silent"
    assert await asks(other) == ""  # another organisation's
    await lab.until(lambda: [one.silent for one in lab.of(SourceSilent)] == [True])
    since = lab.size
    idp.mute = False
    assert (await idp.say(DISABLED, {"format": "email", "email": "no@acme.example"})).is_success
    await lab.until(lambda: [one.silent for one in lab.of(SourceSilent, since)] == [False])
    assert await asks(device) == ""


async def test_silence_outlives_a_restart_without_a_gap(
    lab: World, idp: Transmitter, acme: Recipient
) -> None:
    """Nobody was there to write that the stream was silent, and nobody gets in all the same."""
    device = await (await acme.person()).device()
    await lab.until(lambda: lab.of(SignalReceived))
    idp.mute = True
    await lab.stop()
    lab.clock.ahead += 20 * MINUTE
    since = lab.size
    await lab.restart()
    assert await asks(device) == "signals-silent"
    assert lab.of(AccessOpened, since) == []


async def test_a_stream_open_when_silence_begins_is_cut(
    lab: World, idp: Transmitter, acme: Recipient
) -> None:
    from ..world import STREAM, broken, canned, chunk, events

    device = await (await acme.person()).device()
    await lab.until(lambda: lab.of(SignalReceived))
    idp.mute = True

    async def endless(peer: object, asked: object) -> None:
        first = events(canned(asked)[0])[0]  # type: ignore[arg-type]
        await peer.send(STREAM, chunk(first))  # type: ignore[attr-defined]
        await peer.gone()  # type: ignore[attr-defined]

    lab.model.play = endless
    async with device.wire(stream=True) as wire:
        await wire.until(lambda: wire.body)
        lab.clock.ahead += 16 * MINUTE
        await wire.until(lambda: wire.ended)
        assert broken(wire.body) == "signals-silent"


async def test_an_event_late_in_the_night_holds_although_nothing_was_heard(
    lab: World, idp: Transmitter, acme: Recipient
) -> None:
    person = await acme.person()
    token = idp.token(DISABLED, MAIL)
    idp.mute = True
    lab.clock.ahead += 12 * 60 * MINUTE
    assert (await idp.push(token)).status_code == 202
    assert lab.register.holds_on[f"person:{person.id}"]
