"""The vault: keys of the bodies, and the bodies under them.

Facts are encrypted under a key of the recipient and month, personal parts under a key of the
person. Each key is random, wrapped under the issuer's key-encryption key (AES key wrap, RFC
3394), and dies alone: deleting a person's makes every personal part under it, and so the
commitment to it, unopenable for good.

A sealed body is: key name length (1 byte), key name, nonce (12 bytes), AES-256-GCM ciphertext
with the leaf's commitment as associated data.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from bailment.errors import ConfigurationError, VerificationError

_NONCE = 12


class Erased(VerificationError):
    """The body's key was destroyed."""


def facts_key(recipient: str, time: int) -> str:
    """The name of the key for a recipient's facts in the month of `time` (ms)."""
    return f"f:{recipient}:{datetime.fromtimestamp(time / 1000, UTC):%Y-%m}"


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
        mode = "ro" if read_only else "rwc"
        try:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            if not read_only:
                path.chmod(0o600)
                for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                    self._db.execute(f"PRAGMA {pragma}")
                self._db.execute(
                    "CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, wrapped BLOB)"
                )
        except sqlite3.Error as error:
            raise ConfigurationError(f"cannot open `{path}`: {error}") from None

    def seal(self, key: str, body: bytes, commitment: str) -> bytes:
        """The body as it is stored, bound to its commitment."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(key, make=True).encrypt(nonce, body, commitment.encode())
        return b"%c%b%b%b" % (len(key), key.encode(), nonce, sealed)

    def open(self, sealed: bytes, commitment: str) -> bytes:
        """The body again; Erased if its key is gone, VerificationError if it was altered."""
        size = sealed[0]
        key = sealed[1 : 1 + size].decode("ascii", "replace")
        nonce = sealed[1 + size : 1 + size + _NONCE]
        try:
            return self._cipher(key, make=False).decrypt(
                nonce, sealed[1 + size + _NONCE :], commitment.encode()
            )
        except InvalidTag:
            raise VerificationError("a stored body was altered") from None

    def destroy(self, key: str) -> bool:
        """Erase a key from this machine's disk; whether there was one."""
        self._ciphers.pop(key, None)
        gone = self._db.execute("DELETE FROM keys WHERE name = ?", (key,)).rowcount > 0
        # secure_delete overwrites the page; the write-ahead log may still hold the old one.
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

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
        row = self._db.execute("SELECT wrapped FROM keys WHERE name = ?", (key,)).fetchone()
        if row is not None:
            try:
                return aes_key_unwrap(self._kek, row[0])
            except InvalidUnwrap:
                raise ConfigurationError(
                    "the key-encryption key does not open `keys.db`: it is another issuer's"
                ) from None
        if not make:
            raise Erased(f"the key `{key}` was destroyed")
        fresh = os.urandom(32)
        self._db.execute("INSERT INTO keys VALUES (?, ?)", (key, aes_key_wrap(self._kek, fresh)))
        return fresh
