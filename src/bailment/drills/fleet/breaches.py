"""Those who should not be there: how many, where, with what, and what about."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from random import Random
from typing import Literal

import msgspec

from bailment.drills.fleet import clients, ground
from bailment.drills.fleet.asks import Ask, Client, Means
from bailment.drills.fleet.clients import DAY, Machine
from bailment.drills.fleet.days import EPOCH, HOUR, team_workspace
from bailment.drills.fleet.ground import ZONES, Network
from bailment.drills.fleet.people import Device, Person, at


class Scenario(msgspec.Struct, frozen=True):
    """One kind of breach.

    outsiders    how many
    means        how they come by the access
    where        `abroad`: homes in many countries; `country`: the holder's; `hidden`: hosting and
                 VPN; `holder`: through the holder's device
    copies       `sdk`: the holder's SDK and its version; `all`: the device's whole appearance
    off          share of requests that are not about the declared purpose
    pace         requests of an outsider a day
    hours        `office`: the holder's working hours; `any`: the outsider's own afternoon and night
    at_once      all of them begin within one hour; else over a day or two
    """

    says: str
    outsiders: int
    means: Means
    where: Literal["abroad", "country", "hidden", "holder"]
    copies: Literal["", "sdk", "all"]
    off: float
    pace: float
    hours: Literal["office", "any"]
    at_once: bool = False


SCENARIOS: dict[str, Scenario] = {
    "A": Scenario("ten outsiders, eight countries", 10, "bearer", "abroad", "", 0.9, 4.7, "any"),
    "B": Scenario(
        "three in the same country, same SDK", 3, "bearer", "country", "sdk", 0.5, 8, "any"
    ),
    "C": Scenario(
        "one thief, same country, on purpose", 1, "bearer", "country", "", 0, 14, "office"
    ),
    "V": Scenario("four behind VPN and hosting", 4, "bearer", "hidden", "", 0.9, 8, "any"),
    "D": Scenario("ten through the holder's device", 10, "relay", "holder", "all", 0.9, 4.7, "any"),
    "D0": Scenario(
        "the same, all within the first hour", 10, "relay", "holder", "all", 0.9, 4.7, "any", True
    ),
    "G": Scenario("four through the holder's device", 4, "relay", "holder", "all", 0.5, 8, "any"),
    "E": Scenario(
        "two through the holder's device, on purpose", 2, "relay", "holder", "all", 0, 14, "office"
    ),
    "K": Scenario(
        "three with a copy of the software key", 3, "copied-key", "abroad", "sdk", 0.9, 8, "any"
    ),
}


class Outsider(msgspec.Struct, frozen=True):
    """One of them: number from 1 on, where, with what, the first day, and when on it all begin (ms
    since the epoch), if they do so at once."""

    number: int
    country: str
    network: Network
    machine: Machine
    first: int
    seed: int
    begin: int = 0


def outsiders(scenario: Scenario, victim: Person, start: int, seed: int) -> list[Outsider]:
    """Who takes part. `start` is the day of the simulation on which the first does."""
    rng = Random(f"breach/{seed}/{victim.number}/{start}")
    others = [country for country in ZONES if country != victim.country]
    abroad = rng.sample(others, 8)
    hour = rng.uniform(10, 22) - ZONES[victim.country]
    begin = EPOCH + start * DAY + int(hour * HOUR) % DAY if scenario.at_once else 0
    found: list[Outsider] = []
    for number in range(1, scenario.outsiders + 1):
        country, kind = victim.country, ""
        if scenario.where == "abroad":
            country = rng.choice(abroad)
        elif scenario.where == "hidden":
            country = rng.choice(list(ZONES))
            kind = rng.choice(("hosting", "vpn", "vpn"))
        place = ground.network(rng, country, kind)
        # Half of them work with an agent; a relay hides what they work with all the same.
        machine = clients.machine(rng, (clients.install(rng, rng.random() < 0.5),))
        late = 0 if number == 1 or scenario.at_once else int(rng.expovariate(1.0))
        seed_of = rng.getrandbits(48)
        found.append(Outsider(number, country, place, machine, start + late, seed_of, begin))
    return found


def asks_of(
    scenario: Scenario, victim: Person, world: int, start: int, seed: int, days: int
) -> Iterator[Ask]:
    """The requests of a breach in order of time, for so many days."""
    streams = [
        _of(scenario, outsider, victim, world, start + days)
        for outsider in outsiders(scenario, victim, start, seed)
    ]
    return heapq.merge(*streams, key=lambda ask: ask.time)


def _of(
    scenario: Scenario, outsider: Outsider, victim: Person, world: int, end: int
) -> Iterator[Ask]:
    rng = Random(f"outsider/{outsider.seed}")
    own = [rng.getrandbits(60) for _ in range(2)]
    for day in range(outsider.first, end):
        if scenario.hours == "office" and day % 7 > 4:
            continue
        asks: list[Ask] = []
        began = outsider.begin if day == outsider.first else 0
        away = rng.random() < 0.25 and not began
        left = 0 if away else int(rng.expovariate(0.75 / scenario.pace)) + 1
        while left > 0:
            turns = min(left, 1 + int(rng.expovariate(1 / 6)))
            left -= turns
            asks += _session(scenario, outsider, victim, (world, day, turns, began), own, rng)
            began += 2 * HOUR if began else 0
        yield from sorted(asks, key=lambda ask: ask.time)


def _session(
    scenario: Scenario,
    outsider: Outsider,
    victim: Person,
    what: tuple[int, int, int, int],
    own: list[int],
    rng: Random,
) -> Iterator[Ask]:
    world, day, turns, began = what
    relayed = scenario.where == "holder"
    # What relays is one of the holder's devices.
    held = victim.devices_of(day)[0] if relayed else victim.device(day, rng)
    office = scenario.hours == "office"
    hour = victim.hour + rng.uniform(0, 8.5) if office else rng.uniform(10, 23.5)
    zone = ZONES[victim.country if office else outsider.country]
    clock = EPOCH + day * DAY + int((hour - zone) * HOUR) % DAY
    if began:
        clock = began + rng.randrange(HOUR)
        hour = (clock // HOUR + zone) % 24
    network = outsider.network
    if scenario.where == "hidden" and rng.random() < 0.3:
        network = ground.near(rng, network)  # another exit of the same provider
    if relayed:  # it is where the holder is
        trip, working = victim.trip(day), 9 <= hour < 17 or victim.corporate
        network = trip.network if trip else at(victim.offices if working else victim.homes, day)
    seen = _client(scenario, outsider, held, world, day)
    conversation, address = rng.getrandbits(60), network.address(rng)
    off = rng.random() < scenario.off
    # On purpose they use what the holder gave them: the prompt and tools of the team's work.
    workspace = rng.choice(own) if off else team_workspace(victim, seen, day, rng)
    for _ in range(turns):
        yield Ask(
            clock,
            victim.recipient,
            victim.number,
            held.number,
            outsider.number,
            scenario.means,
            network,
            address,
            seen,
            "off" if off else "purpose",
            workspace,
            conversation,
            ground.draw("chat_in", rng),
            ground.draw("chat_out", rng),
        )
        clock += ground.draw("turn_gap", rng)


def _client(scenario: Scenario, outsider: Outsider, held: Device, world: int, day: int) -> Client:
    theirs = clients.client(held.machine, held.machine.installs[0], world, day)
    if scenario.copies == "all":
        return theirs
    if scenario.copies == "sdk":
        return clients.said(theirs.name, theirs.version, outsider.machine, day)
    return clients.client(outsider.machine, outsider.machine.installs[0], world, day)
