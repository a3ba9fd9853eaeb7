"""The tables of networks that are in use, and the key of what is told of requests.

An issuer's own are in its folder (`bailment network refresh`), and in their place or before there
are any, those that ship with the package. A running process notices new ones by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files as package_files
from pathlib import Path

import structlog

from bailment.detect.context import Opening, context_of, opened
from bailment.detect.networks import Tables, read_tables
from bailment.errors import ConfigurationError, FormatError
from bailment.ledger.context import Context
from bailment.store.durable import Files
from bailment.store.folder import Folder
from bailment.store.secrets import open_context_key

logger = structlog.get_logger("bailment.networks")

SHIPPED = "networks.bin"


def shipped_tables() -> Tables:
    """The small ones that come with the package."""
    return read_tables(package_files("bailment.detect").joinpath("data", SHIPPED).read_bytes())


def tables_path(folder: Folder) -> Path:
    """Where an issuer's own tables lie."""
    return folder.root / "networks.bin"


def load_tables(folder: Folder) -> tuple[Tables, bool]:
    """The tables of an issuer, and whether they are its own."""
    path = tables_path(folder)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return shipped_tables(), False
    except OSError as error:
        raise ConfigurationError(f"cannot read `{path}`: {error.strerror}") from None
    try:
        return read_tables(data), True
    except FormatError as error:
        raise ConfigurationError(
            f"`{path}`: {error}", hint="`bailment network refresh` makes it anew; or remove it"
        ) from None


class Origins:
    """Tells of requests what detectors may know, by the tables and the key of one folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._key = open_context_key(folder, Files())
        self._stamp = self._stamped()
        self.tables, self.own = self._load(shipped_tables())

    def context(self, address: str, headers: Iterable[tuple[bytes, bytes]]) -> Context:
        """What a request's head tells."""
        return context_of(address, headers, self.tables, self._key)

    def opened(self, context: Context, opening: Opening) -> Context:
        """The same with what its body tells."""
        return opened(context, opening, self._key)

    def refresh(self) -> bool:
        """Take new tables if there are any; whether there were. The old ones stay in use where the
        new ones are damaged."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self.tables, self.own = self._load(self.tables)
        return True

    def _load(self, instead: Tables) -> tuple[Tables, bool]:
        try:
            return load_tables(self._folder)
        except ConfigurationError as error:
            logger.error("the tables of networks are not used", why=str(error))
            return instead, False

    def _stamped(self) -> tuple[int, int, int]:
        """What changes when the file does."""
        try:
            found = tables_path(self._folder).stat()
        except OSError:
            return (0, 0, 0)
        return found.st_ino, found.st_size, found.st_mtime_ns
