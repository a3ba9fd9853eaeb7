"""What the issuer shows transmitters of events to manage its streams there, and what it signs
webhooks with: never in the log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailment.errors import ConfigurationError
from bailment.store.durable import Files, read_private
from bailment.store.folder import Folder


class Stream(msgspec.Struct, frozen=True):
    """A stream as its transmitter knows it: its id, and the token with which it is managed."""

    id: str
    token: str


@dataclass(frozen=True, slots=True)
class StreamSecrets:
    """Files of mode 0600 in the issuer's folder."""

    folder: Folder
    files: Files

    def stream(self, source: str) -> Stream | None:
        """The stream of a source; None if there is none."""
        path = self._path(source)
        if not path.exists():
            return None
        try:
            return msgspec.json.decode(read_private(path), type=Stream)
        except msgspec.DecodeError:
            raise ConfigurationError(f"`{path}` is damaged", hint="remove it") from None

    def keep(self, source: str, stream: Stream) -> None:
        """Keep it in the place of the one before."""
        self.files.write(self._path(source), msgspec.json.encode(stream))

    def drop(self, source: str) -> None:
        """The source has ended."""
        self._path(source).unlink(missing_ok=True)

    def _path(self, source: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{32}", source):
            raise ConfigurationError(f"`{source[:40]}` is no source")
        return self.folder.secrets / f"stream-{source}"


def webhook_key(folder: Folder, files: Files) -> Ed25519PrivateKey:
    """The key that signs what recipients are told; made when it is first wanted."""
    path = folder.secrets / "webhooks.key"
    if not path.exists():
        files.write(path, Ed25519PrivateKey.generate().private_bytes_raw().hex().encode() + b"\n")
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(read_private(path).decode()))
    except ValueError:
        raise ConfigurationError(f"`{path}` is damaged", hint="remove it") from None
