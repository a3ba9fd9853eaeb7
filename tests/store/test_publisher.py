"""The published folder: what a C2SP client reads, at every size."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from bailment.errors import VerificationError
from bailment.store import log as log_module
from bailment.store.durable import Files
from bailment.store.log import Log
from bailment.store.publisher import Publisher, PublisherThread
from bailment.store.staging import Staging

from .c2sp import read_log
from .issuer import Issuer, must, note

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    monkeypatch.setattr(log_module, "PUBLISH_SECONDS", 3600.0)
    return Issuer.make(tmp_path / "issuer")


async def grow(log: Log, count: int) -> None:
    drafts = [log.sequencer.draft(note(number)) for number in range(count)]
    await asyncio.gather(*(must(log, draft) for draft in drafts))


class Publishing:
    """A publisher of our own beside the log's, which waits for the end."""

    def __init__(self, issuer: Issuer, files: Files | None = None) -> None:
        self.settled: list[int] = []
        self.staging = Staging(issuer.folder.staging, read_only=True)
        self.publisher = Publisher(
            issuer.folder,
            self.staging,
            issuer.secrets.log.public,
            files or Files(),
            self.settled.append,
        )
        self.publish = self.publisher.publish

    def __enter__(self) -> Publishing:
        return self

    def __exit__(self, *_: object) -> None:
        self.staging.close()


async def test_a_client_reads_the_log_back_at_every_published_size(issuer: Issuer) -> None:
    """Sizes around full tiles and beyond, in steps that differ; restarts in between."""
    chance = random.Random(7)
    steps = [1, 2, 253, 1, 255, 256, 1, 511, 513] + [chance.randrange(1, 300) for _ in range(8)]
    async with issuer.open() as log:
        await issuer.begin(log)
        for number in range(0, len(steps), 3):
            with Publishing(issuer) as ours:
                for step in steps[number : number + 3]:
                    await grow(log, step)
                    assert ours.publish() == log.fold.size
                    size, _, entries = read_log(issuer.folder.log, issuer.secrets.log.public.vkey)
                    assert size == log.fold.size
                    assert entries == [stored.entry for stored in log.reader.stored()]


async def test_publishing_again_changes_nothing(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        await grow(log, 300)
        with Publishing(issuer) as ours:
            ours.publish()
            before = {p: p.stat().st_mtime_ns for p in issuer.folder.log.rglob("*")}
            assert ours.publish() == log.fold.size
            assert {p: p.stat().st_mtime_ns for p in issuer.folder.log.rglob("*")} == before


async def test_partial_tiles_go_when_the_full_one_is_there(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        with Publishing(issuer) as ours:
            for step in (100, 100, 100):
                await grow(log, step)
                ours.publish()
    names = {str(p.relative_to(issuer.folder.log)) for p in issuer.folder.log.rglob("*.p/*")}
    assert names == {"tile/0/001.p/48", "tile/1/000.p/1", "tile/entries/001.p/48"}


async def test_rows_are_settled_once_their_bundle_is_full_and_published(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        with Publishing(issuer) as ours:
            await grow(log, 200)
            ours.publish()
            await grow(log, 200)
            assert ours.settled == [0, 0]
            ours.publish()
            assert ours.settled == [0, 0, 256]
    with Publishing(issuer) as ours:
        assert ours.settled == [256]  # also where a process died before it could say so


async def test_settled_rows_go_with_the_commits_that_follow(issuer: Issuer) -> None:
    for _ in range(3):
        async with issuer.open() as log:
            if not log.fold.size:
                await issuer.begin(log)
            await grow(log, 300)
            first = log.sequencer._staging.since(0)[0]
            assert first.end > log.fold.size - 2 * 300 - 256
    assert first.first > 0


async def test_tiles_are_for_everybody_and_bodies_for_the_owner(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        await grow(log, 300)
    for path in issuer.folder.root.rglob("*"):
        if path.is_file() and path.name != "lock":
            public = issuer.folder.log in path.parents
            assert path.stat().st_mode & 0o044 == (0o044 if public else 0), path


async def test_a_tile_with_other_bytes_is_not_published_over(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        await grow(log, 300)
        tile = issuer.folder.log / "tile" / "0" / "000"
        tile.parent.mkdir(parents=True)
        tile.write_bytes(b"hashes of another log")
        with Publishing(issuer) as ours:
            with pytest.raises(VerificationError, match="holds other bytes"):
                ours.publish()
            assert not (issuer.folder.log / "checkpoint").exists()
            tile.unlink()
            ours.publish()


async def test_no_checkpoint_is_published_over_tiles_without_its_root(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        await grow(log, 300)
        with Publishing(issuer) as ours:
            size = ours.publish()
            (partial,) = (issuer.folder.log / "tile" / "1" / "000.p").iterdir()
            partial.write_bytes(bytes(32))
            await grow(log, 300)
            with pytest.raises(VerificationError, match="do not have the root"):
                ours.publish()
            assert ours.publisher.published == size


class FullDisk(Files):
    """A disk that has room for so many writes."""

    def __init__(self, code: int) -> None:
        self.code, self.room = code, 3

    def place_all(self, files: Sequence[tuple[Path, bytes, int]]) -> None:
        for file in files:
            if self.room <= 0:
                raise OSError(self.code, "no room")
            self.room -= 1
            super().place_all([file])


@pytest.mark.parametrize(("code", "fatal"), [(errno.ENOSPC, 0), (errno.EDQUOT, 0), (errno.EIO, 1)])
async def test_a_full_disk_is_waited_out_and_a_failing_one_is_not(
    issuer: Issuer, code: int, fatal: int
) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        await grow(log, 300)
        files, failures = FullDisk(code), []
        with Publishing(issuer, files) as ours:
            thread = PublisherThread(ours.publisher, 3600.0, failures.append)
            thread.start()
            thread.stop()
            assert len(failures) == fatal
            assert not (issuer.folder.log / "checkpoint").exists()
            files.room = 100
            assert ours.publish() == log.fold.size
            read_log(issuer.folder.log, issuer.secrets.log.public.vkey)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_malfunction_of_the_publisher_ends_the_log(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Publisher) -> int:
        raise RuntimeError("a bug")

    async with issuer.open() as log:
        await issuer.begin(log)
        monkeypatch.setattr(Publisher, "publish", broken)
    await asyncio.sleep(0)
    assert "a bug" in str(log.sequencer.failed.result())
