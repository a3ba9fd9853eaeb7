"""Reads the public lists that tables of networks are made of, and puts the tables in place."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from bailment.detect.network_lists import Listed, make_tables, read_list, role_of
from bailment.detect.networks import Tables, read_tables
from bailment.errors import ConfigurationError, FormatError
from bailment.store.durable import Files
from bailment.store.folder import Folder
from bailment.store.tables import tables_path

#: The most that a list may have, unpacked.
_MOST = 512 << 20


def found_in(folder: Path) -> list[Path]:
    """The lists in a folder, by their names."""
    try:
        found = sorted(path for path in folder.iterdir() if role_of(path.name) and path.is_file())
    except OSError as error:
        raise ConfigurationError(f"cannot read `{folder}`: {error.strerror}") from None
    if not found:
        raise ConfigurationError(
            f"there is no list of networks in `{folder}`", hint="docs/detection.md names them"
        )
    return found


def read_files(paths: Sequence[Path], date: int = 0) -> list[Listed]:
    """The lists in files, each as old as its file says, or of `date` (ms). ConfigurationError names
    the file that cannot be read, and the line."""
    return [_read(path, date) for path in paths]


def _read(path: Path, date: int) -> Listed:
    role = role_of(path.name)
    if role is None:
        raise ConfigurationError(
            f"what `{path.name}` holds cannot be told from its name",
            hint="docs/detection.md names the lists",
        )
    try:
        written = path.stat().st_mtime_ns // 1_000_000
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_MOST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"cannot read `{path}`: {error}") from None
    if len(data) > _MOST:
        raise ConfigurationError(f"`{path}` has more than {_MOST >> 20} MiB")
    try:
        return read_list(role, path.name, date or written, data)
    except FormatError as error:
        raise ConfigurationError(str(error), hint="the tables in use were left alone") from None


def put_in_place(folder: Folder, lists: Sequence[Listed]) -> Tables:
    """Make tables of lists and put them into an issuer's folder, atomically; what can go wrong does
    so before."""
    try:
        tables = make_tables(lists)
        data = tables.encode()
        read_tables(data)
    except FormatError as error:
        raise ConfigurationError(str(error), hint="the tables in use were left alone") from None
    Files().write(tables_path(folder), data)
    return tables
