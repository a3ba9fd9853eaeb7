"""The staging table: where a batch of entries and its signed checkpoint become durable as one.

A commit is one INSERT of one row in SQLite (WAL, `synchronous=FULL`): entries, encrypted bodies
and the checkpoint over them stand or fall together, under one fsync. The row goes in only if it
continues the last one, which is the compare-and-swap on the log's head. Conditions need no table
of their own: they are a fold over the entries (`access/admission.py`).

One statement matters for speed too: the interpreter lock is let go once per commit, not once per
row. Rows that are in full bundles by now go with it, a few at a time, so that tidying up costs no
commit of its own and never keeps the writer waiting.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from bailment.errors import BailmentError, FormatError
from bailment.store.database import open_database, unusable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    first      INTEGER PRIMARY KEY,
    count      INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    leaves     BLOB NOT NULL,
    facts      BLOB NOT NULL,
    personal   BLOB NOT NULL,
    checkpoint BLOB NOT NULL,
    settled    INTEGER NOT NULL
)
"""
_TIDY = """
CREATE TRIGGER IF NOT EXISTS tidy AFTER INSERT ON batches BEGIN
    DELETE FROM batches
    WHERE first IN (SELECT first FROM batches ORDER BY first LIMIT 4)
    AND first + count <= NEW.settled AND first < NEW.first;
END
"""
# A commit in which SQLite empties its write-ahead log waits for two more syncs. Four times the
# default of pages, 16 MB, make such commits four times rarer.
_CHECKPOINTS = "PRAGMA wal_autocheckpoint=4000"
_INSERT = """
INSERT INTO batches SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE coalesce((SELECT first + count FROM batches ORDER BY first DESC LIMIT 1), 0) = ?1
"""
_HEAD = """
SELECT first, count, time, leaves, facts, personal, checkpoint FROM batches
ORDER BY first DESC LIMIT 1
"""
_FIRST = "SELECT first FROM batches ORDER BY first LIMIT 1"
_END = "SELECT first + count FROM batches ORDER BY first DESC LIMIT 1"
_SINCE = """
SELECT first, count, time, leaves, facts, personal, checkpoint FROM batches
WHERE first >= coalesce((SELECT max(first) FROM batches WHERE first <= ?1), 0)
ORDER BY first
"""


_FORGET = """
DELETE FROM batches WHERE first + count <= ?1 AND first < (SELECT max(first) FROM batches)
"""


class CommitFailed(BailmentError):
    """The batch may or may not be durable. Nothing may be acknowledged; the process must end."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive entries. Columns are framed: the number of records and the length of each, all
    big-endian uint32, then the records."""

    first: int
    count: int
    time: int
    leaves: bytes
    facts: bytes
    personal: bytes
    checkpoint: bytes

    @property
    def end(self) -> int:
        return self.first + self.count


class Staging:
    """One connection to the staging table. Not shared between threads at the same time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._settled = 0
        self._db = open_database(path, _SCHEMA, _TIDY, _CHECKPOINTS, read_only=read_only)

    def commit(self, batch: Batch) -> None:
        """Make the batch durable. Any failure is CommitFailed and final."""
        try:
            cursor = self._db.execute(
                _INSERT,
                (
                    batch.first,
                    batch.count,
                    batch.time,
                    batch.leaves,
                    batch.facts,
                    batch.personal,
                    batch.checkpoint,
                    self._settled,
                ),
            )
        except sqlite3.Error as error:
            raise CommitFailed(f"the log could not be written: {error}") from error
        if cursor.rowcount != 1:
            raise CommitFailed(f"the log does not end at {batch.first}: another process wrote it")

    def head(self) -> Batch | None:
        """The last batch, whose checkpoint is the log's; None in an empty log."""
        with closing(self._read(_HEAD)) as rows:
            return next(rows, None)

    def first(self) -> int:
        """The first staged entry: those before it are in full bundles. 0 in an empty log."""
        return self._number(_FIRST)

    def end(self) -> int:
        """How many entries the log has. It costs some ten microseconds to ask."""
        return self._number(_END)

    def since(self, index: int, most: int | None = None) -> list[Batch]:
        """The batches that hold entries from `index` on, in order, as one consistent view; of
        them only so many that they hold `most` entries together, or a few more."""
        found: list[Batch] = []
        with closing(self._read(_SINCE, index)) as rows:
            for batch in rows:
                if batch.end > index:
                    found.append(batch)
                if most is not None and batch.end - index >= most:
                    break
        return found

    def settle(self, index: int) -> None:
        """Entries before `index` are in full bundles: their rows may go with the commits to come.

        The only method that another thread may call.
        """
        self._settled = index

    def forget(self) -> None:
        """Delete all settled rows but the last now, when nobody waits for a commit.

        Where the disk is full they stay.
        """
        try:
            self._db.execute(_FORGET, (self._settled,))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_FULL:
                raise unusable(self._path, error) from None

    def _number(self, query: str) -> int:
        try:
            row = self._db.execute(query).fetchone()
        except sqlite3.Error as error:
            raise unusable(self._path, error) from None
        return row[0] if row else 0

    def _read(self, query: str, *values: int) -> Generator[Batch, None, None]:
        """Rows as they are read; closing the generator ends the database's view of them."""
        try:
            with closing(self._db.execute(query, values)) as rows:
                for row in rows:
                    yield Batch(*row)
        except sqlite3.Error as error:
            raise unusable(self._path, error) from None

    def close(self) -> None:
        self._db.close()


def frame(records: Sequence[bytes]) -> bytes:
    """Join records behind their number and lengths."""
    lengths = map(len, records)
    return b"".join((struct.pack(f">I{len(records)}I", len(records), *lengths), *records))


def unframe(data: bytes) -> list[bytes]:
    """Take a framed blob apart; FormatError if it is not one."""
    try:
        (count,) = struct.unpack_from(">I", data)
        ends = list(accumulate(struct.unpack_from(f">{count}I", data, 4), initial=4 + 4 * count))
    except struct.error:
        raise FormatError("a framed blob is cut short") from None
    if ends[-1] != len(data):
        raise FormatError("a framed blob has another length than its records")
    return [data[start:end] for start, end in pairwise(ends)]
