"""The kill switch: a file in the issuer's folder that stops everything, and needs nothing else.

Whoever may write in the folder turns it on, by making the file or with SIGUSR1; the gateway looks
in a thread of its own (`gateway/guard.py`), so that neither log, control socket nor event loop has
to work. It goes off only by an act that is on the record: that the file has disappeared turns
nothing on again.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec

from bailment.access.text import hidden
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.store.durable import PRIVATE, Files

#: Turns it on in the process that owns the folder. `serve` blocks it, so that only the guard's
#: thread takes it.
SIGNAL = signal.SIGUSR1
_MOST = 4_096


class Stopped(msgspec.Struct, frozen=True):
    """What the file says: who turned the switch on, why and when (ms). All of it may be missing,
    for a file that is there is enough."""

    author: str = "unknown"
    reason: str = "the file does not say"
    time: int = 0


def turn_on(path: Path, author: str, reason: str) -> str:
    """Make the file; why it will not outlive the process, or empty. An existing one is left.

    An empty file fits where nothing else does, so it is made first and filled then.
    """
    stopped = Stopped(author, reason, now_ms())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    except FileExistsError:
        return ""
    except OSError as error:
        return f"`{path}` cannot be made: {error.strerror}"
    try:
        os.write(descriptor, msgspec.json.encode(stopped))
        os.fsync(descriptor)
        Files().sync_folder(path.parent)
    except OSError:
        pass  # it is there, which is what counts; author and reason are lost
    finally:
        os.close(descriptor)
    return ""


def is_on(path: Path) -> bool:
    """Whether the file is there; if that cannot be known, it is."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def read(path: Path) -> Stopped:
    """What the file says, as far as it can be read."""
    try:
        with path.open("rb") as file:
            said = msgspec.json.decode(file.read(_MOST), type=Stopped)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Stopped()
    told = said.author and said.reason and not hidden(said.author) and not hidden(said.reason)
    return said if told else Stopped()


def turn_off(path: Path) -> None:
    """Take the file away, for good; BailmentError if it is still there."""
    try:
        path.unlink(missing_ok=True)
        Files().sync_folder(path.parent)
    except OSError as error:
        raise BailmentError(f"`{path}` cannot be taken away: {error.strerror}") from None
