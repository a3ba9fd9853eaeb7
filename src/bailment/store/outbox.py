"""What recipients are still to be told, kept until they were told it.

The outbox follows the log: it knows up to which entry it has read, and a message enters with that
position in one transaction. So nothing is lost by a crash, and nothing is told under two ids. For
an organisation of which `ROOM` messages are kept there is no more room: of what follows, only is
kept from which entry on the log is to be read for it. So nobody can be down long enough to fill a
disk, and nobody misses an entry.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bailment.store.database import Database, open_database, unusable

#: Messages that are kept of one organisation, given up or not.
ROOM = 100

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
    "CREATE TABLE IF NOT EXISTS late (organisation TEXT PRIMARY KEY, next INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS queues ON messages (organisation, due, attempts)",
)
_INSERT = "INSERT OR IGNORE INTO messages (id, organisation, body, due) VALUES (?, ?, ?, ?)"
_COUNT = "SELECT count(*) FROM messages WHERE organisation = ?"
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
              ORDER BY attempts DESC LIMIT 1), ''),
    coalesce((SELECT position.next - late.next FROM late, position WHERE organisation = ?1), 0)
"""
#: Whose queue has room again, for more than one message unless none waits; the furthest behind.
_LATE = """
SELECT organisation, late.next, position.next FROM late, position WHERE
    (SELECT count(*) FROM messages m WHERE m.organisation = late.organisation) < ?1
    AND (SELECT count(*) FROM messages m WHERE m.organisation = late.organisation
         AND due IS NOT NULL) <= ?1 / 2
ORDER BY late.next LIMIT 1
"""
_STANDING = """
SELECT
    (SELECT count(*) FROM messages WHERE due IS NOT NULL),
    (SELECT count(*) FROM messages WHERE due IS NULL),
    (SELECT count(DISTINCT organisation) FROM messages WHERE attempts > 0),
    (SELECT coalesce(max(position.next - late.next), 0) FROM late, position)
"""


class Message(NamedTuple):
    """What an organisation is to be told; `id` is the same however often it is sent."""

    id: str
    organisation: str
    body: bytes
    attempts: int = 0


class Delivery(NamedTuple):
    """How an organisation's messages stand; `given_up` were tried too often; `last` in ms; `behind`
    entries that were read for others are not read for it yet, for lack of room."""

    waiting: int
    given_up: int
    told: int
    last: int
    error: str
    behind: int


class Late(NamedTuple):
    """An organisation for which the log is to be read from one entry up to another."""

    organisation: str
    start: int
    end: int


class Standing(NamedTuple):
    """How the messages of all stand: how many wait, how many were given up, how many organisations
    did not take what they were sent last, and how many entries the furthest is `behind`."""

    waiting: int = 0
    given_up: int = 0
    failing: int = 0
    behind: int = 0


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
        messages: Iterable[tuple[int, Message]] = (),
        holds: Mapping[str, str | None] | None = None,
        now: int = 0,
    ) -> None:
        """Take messages in, each with the entry that it is of, in the log's order and due at once,
        and the position after those entries; `holds` has the subject of each new hold, None for one
        that was lifted. Of whom there is no room for one, no later one is taken either."""

        def run(db: sqlite3.Connection) -> None:
            with _whole(db):
                db.execute("INSERT OR REPLACE INTO position VALUES (1, ?)", (position,))
                late = {name for (name,) in db.execute("SELECT organisation FROM late")}
                for entry, one in messages:
                    if one.organisation in late:
                        continue
                    if db.execute(_COUNT, (one.organisation,)).fetchone()[0] >= ROOM:
                        db.execute("INSERT INTO late VALUES (?, ?)", (one.organisation, entry))
                        late.add(one.organisation)
                    else:
                        db.execute(_INSERT, (one.id, one.organisation, one.body, now))
                for hold, subject in (holds or {}).items():
                    if subject is None:
                        db.execute("DELETE FROM holds WHERE hold = ?", (hold,))
                    else:
                        db.execute("INSERT OR REPLACE INTO holds VALUES (?, ?)", (hold, subject))

        await self._db.run(run)

    async def late(self) -> Late | None:
        """For whom to read on, since there is room again; None if for nobody."""
        row = await self._db.run(lambda db: db.execute(_LATE, (ROOM,)).fetchone())
        return Late(*row) if row else None

    async def catch_up(
        self, organisation: str, end: int, messages: Iterable[tuple[int, Message]], now: int
    ) -> None:
        """Take in, of what was read for one up to an entry, what there is room for; whoever has all
        that the others have is late no more."""

        def run(db: sqlite3.Connection) -> None:
            with _whole(db):
                if not db.execute("SELECT 1 FROM late WHERE organisation = ?", key).fetchone():
                    return  # it wants to be told nothing by now
                upto, room = end, ROOM - db.execute(_COUNT, key).fetchone()[0]
                for entry, one in messages:
                    if room <= 0:
                        upto = entry
                        break
                    db.execute(_INSERT, (one.id, one.organisation, one.body, now))
                    room -= 1
                if upto >= db.execute("SELECT next FROM position").fetchone()[0]:
                    db.execute("DELETE FROM late WHERE organisation = ?", key)
                else:
                    db.execute("UPDATE late SET next = ? WHERE organisation = ?", (upto, *key))

        key = (organisation,)
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

        def run(db: sqlite3.Connection) -> None:
            with _whole(db):
                db.execute("DELETE FROM messages WHERE organisation = ?", (organisation,))
                db.execute("DELETE FROM late WHERE organisation = ?", (organisation,))

        await self._db.run(run)

    async def status(self, organisation: str) -> Delivery:
        """How an organisation's messages stand."""
        row = await self._db.run(lambda db: db.execute(_STATUS, (organisation,)).fetchone())
        return Delivery(*row)

    async def standing(self) -> Standing:
        """How the messages of all stand."""
        return await self._db.run(_standing)

    def close(self) -> None:
        self._db.close()


def standing(path: Path) -> Standing:
    """How the messages of all stand, read beside the process that writes."""
    if not path.exists():
        return Standing()
    database = open_database(path, read_only=True)
    try:
        return _standing(database)
    except sqlite3.Error as error:  # of before there was room for so many only, for instance
        raise unusable(path, error) from None
    finally:
        database.close()


def _standing(db: sqlite3.Connection) -> Standing:
    return Standing(*db.execute(_STANDING).fetchone())


@contextmanager
def _whole(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
