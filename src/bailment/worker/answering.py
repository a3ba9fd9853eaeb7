"""Keeps the index of accesses up to date, and answers how far something reaches.

The worker has the register in memory, so that a question waits for no log to be read, and the
process that serves has no part in it.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Protocol

import msgspec
import structlog

from bailment.access.register import Register
from bailment.errors import BailmentError
from bailment.store.durable import PRIVATE
from bailment.store.folder import Folder
from bailment.store.incidents import Incidents
from bailment.store.questions import MOST
from bailment.store.reader import LogReader
from bailment.worker.worker import CHUNK, Worker

logger = structlog.get_logger("bailment.worker")

#: Who is further behind, in entries, lets whoever asks read the log.
BEHIND = 5_000
#: What whoever asks may take to say what, and to take the answer; seconds.
_SAY, _TAKE = 1.0, 5.0
#: An index that cannot be written is tried again after so many seconds.
_AGAIN = 10.0


class Answer(Protocol):
    """Makes the answer to a question, from the register as it is now; both are JSON."""

    def __call__(
        self, register: Register, reader: LogReader, incidents: Incidents, asked: bytes
    ) -> bytes: ...


class Answering:
    """Beside a worker, in its thread: `turn` when there is time, `take` when somebody asks."""

    def __init__(self, folder: Folder, worker: Worker, answer: Answer) -> None:
        self._folder, self._worker, self._answer = folder, worker, answer
        self._incidents: Incidents | None = None
        self._wait = 0.0
        self._path = folder.extent_socket
        self._path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self._path))
        self._path.chmod(PRIVATE)  # before anybody can connect
        self.listener.listen(16)
        self.listener.setblocking(False)

    def turn(self) -> bool:
        """Bring the index up to date by a few entries; whether there are more."""
        if time.monotonic() < self._wait:
            return False
        try:
            return self._opened().follow(most=CHUNK) == CHUNK
        except BailmentError as error:
            self._wait = time.monotonic() + _AGAIN
            logger.warning("accesses are not counted just now", why=str(error))
            return False

    def take(self) -> None:
        """Answer one who asks."""
        with contextlib.suppress(OSError):  # who asked has gone, or says nothing
            connection, _ = self.listener.accept()
            with connection:
                connection.settimeout(_SAY)
                with connection.makefile("rb") as lines:
                    asked = lines.readline(MOST)
                told = self._told(asked)
                connection.settimeout(_TAKE)
                connection.sendall(told)

    def finish(self) -> None:
        """Answer nobody any more."""
        self._path.unlink(missing_ok=True)
        self.listener.close()
        if self._incidents is not None:
            self._incidents.close()

    def _told(self, asked: bytes) -> bytes:
        worker = self._worker
        try:
            incidents = self._opened()
            end = worker.following.end()
            behind = end - min(worker.tape.position, incidents.index.position)
            if behind > BEHIND:
                return msgspec.json.encode({"behind": behind})
            worker.read_on(end)
            incidents.follow()
            return self._answer(worker.tape.register, worker.following.reader, incidents, asked)
        except BailmentError as error:
            return msgspec.json.encode({"error": str(error), "hint": error.hint})
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            return msgspec.json.encode({"error": f"this is no question: {error}", "hint": ""})

    def _opened(self) -> Incidents:
        if self._incidents is None:
            worker = self._worker
            self._incidents = Incidents(
                self._folder, worker.following.reader, worker.tape.register, logger.warning
            )
        return self._incidents
