"""The staging table: a batch goes in whole, behind the last one, or not at all."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.errors import ConfigurationError
from bailment.store import database
from bailment.store.staging import Batch, CommitFailed, Staging, frame, unframe


def batch(first: int, count: int) -> Batch:
    column = frame([f"{first + n}".encode() for n in range(count)])
    return Batch(first, count, 1, column, column, column, f"checkpoint {first + count}".encode())


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    staging = Staging(tmp_path / "staging.db")
    yield staging
    staging.close()


@given(st.lists(st.binary(max_size=300)))
def test_framed_records_come_back(records: list[bytes]) -> None:
    assert list(unframe(frame(records))) == records


def test_a_batch_that_does_not_follow_the_last_is_refused(staging: Staging) -> None:
    staging.commit(batch(0, 3))
    staging.commit(batch(3, 2))
    for first in (0, 2, 3, 4, 6):
        with pytest.raises(CommitFailed, match="another process wrote it"):
            staging.commit(batch(first, 1))
    assert staging.head() == batch(3, 2)


def test_the_first_batch_begins_at_nothing(staging: Staging) -> None:
    assert staging.head() is None
    with pytest.raises(CommitFailed):
        staging.commit(batch(1, 1))


def test_two_writers_cannot_both_extend_the_log(staging: Staging, tmp_path: Path) -> None:
    other = Staging(tmp_path / "staging.db")
    staging.commit(batch(0, 3))
    with pytest.raises(CommitFailed):
        other.commit(batch(0, 2))
    other.commit(batch(3, 2))
    with pytest.raises(CommitFailed):
        staging.commit(batch(3, 1))
    other.close()


def test_what_was_committed_is_there_after_reopening(staging: Staging, tmp_path: Path) -> None:
    staging.commit(batch(0, 3))
    reader = Staging(tmp_path / "staging.db", read_only=True)
    assert reader.since(0) == [batch(0, 3)]
    reader.close()


def test_batches_are_found_by_the_entries_they_hold(staging: Staging) -> None:
    batches = [batch(0, 3), batch(3, 2), batch(5, 4)]
    for one in batches:
        staging.commit(one)
    assert [len(staging.since(index)) for index in range(10)] == [3, 3, 3, 2, 2, 1, 1, 1, 1, 0]


def test_settled_batches_go_with_the_commits_that_follow(staging: Staging) -> None:
    batches = [batch(first, 3) for first in range(0, 60, 3)]
    for one in batches[:10]:
        staging.commit(one)
    staging.settle(29)
    assert len(staging.since(0)) == 10
    for count, one in enumerate(batches[10:], 1):  # at most four with each, the oldest first
        staging.commit(one)
        assert staging.since(0) == batches[min(4 * count, 9) : 10 + count]
    staging.settle(50)
    staging.forget()
    assert staging.since(0) == batches[16:]


def test_the_last_batch_never_goes(staging: Staging) -> None:
    staging.settle(1 << 40)
    for first in range(0, 9, 3):
        staging.commit(batch(first, 3))
        assert staging.head() == batch(first, 3)
    staging.forget()
    assert staging.since(0) == [batch(6, 3)]


def test_the_table_is_private(staging: Staging, tmp_path: Path) -> None:
    staging.commit(batch(0, 1))
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["text", "page", "cut"])
def test_a_damaged_table_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "staging.db"
    staging = Staging(path)
    for first in range(200):
        staging.commit(batch(first, 1))
    staging.close()
    data = bytearray(path.read_bytes())
    if damage == "text":
        data[:] = b"this is no database, whatever its name says" * 100
    elif damage == "page":
        data[4096 : 4096 + 64] = bytes(64)
    else:
        del data[len(data) // 2 :]
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=str(path)) as caught:
        Staging(path)
    assert "docs/recovery.md" in caught.value.hint


def test_a_locked_table_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    path = tmp_path / "staging.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("PRAGMA journal_mode=WAL")
    holder.execute("CREATE TABLE t (x)")
    with pytest.raises(ConfigurationError, match="locked") as caught:
        Staging(path)
    assert str(path) in str(caught.value)
    assert "docs/recovery.md" in caught.value.hint
    holder.close()
    Staging(path).close()


def test_a_table_locked_at_commit_is_a_failed_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    staging = Staging(tmp_path / "staging.db")
    holder = sqlite3.connect(tmp_path / "staging.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(CommitFailed, match="locked"):
        staging.commit(batch(0, 1))
    holder.execute("ROLLBACK")
    holder.close()
    assert staging.head() is None
    staging.close()


def test_a_full_disk_is_a_failed_commit_and_loses_nothing(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "staging.db")
    for first in range(0, 40, 4):
        staging.commit(batch(first, 4))
    (pages,) = staging._db.execute("PRAGMA page_count").fetchone()
    staging._db.execute(f"PRAGMA max_page_count={pages + 2}")
    large = replace(batch(40, 4), facts=bytes(100_000))
    with pytest.raises(CommitFailed, match="full"):
        staging.commit(large)
    staging.close()
    staging = Staging(tmp_path / "staging.db")
    assert staging.head() == batch(36, 4)
    staging.commit(large)
    assert staging.head() == large
    staging.close()


def test_a_missing_table_is_named_to_readers(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"staging\.db"):
        Staging(tmp_path / "staging.db", read_only=True)
