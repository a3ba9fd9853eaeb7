"""Runs `bailment` until standard input ends: `python -m bailment.drills.leashed ARGUMENTS`.

So nothing that the demonstration starts can outlive it, however it dies.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading


def hold() -> None:
    """End this process once standard input ends."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    while os.read(0, 1024):  # a buffered read would hold a lock that the interpreter's end wants
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    hold()
    runpy.run_module("bailment", run_name="__main__", alter_sys=True)
