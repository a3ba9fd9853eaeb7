"""Recipients, their people and devices, and what happens to them in the weeks of a simulation."""

from __future__ import annotations

import math
from random import Random

import msgspec

from bailment.drills.fleet import clients, ground
from bailment.drills.fleet.assumptions import assumed
from bailment.drills.fleet.clients import Install, Machine
from bailment.drills.fleet.ground import Network

MONTH = 30.0


class Trip(msgspec.Struct, frozen=True):
    """Days `first` to `last`, both included, in the hotel's network."""

    first: int
    last: int
    network: Network


class Device(msgspec.Struct, frozen=True):
    """A machine in use on days `first` to `last`."""

    number: int
    machine: Machine
    first: int
    last: int


class Person(msgspec.Struct, frozen=True):
    """One person. `homes` and `offices` are networks with the day from which on they count."""

    number: int
    recipient: int
    country: str
    agentic: bool
    median: float
    first: int
    last: int
    devices: tuple[Device, ...]
    homes: tuple[tuple[int, Network], ...]
    offices: tuple[tuple[int, Network], ...]
    mobile: Network
    corporate: bool
    vpn: bool
    trips: tuple[Trip, ...]
    ci: tuple[Device, Network] | None
    hour: float
    team: int

    def device(self, day: int, rng: Random) -> Device:
        """The one at hand: the first that is in use, now and then another."""
        used = self.devices_of(day)
        return used[0] if len(used) == 1 or rng.random() < 0.75 else rng.choice(used[1:])

    def devices_of(self, day: int) -> list[Device]:
        """Those in use on a day."""
        return [device for device in self.devices if device.first <= day <= device.last]

    def trip(self, day: int) -> Trip | None:
        """The trip that a day lies in."""
        return next((trip for trip in self.trips if trip.first <= day <= trip.last), None)


def at(networks: tuple[tuple[int, Network], ...], day: int) -> Network:
    """The network that counts on a day."""
    return [network for first, network in networks if first <= day][-1]


def people(seed: int, recipients: int, days: int) -> list[list[Person]]:
    """The people of each recipient, those who join and leave within `days` too."""
    fleet: list[list[Person]] = []
    number = 0
    for recipient in range(recipients):
        rng = Random(f"{seed}/recipient/{recipient}")
        country = ground.seat(rng)
        mean = assumed("people")
        size = round(min(70, max(4, rng.lognormvariate(math.log(mean) - 0.18, 0.6))))
        offices = _moves(rng, country, days, assumed("office-moves"))
        abroad = country if rng.random() < 0.7 else ground.elsewhere(rng, country)
        vendor = (abroad, _moves(rng, abroad, days, assumed("office-moves")))
        corporate = rng.random() < assumed("corporate-vpn")
        staff: list[Person] = []
        joining = size + sum(rng.random() < assumed("joiners") * days / MONTH for _ in range(size))
        for place in range(joining):
            hired = place >= size
            theirs = vendor if rng.random() < assumed("contractors") else (country, offices)
            person_rng = Random(f"{seed}/person/{number}")
            first = person_rng.randrange(days) if hired else 0
            seat = (recipient, theirs[0], theirs[1], corporate)
            staff.append(_person(person_rng, number, seat, first, days))
            number += 1
        fleet.append(staff)
    return fleet


def _moves(rng: Random, country: str, days: int, a_month: float) -> tuple[tuple[int, Network], ...]:
    networks = [(-1, ground.network(rng, country))]
    day = rng.expovariate(a_month / MONTH)
    while day < days:
        networks.append((int(day), ground.network(rng, country)))
        day += rng.expovariate(a_month / MONTH)
    return tuple(networks)


def _person(
    rng: Random,
    number: int,
    seat: tuple[int, str, tuple[tuple[int, Network], ...], bool],
    first: int,
    days: int,
) -> Person:
    recipient, country, offices, corporate = seat
    agentic = rng.random() < assumed("agentic")
    installs = tuple(clients.install(rng, agentic and place == 0) for place in range(2))
    leaves = rng.expovariate(assumed("leavers") / MONTH)
    ci = None
    if rng.random() < assumed("ci"):
        runner = clients.machine(rng, (clients.install(rng, False),), "Linux x64")
        ci = (Device(number * 8 + 7, runner, 0, days), ground.network(rng, country, "hosting"))
    return Person(
        number,
        recipient,
        country,
        agentic,
        assumed("agent-asks" if agentic else "chat-asks") * rng.lognormvariate(0, 0.5),
        first,
        min(days, first + int(leaves)),
        _devices(rng, number, installs, days),
        _moves(rng, country, days, assumed("home-moves")),
        offices,
        ground.network(rng, country),
        corporate,
        rng.random() < assumed("vpn-people"),
        _trips(rng, country, days),
        ci,
        rng.gauss(9, 0.8),
        recipient * 4 + rng.randrange(4),
    )


def _devices(
    rng: Random, number: int, installs: tuple[Install, ...], days: int
) -> tuple[Device, ...]:
    devices: list[Device] = []
    first = -1
    machine = clients.machine(rng, installs)
    while first <= days + 7 and len(devices) < 6:
        last = int(first + 1 + rng.expovariate(assumed("swaps") / MONTH))
        devices.append(Device(number * 8 + len(devices), machine, first, last))
        again = tuple(  # what is installed anew is the newest
            msgspec.structs.replace(one, lag=0.5, seed=rng.getrandbits(48)) for one in installs
        )
        system = machine.system if rng.random() < 0.8 else ""
        machine, first = clients.machine(rng, again, system), last + 1
    if rng.random() < assumed("second-device"):
        second = clients.machine(rng, installs)
        devices.append(Device(number * 8 + 6, second, -1, days))
    return tuple(devices)


def _trips(rng: Random, country: str, days: int) -> tuple[Trip, ...]:
    trips: list[Trip] = []
    day = rng.expovariate(assumed("trip") / 7)
    while day < days:
        last = int(day) + rng.randrange(5)
        away = rng.random() < assumed("abroad")
        to = ground.elsewhere(rng, country) if away else country
        trips.append(Trip(int(day), last, ground.network(rng, to)))
        day = last + 1 + rng.expovariate(assumed("trip") / 7)
    return tuple(trips)
