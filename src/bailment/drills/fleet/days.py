"""What one person asks on one day."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

from bailment.drills.fleet import clients, ground
from bailment.drills.fleet.asks import Ask, Client
from bailment.drills.fleet.assumptions import assumed
from bailment.drills.fleet.clients import DAY, Install
from bailment.drills.fleet.ground import ZONES, Network
from bailment.drills.fleet.people import Device, Person, at

HOUR = 3_600_000
#: Friday and Saturday are the weekend there.
FRIDAY = {"IL"}
#: 2026-01-05, a Monday, 00:00 UTC: the first day of every simulation.
EPOCH = 1_767_571_200_000


def weekend(country: str, day: int) -> bool:
    """Whether nobody has to work on a day of the simulation."""
    return day % 7 in ((4, 5) if country in FRIDAY else (5, 6))


def day_of(person: Person, seed: int, day: int) -> list[Ask]:
    """The requests of a person on a day of the person's own calendar, in no order."""
    rng = Random(f"{seed}/{person.number}/{day}")
    if not person.first <= day <= person.last:
        return []
    asks = list(_ci(person, person.ci, seed, day, rng)) if person.ci else []
    usual = assumed("active-weekend" if weekend(person.country, day) else "active-weekday")
    if rng.random() >= usual:
        return asks
    left = min(600, round(person.median * rng.lognormvariate(0, 0.6)) + 1)
    device = person.device(day, rng)
    office = rng.random() < assumed("office")
    trip = person.trip(day)
    zone = ZONES[trip.network.country if trip else person.country]
    begun = EPOCH + day * DAY - int(zone * HOUR)
    while left > 0:
        session = min(left, 1 + int(rng.expovariate(1 / (25 if person.agentic else 7))))
        left -= session
        if rng.random() < assumed("evening"):
            hour = rng.uniform(18, 23.5)
        else:
            hour = person.hour + rng.betavariate(1.3, 1.3) * 8.5
        network = trip.network if trip else _place(person, day, office, rng)
        if person.vpn and rng.random() < assumed("vpn-sessions"):
            network = ground.network(rng, rng.choice(list(ZONES)), "vpn")
        program = device.machine.installs[rng.random() < assumed("other-client")]
        where = (device, program, network)
        asks += _session(person, seed, day, begun + int(hour * HOUR), session, where, rng)
    return asks


def _place(person: Person, day: int, office: bool, rng: Random) -> Network:
    drawn = rng.random()
    if drawn < assumed("cafe"):
        return ground.network(rng, person.country)
    if drawn < assumed("cafe") + assumed("mobile"):
        return person.mobile
    if office or person.corporate:
        return at(person.offices, day)
    return at(person.homes, day)


def _session(
    person: Person,
    seed: int,
    day: int,
    time: int,
    turns: int,
    where: tuple[Device, Install, Network],
    rng: Random,
) -> Iterator[Ask]:
    """One sitting of `turns` requests, an agent's perhaps in several conversations at once."""
    device, program, network = where
    client = clients.client(device.machine, program, seed, day)
    several = 1 + rng.randrange(1, 3) if program.agent and rng.random() < assumed("parallel") else 1
    for _ in range(several):
        workspace = _workspace(person, client, day, rng)
        conversation, clock = rng.getrandbits(60), time + rng.randrange(120_000)
        address = network.address(rng)
        for _ in range(max(1, turns // several)):
            yield Ask(
                clock,
                person.recipient,
                person.number,
                device.number,
                0,
                "own",
                network,
                address,
                client,
                "purpose",
                workspace,
                conversation,
                ground.draw("code_in" if program.agent else "chat_in", rng),
                ground.draw("code_out" if program.agent else "chat_out", rng),
            )
            if program.agent:
                clock += int(rng.lognormvariate(math.log(assumed("agent-gap")), 0.9) * 1000)
            else:
                clock += ground.draw("turn_gap", rng)
                if rng.random() < 0.15:
                    conversation = rng.getrandbits(60)


def _workspace(person: Person, client: Client, day: int, rng: Random) -> int:
    """One of those in hand, the team's or their own."""
    shared = rng.random() < assumed("shared-projects")
    if shared:
        return team_workspace(person, client, day, rng)
    return _of_owner(f"person/{person.number}", 2, client, day, rng)


def team_workspace(person: Person, client: Client, day: int, rng: Random) -> int:
    """One of those that the person's team has in hand."""
    return _of_owner(f"team/{person.team}", 4, client, day, rng)


def _of_owner(owner: str, rarer: int, client: Client, day: int, rng: Random) -> int:
    """An agent's own prompt is part of a workspace, so a release makes it another."""
    agent = client.name in clients.AGENTS
    pace = assumed("agent-projects" if agent else "chat-projects") / rarer
    # Of three in hand the one begun longest ago gives way to the next.
    newest = int(Random(owner).random() * 1000 + day * pace)
    project = newest - rng.choices((0, 1, 2), (6, 3, 1))[0]
    release = f"{client.name} {client.version}" if agent else ""
    return Random(f"{owner}/{project}/{release}").getrandbits(60)


def _ci(
    person: Person, ci: tuple[Device, Network], seed: int, day: int, rng: Random
) -> Iterator[Ask]:
    device, home = ci
    runs = 0 if rng.random() < 0.3 else rng.randrange(1, 4)
    for _ in range(runs):
        network = ground.near(rng, home)
        program = device.machine.installs[0]
        client = clients.client(device.machine, program, seed, day)
        workspace = Random(f"ci/{person.number}").getrandbits(60)
        clock = EPOCH + day * DAY + int(rng.random() * 0.9 * DAY)
        conversation, address = rng.getrandbits(60), network.address(rng)
        for _ in range(rng.randrange(1, 8)):
            yield Ask(
                clock,
                person.recipient,
                person.number,
                device.number,
                0,
                "own",
                network,
                address,
                client,
                "purpose",
                workspace,
                conversation,
                ground.draw("code_in", rng),
                ground.draw("code_out", rng),
            )
            clock += 1000 + int(rng.expovariate(1 / 6000))
