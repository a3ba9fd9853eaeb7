"""The law of holds: in log order, no access is opened after a hold that covers it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from bailment.access.admission import Stale
from bailment.access.reasons import Reason, Refused
from bailment.ledger.records import AccessOpened, DelegationEnded, HoldAdded, HoldLifted
from bailment.store.log import Log
from bailment.store.sequencer import Draft, Sequenced

from .gate import Gate, queue
from .issuer import MODEL, Device, Issuer, hold, must, note

pytestmark = pytest.mark.anyio

DEVICES = 3
ROUNDS = 60


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.make(tmp_path / "issuer")


async def test_a_hold_goes_before_accesses_that_waited_longer(issuer: Issuer) -> None:
    gate = Gate()
    async with issuer.open(staging=gate.staging) as log:
        device = await issuer.ready(log)
        gate.shut()
        accesses = [issuer.opening(log, device) for _ in range(3)]
        assert all(isinstance(draft, Draft) for draft in accesses)
        first, *waiting = await queue(log, log.sequencer.draft(note(1)), *accesses)  # type: ignore[arg-type]
        stop = log.sequencer.draft(hold(f"device:{device.id}"), urgent=True)
        (stopped,) = await queue(log, stop)
        gate.open()
        assert (await stopped).index == (await first).index + 1
        assert [type(answer) for answer in await asyncio.gather(*waiting)] == [Stale] * 3
        again = issuer.opening(log, device)
        assert isinstance(again, Refused)
        assert again.reason is Reason.HELD


async def test_a_hold_in_a_commit_that_runs_makes_later_accesses_stale(issuer: Issuer) -> None:
    gate = Gate()
    async with issuer.open(staging=gate.staging) as log:
        device = await issuer.ready(log)
        gate.shut()
        (stopped,) = await queue(log, log.sequencer.draft(hold("everything"), urgent=True))
        access = issuer.opening(log, device)  # decided while the hold is not durable yet
        assert isinstance(access, Draft)
        (waiting,) = await queue(log, access)
        gate.open()
        await stopped
        assert isinstance(await waiting, Stale)


@pytest.mark.parametrize("seed", range(6))
async def test_no_access_is_opened_after_a_hold_that_covers_it(issuer: Issuer, seed: int) -> None:
    """Gateways and admins at once, in interleavings that differ each time; read back from disk."""
    chance = random.Random(seed)
    said: Counter[str] = Counter()
    async with issuer.open() as log:
        await issuer.begin(log)
        party = await issuer.recipient(log)
        devices = []
        for _ in range(DEVICES):
            device = await issuer.device(log, party, await issuer.person(log, party))
            await issuer.token(log, device)
            devices.append(device)
        subjects = ["everything", f"model:{MODEL}", f"recipient:{party.pseudonym}"]
        subjects += ["purpose:research", f"link:{party.link}"]
        for device in devices:
            subjects += [f"device:{device.id}", f"person:{device.person}"]
        over = asyncio.Event()
        gateways = [
            _gateway(issuer, log, device, chance, said, over)
            for device in devices
            for _ in range(3)
        ]
        await asyncio.gather(_admin(log, subjects, chance, over), *gateways)
        _no_opened_under_a_hold(log, devices, party.pseudonym)
    assert min(said["opened"], said["stale"], said["held"]) > 0, said


async def _gateway(
    issuer: Issuer,
    log: Log,
    device: Device,
    chance: random.Random,
    said: Counter[str],
    over: asyncio.Event,
) -> None:
    """Open accesses as the journal does: decide, append, and again if the register moved."""
    while not over.is_set():
        await _yield(chance)
        access = issuer.opening(log, device)
        if isinstance(access, Refused):
            assert access.reason is Reason.HELD
            said["held"] += 1
            continue
        await _yield(chance)
        answer = await log.sequencer.append(access)
        said["opened" if isinstance(answer, Sequenced) else "stale"] += 1


async def _admin(log: Log, subjects: list[str], chance: random.Random, over: asyncio.Event) -> None:
    for _ in range(ROUNDS):
        added = hold(chance.choice(subjects))
        await must(log, log.sequencer.draft(added, urgent=True))
        await _yield(chance)
        await must(log, log.sequencer.draft(HoldLifted(added.hold, "over", "owner")))
        for _ in range(chance.randrange(12)):
            await _yield(chance)
    over.set()


async def _yield(chance: random.Random) -> None:
    for _ in range(chance.randrange(5)):
        await asyncio.sleep(0)


def _no_opened_under_a_hold(log: Log, devices: list[Device], recipient: str) -> None:
    """Independent of the register: which holds stand is counted from the records themselves."""
    of_token = {d.token.token: d for d in devices if d.token is not None}
    standing: dict[str, str] = {}
    opened = 0
    for record in log.reader.records():
        facts = record.facts
        if isinstance(facts, HoldAdded):
            standing[facts.hold] = facts.subject
        elif isinstance(facts, HoldLifted):
            del standing[facts.hold]
        elif isinstance(facts, AccessOpened):
            device = of_token[facts.token]
            covering = {"everything", f"model:{MODEL}", "purpose:research"}
            covering |= {f"recipient:{recipient}", f"device:{device.id}", f"person:{device.person}"}
            covering |= {f"link:{link}" for link in device.token.links}  # type: ignore[union-attr]
            assert not covering & set(standing.values()), f"entry {record.index}"
            opened += 1
    assert opened


async def test_ending_a_link_is_as_quick_and_as_final(issuer: Issuer) -> None:
    gate = Gate()
    async with issuer.open(staging=gate.staging) as log:
        device = await issuer.ready(log)
        access = issuer.opening(log, device)
        assert isinstance(access, Draft)
        gate.shut()
        (first,) = await queue(log, log.sequencer.draft(note(1)))
        (waiting,) = await queue(log, access)
        top = device.token.links[0]  # type: ignore[union-attr]
        end = DelegationEnded(top, "owner", "the contract ended")
        (ended,) = await queue(log, log.sequencer.draft(end, urgent=True))
        gate.open()
        await asyncio.gather(first, ended)
        assert isinstance(await waiting, Stale)
        refused = issuer.opening(log, device)
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.subject) == (Reason.LINK_ENDED, f"link:{top}")
