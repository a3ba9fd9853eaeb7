"""What recipients' directories said of accounts and groups by SCIM, as they said it last.

It is theirs, not ours: nothing is decided by it, what followed from it is in the log, and a
directory sends it again whenever it is asked to. It is personal, and goes with its source, or with
the person whose account it is.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from bailment.store.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    source   TEXT NOT NULL,
    id       TEXT NOT NULL,
    kind     TEXT NOT NULL,
    person   TEXT NOT NULL,
    resource BLOB NOT NULL,
    PRIMARY KEY (source, id)
)
"""
_BY_PERSON = "CREATE INDEX IF NOT EXISTS by_person ON resources (person)"
_SCRUB = "PRAGMA secure_delete=ON"


class Row(NamedTuple):
    """One resource: `kind` is `User` or `Group`, `person` the id of the person whose account it
    is, empty if that is nobody's here; `resource` is JSON."""

    source: str
    id: str
    kind: str
    person: str
    resource: bytes


class Accounts:
    """A table of resources."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA, _BY_PERSON, _SCRUB)

    async def of(self, source: str) -> list[Row]:
        """All that a source has told."""
        return await self._run("SELECT * FROM resources WHERE source = ?", source)

    async def put(self, row: Row) -> None:
        """Keep a resource in the place of the one before."""
        await self._run("INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?)", *row)

    async def remove(self, source: str, resource: str) -> None:
        """Forget a resource."""
        await self._run("DELETE FROM resources WHERE source = ? AND id = ?", source, resource)

    async def drop(self, source: str) -> None:
        """Forget all that a source told."""
        await self._run("DELETE FROM resources WHERE source = ?", source)

    async def erase(self, person: str) -> None:
        """Forget the accounts of a person who was erased."""
        await self._run("DELETE FROM resources WHERE person = ?", person)

    def close(self) -> None:
        self._db.close()

    async def _run(self, statement: str, *values: str | bytes) -> list[Row]:
        def run(db: sqlite3.Connection) -> list[Row]:
            with closing(db.execute(statement, values)) as rows:
                return [Row(*row) for row in rows]

        return await self._db.run(run)
