"""The rooms import one another only as the house allows."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = ROOT / "pyproject.toml"
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def test_the_import_contracts_hold() -> None:
    # In a process of its own: the linter sets up logging for all of it.
    command = [str(LINT_IMPORTS), "--config", str(PYPROJECT), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_an_issuer_that_starts_loads_nothing_that_only_some_requests_need() -> None:
    probe = "import bailment.cli.serve, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    late = {"authlib", "jinja2", "joserfc", "pydantic", "scim2_models", "scim2_server", "webauthn"}
    assert late.isdisjoint(run.stdout.split())


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("ledger", "access"),
        ("access", "clock"),
        ("store", "gateway"),
        ("gateway", "control"),
        ("agent", "store"),
        ("auditor", "store"),
        ("auditor", "agent"),
    ],
)
def test_the_contracts_catch_a_planted_import(importer: str, imported: str, tmp_path: Path) -> None:
    assert _lint_a_house_with(tmp_path, importer, imported) == 1


@pytest.mark.parametrize(
    ("importer", "imported"), [("agent", "access"), ("auditor", "ledger"), ("gateway", "store")]
)
def test_the_contracts_allow_what_the_house_allows(
    importer: str, imported: str, tmp_path: Path
) -> None:
    assert _lint_a_house_with(tmp_path, importer, imported) == 0


def _lint_a_house_with(folder: Path, importer: str, imported: str) -> int:
    """Build every room empty but for one import, and lint it with the project's contracts."""
    contract = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"][0]
    house = folder / "bailment"
    house.mkdir()
    (house / "__init__.py").touch()
    for layer in contract["layers"]:
        for room in layer.split("|"):
            (house / f"{room.strip(' ()')}.py").touch()
    (house / f"{importer}.py").write_text(f"import bailment.{imported}\n")
    run = subprocess.run(
        [LINT_IMPORTS, "--config", str(PYPROJECT), "--no-cache"],
        cwd=folder,  # which the linter searches before the installed package
        capture_output=True,
        text=True,
    )
    assert "Contracts: " in run.stdout, run.stdout + run.stderr
    return run.returncode
