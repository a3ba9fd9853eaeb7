"""Folders and files that hold a private key: nobody but their owner may touch them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bailment.errors import ConfigurationError

MAX_FILE = 64 * 1024


def make_folder(folder: Path) -> None:
    """Make a folder of mode 0700, or check that the one there is fit for secrets."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot make `{folder}`: {error.strerror}") from None
    check_folder(folder)


def check_folder(folder: Path) -> None:
    """Raise ConfigurationError unless it is a folder of ours that others cannot enter."""
    try:
        status = folder.stat()
    except OSError as error:
        raise ConfigurationError(f"cannot use `{folder}`: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigurationError(f"`{folder}` is not a folder")
    _check(folder, status, "chmod 700")


def read(path: Path) -> bytes:
    """The bytes of a file of ours that others may not read, at most 64 KiB."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            _check(path, os.fstat(descriptor), "chmod 600")
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read `{path}`: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise ConfigurationError(f"`{path}` is longer than {MAX_FILE} bytes")
    return data


def write(path: Path, data: bytes) -> None:
    """Replace a file, whole or not at all, with mode 0600."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    _create(temporary, data)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # else a loss of power may bring back the file before
    finally:
        os.close(folder)


def make_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A new P-256 key, stored as PKCS #8 PEM in a new file of mode 0600."""
    key = ec.generate_private_key(ec.SECP256R1())
    _create(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A stored P-256 key; ConfigurationError if it is missing, open to others or damaged."""
    try:
        key = load_pem_private_key(read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"the key in `{path}` is damaged") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ConfigurationError(f"`{path}` is not a P-256 key")
    return key


def _create(path: Path, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise ConfigurationError(f"`{path}` exists already") from None
    except OSError as error:
        raise ConfigurationError(f"cannot write `{path}`: {error.strerror}") from None


def _check(path: Path, status: os.stat_result, mend: str) -> None:
    if status.st_uid != os.geteuid():
        raise ConfigurationError(f"`{path}` belongs to another user")
    if status.st_mode & 0o077:
        raise ConfigurationError(
            f"`{path}` is open to other users (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"{mend} {path}",
        )
