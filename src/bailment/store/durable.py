"""Durable files: what has been written is there after a crash, whole, or not at all.

Every write goes to a temporary file beside the target, is synced, renamed, and the folder is
synced; so is the parent of every folder that had to be made. A failed sync is fatal to the
caller: the kernel may have dropped the pages, so trying again could succeed and lie (PostgreSQL's
fsync bug of 2018).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bailment.errors import ConfigurationError, VerificationError

PRIVATE = 0o600


class Files:
    """The calls that make bytes durable; tests replace it to fail each of them."""

    def write(self, path: Path, data: bytes, mode: int = PRIVATE) -> None:
        """Replace `path` by `data`, atomically and durably."""
        self.place(path, data, mode)
        self.sync_folder(path.parent)

    def place(self, path: Path, data: bytes, mode: int = PRIVATE) -> None:
        """Replace `path` by `data`, atomically; durable as soon as its folder is synced."""
        self.place_all([(path, data, mode)])

    def place_all(self, files: Sequence[tuple[Path, bytes, int]]) -> None:
        """Place several: all are written before the first is synced, and all synced before the
        first gets its name. A file system that commits all it has with one sync (ext4 does) then
        keeps the log's own syncs waiting once, and not once for each file."""
        descriptors: list[int] = []
        try:
            for path, data, mode in files:
                self._make_folder(path.parent, mode)
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                descriptors.append(os.open(_beside(path), flags, mode))
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptors[-1], view) :]
            for descriptor in descriptors:
                self.sync(descriptor)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        for path, _, _ in files:
            os.rename(_beside(path), path)

    def check_once(self, path: Path, data: bytes) -> None:
        """VerificationError if `path` is what never changes and holds other bytes.

        The same bytes are placed again: that they can be read does not say that the write which
        brought them here, and which nobody acknowledged, reached the disk.
        """
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            return
        if found != data:
            raise VerificationError(f"`{path}` holds other bytes than those to be published")

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Make a rename durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def _make_folder(self, folder: Path, mode: int) -> None:
        """Make a folder, searchable by whoever may read a file of this mode."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent, mode)
        folder.mkdir(mode | (mode & 0o444) >> 2, exist_ok=True)
        self.sync_folder(folder.parent)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def read_private(path: Path) -> bytes:
    """A secret file's bytes; refuses one that anybody but its owner may read or write."""
    try:
        status = path.stat()
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read `{path}`: {error.strerror}") from None
    if status.st_mode & 0o077:
        raise ConfigurationError(
            f"`{path}` is a secret that others may read (mode {status.st_mode & 0o777:04o})",
            hint=f"chmod 600 {path}",
        )
    return data
