"""What happens in a world: a few minutes with everything in them, or a lot of plain accesses."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count

from bailment.access.reasons import Reason, Refused
from bailment.ledger.records import AccessOpened, Budget, Policy

from .world import MODELS, NETWORK, Device, Person, World

POLICY = Policy(token_ms=60_000, heads_ms=20_000, contact="help@issuer.example")


@dataclass
class Lived:
    """What a test may ask for by name. `checkpoints` were signed in this order."""

    people: dict[str, Person] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    recipients: dict[str, str] = field(default_factory=dict)
    checkpoints: list[bytes] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    left_open: list[str] = field(default_factory=list)


async def settle(world: World) -> Lived:
    """Three organisations, a subcontractor, five people, a device each."""
    lived = Lived()
    await world.begin(POLICY)
    acme = await world.recipient("acme", ("aspen", "birch"), budget=Budget(3_000, 60))
    brook = await world.recipient("brook", ("birch",), depth=1)
    cove = await world.recipient("cove", MODELS, networks=(NETWORK,))
    delta = await world.subcontractor("delta", brook)
    lived.recipients = {party.name: party.recipient for party in (acme, brook, cove)}
    for name, party in zip(
        ("ada", "bob", "cyd", "dan", "eve"), (acme, acme, brook, delta, cove), strict=True
    ):
        lived.people[name] = person = await world.person(name, party)
        lived.devices[name] = await world.device(f"laptop of {name}", person)
    lived.devices["eve"].networks = (NETWORK,)
    return lived


async def minutes(world: World) -> Lived:
    """Sixty rounds of 2.5 s. Each device asks in each; much else happens in some."""
    lived = await settle(world)
    gone: set[str] = set()
    held = ""
    for turn in range(60):
        world.now += 2_500
        if turn == 10:
            held = await world.hold(f"person:{lived.people['ada'].id}", lived.recipients["acme"])
        if turn == 14:
            await world.lift(held, lived.recipients["acme"])
        if turn == 30:
            for name in ("cyd", "eve"):
                left = await world.access(lived.devices[name], "birch")
                lived.orphans.append(_allowed(left).access)
            await world.restart()
        if turn == 45:
            gone.add("bob")
            await world.erase(lived.people["bob"])
        for name, device in lived.devices.items():
            if name not in gone:
                await _ask(world, device, turn)
        if turn % 10 == 0:
            lived.checkpoints.append(world.log.sequencer.checkpoint)
    last = await world.access(lived.devices["eve"], "cedar")
    lived.left_open.append(_allowed(last).access)
    return lived


async def _ask(world: World, device: Device, turn: int) -> None:
    await _renew(world, device)
    world.now += 20
    opened = await world.access(device, "birch", ceiling=150)
    if isinstance(opened, Refused):
        assert opened.reason is Reason.HELD
    else:
        world.now += 130
        await world.close(device, opened)
    if turn == 20:
        outside = await world.access(device, "unheard-of")
        assert isinstance(outside, Refused) and outside.reason is Reason.MODEL_OUTSIDE_CHAIN
    if turn == 25:
        listed = await world.access(
            device, "", action="list-models", method="GET", path="/v1/models", ceiling=0,
            proof=world.proof(device, b"", token=device.token, method="GET", path="/v1/models"),
            body=EMPTY,
        )  # fmt: skip
        await world.close(device, _allowed(listed), input=0, output=0)
    if turn == 35 and device.person.party.name == "acme":
        spent = await world.access(device, "aspen", ceiling=2_990)
        assert isinstance(spent, Refused) and spent.reason is Reason.BUDGET_SPENT


async def crowd(world: World, devices: int, accesses: int) -> None:
    """Many accesses by many devices at once: a log to measure on."""
    await world.begin()
    party = await world.recipient("acme", ("aspen",), budget=Budget(10**12, 3600))
    for number in range(devices):
        person = await world.person(f"person{number}", party)
        await world.device(f"device{number}", person)
    done = count(1)
    while True:
        world.now += 1_000
        await asyncio.gather(*(_renew(world, device) for device in world.devices))
        opened = await asyncio.gather(*(world.access(d, "aspen") for d in world.devices))
        pairs = zip(world.devices, map(_allowed, opened), strict=True)
        await asyncio.gather(*(world.close(device, access) for device, access in pairs))
        if next(done) * devices >= accesses:
            return


async def _renew(world: World, device: Device) -> None:
    if device.issued is None or device.issued.until - world.now < 10_000:
        await world.token(device)


def _allowed(answer: AccessOpened | Refused) -> AccessOpened:
    assert isinstance(answer, AccessOpened), answer
    return answer


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
