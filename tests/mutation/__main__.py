"""Change one thing at a time and see whether a test notices: `python -m tests.mutation [MODULE…]`.

Each mutant (`mutants.py`) runs the module's own tests in a process of its own. What survives is a
rule that no test holds, or a change that changes nothing: then `explained.toml` says why. The
command lists every survivor and ends with 1 if one is not explained.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.util
import os
import resource
import signal
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
EXPLAINED = Path(__file__).with_name("explained.toml")
CPU_SECONDS, MEMORY = 90, 4 << 30
PYTEST = [
    *("-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider"),
    "--hypothesis-profile=mutation",
]
# The same examples each time, and none made smaller once it has failed.
hypothesis.settings.register_profile(
    "mutation",
    deadline=None,
    database=None,
    derandomize=True,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


def modules() -> dict[str, list[str]]:
    """The modules to mutate, and the tests of each, those that fail fastest first."""
    table = tomllib.loads(EXPLAINED.read_text())
    return {name: list(entry["tests"]) for name, entry in table.items()}


def explained(module: str) -> dict[str, str]:
    """Why each survivor of the module changes nothing, by its key."""
    entry = tomllib.loads(EXPLAINED.read_text())[module]
    return {key: why for why, keys in entry.get("same", {}).items() for key in keys}


def source_of(module: str) -> str:
    return (ROOT / "src" / f"{module.replace('.', '/')}.py").read_text()


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from the text of a mutant."""

    def __init__(self, module: str, source: str) -> None:
        self._module, self._source = module, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin="mutant")

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, "mutant", "exec"), module.__dict__)


def outcomes(module: str, sources: Sequence[str], jobs: int) -> Iterator[tuple[int, bool]]:
    """The number of each source and whether all tests of the module pass with it, as they end.

    One that hangs or dies is noticed like one that fails.
    """
    tests, running = modules()[module], dict[int, int]()
    waiting = list(enumerate(sources))[::-1]
    while waiting or running:
        if waiting and len(running) < jobs:
            number, source = waiting.pop()
            child = os.fork()
            if not child:
                os._exit(_run(module, source, tests))
            running[child] = number
        else:
            child, status = os.wait()
            yield running.pop(child), status == 0


def _run(module: str, source: str, tests: Sequence[str]) -> int:
    """In the child: 0 if the tests pass."""
    for name, limit in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY)):
        resource.setrlimit(name, (limit, limit))
    signal.alarm(10 * CPU_SECONDS)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    sys.meta_path.insert(0, Changed(module, source))
    sys.dont_write_bytecode = True
    try:
        return int(pytest.main([*PYTEST, *tests]))
    except BaseException:
        return 1


def examine(module: str, jobs: int) -> list[Mutant]:
    """The survivors of a module, each told as it is found."""
    source = source_of(module)
    if not all(passes for _, passes in outcomes(module, [source], 1)):
        raise SystemExit(f"{module}: its tests fail without any change")
    found = list(mutants(source))
    reasons, alive = explained(module), []
    for number, passes in outcomes(module, [one.source for one in found], jobs):
        if passes:
            mutant = found[number]
            alive.append(mutant)
            why = f"same: {reasons[mutant.key]}" if mutant.key in reasons else "NOT NOTICED"
            say(f"{module}:{mutant.line} {mutant.key}\n    {why}")
    say(f"{module}: {len(found)} mutants, {len(alive)} survive")
    return alive


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="all of them if none is named")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    os.chdir(ROOT)
    unexplained = 0
    for module in options.modules or modules():
        reasons = explained(module)
        unexplained += sum(one.key not in reasons for one in examine(module, options.jobs))
    raise SystemExit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
