"""Many people's keys in the hands of one, each used so seldom that alone it does not stand out."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

import msgspec

from bailment.drills.fleet import clients, ground
from bailment.drills.fleet.asks import Ask
from bailment.drills.fleet.clients import DAY
from bailment.drills.fleet.days import EPOCH, HOUR
from bailment.drills.fleet.ground import ZONES
from bailment.drills.fleet.people import Person


class Crowd(msgspec.Struct, frozen=True):
    """How they are used: out of one `proxy`, whose customers have prompts of their own, or from
    `homes` in the holders' countries, with one prompt; so many keys, each so often a day."""

    says: str
    people: int
    where: Literal["proxy", "homes"]
    pace: float


CROWDS: dict[str, Crowd] = {
    "M": Crowd("twenty people's keys behind one proxy, twice a day each", 20, "proxy", 2),
    "N": Crowd("twenty people's keys from homes, one prompt, twice a day each", 20, "homes", 2),
}


def crowd_asks(
    crowd: Crowd, victims: Sequence[Person], world: int, start: int, seed: int, days: int
) -> list[Ask]:
    """All requests, in order; they say that they come from the holders' programs and devices, and
    keep the holders' hours. `Ask.outsider` is the number of the key, from 1 on."""
    rng = Random(f"crowd/{crowd.says}/{world}/{seed}")
    proxy = ground.network(rng, rng.choice(list(ZONES)), "hosting")
    prompt = rng.getrandbits(60)
    asks: list[Ask] = []
    for number, victim in enumerate(victims, 1):
        home = ground.network(rng, victim.country)
        network = proxy if crowd.where == "proxy" else home
        for day in range(start, start + days):
            held = victim.devices_of(day)[0]
            for _ in range(rng.randrange(round(2 * crowd.pace) + 1)):
                hour = victim.hour + rng.uniform(0, 8.5) - ZONES[victim.country]
                asks.append(
                    Ask(
                        EPOCH + day * DAY + int(hour * HOUR) % DAY,
                        victim.recipient,
                        victim.number,
                        held.number,
                        number,
                        "bearer",
                        network,
                        network.address(rng),
                        clients.client(held.machine, held.machine.installs[0], world, day),
                        "off",
                        prompt if crowd.where == "homes" else rng.getrandbits(60),
                        rng.getrandbits(60),
                        ground.draw("chat_in", rng),
                        ground.draw("chat_out", rng),
                    )
                )
    return sorted(asks, key=lambda ask: ask.time)
