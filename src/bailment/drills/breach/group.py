"""What a live drill starts: the process of a group of strangers, and a holder's own agent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

import msgspec

from bailment.drills.breach.canaries import PURPOSE, Canary
from bailment.drills.breach.order import Line, Order, Protected, Tried
from bailment.errors import BailmentError

_ATTACKERS = (sys.executable, "-P", "-m", "bailment.drills.breach.attackers")
_AGENT = (sys.executable, "-m", "bailment.drills.leashed", "agent")


class Group:
    """An attackers' process."""

    def __init__(self, order: Order) -> None:
        self.protected: Protected | None = None
        self.tried: list[Tried] = []
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BAILMENT_")}
        self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            _ATTACKERS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        keyhole = cast(IO[bytes], self._process.stdin)
        keyhole.write(msgspec.json.encode(order) + b"\n")
        keyhole.flush()

    def stop(self) -> None:
        """End it; `wait` then hears no more."""
        self._process.kill()

    def wait(self, seconds: float) -> None:
        """Hear what they tell until they end; BailmentError if they could get at the issuer."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            for line in cast(IO[bytes], self._process.stdout):
                if not line.endswith(b"\n"):
                    break  # it was ended in the middle of a word
                told: Line = msgspec.json.decode(line, type=Line)
                if isinstance(told, Protected):
                    self.protected = told
                else:
                    self.tried.append(told)
        finally:
            timer.cancel()
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                cast(IO[bytes], pipe).close()
        if self.protected is None or (self.protected.how != "none" and not self.tried):
            raise BailmentError("the attackers' process failed; see its standard error above")
        if self.protected.how == "none":
            reached = [name for name, how in self.protected.tried.items() if how == "open"]
            raise BailmentError(
                f"an attackers' process could reach the issuer's {', '.join(reached)}, so that "
                "the drill would prove nothing",
                hint="run it on a kernel with Landlock, or as root",
            )


@contextmanager
def agent(canary: Canary) -> Iterator[tuple[str, str]]:
    """The holder's own agent: its base URL and its capability."""
    home = canary.device.folder.parent
    (home / "bailment").symlink_to(home)
    process = subprocess.Popen(  # noqa: S603 - our own program, no shell
        [*_AGENT, "--profile", "device", "--purpose", PURPOSE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "XDG_CONFIG_HOME": str(home)},
        start_new_session=True,
    )
    try:
        found: dict[str, str] = {}
        for line in cast(IO[str], process.stdout):
            name, _, value = line.strip().removeprefix("export ").partition("=")
            found[name] = value.strip("'\"")
            if "ANTHROPIC_API_KEY" in found:
                break
        else:
            raise BailmentError("the holder's agent did not start")
        yield found["ANTHROPIC_BASE_URL"], found["ANTHROPIC_API_KEY"]
    finally:
        process.terminate()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            cast(IO[str], pipe).close()
