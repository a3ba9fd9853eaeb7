"""The handle that came with a device's last token, which the next request must show.

It lies beside the key, and whoever copies both makes a second line of tokens, which the gateway
notices (`formats/access.md`, section 5). So it is on the disk before its token is used, and one
process at a time asks for a token: two of them would look like two holders.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

from bailment.agent import private
from bailment.errors import ConfigurationError

HANDLE, LOCK = "ratchet", "ratchet.lock"
#: How long one process waits for another to get its token, and how often it looks (s).
PATIENCE, _LOOK = 60.0, 0.02
_FORM = re.compile(rb"[A-Za-z0-9_-]{1,64}")


class Ratchet:
    """The handle of one profile. `read` and `write` are for who holds the lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> str:
        """The last handle; empty before there was one."""
        path = self._folder / HANDLE
        if not path.exists():
            return ""
        text = private.read(path).strip()
        if not _FORM.fullmatch(text):
            raise ConfigurationError(
                f"`{path}` is damaged", hint="remove the profile and enrol again"
            )
        return text.decode()

    def write(self, handle: str) -> None:
        """Keep a handle, through a loss of power too."""
        private.write(self._folder / HANDLE, handle.encode() + b"\n")

    @contextmanager
    def held(self) -> Iterator[None]:
        """No other process or thread asks for a token of this device meanwhile."""
        file, until = self._open(), time.monotonic() + PATIENCE
        try:
            while not self._lock(file, until):
                time.sleep(_LOOK)
            yield
        finally:
            os.close(file)

    @asynccontextmanager
    async def held_async(self) -> AsyncIterator[None]:
        """The same for who must not block."""
        file, until = self._open(), time.monotonic() + PATIENCE
        try:
            while not self._lock(file, until):  # noqa: ASYNC110 - another process has it
                await anyio.sleep(_LOOK)
            yield
        finally:
            os.close(file)

    def _open(self) -> int:
        path = self._folder / LOCK
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigurationError(f"cannot use `{path}`: {error.strerror}") from None

    def _lock(self, file: int, until: float) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                return False
            raise ConfigurationError(
                f"another process of `{self._folder}` has been asking for a token for too long"
            ) from None
        return True
