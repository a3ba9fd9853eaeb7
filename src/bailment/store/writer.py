"""The writer: the one thread on which commits wait for the disk, in order.

The standard executor does the same with a future, two locks and a callback for each call; a lone
access is two commits, and those hand-overs were a tenth of what it cost.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

#: What the kernel calls the thread, for whoever looks at the process from outside.
THREAD = "log-writer"


class Writer:
    """Runs calls one after the other; one that raises ends the thread, as in any thread."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call` after those submitted before."""
        self._calls.put(call)

    def close(self) -> None:
        """Wait until all calls have run, and end the thread."""
        self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # Python does so itself from 3.14 on
            Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(THREAD)
        while (call := self._calls.get()) is not None:
            call()
