"""Data that is not the project's own lies in `shared/data` beside the repository, or nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

_DATA = Path(__file__).parents[2] / "shared" / "data"


def beside(name: str) -> Path:
    """The file or folder of this name; the test is skipped, and says so, where it is absent."""
    path = _DATA / name
    if not path.exists():
        pytest.skip(f"no `shared/data/{name}` beside the repository")
    return path
