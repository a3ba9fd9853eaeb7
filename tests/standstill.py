"""Stops one thread of another process, as SIGSTOP stops a whole one: by tracing it (ptrace(2)).

So a log's writer stands still in a process that is otherwise the one that people run.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def thread_of(process: int, name: str) -> int:
    """The id of the process's thread that the kernel calls so."""
    for task in Path(f"/proc/{process}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    raise AssertionError(f"no thread of {process} is called {name}")


@contextmanager
def standing_still(thread: int) -> Iterator[None]:
    """The thread stands still inside the block; PermissionError where nobody may trace.

    The process must be a child of this one.
    """
    _trace(_SEIZE, thread)
    _trace(_INTERRUPT, thread)
    os.waitpid(thread, _WALL)
    try:
        yield
    finally:
        _trace(_DETACH, thread)


def _trace(request: int, thread: int) -> None:
    if _libc.ptrace(request, thread, None, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
