"""The vault: bodies under keys that die alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bailment.errors import BailmentError, ConfigurationError, VerificationError
from bailment.store import database
from bailment.store.vault import Erased, KeyNotKept, Vault, facts_key, person_key

KEK = os.urandom(32)
C1, C2 = "c1" * 32, "c2" * 32


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    vault = Vault(tmp_path / "keys.db", KEK)
    yield vault
    vault.close()


def test_a_body_comes_back_under_its_commitment_only(vault: Vault) -> None:
    sealed = vault.seal("p:ada", b"body", C1)
    assert vault.open(sealed, C1) == b"body"
    with pytest.raises(VerificationError, match="altered"):
        vault.open(sealed, C2)


def test_every_byte_of_a_sealed_body_counts(vault: Vault) -> None:
    sealed = vault.seal("p:ada", b"body", C1)
    vault.seal("p:adb", b"other", C1)
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1
        with pytest.raises(VerificationError):
            vault.open(bytes(altered), C1)
        with pytest.raises(VerificationError):
            vault.open(sealed[:at], C1)


def test_keys_outlive_the_process(vault: Vault, tmp_path: Path) -> None:
    sealed = vault.seal("p:ada", b"body", C1)
    for read_only in (False, True):
        other = Vault(tmp_path / "keys.db", KEK, read_only=read_only)
        assert other.open(sealed, C1) == b"body"
        other.close()


def test_another_issuers_keys_are_named(vault: Vault, tmp_path: Path) -> None:
    sealed = vault.seal("p:ada", b"body", C1)
    other = Vault(tmp_path / "keys.db", os.urandom(32))
    with pytest.raises(ConfigurationError, match=r"keys\.db"):
        other.open(sealed, C1)
    other.close()


def test_a_destroyed_key_opens_nothing_and_no_other_is_touched(vault: Vault) -> None:
    ada, bob = (vault.seal(person_key(who), b"body", C1) for who in ("ada", "bob"))
    assert vault.destroy(person_key("ada"))
    assert not vault.destroy(person_key("ada"))
    with pytest.raises(Erased):
        vault.open(ada, C1)
    assert vault.open(bob, C1) == b"body"
    assert vault.open(vault.seal(person_key("ada"), b"new", C1), C1) == b"new"
    with pytest.raises(VerificationError):
        vault.open(ada, C1)  # a later key of the same name does not bring it back


def test_no_byte_of_a_destroyed_key_stays_on_disk(vault: Vault, tmp_path: Path) -> None:
    people = [f"{number:032x}" for number in range(50)]
    for person in people:
        vault.seal(person_key(person), b"body", C1)
    rows = sqlite3.connect(tmp_path / "keys.db")
    wrapped = dict(rows.execute("SELECT name, wrapped FROM keys").fetchall())
    rows.close()
    assert any(wrapped[person_key(people[7])] in found for found in _disk(tmp_path))
    for person in people[7:40:3]:
        vault.destroy(person_key(person))
    for person in people:
        gone = person in people[7:40:3]
        key = wrapped[person_key(person)]
        assert any(key in found for found in _disk(tmp_path)) is not gone
        # Not even a part of it: AES key wrap makes five blocks of a key.
        parts = [key[at : at + 8] for at in range(0, len(key), 8)]
        assert any(part in found for part in parts for found in _disk(tmp_path)) is not gone


def _disk(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir()]


def test_erasure_is_not_claimed_while_a_reader_keeps_the_old_page(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.seal("p:ada", b"body", C1)
    vault.close()
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    vault = Vault(tmp_path / "keys.db", KEK)
    vault.seal("p:bob", b"body", C1)
    reader = sqlite3.connect(tmp_path / "keys.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM keys").fetchone()
    with pytest.raises(BailmentError, match=r"keys\.db-wal") as caught:
        vault.destroy("p:ada")
    assert "erase again" in caught.value.hint
    reader.close()
    vault.destroy("p:ada")
    assert (tmp_path / "keys.db-wal").stat().st_size == 0
    vault.close()


def test_a_key_that_cannot_be_kept_seals_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    vault = Vault(tmp_path / "keys.db", KEK)
    holder = sqlite3.connect(tmp_path / "keys.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(KeyNotKept, match=r"keys\.db"):
        vault.seal("p:ada", b"body", C1)
    holder.execute("ROLLBACK")
    assert holder.execute("SELECT count(*) FROM keys").fetchone() == (0,)
    holder.close()
    vault.close()


def test_facts_of_each_recipient_and_month_have_a_key_of_their_own() -> None:
    january, february = 1_769_904_000_000 - 1, 1_769_904_000_000
    assert facts_key("r1", january) == "f:r1:2026-01"
    assert facts_key("r1", february) == "f:r1:2026-02"
    assert facts_key("r2", february) != facts_key("r1", february)


def test_a_key_encryption_key_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes"):
        Vault(tmp_path / "keys.db", KEK[:16])


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(ConfigurationError, match=r"keys\.db") as caught:
        Vault(tmp_path / "keys.db", KEK)
    assert "docs/recovery.md" in caught.value.hint
