"""HTTP over the control socket; an HTTP library would take longer to load than to be used."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path


class ControlConnection(http.client.HTTPConnection):
    """A connection to the process that owns an issuer's folder; `patience` in seconds."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__("control", timeout=patience)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
