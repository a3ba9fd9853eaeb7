"""Durable files: what has been written is there after a crash, whole, or not at all.

Every write goes to a temporary file beside the target, is synced, renamed, and the folder is
synced. A failed sync is fatal to the caller: the kernel may have dropped the pages, so trying
again could succeed and lie (PostgreSQL's fsync bug of 2018).
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
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
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
        self.sync_folder(path.parent)

    def write_once(self, path: Path, data: bytes, mode: int = PRIVATE) -> None:
        """Write what never changes: the same bytes again are fine, others are an error."""
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            self.write(path, data, mode)
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
