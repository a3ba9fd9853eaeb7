"""A terminal of 80 columns, and a command on it."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path
from types import TracebackType

from .lab import PATIENCE, Shell, command


class Terminal:
    """Runs a command that sees a terminal, and has it as its own: Ctrl-C reaches it."""

    def __init__(self, shell: Shell, *arguments: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        env = {**shell.env, "TERM": "xterm-256color", **environment}
        env.pop("COLUMNS")
        self._process = subprocess.Popen(
            command(*arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=shell.home,
            env=env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY),
        )
        os.close(theirs)
        self.shown = ""
        self._timer = threading.Timer(PATIENCE, self._process.kill)
        self._timer.start()

    def until(self, text: str) -> None:
        """Read until this is shown."""
        while text not in self.shown:
            more = self._read()
            assert more, self.shown
            self.shown += more

    def type(self, text: str) -> None:
        """Type, once the command waits for it: Python's `input` misses a Ctrl-C that comes after
        its prompt and before it reads."""
        status = Path(f"/proc/{self._process.pid}/stat")
        while status.read_text().rpartition(")")[2].split()[0] == "R":
            time.sleep(0.01)
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """Read to the end; the exit status."""
        while more := self._read():
            self.shown += more
        return self._process.wait()

    def _read(self) -> str:
        try:
            return os.read(self._ours, 65536).decode(errors="replace")
        except OSError as error:
            assert error.errno == errno.EIO  # nobody has the other end any more
            return ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._timer.cancel()
        os.close(self._ours)
