"""Opening a log: the ordinary start is the recovery, from wherever it begins."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from bailment import canonical
from bailment.access.fold import Fold
from bailment.errors import BailmentError, ConfigurationError, VerificationError
from bailment.ledger.records import LogSnapshot
from bailment.ledger.tree import leaf_hash
from bailment.store.folder import Folder
from bailment.store.log import recover, stored_checkpoint
from bailment.store.publisher import bodies_path
from bailment.store.reader import Record
from bailment.store.view import open_view

from .checks import Seen, recheck
from .history import history
from .issuer import Issuer, must, note

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.make(tmp_path / "issuer")


async def grow(issuer: Issuer, count: int, *, snapshot_every: int = 1 << 30) -> None:
    async with issuer.open(snapshot_every=snapshot_every) as log:
        if not log.fold.size:
            await issuer.ready(log)
        drafts = [log.sequencer.draft(note(number)) for number in range(count)]
        await asyncio.gather(*(must(log, draft) for draft in drafts))


def snapshots(folder: Folder) -> list[int]:
    return sorted(int(path.name) for path in folder.snapshots.glob("*"))


# Snapshots


@pytest.mark.parametrize("seed", range(5))
async def test_a_start_from_any_snapshot_is_a_start_from_the_beginning(
    issuer: Issuer, seed: int
) -> None:
    life = history(issuer, seed)
    async with issuer.open() as log:
        await life.live(log, 300)
        records = list(log.reader.records())
        assert min(life.admitted, life.refused) > 5
        whole = _folded(Fold(), records)
        assert whole.encode() == log.fold.encode()
        for size in range(0, len(records), 11):
            prefix = _folded(Fold(), records[:size])
            again = Fold.decode(prefix.encode())
            assert again.encode() == prefix.encode()
            _same(_folded(again, records[size:]), whole)


def _folded(fold: Fold, records: list[Record]) -> Fold:
    for record in records:
        fold.follow(record.leaf, leaf_hash(record.entry), record.facts)
    return fold


def _same(one: Fold, other: Fold) -> None:
    """Equal as snapshots, and in the indexes that decisions read."""
    assert one.encode() == other.encode()
    for name in ("links", "link_of", "networks"):
        assert getattr(one.register, name) == getattr(other.register, name)
    held = [{s: len(h) for s, h in f.register.holds_on.items() if h} for f in (one, other)]
    assert held[0] == held[1]


@pytest.mark.parametrize("seed", range(3))
async def test_a_life_with_restarts_is_the_same_life(issuer: Issuer, seed: int) -> None:
    life = history(issuer, seed)
    for _ in range(6):
        async with issuer.open(snapshot_every=30) as log:
            await life.live(log, 25)
    assert snapshots(issuer.folder)
    async with issuer.open() as log:
        from_snapshot = log.fold
    shutil.rmtree(issuer.folder.snapshots)
    async with issuer.open() as log:
        _same(from_snapshot, log.fold)
    await recheck(issuer, Seen())


async def test_tokens_that_are_over_go_in_the_same_order_after_a_restart(issuer: Issuer) -> None:
    """More tokens than are looked at for one that goes, which a snapshot lists by their hashes."""
    life = history(issuer, 1)
    async with issuer.open(snapshot_every=60) as log:
        device = await issuer.ready(log)
        for _ in range(100):
            await issuer.token(log, device, life.chance.choice([20_000, 90_000]))
    assert snapshots(issuer.folder)
    async with issuer.open() as log:
        for _ in range(3):
            life.clock.now += 20_000
            await issuer.token(log, device)
            whole = _folded(Fold(), list(log.reader.records()))
            assert log.fold.encode() == whole.encode()
            kept = list(log.fold.admission.counted.tokens)
            assert kept != list(whole.admission.counted.tokens)


async def test_a_start_reads_nothing_before_its_snapshot_but_its_record(issuer: Issuer) -> None:
    await grow(issuer, 700, snapshot_every=600)
    (size,) = snapshots(issuer.folder)
    for number in range(2):
        bodies_path(issuer.folder, number).unlink()
    async with issuer.open() as log:
        assert log.fold.size > size
    shutil.rmtree(issuer.folder.snapshots)
    with pytest.raises(VerificationError, match="is missing from the log"):
        async with issuer.open():
            pass


async def test_snapshots_come_however_often_the_process_restarts(issuer: Issuer) -> None:
    for _ in range(10):
        await grow(issuer, 30, snapshot_every=100)
    assert len(snapshots(issuer.folder)) == 2


async def test_the_newest_three_snapshots_are_kept(issuer: Issuer) -> None:
    await grow(issuer, 20)
    for _ in range(6):
        await grow(issuer, 50, snapshot_every=50)
    sizes = snapshots(issuer.folder)
    assert len(sizes) == 3
    assert sizes[0] > 100


@pytest.mark.parametrize("forgery", ["altered", "renamed", "empty", "unreadable", "invented"])
async def test_a_snapshot_that_the_log_does_not_vouch_for_is_ignored(
    issuer: Issuer, forgery: str
) -> None:
    """An altered one would not even fold on; the start must not stumble over it."""
    await grow(issuer, 60, snapshot_every=50)
    (size,) = snapshots(issuer.folder)
    path = issuer.folder.snapshots / str(size)
    async with issuer.open() as log:
        expected = log.fold.encode()
    state = json.loads(path.read_bytes())
    state["slots"][0][1] += 1
    if forgery == "altered":
        path.write_bytes(canonical.encode(state))
    elif forgery == "renamed":
        path.rename(path.with_name(str(size - 3)))
    elif forgery == "empty":
        path.write_bytes(b"")
    elif forgery == "unreadable":
        path.write_bytes(b'{"size": 1}')
    else:
        state["size"] = size + 4
        path.with_name(str(size + 4)).write_bytes(canonical.encode(state))
        path.with_name("1.new").write_bytes(b"")
    async with issuer.open() as log:
        assert log.fold.encode() == expected


async def test_a_snapshot_whose_record_never_came_is_ignored(issuer: Issuer) -> None:
    await grow(issuer, 60)
    async with issuer.open() as log:
        data, size = log.fold.encode(), log.fold.size
    issuer.folder.snapshots.mkdir()
    (issuer.folder.snapshots / str(size)).write_bytes(data)
    async with issuer.open() as log:
        record = LogSnapshot(size, canonical.digest(b"another"))
        await must(log, log.sequencer.draft(record))
    await recheck(issuer, Seen())


# What does not hold together


async def test_an_old_backup_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    await grow(issuer, 20)
    backup = tmp_path / "backup"
    shutil.copytree(issuer.folder.root, backup)
    await grow(issuer, 20)
    for name in ("staging.db", "keys.db"):
        shutil.copyfile(backup / name, issuer.folder.root / name)
    with pytest.raises(ConfigurationError, match="an old backup was restored") as caught:
        async with issuer.open():
            pass
    assert "docs/recovery.md" in caught.value.hint


async def test_a_backup_without_its_log_folder_publishes_again(
    issuer: Issuer, tmp_path: Path
) -> None:
    await grow(issuer, 20)
    shutil.rmtree(issuer.folder.log)
    await recheck(issuer, Seen())


async def test_staged_entries_that_were_altered_are_refused(issuer: Issuer) -> None:
    await grow(issuer, 20)
    database = sqlite3.connect(issuer.folder.staging)
    (leaves,) = database.execute("SELECT leaves FROM batches ORDER BY first DESC").fetchone()
    altered = leaves.replace(b'"time":1', b'"time":2', 1)
    assert altered != leaves
    database.execute("UPDATE batches SET leaves = ? WHERE leaves = ?", (altered, leaves))
    database.commit()
    database.close()
    with pytest.raises(VerificationError, match="root of the signed checkpoint"):
        async with issuer.open():
            pass


async def test_tiles_that_were_altered_are_refused(issuer: Issuer) -> None:
    await grow(issuer, 600)
    (tile,) = (issuer.folder.log / "tile" / "1" / "000.p").iterdir()
    data = bytearray(tile.read_bytes())
    data[7] ^= 1
    tile.write_bytes(data)
    with pytest.raises(VerificationError, match="root of the signed checkpoint"):
        async with issuer.open():
            pass


async def test_another_logs_key_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    await grow(issuer, 20)
    other = Issuer.make(tmp_path / "other")
    shutil.copytree(other.folder.secrets, issuer.folder.secrets, dirs_exist_ok=True)
    with pytest.raises(BailmentError, match="no known key signed"):
        async with Issuer.at(issuer.folder.root).open():
            pass


async def test_a_start_that_fails_lets_go_of_the_files(issuer: Issuer) -> None:
    await grow(issuer, 600)
    checkpoint = issuer.folder.log / "checkpoint"
    note = checkpoint.read_bytes()
    checkpoint.write_bytes(b"not a checkpoint\n")
    for _ in range(3):
        with pytest.raises(BailmentError):
            async with issuer.open():
                pass
    checkpoint.write_bytes(note)
    await recheck(issuer, Seen())
    assert not list(issuer.folder.root.glob("*-wal"))  # the last connection to close removes it


# Beside the process that writes


async def test_a_fold_beside_the_writer_ends_at_its_checkpoint(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.ready(log)
        earlier = replace(stored_checkpoint(log.sequencer._staging, issuer.secrets), size=5)
        assert recover(issuer.folder, log.reader, earlier).size == 5


async def test_a_view_ends_at_its_checkpoint_while_the_log_grows(issuer: Issuer) -> None:
    issuer.folder.settings.touch()
    async with issuer.open() as log:
        await issuer.ready(log)
        for number in range(50):
            await must(log, log.sequencer.draft(note(number)))
            view = open_view(issuer.folder)
            assert view.fold.size == view.checkpoint.size == log.fold.size
            assert view.fold.encode() == log.fold.encode()
