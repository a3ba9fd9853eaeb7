"""Opening a log: recovery and the ordinary start are the same path.

The last staged row is the truth about the head. Whatever derives from it (tiles, snapshots, the
fold) is checked against it or made again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass

from bailment import canonical
from bailment.access.fold import Fold
from bailment.errors import ConfigurationError, FormatError, VerificationError
from bailment.ledger.checkpoint import Checkpoint, open_checkpoint
from bailment.ledger.records import LogSnapshot
from bailment.ledger.tiles import WIDTH, tile_reader
from bailment.ledger.tree import Frontier, leaf_hash
from bailment.store.durable import Files
from bailment.store.folder import Folder, fetch_from
from bailment.store.publisher import Publisher, PublisherThread
from bailment.store.reader import LogReader
from bailment.store.secrets import Secrets
from bailment.store.sequencer import Sequencer
from bailment.store.staging import Staging, unframe
from bailment.store.vault import Vault, person_key

SNAPSHOT_EVERY = 20_000
PUBLISH_SECONDS = 1.0


@dataclass(slots=True)
class Log:
    """An open log: its sequencer, its reader and the thread that publishes it."""

    folder: Folder
    sequencer: Sequencer
    reader: LogReader
    vault: Vault
    _publisher: PublisherThread
    _opened: ExitStack

    @property
    def fold(self) -> Fold:
        return self.sequencer.fold

    def free_bytes(self) -> int:
        """What the disk has left for this process."""
        status = os.statvfs(self.folder.root)
        return status.f_bavail * status.f_frsize

    async def close(self) -> None:
        """Commit, publish and close everything."""
        await self.sequencer.close()
        await asyncio.to_thread(self._publisher.stop)
        self._opened.close()


def open_log(
    folder: Folder,
    secrets: Secrets,
    now: Callable[[], int],
    *,
    files: Files | None = None,
    staging: Callable[..., Staging] = Staging,
    vault: Callable[..., Vault] = Vault,
    snapshot_every: int = SNAPSHOT_EVERY,
) -> Log:
    """Open the log for writing. The caller holds the folder's lock and runs an event loop.

    ConfigurationError or VerificationError if what is stored does not hold together.
    """
    files = files or Files()
    opened = ExitStack()
    try:
        writer = opened.enter_context(closing(staging(folder.staging)))
        staged = opened.enter_context(closing(staging(folder.staging, read_only=True)))
        keys = opened.enter_context(closing(vault(folder.keys, secrets.kek)))
        reader = LogReader(folder, keys)
        checkpoint = stored_checkpoint(writer, secrets)
        publisher = Publisher(folder, staged, secrets.log.public, files, writer.settle)
        if publisher.published > checkpoint.size:
            raise ConfigurationError(
                f"the published log has {publisher.published} entries and the stored one "
                f"{checkpoint.size}: an old backup was restored",
                hint="see docs/recovery.md",
            )
        writer.forget()
        edge = _right_edge(folder, writer, publisher.published, checkpoint)
        fold = recover(folder, reader, checkpoint)
        for person in fold.register.state.erased:  # what a crash after the record left undone
            if keys.holds(person_key(person)):
                keys.destroy(person_key(person))
        sequencer = Sequencer(
            fold,
            edge,
            writer,
            keys,
            secrets.log,
            now,
            snapshot_every=snapshot_every,
            snapshot_size=next((size for size in _snapshots(folder) if size <= fold.size), 0),
        )
        head = writer.head()
        sequencer.checkpoint = head.checkpoint if head else b""
        sequencer.keep_snapshot = lambda size, data: _keep_snapshot(folder, files, size, data)
        loop = asyncio.get_running_loop()

        def failed(error: BaseException) -> None:
            loop.call_soon_threadsafe(sequencer.fail, error)

        thread = PublisherThread(publisher, PUBLISH_SECONDS, failed)
        thread.start()
        return Log(folder, sequencer, reader, keys, thread, opened)
    except BaseException:
        opened.close()
        raise


def stored_checkpoint(staging: Staging, secrets: Secrets) -> Checkpoint:
    """The log's head as stored; of size 0 in a new log."""
    head = staging.head()
    if head is None:
        return Checkpoint(secrets.log.name, 0, Frontier().root())
    return open_checkpoint(head.checkpoint, secrets.log.public)


def recover(folder: Folder, reader: LogReader, checkpoint: Checkpoint) -> Fold:
    """The fold of all stored entries, from the newest snapshot that the log vouches for."""
    fold = newest_snapshot(folder, reader, checkpoint.size)
    for record in reader.records(fold.size, checkpoint.size):
        fold.follow(record.leaf, leaf_hash(record.entry), record.facts)
    return fold


def newest_snapshot(folder: Folder, reader: LogReader, end: int, most: int | None = None) -> Fold:
    """The fold in the newest snapshot, of `most` entries or fewer, that the log's first `end`
    entries vouch for; where there is none, that of an empty log."""
    for size in _snapshots(folder):
        if most is None or size <= most:
            found = _snapshot(folder, reader, size, end)
            if found is not None:
                return found
    return Fold()


def _snapshot(folder: Folder, reader: LogReader, size: int, end: int) -> Fold | None:
    """The fold in a snapshot, if it can be read and a record in the log holds its digest."""
    try:
        data = (folder.snapshots / str(size)).read_bytes()
        fold = Fold.decode(data)
    except (OSError, FormatError):
        return None
    expected = LogSnapshot(size, canonical.digest(data))
    vouched = any(record.facts == expected for record in reader.records(size, end))
    return fold if vouched else None


def _snapshots(folder: Folder) -> list[int]:
    """The sizes at which snapshots are kept, the newest first."""
    names = (path.name for path in folder.snapshots.glob("[0-9]*"))
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def _right_edge(
    folder: Folder, staging: Staging, published: int, checkpoint: Checkpoint
) -> Frontier:
    """The tree's right edge: from the tiles up to the staged rows, then from those."""
    batches = staging.since(0)
    base = -(-batches[0].first // WIDTH) * WIDTH if batches else 0
    edge = Frontier.at(base, tile_reader(published, fetch_from(folder.log)))
    for batch in batches:
        for offset, entry in enumerate(unframe(batch.leaves)):
            if batch.first + offset >= base:
                edge.push(leaf_hash(entry))
    if edge.size != checkpoint.size or edge.root() != checkpoint.root:
        raise VerificationError("the stored entries do not have the root of the signed checkpoint")
    return edge


def _keep_snapshot(folder: Folder, files: Files, size: int, data: bytes) -> None:
    try:
        files.write(folder.snapshots / str(size), data)
    except OSError:
        return  # it only saves time at the next start, which believes it only if the log does
    for old in _snapshots(folder)[3:]:
        (folder.snapshots / str(old)).unlink(missing_ok=True)
