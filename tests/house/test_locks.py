"""What is installed is what was locked: by hash, from any index, and the same in every lock."""

from __future__ import annotations

import re
import site
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)(?P<rest>.*)$", re.M)
# The one is the editable install's; the other comes with the venv of Python 3.11.
START_UP_FILES = {"_bailment.pth", "distutils-precedence.pth"}


def _pins(lock: Path) -> dict[str, str]:
    return {pin["name"]: pin["version"] for pin in PIN.finditer(lock.read_text())}


def _names(requirements: list[str | dict[str, str]]) -> set[str]:
    return {canonicalize_name(Requirement(r).name) for r in requirements if isinstance(r, str)}


def test_the_five_locks_are_there() -> None:
    assert [lock.stem for lock in LOCKS] == [
        "requirements-demo",
        "requirements-dev",
        "requirements-embedding",
        "requirements-model",
        "requirements",
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_host(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.M), "an option, such as an index"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_by_version_and_hash(lock: Path) -> None:
    requirements = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert requirements
    for requirement in requirements:
        assert PIN.match(requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_locks_agree() -> None:
    everything = _pins(ROOT / "requirements-dev.lock")
    for name in ("requirements.lock", "requirements-demo.lock"):
        assert _pins(ROOT / name).items() <= everything.items()


def test_the_locks_hold_what_the_project_asks_for() -> None:
    runtime = _names(PROJECT["project"]["dependencies"])
    demo = _names(PROJECT["project"]["optional-dependencies"]["demo"])
    groups = {name: _names(group) for name, group in PROJECT["dependency-groups"].items()}
    assert runtime <= _pins(ROOT / "requirements.lock").keys()
    assert runtime | demo | groups["build"] <= _pins(ROOT / "requirements-demo.lock").keys()
    assert groups["dev"] <= _pins(ROOT / "requirements-dev.lock").keys()
    for group in ("model", "embedding"):
        assert groups[group] == _pins(ROOT / f"requirements-{group}.lock").keys()


def test_no_package_runs_code_when_python_starts() -> None:
    """A `.pth` file is how stolen releases have run unimported."""
    found = {path.name for folder in site.getsitepackages() for path in Path(folder).glob("*.pth")}
    assert found <= START_UP_FILES
