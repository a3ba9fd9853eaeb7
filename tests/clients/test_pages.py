"""What `docs/clients/` tells its readers to do works, and what it says does not work is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .__main__ import ANSWERED, REFUSED, lines, read_table
from .pages import DOCS, Row, Stage, pointing, rows, staged, version_of

pytestmark = [pytest.mark.anyio, pytest.mark.journey, pytest.mark.slow]

ROWS = rows()
BARE = [row for row in ROWS if row.way == "sidecar"]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.page} by {row.way}")
async def test_a_page_works_as_it_stands(stage: Stage, row: Row) -> None:
    version_of(row.page)
    ran = await stage.run(row)
    assert ran.status == 0, ran.out
    assert "Hello" in ran.out
    kind = "mtls" if row.way == "mTLS" else "dpop-body"
    assert ran.kinds
    assert set(ran.kinds) == {(kind, "complete")}, ran.out


@pytest.mark.parametrize("bound", ["proof", "certificate"])
@pytest.mark.parametrize("row", BARE, ids=lambda row: row.page)
async def test_a_token_in_a_variable_is_refused(stage: Stage, row: Row, bound: str) -> None:
    version_of(row.page)
    token, asked = (await stage.tokens())[bound], len(stage.lab.model.requests)
    ran = await stage.run(row, pointing(stage.lab.url, token))
    assert ran.kinds == []
    assert len(stage.lab.model.requests) == asked
    # Claude Code words every 401 itself.
    assert "Invalid API key" in ran.out or bound in ran.out.lower(), ran.out


def test_the_table_is_of_what_the_pages_show() -> None:
    shown = [(client, way, result) for client, _, way, result in read_table()]
    expected = [(row.client, row.way, ANSWERED.format(", ".join(row.uses))) for row in ROWS]
    expected += [(row.client, "a token in a variable, nothing else", REFUSED) for row in BARE]
    assert shown == expected
    assert lines(read_table()) in (DOCS / "README.md").read_text()
