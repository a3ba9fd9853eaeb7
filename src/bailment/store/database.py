"""Opening SQLite files, and using one beside the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bailment.errors import ConfigurationError
from bailment.store.durable import PRIVATE

#: How long a statement waits for another connection, the publisher's for instance.
BUSY_SECONDS = 5.0

T = TypeVar("T")

_HINT = "no access is served until it can be; see docs/recovery.md"


def open_database(path: Path, *setup: str, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit, where every statement that returns has been synced.

    `setup` is run for writers, after the file was found whole. ConfigurationError names the file.
    """
    try:
        return _open(path, setup, read_only)
    except sqlite3.Error as error:
        raise unusable(path, error) from None


def unusable(path: Path, error: object) -> ConfigurationError:
    """The file is missing, locked, damaged or of another kind."""
    return ConfigurationError(f"cannot use `{path}`: {error}", hint=_HINT)


def _open(path: Path, setup: tuple[str, ...], read_only: bool) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_SECONDS,
    )
    try:
        if not read_only:
            path.chmod(PRIVATE)
            for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"):
                database.execute(statement)
            found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise unusable(path, found)
            for statement in setup:
                database.execute(statement)
    except BaseException:
        database.close()
        raise
    return database


class Database:
    """One connection, used by one thread at a time, beside the event loop."""

    def __init__(self, path: Path, *setup: str) -> None:
        self._path = path
        self._db = open_database(path, *setup)
        self._lock = asyncio.Lock()

    async def run(self, do: Callable[[sqlite3.Connection], T]) -> T:
        """Do it in a thread; ConfigurationError where the file cannot be used."""

        def run() -> T:
            try:
                return do(self._db)
            except sqlite3.Error as error:
                raise unusable(self._path, error) from None

        async with self._lock:
            return await asyncio.to_thread(run)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
