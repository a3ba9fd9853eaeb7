"""SDKs, agents and the machines they run on; their releases come as time goes on."""

from __future__ import annotations

from functools import lru_cache
from random import Random

import msgspec

from bailment.drills.fleet.asks import Client
from bailment.drills.fleet.assumptions import assumed

DAY = 86_400_000


class Program(msgspec.Struct, frozen=True):
    """What stands in its headers: by weight; of what runtime, if it says one; whether it says a
    system; and its major version when the simulation begins."""

    weight: int
    runtime: str
    system: bool
    major: int


#: SDKs and agents, as they name themselves (`Ask.headers`). LangChain and the like send what the
#: SDK below them sends.
SDKS = {
    "OpenAI/Python": Program(34, "CPython", True, 3),
    "AsyncOpenAI/Python": Program(14, "CPython", True, 3),
    "Anthropic/Python": Program(16, "CPython", True, 2),
    "AsyncAnthropic/Python": Program(4, "CPython", True, 2),
    "OpenAI/JS": Program(14, "node", True, 6),
    "Anthropic/JS": Program(8, "node", True, 0),
    "python-httpx": Program(6, "", False, 0),
    "curl": Program(4, "", False, 8),
}
AGENTS = {
    "claude-cli": Program(40, "bundled", True, 2),
    "codex-tui": Program(20, "", True, 0),
    "opencode": Program(10, "", False, 1),
    "Cline": Program(12, "node", True, 6),
    "litellm": Program(10, "", False, 1),
    "goose": Program(8, "", False, 1),
}
PROGRAMS = SDKS | AGENTS
SYSTEMS = {"MacOS arm64": 42, "Linux x64": 28, "Windows x64": 24, "MacOS x64": 4, "Linux arm64": 2}
#: An agent that comes with its runtime says the same one on all machines.
RUNTIMES = {
    "CPython": [f"CPython 3.{minor}.{patch}" for minor in (11, 12, 13, 14) for patch in (2, 5, 9)],
    "node": [f"node v{major}.{minor}.0" for major in (22, 24, 26) for minor in (4, 11, 18)],
    "bundled": ["node v26.3.0"],
    "": [""],
}


class Install(msgspec.Struct, frozen=True):
    """One program on one device: how readily it is updated, and from when it is there."""

    name: str
    agent: bool
    lag: float
    seed: int


class Machine(msgspec.Struct, frozen=True):
    """A device: its system, the runtimes it has at first by name, and what is installed."""

    system: str
    runtimes: dict[str, str]
    installs: tuple[Install, ...]
    seed: int


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
    """The version that is installed on a day; a new major one comes with every twentieth."""
    number = 0
    for at, release in _taken(install, world):
        if at > day:
            break
        number = release
    major = PROGRAMS[install.name].major
    return f"{major + max(0, number // 20 - 1)}.{number % 20}.0"


def client(machine: Machine, install: Install, world: int, day: int) -> Client:
    """What it says of itself on a day."""
    return said(install.name, version(install, world, day), machine, day)


def said(name: str, version: str, machine: Machine, day: int) -> Client:
    """What a program says of itself on a machine."""
    program = PROGRAMS[name]
    system = machine.system if program.system else ""
    updates = _updates(machine.seed, program.runtime, day)
    runtime = machine.runtimes[program.runtime]
    if updates:
        rng = Random(f"{machine.seed}/{program.runtime}/{updates}")
        runtime = rng.choice(RUNTIMES[program.runtime])
    return Client(name, version, system, runtime)


@lru_cache(1 << 14)
def _updates(seed: int, runtime: str, day: int) -> int:
    """How often a device's runtime was updated by a day."""
    rng, number = Random(f"{seed}/updates/{runtime}"), 0
    at = rng.expovariate(assumed("runtime-update") / 30)
    while at < day:
        number += 1
        at += rng.expovariate(assumed("runtime-update") / 30)
    return number


def install(rng: Random, agent: bool) -> Install:
    """A program."""
    table = AGENTS if agent else SDKS
    name = rng.choices(list(table), [one.weight for one in table.values()])[0]
    lag = assumed("agent-update") if agent else assumed("sdk-update")
    return Install(name, agent, lag, rng.getrandbits(48))


def machine(rng: Random, installs: tuple[Install, ...], system: str = "") -> Machine:
    """A device with the programs given."""
    runtimes = {name: rng.choice(versions) for name, versions in RUNTIMES.items()}
    drawn = rng.choices(list(SYSTEMS), list(SYSTEMS.values()))[0]
    return Machine(system or drawn, runtimes, installs, rng.getrandbits(48))
