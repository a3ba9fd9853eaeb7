"""A test that did not run is never passed over in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SKIPPING = """
import pytest

def test_that_runs(): pass

@pytest.mark.skip(reason="no such thing here")
def test_that_is_skipped(): pass

@pytest.mark.xfail(reason="not mended yet")
def test_that_fails(): assert False
"""
ORDER = """
import pytest

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.journey
def test_journey(): pass

@pytest.mark.journey
@pytest.mark.slow
def test_slow_journey(): pass

def test_fast(): pass
"""


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skip_is_named_and_fails_a_run_in_ci(ci: str, status: int, tmp_path: Path) -> None:
    run = _pytest(tmp_path, SKIPPING, ci)
    assert run.returncode == status, run.stdout
    assert " SKIPPED 2 tests " in run.stdout
    assert "test_one.py::test_that_is_skipped: Skipped: no such thing here" in run.stdout
    assert "test_one.py::test_that_fails: expected to fail: not mended yet" in run.stdout


def test_a_run_in_ci_without_skips_passes_and_runs_fast_tests_first(tmp_path: Path) -> None:
    run = _pytest(tmp_path, ORDER, "true", "-v")
    assert run.returncode == 0, run.stdout
    assert "SKIPPED" not in run.stdout
    names = ["test_fast", "test_journey", "test_slow", "test_slow_journey"]
    positions = [run.stdout.index(f"::{name} PASSED") for name in names]
    assert positions == sorted(positions)


def _pytest(folder: Path, tests: str, ci: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_one.py").write_text(tests)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", *arguments],
        cwd=folder,
        env={**os.environ, "CI": ci, "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )
