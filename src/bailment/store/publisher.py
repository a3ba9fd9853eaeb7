"""The publisher: from staged batches to the write-once tiles that C2SP clients read.

Derived and repeatable: it runs the same way after a crash, and writing what is there already
changes nothing. The order makes every published checkpoint servable: bundles and tiles first,
synced, then the checkpoint over them, and only then are staged rows let go, those whose full
bundle is on disk.
"""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from bailment.errors import BailmentError, ConfigurationError, VerificationError
from bailment.ledger.checkpoint import open_checkpoint
from bailment.ledger.note import Verifier
from bailment.ledger.tiles import (
    ENTRIES,
    HEIGHT,
    WIDTH,
    Tile,
    encode_bundle,
    frontier,
    new_bundles,
    new_tiles,
    tile_root,
)
from bailment.ledger.tree import leaf_hash
from bailment.store.durable import PRIVATE, Files
from bailment.store.folder import Folder
from bailment.store.staging import Batch, Staging, frame, unframe

#: What C2SP clients may read; the folder above decides who reaches it.
_READABLE = 0o644
#: Entries that are published at once; they are in memory several times over meanwhile.
_ROUND = 1024


class Publisher:
    """Publishes one log's folder. Not shared between threads at the same time."""

    def __init__(
        self,
        folder: Folder,
        staging: Staging,
        verifier: Verifier,
        files: Files,
        settle: Callable[[int], None],
    ) -> None:
        self._folder = folder
        self._staging = staging
        self._settle = settle
        self._pending: dict[Path, tuple[bytes, int]] = {}  # what this round places, in order
        self._verifier = verifier
        self._files = files
        self.published = self._read_published()
        settle(self.published // WIDTH * WIDTH)

    def publish(self) -> int:
        """Publish up to the last staged checkpoint; the size that is now published."""
        while self._publish_some():
            pass
        return self.published

    def _publish_some(self) -> bool:
        """Publish the next batches, as many as are held at once; whether more may wait."""
        self._pending = {}  # of a round that failed
        base = self.published // WIDTH * WIDTH
        batches = self._staging.since(base, self.published - base + _ROUND)
        if not batches or batches[-1].end <= self.published:
            return False
        full = (size := batches[-1].end) - self.published >= _ROUND
        entries = _column(batches, base, "leaves")
        self._write_bundles(base, size, entries, batches)
        self._write_tiles(base, size, entries)
        self._place_pending()
        self._check(batches[-1].checkpoint)
        self._files.write(self._folder.log / "checkpoint", batches[-1].checkpoint, _READABLE)
        self._forget_partials(self.published, size)
        self.published = size
        self._settle(size // WIDTH * WIDTH)
        return full

    def _read_published(self) -> int:
        try:
            note = (self._folder.log / "checkpoint").read_bytes()
        except FileNotFoundError:
            return 0
        try:
            return open_checkpoint(note, self._verifier).size
        except BailmentError as error:
            raise ConfigurationError(
                f"`{self._folder.log / 'checkpoint'}` is damaged: {error}",
                hint="put it back from a copy; see docs/recovery.md",
            ) from None

    def _check(self, note: bytes) -> None:
        """No checkpoint is published over tiles that do not have its root."""
        checkpoint = open_checkpoint(note, self._verifier)
        edge = frontier(checkpoint.size, lambda path: (self._folder.log / path).read_bytes())
        if edge.root() != checkpoint.root:
            raise VerificationError(
                f"the tiles do not have the root of the checkpoint over {checkpoint.size} entries"
            )

    def _write_bundles(
        self, base: int, size: int, entries: list[bytes], batches: list[Batch]
    ) -> None:
        facts = personal = None
        for tile in new_bundles(self.published, size):
            start = tile.index * WIDTH - base
            data = encode_bundle(entries[start : start + tile.width])
            self._place(self._folder.log / tile.path, data, _READABLE)
            if tile.width < WIDTH:
                continue  # its bodies are staged still
            if facts is None or personal is None:
                facts = _column(batches, base, "facts")
                personal = _column(batches, base, "personal")
            sealed = [frame(column[start : start + WIDTH]) for column in (facts, personal)]
            self._place(bodies_path(self._folder, tile.index), frame(sealed), PRIVATE)

    def _write_tiles(self, base: int, size: int, entries: list[bytes]) -> None:
        for tile in new_tiles(self.published, size):
            if tile.level == 0:
                start = tile.index * WIDTH - base
                data = b"".join(map(leaf_hash, entries[start : start + tile.width]))
            else:
                data = self._upper(tile)
            self._place(self._folder.log / tile.path, data, _READABLE)

    def _upper(self, tile: Tile) -> bytes:
        """A tile over full tiles: what of it was published before, and the roots of new ones."""
        first = tile.index * WIDTH
        known = max(0, (self.published >> HEIGHT * tile.level) - first)
        old = self._read(Tile(tile.level, tile.index, known)) if known else b""
        below = (Tile(tile.level - 1, first + i) for i in range(known, tile.width))
        return old + b"".join(tile_root(self._read(tile)) for tile in below)

    def _read(self, tile: Tile) -> bytes:
        path = self._folder.log / tile.path
        pending = self._pending.get(path)
        return pending[0] if pending is not None else path.read_bytes()

    def _place(self, path: Path, data: bytes, mode: int) -> None:
        self._files.check_once(path, data)
        self._pending[path] = data, mode

    def _place_pending(self) -> None:
        """Make this round's files durable, then their names."""
        pending, self._pending = self._pending, {}
        self._files.place_all([(path, *file) for path, file in pending.items()])
        for folder in {path.parent for path in pending}:
            self._files.sync_folder(folder)

    def _forget_partials(self, old: int, new: int) -> None:
        """Partial tiles may go once the full one is there (tlog-tiles, Partial Tiles)."""
        full = [tile for tile in new_tiles(old, new) if tile.width == WIDTH]
        full += [tile for tile in new_bundles(old, new) if tile.width == WIDTH]
        for tile in full:
            path = self._folder.log / tile.path
            shutil.rmtree(path.with_name(path.name + ".p"), ignore_errors=True)


class PublisherThread:
    """Publishes every `interval` seconds until stopped.

    A full disk is waited out, for nothing of it reaches the checkpoint. Anything else ends the
    process through `on_failure`.
    """

    def __init__(
        self, publisher: Publisher, interval: float, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._publisher = publisher
        self._interval = interval
        self._on_failure = on_failure
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-publisher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Publish what is staged and end the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(self._interval)
            try:
                self._publisher.publish()
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    self._on_failure(error)
                    return
            except BailmentError as error:
                self._on_failure(error)
                return
            except BaseException as error:
                self._on_failure(error)
                raise


def bodies_path(folder: Folder, bundle: int) -> Path:
    """Where the sealed facts and personal parts of a full bundle lie: framed columns, framed."""
    return folder.bodies / Tile(ENTRIES, bundle).path.removeprefix("tile/entries/")


def _column(batches: list[Batch], base: int, name: str) -> list[bytes]:
    """One column of consecutive batches, from entry `base` on."""
    if batches[0].first > base:
        raise VerificationError(f"entries from {base} on are neither published nor staged")
    records = [record for batch in batches for record in unframe(getattr(batch, name))]
    return records[base - batches[0].first :]
