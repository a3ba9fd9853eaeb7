"""The fault matrix: every write fails, and is lost or there all the same; then an ordinary start.

Each case runs the same scenario with one write failing, reopens the folder, and checks all of the
log: leaves, root, chains, every checkpoint anybody could have fetched, every acknowledged record.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bailment.access.reasons import Reason, Refused
from bailment.errors import BailmentError, ConfigurationError
from bailment.store import log as log_module
from bailment.store.database import unusable
from bailment.store.durable import Files
from bailment.store.folder import Folder
from bailment.store.log import Log
from bailment.store.staging import Batch, CommitFailed, Staging
from bailment.store.vault import KeyNotKept, Vault

from .checks import Seen, recheck
from .issuer import Issuer, note

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

#: The kinds of write. Rows are deleted at a start (`forget`), else by a commit, as one with it.
KINDS = (
    "commit", "key", "entries", "bodies", "tile0", "tile1", "checkpoint", "snapshot", "forget",
)  # fmt: skip
WAVES = (90, 300, 130)


class Fault:
    """Fails the `at`-th write of a kind: before it happens, or (`persisted`) after."""

    def __init__(self, kind: str = "", at: int = 0, persisted: bool = False) -> None:
        self.kind, self.at, self.persisted = kind, at, persisted
        self.counts: Counter[str] = Counter()
        self.struck = False

    def around(self, kind: str, write: Callable[[], Any], failure: Exception) -> Any:
        self.counts[kind] += 1
        if kind != self.kind or self.counts[kind] - 1 != self.at:
            return write()
        self.struck = True
        if self.persisted:
            write()
        raise failure


class FaultyFiles(Files):
    def __init__(self, fault: Fault, folder: Folder) -> None:
        self.fault, self.folder = fault, folder

    def place_all(self, files: Sequence[tuple[Path, bytes, int]]) -> None:
        """Files go one by one, so that each write can fail with those before it done."""
        for file in files:
            failure = OSError(errno.EIO, "Input/output error")
            self.fault.around(self._kind(file[0]), partial(super().place_all, [file]), failure)

    def _kind(self, path: Path) -> str:
        parts = path.relative_to(self.folder.root).parts
        if parts[:2] == ("log", "tile"):
            return parts[2] if parts[2] == "entries" else f"tile{parts[2]}"
        return {"log": parts[-1], "snapshots": "snapshot"}.get(parts[0], parts[0])


def faulty_staging(fault: Fault) -> type[Staging]:
    class FaultyStaging(Staging):
        def commit(self, batch: Batch) -> None:
            fault.around(
                "commit", lambda: super(FaultyStaging, self).commit(batch), CommitFailed("no")
            )

        def forget(self) -> None:
            if fault.kind in ("forget", ""):
                failure = unusable(self._path, "disk I/O error")
                fault.around("forget", lambda: super(FaultyStaging, self).forget(), failure)

    return FaultyStaging


def faulty_vault(fault: Fault) -> type[Vault]:
    class FaultyVault(Vault):
        def keep(self, key: str, wrapped: bytes) -> None:
            fault.around(
                "key", lambda: super(FaultyVault, self).keep(key, wrapped), KeyNotKept("no")
            )

    return FaultyVault


@pytest.fixture
async def base(tmp_path: Path) -> Path:
    """A log that has begun, to copy for each case."""
    issuer = Issuer.make(tmp_path / "base")
    async with issuer.open() as log:
        await issuer.begin(log)
    return issuer.folder.root


@pytest.fixture(autouse=True)
def published_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishing happens when a log is closed, and so in the same order each time."""
    monkeypatch.setattr(log_module, "PUBLISH_SECONDS", 3600.0)


@pytest.mark.parametrize("persisted", [False, True], ids=["lost", "persisted"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_failed_write_loses_nothing_acknowledged(
    base: Path, tmp_path: Path, kind: str, persisted: bool
) -> None:
    for at in range(100):
        root = tmp_path / f"case{at}"
        shutil.copytree(base, root)
        fault = Fault(kind, at, persisted)
        issuer, seen = Issuer.at(root), Seen()
        await _run(issuer, seen, fault)
        if not fault.struck:
            assert kind == "forget" or _first_row(issuer) > 0, "no commit deleted a row"
            break
        await recheck(issuer, seen)
        shutil.rmtree(root)
    assert at > 0, "the scenario has no such write"


async def _run(issuer: Issuer, seen: Seen, fault: Fault) -> None:
    """Three processes one after another, each of which appends and publishes, until one fails."""
    for wave, count in enumerate(WAVES):
        files = FaultyFiles(fault, issuer.folder)
        options: dict[str, Any] = {
            "files": files,
            "staging": faulty_staging(fault),
            "vault": faulty_vault(fault),
            "snapshot_every": 100,
        }
        try:
            async with issuer.open(**options) as log:
                await _append(log, seen, wave, count)
        except ConfigurationError:
            assert (fault.struck, fault.kind) == (True, "forget")
            return
        await asyncio.sleep(0)
        seen.look(log)
        if fault.struck and fault.kind != "snapshot":
            await _refuses(log)
            return
        assert not log.sequencer.failed.done()


def _first_row(issuer: Issuer) -> int:
    staging = Staging(issuer.folder.staging, read_only=True)
    with closing(staging):
        return staging.since(0)[0].first


async def _append(log: Log, seen: Seen, wave: int, count: int) -> None:
    for part in range(0, count, 30):
        drafts = [_draft(log, wave, part + n) for n in range(min(30, count - part))]
        await asyncio.gather(*(seen.append(log, draft) for draft in drafts))
    seen.look(log)


def _draft(log: Log, wave: int, number: int) -> Any:
    """Half of the records have a personal part, each under the key of somebody new."""
    if number % 15:
        return log.sequencer.draft(note(number))
    person = f"{wave:016x}{number:016x}"
    return log.sequencer.draft(note(number), person=person, personal={"name": "ada"})


async def _refuses(log: Log) -> None:
    """The failure reached whoever owns the process, and nothing more is accepted."""
    assert isinstance(log.sequencer.failed.result(), BailmentError)
    answer = await log.sequencer.append(log.sequencer.draft(note(0)))
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.LOG_UNAVAILABLE


async def test_without_a_fault_nothing_fails(base: Path) -> None:
    fault, issuer, seen = Fault(), Issuer.at(base), Seen()
    await _run(issuer, seen, fault)
    assert len(seen.acknowledged) == sum(WAVES)
    assert set(fault.counts) == set(KINDS)
    await recheck(issuer, seen)
