"""How one asks the worker beside a running issuer how far something reaches: a socket of its own,
in the issuer's folder, so that no question goes through the process that serves.

A question is a line of JSON, its answer all JSON up to the end of the stream: what was asked for,
or `error` and `hint`, or `behind`, by how many entries the worker is too far behind to answer.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from bailment.errors import BailmentError
from bailment.store.folder import Folder

#: How long the worker may take, seconds, before whoever asks reads the log instead.
PATIENCE = 5.0
#: The longest question, bytes.
MOST = 4096


def ask(folder: Folder, question: dict[str, Any], patience: float = PATIENCE) -> Any:
    """The worker's answer; None if none answers. BailmentError is the worker's own."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(patience)
            connection.connect(str(folder.extent_socket))
            connection.sendall(json.dumps(question).encode() + b"\n")
            answer = b"".join(iter(lambda: connection.recv(1 << 20), b""))
        told = json.loads(answer)
    except (OSError, ValueError):  # none is there, it ended meanwhile, or takes too long
        return None
    if "error" in told:
        raise BailmentError(told["error"], hint=told["hint"])
    return None if "behind" in told else told
