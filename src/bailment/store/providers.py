"""What the issuer shows identity providers to prove that it is their client: a key of its own, and
the secrets that providers gave it. Neither is ever in the log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bailment.errors import ConfigurationError
from bailment.store.durable import Files, read_private
from bailment.store.folder import Folder

_KEY = "sign-in.pem"


@dataclass(frozen=True, slots=True)
class ProviderSecrets:
    """Files of mode 0600 in the issuer's folder."""

    folder: Folder
    files: Files

    def key(self) -> ec.EllipticCurvePrivateKey:
        """The key that signs client assertions (RFC 7523); made when it is first wanted."""
        path = self.folder.secrets / _KEY
        if not path.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            self.files.write(path, pem)
        try:
            found = load_pem_private_key(read_private(path), None)
        except ValueError:
            found = None
        if not isinstance(found, ec.EllipticCurvePrivateKey):
            raise ConfigurationError(f"`{path}` is not a P-256 key", hint="remove it")
        return found

    def secret(self, organisation: str) -> str:
        """What an organisation's provider gave us; empty if it gave nothing."""
        path = self._path(organisation)
        return read_private(path).decode() if path.exists() else ""

    def keep(self, organisation: str, secret: str) -> None:
        """Keep a secret in the place of the one before."""
        self.files.write(self._path(organisation), secret.encode())

    def _path(self, organisation: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{32}", organisation):
            raise ConfigurationError(f"`{organisation[:40]}` is no organisation")
        return self.folder.secrets / f"provider-{organisation}"
