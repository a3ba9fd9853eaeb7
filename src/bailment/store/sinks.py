"""The issuer's own receivers of findings and of whatever else is to leave the house, and how far
each has come.

The log is the queue: a sink has a position in it and nothing else, so that no receiver can be down
long enough to fill a disk, and none misses an entry. Secrets are files of their own (0600).
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Literal

import msgspec

from bailment.detect.ocsf_shapes import Class
from bailment.errors import ConfigurationError
from bailment.store.database import Database, open_database
from bailment.store.durable import Files, read_private
from bailment.store.folder import Folder

Kind = Literal["webhook", "http", "syslog", "file"]
Form = Literal["ocsf", "raw"]

_SCHEMA = "CREATE TABLE IF NOT EXISTS sinks (name TEXT PRIMARY KEY, sink BLOB, progress BLOB)"


class Sink(msgspec.Struct, frozen=True):
    """A receiver.

    to        a URL, or a file's path; for syslog `tls://host:port`, `tcp://…`, `udp://…` or
              `unix:///path`
    classes   which records go there
    form      as OCSF events, or `raw`: the facts as the log has them
    names     whether it is told people's names, and what operators wrote
    header    of http, in which the secret goes
    ca        whom TLS trusts beside nobody, PEM; empty: whom this machine does
    secret    whether it is shown one, without which it is sent nothing
    """

    name: str
    kind: Kind
    to: str
    classes: tuple[Class, ...] = ("findings", "incidents")
    form: Form = "ocsf"
    names: bool = False
    header: str = "authorization"
    ca: str = ""
    secret: bool = False


class Progress(msgspec.Struct):
    """How far a sink has come. `next` is the first entry that it was not sent; times in ms.

    `attempts` are failures since it last took something, `since` when the first of them was and
    `error` the last of them; `stopped` says that it was no fault of the receiver and nothing is
    tried again. `cut` were sent shortened, since they were too long for it; `unreadable` could not
    be sent: what opens their records was destroyed.
    """

    next: int
    paused: bool = False
    sent: int = 0
    last: int = 0
    attempts: int = 0
    error: str = ""
    cut: int = 0
    unreadable: int = 0
    since: int = 0
    stopped: bool = False

    def failed(self, why: str, now: int) -> None:
        """Once more it took nothing."""
        self.since = self.since or now
        self.attempts, self.error = self.attempts + 1, why[:300]

    def well(self) -> None:
        """Nothing is wrong with it, as far as is known."""
        self.attempts, self.error, self.since, self.stopped = 0, "", 0, False


class Sinks:
    """The table of sinks."""

    def __init__(self, folder: Folder, files: Files) -> None:
        self._folder, self._files = folder, files
        self._db = Database(path(folder), _SCHEMA)

    async def all(self) -> list[tuple[Sink, Progress]]:
        """Every sink, by name."""
        return await self._db.run(_all)

    async def add(self, sink: Sink, progress: Progress, secret: str) -> None:
        """Keep a new sink, or another in the place of one of this name; its secret first."""
        file = self._secret(sink.name)
        if secret:
            await asyncio.to_thread(self._files.write, file, secret.encode())
        else:
            file.unlink(missing_ok=True)
        statement = "INSERT OR REPLACE INTO sinks VALUES (?, ?, ?)"
        row = (sink.name, msgspec.json.encode(sink), msgspec.json.encode(progress))
        await self._db.run(lambda db: db.execute(statement, row).close())

    async def keep(self, name: str, progress: Progress) -> None:
        """It has come so far."""
        row = (msgspec.json.encode(progress), name)
        statement = "UPDATE sinks SET progress = ? WHERE name = ?"
        await self._db.run(lambda db: db.execute(statement, row).close())

    async def remove(self, name: str) -> None:
        """Forget it and its secret."""
        await self._db.run(
            lambda db: db.execute("DELETE FROM sinks WHERE name = ?", (name,)).close()
        )
        self._secret(name).unlink(missing_ok=True)

    def secret(self, sink: Sink) -> str:
        """What it is shown; empty where it has none. ConfigurationError names the file if it cannot
        be read, or is not there any more."""
        found = self._secret(sink.name)
        if not sink.secret and not found.exists():
            return ""
        try:
            return read_private(found).decode().strip()
        except UnicodeDecodeError:
            raise ConfigurationError(f"`{found}` is damaged", hint="add the sink anew") from None

    def close(self) -> None:
        self._db.close()

    def _secret(self, name: str) -> Path:
        return self._folder.secrets / f"sink-{name}"


def path(folder: Folder) -> Path:
    """Where the table is."""
    return folder.root / "sinks.db"


def stored(folder: Folder) -> list[tuple[Sink, Progress]]:
    """Every sink as it was last kept, read beside the process that writes."""
    if not path(folder).exists():
        return []
    database = open_database(path(folder), read_only=True)
    try:
        return _all(database)
    finally:
        database.close()


def _all(db: sqlite3.Connection) -> list[tuple[Sink, Progress]]:
    rows = db.execute("SELECT sink, progress FROM sinks ORDER BY name").fetchall()
    return [
        (msgspec.json.decode(sink, type=Sink), msgspec.json.decode(progress, type=Progress))
        for sink, progress in rows
    ]
