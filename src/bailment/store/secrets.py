"""The issuer's secrets: made once at `init`, each in a file that only its owner can read."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bailment.access import jwk
from bailment.errors import ConfigurationError, FormatError
from bailment.ledger.note import Signer
from bailment.store.durable import Files, read_private
from bailment.store.folder import Folder

KEK_SIZE = 32
CONTEXT_KEY_SIZE = 32

_LOG, _ISSUER, _KEK = "log.key", "issuer.pem", "bodies.key"
_CONTEXT = "context.key"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The log's signing key, the key of tokens and first links, and the key over the bodies."""

    log: Signer
    issuer: ec.EllipticCurvePrivateKey
    kek: bytes

    @property
    def issuer_key(self) -> jwk.PublicKey:
        return jwk.from_key(self.issuer.public_key())


def make_secrets(folder: Folder, origin: str, files: Files) -> Secrets:
    """Make and store new secrets for the log of this origin."""
    secrets = Secrets(
        Signer(origin, Ed25519PrivateKey.generate()),
        ec.generate_private_key(ec.SECP256R1()),
        os.urandom(KEK_SIZE),
    )
    pem = secrets.issuer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files.write(folder.secrets / _LOG, secrets.log.text.encode() + b"\n")
    files.write(folder.secrets / _ISSUER, pem)
    files.write(folder.secrets / _KEK, secrets.kek.hex().encode() + b"\n")
    return secrets


def load_kek(folder: Folder) -> bytes:
    """The key over the bodies alone: who only reads the log has no use for keys that sign."""
    path = folder.secrets / _KEK
    try:
        kek = bytes.fromhex(read_private(path).decode().strip())
    except ValueError:
        raise ConfigurationError(f"a key in `{folder.secrets}` is damaged") from None
    if len(kek) != KEK_SIZE:
        raise ConfigurationError(f"`{path}` is damaged: not {KEK_SIZE} bytes")
    return kek


def open_context_key(folder: Folder, files: Files) -> bytes:
    """The key of the hashes in requests' contexts (`detect/context.py`), made where there is none.

    Without it nothing is lost but that what was seen before is known again.
    """
    path = folder.secrets / _CONTEXT
    if not path.exists():
        files.write(path, os.urandom(CONTEXT_KEY_SIZE).hex().encode() + b"\n")
    try:
        key = bytes.fromhex(read_private(path).decode().strip())
    except ValueError:
        key = b""
    if len(key) != CONTEXT_KEY_SIZE:
        raise ConfigurationError(
            f"`{path}` is damaged: not {CONTEXT_KEY_SIZE} bytes in hexadecimal",
            hint="put back a copy; or remove it: a new one is made, and everybody looks new once",
        )
    return key


def load_secrets(folder: Folder) -> Secrets:
    """The stored secrets; ConfigurationError names a file that is missing, open or damaged."""
    log, issuer = (read_private(folder.secrets / name) for name in (_LOG, _ISSUER))
    try:
        signer = Signer.parse(log.decode().strip())
        key = load_pem_private_key(issuer, None)
    except (FormatError, ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(f"a key in `{folder.secrets}` is damaged") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ConfigurationError(f"`{folder.secrets / _ISSUER}` is not a P-256 key")
    return Secrets(signer, key, load_kek(folder))
