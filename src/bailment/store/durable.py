"""Durable files: what has been written is there after a crash, whole, or not at all.

Every write goes to a temporary file beside the target, is synced, renamed, and the folder is
synced; so is the parent of every folder that had to be made. A failed sync is fatal to the
caller: the kernel may have dropped the pages, so trying again could succeed and lie (PostgreSQL's
fsync bug of 2018).
"""

from __future__ import annotations

import os
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
        self._make_folder(path.parent, mode)
        temporary = path.with_name(f".{path.name}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            self.sync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)

    def place_once(self, path: Path, data: bytes, mode: int = PRIVATE) -> None:
        """Place what never changes; VerificationError if other bytes are there.

        The same bytes are written again: that they can be read does not say that the write which
        brought them here, and which nobody acknowledged, reached the disk.
        """
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            found = data
        if found != data:
            raise VerificationError(f"`{path}` holds other bytes than those to be published")
        self.place(path, data, mode)

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
