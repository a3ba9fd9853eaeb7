"""The issuer's folder: what lies where, and the lock that makes one process its owner."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from bailment.errors import ConfigurationError
from bailment.ledger.tiles import Fetch


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths in an issuer's folder.

    bailment.toml    settings
    secrets/         the log's and the issuer's private keys, the key-encryption key, and the
                     authority over devices' certificates (0600)
    log/             what C2SP clients read: checkpoint, tile/…, tile/entries/…
    bodies/          encrypted facts and personal parts, in bundles like the entries
    snapshots/       the folded state at some sizes
    staging.db       entries not yet in full bundles, with their signed checkpoints
    keys.db          the keys of the bodies, wrapped
    accounts.db      what recipients' directories told by SCIM (`store/accounts.py`)
    outbox.db        what recipients are still to be told (`store/outbox.py`)
    prompts.sock     what was asked, on its way to the worker; never stored (`gateway/prompts.py`)
    vectors.db       what prompts meant, in numbers, sealed (`worker/vectors.py`)
    worker.state     what the worker knows, and how far it has read (`worker/keeping.py`)
    extent.sock      where the worker is asked how far something reaches (`store/questions.py`)
    exposure.db      who used what when, counted (`store/exposure.py`); made again if it is gone
    watch.state      what the inline detectors know (`gateway/watch.py`)
    sinks.db         the issuer's own receivers, and how far each is (`store/sinks.py`)
    networks.bin     tables of networks (`store/tables.py`), in place of the package's
    kill-switch      there while nobody may have access (`store/switch.py`)
    """

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "bailment.toml"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def bodies(self) -> Path:
        return self.root / "bodies"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    @property
    def staging(self) -> Path:
        return self.root / "staging.db"

    @property
    def keys(self) -> Path:
        return self.root / "keys.db"

    @property
    def accounts(self) -> Path:
        return self.root / "accounts.db"

    @property
    def outbox(self) -> Path:
        return self.root / "outbox.db"

    @property
    def prompts(self) -> Path:
        return self.root / "prompts.sock"

    @property
    def vectors(self) -> Path:
        return self.root / "vectors.db"

    @property
    def worker(self) -> Path:
        return self.root / "worker.state"

    @property
    def watch(self) -> Path:
        return self.root / "watch.state"

    @property
    def exposure(self) -> Path:
        return self.root / "exposure.db"

    @property
    def extent_socket(self) -> Path:
        return self.root / "extent.sock"

    @property
    def control_socket(self) -> Path:
        return self.root / "control.sock"

    @property
    def kill_switch(self) -> Path:
        return self.root / "kill-switch"

    def require(self) -> None:
        """Raise ConfigurationError unless an issuer was initialised here."""
        if not self.settings.is_file():
            raise ConfigurationError(
                f"`{self.root}` is not an issuer's folder",
                hint="name it with -d or BAILMENT_DIR; `bailment init DIR` makes one",
            )


def owner(folder: Folder) -> int:
    """The id of the process that owns the folder; 0 if none does, or that cannot be known.

    It is asked of the kernel, since the id that the lock's file names may be somebody else's by
    now; and without touching the lock, which somebody may just want.
    """
    path = folder.root / "lock"
    try:
        named, inode = path.read_text().strip(), path.stat().st_ino
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return 0
    for line in locks:  # 1: FLOCK  ADVISORY  WRITE 4711 00:2a:1234 0 EOF
        fields = line.split()
        if fields[1] == "FLOCK" and fields[4] == named:
            return int(named) if fields[5].rpartition(":")[2] == str(inode) else 0
    return 0


def fetch_from(root: Path) -> Fetch:
    """What reads a C2SP log's files under `root`; None for one that is not there."""

    def fetch(path: str) -> bytes | None:
        try:
            return (root / path).read_bytes()
        except FileNotFoundError:
            return None

    return fetch


class FolderLock:
    """One process owns the folder. Held until closed; the kernel lets go when a process dies."""

    def __init__(self, folder: Folder) -> None:
        self._path = folder.root / "lock"
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._descriptor, 20).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise ConfigurationError(
                f"another process (pid {holder}) owns `{folder.root}`",
                hint="stop it, or talk to it: most commands use its control socket",
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
