"""`docs/delegation.md` is a session that runs as it is written, like the README's."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ..house.test_readme import PORT, _blocks, _run

PAGE = (Path(__file__).parents[2] / "docs/delegation.md").read_text()

pytestmark = pytest.mark.journey


def test_the_page_on_delegation_runs_as_written(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = str(found.getsockname()[1])
    assert PORT in PAGE
    assert sum(block.runnable for block in _blocks(PAGE)) > 5
    _run(PAGE.replace(PORT, port), tmp_path)
