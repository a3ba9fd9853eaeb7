"""The stage: processes that the demonstration starts, and the commands that it types.

Everything runs as a user would run it: the same command line, the same sockets. Whatever is
started is stopped by its process id, and dies with this process in any case.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

import httpx2

from bailment.errors import BailmentError

_BAILMENT = (sys.executable, "-m", "bailment")
_LEASHED = (sys.executable, "-m", "bailment.drills.leashed")


#: What ends the demonstration: Ctrl-C, `kill`, and the terminal's window being closed.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotAsTold(BailmentError):
    """A step of the demonstration did not go as it says."""


@dataclass(slots=True)
class Stage:
    """A throw-away folder and the processes in it. `show` prints each command as it is typed.

    The folder is removed at the end, but not after a failure, which its logs may explain.
    """

    show: Callable[[str], None]
    root: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="bailment-demo-")))
    port: int = field(default_factory=lambda: free_port())
    _running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    _before: dict[signal.Signals, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> Path:
        return self.root / "issuer"

    def socket_of(self, model: str) -> Path:
        """Where a local model listens."""
        return self.root / model / "llm.sock"

    def run(self, *arguments: str, quiet: bool = False, ends: int = 0) -> str:
        """Type a command and wait; its output, or what it says against it. NotAsTold unless it ends
        with the exit code."""
        if not quiet:
            self._show(arguments)
        done = subprocess.run(  # noqa: S603 - our own program, no shell
            [*_BAILMENT, *arguments], capture_output=True, text=True, env=self._environment()
        )
        if done.returncode != ends:
            raise NotAsTold(
                f"`bailment {shlex.join(arguments)}` ended with {done.returncode}: "
                f"{done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout or done.stderr * bool(ends)

    def run_json(self, *arguments: str, quiet: bool = False) -> Any:
        """Type a command with `--json`."""
        return json.loads(self.run(*arguments, "--json", quiet=quiet))

    def start(
        self, *arguments: str, log: str, quiet: bool = False, **variables: str
    ) -> subprocess.Popen[str]:
        """Type a command that goes on, with more in its environment, which is not shown; its
        standard error goes to a file in the stage."""
        if not quiet:
            self._show(arguments)
        return self._start([*_LEASHED, *arguments], log, variables)

    def start_model(self, name: str) -> tuple[str, subprocess.Popen[str]]:
        """Start a local model; the key that its socket asks for, and its process."""
        socket = self.socket_of(name)
        socket.parent.mkdir(mode=0o700)
        key = secrets.token_urlsafe(32)
        module = "bailment.drills.local_model"
        process = self._start([sys.executable, "-m", module, str(socket), name], name)
        keyhole = cast(IO[str], process.stdin)
        keyhole.write(key + "\n")
        keyhole.flush()
        return key, process

    def start_employer(self, folder: Path, log: str) -> str:
        """Start a simulated identity provider, set up in a folder; its issuer."""
        command = [sys.executable, "-m", "bailment.drills.employer"]
        process = self._start([*command, str(folder), str(free_port())], log)
        issuer: str = json.loads(self.wait_for_line(process, "serving", 30))["serving"]
        return issuer

    def wait_for_line(self, process: subprocess.Popen[str], wanted: str, seconds: float) -> str:
        """The first line of a process's output that contains `wanted`."""
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            for line in cast(IO[str], process.stdout):
                if wanted in line:
                    return line.strip()
        finally:
            timer.cancel()
        name = next(name for name, one in self._running.items() if one is process)
        raise NotAsTold(
            f"the {name} ended or said nothing of `{wanted}` in {seconds:g} s; {self.log(name)}"
        )

    def check(self) -> None:
        """NotAsTold if a process that was started has failed."""
        for name, process in self._running.items():
            if process.poll():
                raise NotAsTold(f"the {name} ended with {process.returncode}; {self.log(name)}")

    def wait_ready(self, seconds: float) -> None:
        """Wait until the gateway says that it is ready."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            try:
                if httpx2.get(f"{self.url}/readyz", trust_env=False).status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.05)
        raise NotAsTold(f"the gateway was not ready in {seconds:g} s: {self.log('issuer')}")

    def log(self, name: str) -> str:
        """The end of what a process wrote to standard error."""
        path = self.root / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return " / ".join(lines[-3:])

    def close(self) -> None:
        """Stop what was started, whatever else is pressed meanwhile."""
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                cast(IO[str], pipe).close()
        self._running.clear()

    def __enter__(self) -> Stage:
        for number in _ENDING:
            self._before[number] = signal.signal(number, signal.default_int_handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if kind is None or issubclass(kind, KeyboardInterrupt):
            shutil.rmtree(self.root)
        elif isinstance(error, BailmentError):
            error.hint = error.hint or f"what each process wrote is in {self.root}"
        for number, handler in self._before.items():  # what this process starts next inherits it
            signal.signal(number, handler)

    def _start(
        self, command: Sequence[str], log: str, variables: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        with (self.root / f"{log}.log").open("w") as errors:
            process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**self._environment(), **(variables or {})},
                start_new_session=True,  # Ctrl-C is for the demonstration, which stops them
            )
        self._running[log] = process
        return process

    def _environment(self) -> dict[str, str]:
        """The user's environment, with the stage's own home and issuer."""
        own = {"HOME": str(self.root / "home"), "BAILMENT_DIR": str(self.issuer)}
        dropped = ("XDG_CONFIG_HOME", "PYTHONPATH", "BAILMENT_")
        return {k: v for k, v in os.environ.items() if not k.startswith(dropped)} | own

    def _show(self, arguments: Sequence[str]) -> None:
        text = shlex.join(("bailment", *arguments))
        self.show(text.replace(str(self.root), "$DEMO"))


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listeners(pid: int) -> list[str]:
    """The TCP sockets that a process listens on, as `address:port` in hex, from the kernel."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and columns[9] in inodes:
                found.append(columns[1])
    return found
