"""A software key that was copied: the fork of its line of tokens is noticed and suspends both."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest

from bailment.access.ratchet import FORKED
from bailment.agent import private
from bailment.agent import profile as profiles
from bailment.agent.client import fetch_token
from bailment.agent.profile import Profile
from bailment.agent.ratchet import Ratchet
from bailment.detect.consequence import named_in
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.records import HoldAdded, TokenIssued

from ..world import PURPOSE, Device, World, refused, world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


def reason(answered: httpx2.Response) -> str:
    found: str = answered.json()["reason"]
    return found


def forks(lab: World, since: int) -> list[tuple[str, str]]:
    """The findings of a fork and the holds since then, by their subject."""
    found = [("finding", str(one.subject)) for one in lab.of(FindingRaised, since)
             if one.kind == FORKED]  # fmt: skip
    return found + [("hold", one.subject) for one in lab.of(HoldAdded, since)]


def copied(device: Device) -> Device:
    """Key, handle and token in a thief's hands."""
    return copy.copy(device)


async def test_each_token_comes_with_another_handle_of_which_the_log_keeps_the_hash(
    lab: World,
) -> None:
    device, since = await lab.device(), lab.size
    first = device.handle
    await device.renew()
    (record,) = lab.of(TokenIssued, since)
    assert device.handle and device.handle != first
    assert record.ratchet and record.previous
    assert first not in str(record) and device.handle not in str(record)


async def test_the_owner_exposes_the_thief_who_asked_first(lab: World) -> None:
    owner = await lab.device()
    thief, since = copied(owner), lab.size
    await thief.renew()
    async with thief.stream() as stream:
        assert stream.status_code == 200
        await stream.aread()
    answered = await owner.fetch()
    assert (answered.status_code, reason(answered)) == (400, "ratchet-forked")
    assert forks(lab, since) == [
        ("finding", f"device:{owner.id}"),
        ("hold", f"device:{owner.id}"),
    ]
    assert refused(await thief.ask()) == (403, "held")
    assert refused(await owner.ask()) == (403, "held")


async def test_the_thief_who_asks_second_exposes_himself(lab: World) -> None:
    owner = await lab.device()
    await owner.ask()
    thief, since = copied(owner), lab.size
    await owner.renew()
    await owner.ask()
    assert reason(await thief.fetch()) == "ratchet-forked"
    assert len(forks(lab, since)) == 2


async def test_a_thief_with_the_key_alone_is_noticed_at_once(lab: World) -> None:
    owner = await lab.device()
    await owner.ask()
    thief, since = copied(owner), lab.size
    thief.handle = ""
    assert reason(await thief.fetch()) == "ratchet-forked"
    assert len(forks(lab, since)) == 2
    (hold,) = lab.of(HoldAdded, since)
    (found,) = [one for one in lab.of(FindingRaised, since) if one.kind == FORKED]
    assert named_in(hold.reason) == found.finding


async def test_a_fork_is_told_once_and_the_lifted_hold_does_not_mend_it(lab: World) -> None:
    owner = await lab.device()
    await owner.ask()
    thief, since = copied(owner), lab.size
    thief.handle = ""
    answers = await asyncio.gather(*(copied(thief).fetch() for _ in range(3)))
    assert {reason(one) for one in answers} <= {"ratchet-forked", "held"}
    assert forks(lab, since).count(("finding", f"device:{owner.id}")) >= 1
    for hold in lab.of(HoldAdded, since):
        await lab.lift(hold.hold)
    seen = forks(lab, since)
    assert reason(await owner.fetch()) == "ratchet-forked"
    assert forks(lab, since) == seen


async def test_a_lost_answer_is_asked_for_again_once(lab: World) -> None:
    device = await lab.device()
    before, since = device.handle, lab.size
    await device.renew()
    device.handle = before
    assert (await device.fetch()).status_code == 200
    assert forks(lab, since) == []
    device.handle = before
    assert reason(await device.fetch()) == "ratchet-forked"


async def test_a_lost_answer_whose_token_was_used_was_not_lost(lab: World) -> None:
    device = await lab.device()
    before = device.handle
    await device.renew()
    assert (await device.ask()).status_code == 200
    device.handle = before
    assert reason(await device.fetch()) == "ratchet-forked"


async def test_an_answer_that_nobody_gives_as_the_log_is_refused_leaves_the_handle_good(
    lab: World,
) -> None:
    device = await lab.device()
    async with lab.held(f"device:{device.id}"):
        assert reason(await device.fetch()) == "held"
    assert (await device.fetch()).status_code == 200


async def test_the_line_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        device = await lab.device()
        before = device.handle
        await device.renew()
        await device.ask()
        await lab.restart()
        device.nonce = None
        await device.renew()
        device.handle = before
        assert reason(await device.fetch()) == "ratchet-forked"


async def profile(lab: World, folder: Path) -> profiles.Device:
    """The agent's profile of a new device."""
    private.make_folder(folder)
    key = private.make_key(folder / profiles.KEY)
    device = await lab.device()
    device.private = key
    person = await (await lab.recipient()).person()
    device = Device(lab, key)
    await person.enrol(device)
    await person.by.confirm(device)
    told = Profile(
        gateway=lab.url, device=device.id, person=person.id, key_class="software", status="active"
    )
    profiles.save(made := profiles.Device(folder, told, key))
    return made


async def test_the_agent_survives_a_crash_between_answer_and_write(
    lab: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await profile(lab, tmp_path / "profile")
    await fetch_token(device, PURPOSE)
    kept, since = Ratchet(device.folder).read(), lab.size

    def crash(self: Ratchet, handle: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ratchet, "write", crash)
        with pytest.raises(KeyboardInterrupt):
            await fetch_token(device, PURPOSE)
    assert Ratchet(device.folder).read() == kept
    await fetch_token(device, PURPOSE)
    await fetch_token(device, PURPOSE)
    assert forks(lab, since) == []


async def test_two_agents_of_one_profile_are_no_fork(lab: World, tmp_path: Path) -> None:
    device, since = await profile(lab, tmp_path / "profile"), lab.size
    tokens = await asyncio.gather(*(fetch_token(device, PURPOSE) for _ in range(6)))
    assert len(set(tokens)) == 6
    assert forks(lab, since) == []


async def test_a_key_in_hardware_has_no_line(lab: World) -> None:
    """Its tokens may be asked for by several at once: nobody can have copied it."""
    device = await lab.device()
    enrolled = lab.register.state.devices[device.id]
    hardware = msgspec.structs.replace(enrolled, key_class="hw-attested")
    lab.register.state.devices[device.id] = hardware
    lab.issuer.log.fold.admission.lines.pop(device.id)
    try:
        device.handle = ""
        fetched = await device.fetch()
        assert "ratchet" not in fetched.json()
        assert (await device.fetch()).status_code == 200
    finally:
        lab.register.state.devices[device.id] = enrolled
