"""Power fails at any moment of publishing: only what was synced is there afterwards.

`LosingFiles` follows inodes: a file's bytes count once the file was synced, a name once its
folder was. At every sync it can build the folder as it would be found after the power came back.
SQLite's files are taken as they are: every statement that returned was synced.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bailment.store import log as log_module
from bailment.store.durable import Files

from .checks import Seen, recheck
from .issuer import Issuer, note

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SQLITE = ("staging.db", "staging.db-wal", "keys.db", "keys.db-wal")


@dataclass
class _Node:
    """What the disk holds of one inode: a file's bytes or a folder's names."""

    data: bytes = b""
    names: dict[str, int] = field(default_factory=dict)


class LosingFiles(Files):
    """Real files, and beside them a model of what of them is on the disk."""

    def __init__(self, root: Path, places: Path) -> None:
        self.root, self.places = root, places
        self.nodes: dict[int, _Node] = {}
        self.found: list[Path] = []
        self._kept: list[int] = []  # open, so that no inode number comes twice
        self._take_as_durable(root)

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self._kept.append(os.dup(descriptor))
        self._learn(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        self._lose(self.places / f"{len(self.found)}")

    def close(self) -> None:
        for descriptor in self._kept:
            os.close(descriptor)

    def _learn(self, path: Path) -> None:
        status = path.stat()
        node = self.nodes[status.st_ino] = _Node()
        if stat.S_ISDIR(status.st_mode):
            node.names = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            node.data = path.read_bytes()

    def _take_as_durable(self, path: Path) -> None:
        for folder, _, files in os.walk(path):
            self._learn(Path(folder))
            for name in files:
                self._learn(Path(folder) / name)

    def _lose(self, place: Path) -> None:
        self._rebuild(self.root, self.root.stat().st_ino, place)
        for name in SQLITE:
            if (self.root / name).exists():
                shutil.copyfile(self.root / name, place / name)
        self.found.append(place)

    def _rebuild(self, path: Path, inode: int, place: Path) -> None:
        """A name whose inode was never synced is an empty file, or an empty folder."""
        node = self.nodes.get(inode, _Node())
        place.mkdir(mode=0o700)
        for name, child in node.names.items():
            if name.startswith(tuple(SQLITE)) or name == "lock":
                continue
            if (path / name).is_dir():
                self._rebuild(path / name, child, place / name)
            else:
                (place / name).write_bytes(self.nodes.get(child, _Node()).data)
                (place / name).chmod(0o600)


@pytest.fixture(autouse=True)
def published_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "PUBLISH_SECONDS", 3600.0)


async def test_power_that_fails_while_publishing_loses_nothing(tmp_path: Path) -> None:
    issuer, seen = Issuer.make(tmp_path / "issuer"), Seen()
    async with issuer.open() as log:
        await issuer.begin(log)
    (tmp_path / "places").mkdir()
    files = LosingFiles(issuer.folder.root, tmp_path / "places")
    checked = 0
    for count in (40, 250, 260):
        async with issuer.open(files=files, snapshot_every=200) as log:
            drafts = [log.sequencer.draft(note(number)) for number in range(count)]
            await asyncio.gather(*(seen.append(log, draft) for draft in drafts))
            before = len(files.found)  # where snapshots were kept, while appending
        for place in files.found[before:]:
            known = Seen(dict(seen.acknowledged), set(seen.checkpoints))
            await recheck(Issuer.at(place), known)
            checked += 1
        shutil.rmtree(tmp_path / "places")
        (tmp_path / "places").mkdir()
    files.close()
    assert checked > 40


async def test_the_model_of_the_disk_sees_a_missing_sync(tmp_path: Path) -> None:
    """The test above can fail: with one kind of sync left out, what was written is not there."""

    class Careless(LosingFiles):
        def sync_folder(self, folder: Path) -> None:
            pass

    for kind, there in ((LosingFiles, True), (Careless, False)):
        root, places = tmp_path / kind.__name__, tmp_path / f"places-{kind.__name__}"
        root.mkdir()
        places.mkdir()
        files = kind(root, places)
        files.write(root / "new" / "folder" / "file", b"bytes")
        written = files.found[-1] / "new" / "folder" / "file"
        assert written.exists() is there
        files.close()
