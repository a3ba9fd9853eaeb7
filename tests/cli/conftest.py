"""One lab for all tests here: running, with a recipient, and a person who has used the model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .lab import CONTACT, MARIA, MODEL, PURPOSE, Lab, ModelServer, Quick, ask


@pytest.fixture(scope="session")
def root() -> Iterator[Path]:
    """A short path, for sockets lie under it."""
    with tempfile.TemporaryDirectory(prefix="bailment-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def model(root: Path) -> Iterator[ModelServer]:
    with ModelServer(root / "model.sock").running() as server:
        yield server


@pytest.fixture(scope="session")
def quick(root: Path) -> Iterator[Quick]:
    starter = Quick(root / "quick.sock")
    yield starter
    starter.close()


@pytest.fixture(scope="session")
def bare(root: Path, model: ModelServer, quick: Quick) -> Lab:
    """A lab that was made and never served. Nobody changes it: see `copied`."""
    lab = Lab(root / "bare", model, quick)
    lab.init()
    return lab


@pytest.fixture
def copied(root: Path, bare: Lab) -> Iterator[Lab]:
    """A copy of it to spoil."""
    lab = Lab(Path(tempfile.mkdtemp(dir=root)), bare.model, bare.quick, bare.port)
    shutil.copytree(bare.folder, lab.folder)
    yield lab
    shutil.rmtree(lab.root)


@pytest.fixture(scope="session")
def lab(root: Path, model: ModelServer, quick: Quick) -> Iterator[Lab]:
    """The lab that serves: acme is registered, Maria has a device and has asked the model twice."""
    lab = Lab(root / "lab", model, quick)
    lab.init()
    with lab.serving():
        lab.admin.ok("recipient", "key", lab.acme)
        lab.team.ok(
            *("recipient", "add", "acme", "--key", lab.acme / "admin.jwk"),
            *("--contact", CONTACT, "--model", MODEL, "--purpose", PURPOSE, "--until", "90d"),
        )
        lab.enrol(lab.invite("Maria Silva", MARIA, "--until", "30d"))
        with lab.agent() as variables:
            assert ask(variables).status_code == 200
            assert ask(variables, stream=True).status_code == 200
            assert ask(variables, model="other").status_code == 403
        yield lab
