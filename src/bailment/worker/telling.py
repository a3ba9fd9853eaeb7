"""Hands findings to the process that serves, by its control socket: the one thing the worker may
change."""

from __future__ import annotations

import contextlib
import http.client
import json
from pathlib import Path
from typing import Any

import structlog

from bailment import canonical
from bailment.detect.grouping import Recorded
from bailment.store.folder import Folder
from bailment.store.socket import ControlConnection

logger = structlog.get_logger("bailment.worker")

#: What the serving process may take for one finding, seconds: longer than its slowest disk.
_SECONDS = 30.0
#: Under which name the worker acts.
AUTHOR = "worker"


class Telling:
    """Tells records one after the other; each is acknowledged once it is durable in the log."""

    def __init__(self, folder: Folder) -> None:
        self._socket: Path = folder.control_socket
        #: How many were refused, which says of them that they never will be taken.
        self.refused = 0

    def tell(self, record: Recorded) -> bool:
        """Whether the record need not be told again."""
        body = {
            "act": "finding-raise",
            "author": AUTHOR,
            "type": record.TYPE,
            "facts": json.loads(canonical.encode(record)),
        }
        try:
            status, answer = self._post(json.dumps(body))
        except (OSError, http.client.HTTPException, ValueError) as error:
            logger.warning("a finding waits: the issuer does not answer", why=str(error))
            return False
        if status < 400:
            return True
        if status >= 500 or status in (408, 429):
            logger.warning("a finding waits", why=answer.get("reason", status))
            return False
        self.refused += 1
        logger.error("a finding was refused", record=body["facts"], answer=answer)
        return True

    def _post(self, body: str) -> tuple[int, dict[str, Any]]:
        with contextlib.closing(ControlConnection(self._socket, _SECONDS)) as connection:
            connection.request("POST", "/act", body, {"content-type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
