"""Run every page in `docs/clients/` and write down how that went: `python -m tests.clients`."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from .pages import DOCS, Row, Stage, pointing, rows, staged, version_of

TABLE = DOCS / "README.md"
MARK = "## What was run\n"
ANSWERED = "answered: {}"
REFUSED = "refused, 401, by proof and by certificate"
Line = tuple[str, str, str, str]


def lines(table: list[Line]) -> str:
    """The table in Markdown: client, version, way, result."""
    head = [("client", "version", "way", "result"), ("---", "---", "---", "---")]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*head, *table]) + "\n"


def read_table() -> list[Line]:
    """The table as it is written."""
    rest = TABLE.read_text().partition(MARK)[2]
    found = re.findall(r"^\| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", rest, re.M)
    return found[2:]


async def _try(stage: Stage, row: Row) -> Line:
    ran = await stage.run(row)
    kind = "mtls" if row.way == "mTLS" else "dpop-body"
    good = ran.status == 0 and "Hello" in ran.out and set(ran.kinds) == {(kind, "complete")}
    result = ANSWERED.format(", ".join(row.uses)) if good else f"FAILED ({ran.status}) {ran.kinds}"
    if not good:
        sys.stderr.write(ran.out)
    return row.client, version_of(row.page), row.way, result


async def _try_bare(stage: Stage, row: Row) -> Line:
    opened = []
    for token in (await stage.tokens()).values():
        opened += (await stage.run(row, pointing(stage.lab.url, token))).kinds
    result = REFUSED if not opened else "NOT REFUSED"
    return row.client, version_of(row.page), "a token in a variable, nothing else", result


async def main() -> int:
    """Run, print, write; 1 if anything was not as the pages say."""
    shown = rows()
    with tempfile.TemporaryDirectory() as folder:
        async with staged(Path(folder)) as stage:
            table = [await _try(stage, row) for row in shown]
            table += [await _try_bare(stage, row) for row in shown if row.way == "sidecar"]
    text = TABLE.read_text().partition(MARK)[0] + MARK + "\n" + lines(table)
    TABLE.write_text(text)
    sys.stdout.write(lines(table))
    return int(any("FAILED" in line[3] or "NOT" in line[3] for line in table))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
