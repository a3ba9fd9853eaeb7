"""SDKs, agents and the machines they run on; their releases come as time goes on."""

from __future__ import annotations

from functools import lru_cache
from random import Random

import msgspec

from bailment.drills.fleet.asks import Client
from bailment.drills.fleet.assumptions import assumed

DAY = 86_400_000
#: SDKs and agents by weight, and on what they run.
SDKS = {
    ("OpenAI", "CPython"): 40,
    ("Anthropic", "CPython"): 20,
    ("OpenAI-JS", "node"): 14,
    ("Anthropic-JS", "node"): 8,
    ("python-httpx", "CPython"): 6,
    ("curl", ""): 4,
    ("langchain", "CPython"): 8,
}
AGENTS = {
    ("claude-cli", "node"): 40,
    ("codex-cli", "rust"): 20,
    ("opencode", "bun"): 10,
    ("Cline", "node"): 12,
    ("aider", "CPython"): 10,
    ("goose", "rust"): 8,
}
SYSTEMS = {"MacOS arm64": 42, "Linux x64": 28, "Windows x64": 24, "MacOS x64": 4, "Linux arm64": 2}
RUNTIMES = {
    "CPython": [f"3.{minor}.{patch}" for minor in (10, 11, 12, 13) for patch in (2, 5, 9)],
    "node": [f"{major}.{minor}.0" for major in (20, 22, 24) for minor in (4, 11, 18)],
    "rust": [""],
    "bun": ["1.2.4", "1.3.1"],
    "": [""],
}


class Install(msgspec.Struct, frozen=True):
    """One program on one device: how readily it is updated, and from when it is there."""

    name: str
    runtime: str
    agent: bool
    lag: float
    seed: int


class Machine(msgspec.Struct, frozen=True):
    """A device: its system, the runtimes it has by name, and what is installed."""

    system: str
    runtimes: dict[str, str]
    installs: tuple[Install, ...]


@lru_cache(64)
def _releases(name: str, world: int) -> tuple[int, ...]:
    """The days on which a program's releases come; day 0 is the simulation's first."""
    rng, day, days = Random(f"{world}/releases/{name}"), -400.0, list[int]()
    while day < 400:
        day += rng.expovariate(1 / assumed("releases"))
        days.append(int(day))
    return tuple(days)


@lru_cache(1 << 14)
def _taken(install: Install, world: int) -> tuple[tuple[int, int], ...]:
    """When a release was taken: (day, number of the release), in order."""
    rng, found = Random(f"{world}/taken/{install.seed}"), list[tuple[int, int]]()
    for number, day in enumerate(_releases(install.name, world)):
        at = day + int(rng.expovariate(1 / install.lag))
        if install.agent or rng.random() < 0.5:  # an SDK is not updated to every release
            found.append((at, number))
    taken, newest = list[tuple[int, int]](), -1
    for at, number in sorted(found):
        if number > newest:  # nobody goes back to an older one
            newest = number
            taken.append((at, number))
    return tuple(taken)


def version(install: Install, world: int, day: int) -> str:
    """The version that is installed on a day."""
    number = 0
    for at, release in _taken(install, world):
        if at > day:
            break
        number = release
    return f"{1 + number // 20}.{number % 20}.0"


def client(machine: Machine, install: Install, world: int, day: int) -> Client:
    """What it says of itself on a day."""
    name, runtime = install.name, machine.runtimes.get(install.runtime, "")
    return Client(name, version(install, world, day), machine.system, runtime)


def install(rng: Random, agent: bool) -> Install:
    """A program."""
    table = AGENTS if agent else SDKS
    name, runtime = rng.choices(list(table), list(table.values()))[0]
    lag = assumed("agent-update") if agent else assumed("sdk-update")
    return Install(name, runtime, agent, lag, rng.getrandbits(48))


def machine(rng: Random, installs: tuple[Install, ...], system: str = "") -> Machine:
    """A device with the programs given."""
    runtimes = {
        name: f"{name} {rng.choice(versions)}".strip() for name, versions in RUNTIMES.items()
    }
    drawn = rng.choices(list(SYSTEMS), list(SYSTEMS.values()))[0]
    return Machine(system or drawn, runtimes, installs)
