"""What recipients are still to be told, kept until they were told it.

The outbox follows the log: it knows up to which entry it has read, and a message enters with that
position in one transaction. So nothing is lost by a crash, and nothing is told under two ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from bailment.store.database import Database

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), next INTEGER)",
    "CREATE TABLE IF NOT EXISTS holds (hold TEXT PRIMARY KEY, subject TEXT NOT NULL)",
    """
    CREATE TABLE IF NOT EXISTS messages (
        id           TEXT PRIMARY KEY,
        organisation TEXT NOT NULL,
        body         BLOB NOT NULL,
        attempts     INTEGER NOT NULL DEFAULT 0,
        due          INTEGER,
        error        TEXT NOT NULL DEFAULT ''
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS told (
        organisation TEXT PRIMARY KEY, count INTEGER NOT NULL, last INTEGER NOT NULL
    )
    """,
)
#: The first message of each organisation that waits: those after it wait for it, too.
_FIRST = """
SELECT id, organisation, body, attempts, due FROM messages WHERE rowid IN
    (SELECT min(rowid) FROM messages WHERE due IS NOT NULL GROUP BY organisation)
"""
_TOLD = """
INSERT INTO told VALUES (?, 1, ?)
ON CONFLICT (organisation) DO UPDATE SET count = count + 1, last = excluded.last
"""
_STATUS = """
SELECT
    (SELECT count(*) FROM messages WHERE organisation = ?1 AND due IS NOT NULL),
    (SELECT count(*) FROM messages WHERE organisation = ?1 AND due IS NULL),
    (SELECT coalesce(sum(count), 0) FROM told WHERE organisation = ?1),
    (SELECT coalesce(max(last), 0) FROM told WHERE organisation = ?1),
    coalesce((SELECT error FROM messages WHERE organisation = ?1 AND error != ''
              ORDER BY attempts DESC LIMIT 1), '')
"""


class Message(NamedTuple):
    """What an organisation is to be told; `id` is the same however often it is sent."""

    id: str
    organisation: str
    body: bytes
    attempts: int = 0


class Delivery(NamedTuple):
    """How an organisation's messages stand; `given_up` were tried too often; `last` in ms."""

    waiting: int
    given_up: int
    told: int
    last: int
    error: str


class Outbox:
    """A table of messages, and how far the log was read for it."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, *_SCHEMA)

    async def position(self) -> int | None:
        """The next entry of the log to read; None in an outbox that has read nothing."""
        row = await self._db.run(lambda db: db.execute("SELECT next FROM position").fetchone())
        return row[0] if row else None

    async def holds(self) -> dict[str, str]:
        """The subjects of the holds that it has read of and that were not lifted."""
        return dict(await self._db.run(lambda db: db.execute("SELECT * FROM holds").fetchall()))

    async def follow(
        self,
        position: int,
        messages: Iterable[Message] = (),
        holds: Mapping[str, str | None] | None = None,
        now: int = 0,
    ) -> None:
        """Take messages in, due at once, and the position after the entries that they are of;
        `holds` has the subject of each new hold, None for one that was lifted."""

        def run(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            try:
                db.execute("INSERT OR REPLACE INTO position VALUES (1, ?)", (position,))
                for one in messages:
                    row = (one.id, one.organisation, one.body, now)
                    db.execute(
                        "INSERT OR IGNORE INTO messages (id, organisation, body, due)"
                        " VALUES (?, ?, ?, ?)",
                        row,
                    )
                for hold, subject in (holds or {}).items():
                    if subject is None:
                        db.execute("DELETE FROM holds WHERE hold = ?", (hold,))
                    else:
                        db.execute("INSERT OR REPLACE INTO holds VALUES (?, ?)", (hold, subject))
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

        await self._db.run(run)

    async def first(self) -> list[tuple[int, Message]]:
        """Of each organisation the message to be sent next, and when (ms), the soonest first."""
        rows = await self._db.run(lambda db: db.execute(_FIRST + "ORDER BY due, rowid").fetchall())
        return [(due, Message(*row)) for *row, due in rows]

    async def told(self, message: Message, now: int) -> None:
        """The message arrived."""

        def run(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM messages WHERE id = ?", (message.id,))
            db.execute(_TOLD, (message.organisation, now))

        await self._db.run(run)

    async def failed(self, message: Message, error: str, due: int | None) -> None:
        """The message did not arrive; it is due again then, or, with None, not any more."""
        values = (message.attempts + 1, due, error[:300], message.id)
        statement = "UPDATE messages SET attempts = ?, due = ?, error = ? WHERE id = ?"
        await self._db.run(lambda db: db.execute(statement, values).close())

    async def retry(self, organisation: str, now: int) -> None:
        """Try everything again that waits or was given up."""
        statement = "UPDATE messages SET attempts = 0, due = ? WHERE organisation = ?"
        await self._db.run(lambda db: db.execute(statement, (now, organisation)).close())

    async def drop(self, organisation: str) -> None:
        """The organisation wants to be told nothing any more."""
        statement = "DELETE FROM messages WHERE organisation = ?"
        await self._db.run(lambda db: db.execute(statement, (organisation,)).close())

    async def status(self, organisation: str) -> Delivery:
        """How an organisation's messages stand."""
        row = await self._db.run(lambda db: db.execute(_STATUS, (organisation,)).fetchone())
        return Delivery(*row)

    def close(self) -> None:
        self._db.close()
