"""What is known of prompts' vectors, sealed on disk: a row for each recipient, purpose and model.

Vectors tell much of what was asked, so they are encrypted (AES-256-GCM, under a key derived from
the issuer's by RFC 5869), expire, and what is deleted is overwritten. A name is the associated
data. They are a recipient's; whose device each is of is known, so that a person's can be taken out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bailment.access.state import Indexed
from bailment.detect.drift import Scope, retain
from bailment.errors import VerificationError
from bailment.store.database import open_database

_NONCE = 12
_SETUP = (
    # A power cut may take the last of it, which is then learnt again; the log's syncs go first.
    "PRAGMA synchronous=NORMAL",
    "PRAGMA secure_delete=ON",
    "CREATE TABLE IF NOT EXISTS vectors"
    " (name TEXT PRIMARY KEY, expires INTEGER, count INTEGER, sealed BLOB)",
    "CREATE TABLE IF NOT EXISTS gone (device TEXT PRIMARY KEY)",
)


def devices_of(register: Indexed, person: str) -> set[str]:
    """The devices below any link of a person, ended or not."""
    return {
        link.subject
        for link in register.links.values()
        if link.kind == "device"
        and any(one.kind == "person" and one.subject == person for one in register.path(link.id))
    }


class Row(msgspec.Struct, frozen=True):
    """A name, when the newest vector under it expires (ms), and how many there are."""

    name: str
    expires: int
    count: int


class Vectors:
    """Rows by name. One process writes; whoever purges deletes what it then finds gone."""

    def __init__(self, path: Path, kek: bytes) -> None:
        key = HKDF(SHA256(), 32, None, b"bailment vectors of prompts").derive(kek)
        self._cipher = AESGCM(key)
        self._db = open_database(path, *_SETUP)

    def save(self, row: Row, body: bytes, *, new: bool) -> bool:
        """Keep a body under a name. False: it was there and is not `new`, but somebody purged it,
        and nothing is kept."""
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, body, row.name.encode())
        values = (row.expires, row.count, sealed, row.name)
        if new:
            self._db.execute(
                "REPLACE INTO vectors (expires, count, sealed, name) VALUES (?, ?, ?, ?)", values
            )
            return True
        statement = "UPDATE vectors SET expires = ?, count = ?, sealed = ? WHERE name = ?"
        return self._db.execute(statement, values).rowcount > 0

    def rows(self) -> list[Row]:
        """What there is, by name."""
        found = self._db.execute("SELECT name, expires, count FROM vectors ORDER BY name")
        return [Row(*one) for one in found]

    def load(self) -> Iterator[tuple[str, bytes]]:
        """Every name with its body; VerificationError where one was altered or is another's."""
        for name, sealed in self._db.execute("SELECT name, sealed FROM vectors ORDER BY name"):
            try:
                yield name, self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode())
            except (InvalidTag, ValueError):
                raise VerificationError("stored vectors were altered") from None

    def purge(self, names: Iterable[str]) -> int:
        """Delete and overwrite what has these very names; how many rows."""
        statement = "DELETE FROM vectors WHERE name = ?"
        count = sum(self._db.execute(statement, (name,)).rowcount for name in names)
        self._truncate()
        return count

    def leave(self, devices: set[str]) -> int:
        """Take out the vectors of devices, here and, by `gone`, of what whoever writes remembers;
        how many."""
        taken = 0
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("REPLACE INTO gone VALUES (?)", [(one,) for one in devices])
            rows = {row.name: row for row in self.rows() if row.count}
            for name, body in [one for one in self.load() if one[0] in rows]:
                scope = msgspec.msgpack.decode(body, type=Scope)
                found = retain(scope, lambda seen: seen.device not in devices)
                left = msgspec.structs.replace(rows[name], count=rows[name].count - found)
                if found:
                    self.save(left, msgspec.msgpack.encode(scope), new=False)
                taken += found
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        self._truncate()
        return taken

    def gone(self) -> set[str]:
        """Devices whose vectors were taken out, and whom whoever writes has not forgotten yet."""
        return {device for (device,) in self._db.execute("SELECT device FROM gone")}

    def forgotten(self, devices: set[str]) -> None:
        """Whoever writes has forgotten them, and has kept what is left."""
        self._db.executemany("DELETE FROM gone WHERE device = ?", [(one,) for one in devices])
        self._truncate()

    def expire(self, now: int) -> int:
        """Delete and overwrite what has expired by now (ms); how many rows."""
        gone = self._db.execute("DELETE FROM vectors WHERE expires < ?", (now,)).rowcount
        if gone:
            self._truncate()
        return gone

    def close(self) -> None:
        self._db.close()

    def _truncate(self) -> None:
        """The write-ahead log holds what was overwritten; a reader only puts that off."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
