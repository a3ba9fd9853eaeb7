"""A database beside the log that is derived from it, and so may be made again from it.

Several processes may have it open. One that is damaged, or of an older version, is begun anew, and
whoever opened it is told.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bailment.errors import BailmentError
from bailment.store.durable import PRIVATE

#: How long a statement waits for another process, seconds: many times the longest batch.
BUSY_SECONDS = 30.0
#: Results of SQLite's that say that the file is no whole database.
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Derived:
    """One connection. `version` is that of the `schema`; `warn` is told why what is there cannot be
    used, before it is begun anew."""

    def __init__(self, path: Path, version: int, schema: str, warn: Callable[[str], None]) -> None:
        self._path, self._version, self._schema, self._warn = path, version, schema, warn
        try:
            self._open()
        except sqlite3.Error as error:
            if code(error) not in DAMAGED:
                raise self.unusable(error) from None
            self.replace(error)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def reopen(self) -> None:
        """Open the file of this name, if it is another one by now."""
        if self._moved():
            self._db.close()
            self._open()

    def rolled_back(self) -> None:
        """What was known of the tables may not be so."""

    def _open(self) -> None:
        self.rolled_back()
        self._db = sqlite3.connect(
            self._path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False
        )
        self._path.chmod(PRIVATE)
        self._inode = self._path.stat().st_ino
        _patiently(self._db, "PRAGMA journal_mode=WAL")
        # What a power cut takes is at the end, and made again from the log.
        self._db.execute("PRAGMA synchronous=NORMAL")
        if self._format() != self._version:
            self.empty(lambda: self._format() != self._version, "it is an older version's")

    def _format(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def empty(self, still: Callable[[], bool], why: str) -> None:
        """Begin anew, unless somebody else just did."""
        db = self._db
        with self.writing():
            if not still():
                return
            query = "SELECT name FROM sqlite_schema WHERE type = 'table'"
            if tables := [row[0] for row in db.execute(query)]:
                self._warn(f"`{self._path}` is made again from the log: {why}")
            for name in tables:
                db.execute(f"DROP TABLE {name}")
            for statement in self._schema.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {self._version}")

    def replace(self, error: sqlite3.Error) -> None:
        """In the place of a damaged file begin a new one, unless somebody else did."""
        self._db.close()
        if not self._moved():
            self._warn(f"`{self._path}` is made again from the log: {error}")
            for end in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + end).unlink(missing_ok=True)
        self._open()

    def _moved(self) -> bool:
        """Whether the file that is open is no longer the one of this name."""
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, of the one process that writes just now."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            self.rolled_back()
            raise

    def rows(self, query: str, values: Collection[object] = ()) -> list[Any]:
        """What a question finds; BailmentError if the file cannot be used."""
        try:
            return self._db.execute(query, tuple(values)).fetchall()
        except sqlite3.Error as error:
            if code(error) in DAMAGED:
                self.replace(error)
            raise self.unusable(error) from None

    def unusable(self, error: sqlite3.Error) -> BailmentError:
        """What to say of SQLite's error."""
        again = code(error) in (*DAMAGED, *_BUSY)
        return BailmentError(
            f"cannot use `{self._path}`: {error}",
            hint="ask again" if again else "it may be deleted: it is made again from the log",
        )


def code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 of what is no answer of SQLite's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _patiently(db: sqlite3.Connection, statement: str) -> None:
    """Run a statement of those for which SQLite itself does not wait for other processes."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if code(error) not in _BUSY or time.monotonic() > end:
                raise
            time.sleep(0.02)
