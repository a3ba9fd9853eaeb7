"""The vault: keys of the bodies, and the bodies under them.

Facts are encrypted under a key of the recipient and month, personal parts under a key of the
person. Each key is random, wrapped under the issuer's key-encryption key (AES key wrap, RFC
3394), and dies alone: deleting a person's makes every personal part under it, and so the
commitment to it, unopenable for good.

A sealed body is: key name length (1 byte), key name, AES-256-GCM ciphertext. The leaf's commitment
is the associated data, and its first 12 bytes are the nonce: it is the hash of a random salt and
the body, so no two bodies share one, and nobody can choose it.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from bailment.errors import BailmentError, ConfigurationError, VerificationError
from bailment.store.database import open_database, unusable

_TAG = 16
_HOUR_MS = 3_600_000
_SETUP = (
    "PRAGMA secure_delete=ON",
    "CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, wrapped BLOB)",
)


class KeyNotKept(BailmentError):
    """A new key may or may not be durable: nothing may be sealed under it, the process must end."""


class Erased(VerificationError):
    """The body's key was destroyed."""


def facts_key(recipient: str, time: int) -> str:
    """The name of the key for a recipient's facts in the month of `time` (ms)."""
    return f"f:{recipient}:{_month(time // _HOUR_MS)}"


@lru_cache(4)
def _month(hour: int) -> str:
    return f"{datetime.fromtimestamp(hour * _HOUR_MS / 1000, UTC):%Y-%m}"


def person_key(person: str) -> str:
    """The name of a person's key."""
    return f"p:{person}"


class Vault:
    """Keys by name, made on first use. One process writes; others may read."""

    def __init__(self, path: Path, kek: bytes, *, read_only: bool = False) -> None:
        if len(kek) != 32:
            raise ConfigurationError("the key-encryption key is not 32 bytes")
        self._kek = kek
        self._ciphers: dict[str, AESGCM] = {}
        self._path = path
        self._db = open_database(path, *_SETUP, read_only=read_only)

    def seal(self, key: str, body: bytes, commitment: str) -> bytes:
        """The body as it is stored, bound to its commitment."""
        cipher = self._cipher(key, make=True)
        text = cipher.encrypt(_nonce(commitment), body, commitment.encode())
        return b"%c%b%b" % (len(key), key.encode(), text)

    def open(self, sealed: bytes, commitment: str) -> bytes:
        """The body again; Erased if its key is gone, VerificationError if it was altered."""
        size = sealed[0] if sealed else 0
        key = sealed[1 : 1 + size].decode("ascii", "replace")
        text = sealed[1 + size :]
        if len(text) < _TAG:
            raise VerificationError("a stored body is cut short")
        try:
            cipher = self._cipher(key, make=False)
            return cipher.decrypt(_nonce(commitment), text, commitment.encode())
        except (InvalidTag, ValueError):
            raise VerificationError("a stored body was altered") from None

    def destroy(self, key: str) -> bool:
        """Erase a key from this machine's disk; whether there was one.

        BailmentError if a copy of it may still be in the write-ahead log: call it again.
        """
        self._ciphers.pop(key, None)
        try:
            gone = self._db.execute("DELETE FROM keys WHERE name = ?", (key,)).rowcount > 0
            # secure_delete overwrites the page; the write-ahead log still holds the old one.
            busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise unusable(self._path, error) from None
        if busy:
            raise BailmentError(
                f"the key is deleted, but another process keeps a copy of it in `{self._path}-wal`",
                hint="end whatever reads the log, then erase again",
            )
        return gone

    def holds(self, key: str) -> bool:
        """Whether there is such a key."""
        return self._find(key) is not None

    def keep(self, key: str, wrapped: bytes) -> None:
        """Make a new key durable before anything is sealed under it; KeyNotKept is final."""
        try:
            self._db.execute("INSERT INTO keys VALUES (?, ?)", (key, wrapped))
        except sqlite3.Error as error:
            raise KeyNotKept(f"`{self._path}` could not be written: {error}") from error

    def close(self) -> None:
        self._db.close()

    def _cipher(self, key: str, *, make: bool) -> AESGCM:
        cipher = self._ciphers.get(key)
        if cipher is None:
            if len(self._ciphers) >= 4096:
                self._ciphers.clear()
            cipher = self._ciphers[key] = AESGCM(self._load(key, make))
        return cipher

    def _load(self, key: str, make: bool) -> bytes:
        wrapped = self._find(key)
        if wrapped is not None:
            try:
                return aes_key_unwrap(self._kek, wrapped)
            except InvalidUnwrap:
                raise ConfigurationError(
                    "the key-encryption key does not open `keys.db`: it is another issuer's"
                ) from None
        if not make:
            raise Erased(f"the key `{key}` was destroyed")
        fresh = os.urandom(32)
        self.keep(key, aes_key_wrap(self._kek, fresh))
        return fresh

    def _find(self, key: str) -> bytes | None:
        try:
            row = self._db.execute("SELECT wrapped FROM keys WHERE name = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise unusable(self._path, error) from None
        return row[0] if row is not None else None


def _nonce(commitment: str) -> bytes:
    return bytes.fromhex(commitment[:24])
