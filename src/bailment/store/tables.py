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
        self.own = False
        self.tables, self.own = self._load(None)

    def context(self, address: str, headers: Iterable[tuple[bytes, bytes]]) -> Context:
        """What a request's head tells."""
        return context_of(address, headers, self.tables, self._key)

    def opened(self, context: Context, opening: Opening) -> Context:
        """The same with what its body tells."""
        return opened(context, opening, self._key)

    def changed(self) -> bool:
        """Whether there are other tables than those in use, or none any more."""
        return self._stamped() != self._stamp

    def refresh(self) -> bool:
        """Take the tables that are there; whether they could be taken. Those in use stay so where
        the new ones are damaged. It takes some tenths of a second."""
        self._stamp = self._stamped()
        before = self.tables
        self.tables, self.own = self._load(before)
        return self.tables is not before

    def _load(self, instead: Tables | None) -> tuple[Tables, bool]:
        try:
            return load_tables(self._folder)
        except ConfigurationError as error:
            logger.error("the tables of networks are not used", why=str(error))
            return instead or shipped_tables(), self.own

    def _stamped(self) -> tuple[int, int, int]:
        """What changes when the file does."""
        try:
            found = tables_path(self._folder).stat()
        except OSError:
            return (0, 0, 0)
        return found.st_ino, found.st_size, found.st_mtime_ns
