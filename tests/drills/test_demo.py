"""The demonstration, as a newcomer meets it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, cast

import pytest

from .test_stage import PATIENCE, gone, until_gone

pytestmark = [pytest.mark.journey, pytest.mark.slow]

STEPS = (
    "A lab starts an issuer in front of a model that only it can reach",
    "A recipient is registered; its admin's key stays with it",
    "Its admin names a person, who enrols a device with a key that never leaves it",
    "The agent signs for her; SDKs need a base URL and a key that works only here",
    "The unmodified OpenAI and Anthropic SDKs talk to the model",
    "A thief has her access token, but not her key",
    "Somebody calls the model around the gateway",
    "Maria is put on hold while a stream is on its way to her",
    "Who did what",
    "An outsider checks all of it, from an export and the pinned key alone",
)
SAID = (
    "smollm2-135m answers on a unix socket and on no port at all",
    "the token alone: 401 proof-missing",
    "the token with the thief's own key: 401 proof-key",
    "in the log: Maria Silva's token, refused: proof-key",
    "that no access in the log explains",
    "the SDK raises APIError",
    "PermissionDeniedError, code 'held'",
    "contact security@lab.example",
    "cut (held)",
    "verified: the log is what it claims to be",
    "all of it went as it says",
)


class Demo:
    """The demonstration in a terminal of its own."""

    def __init__(self, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bailment", "demo", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.shown = ""
        self._timer = threading.Timer(3 * PATIENCE, self._process.kill)
        self._timer.start()

    def until(self, text: str) -> None:
        """Read until a line with this is shown."""
        for line in cast(IO[str], self._process.stdout):
            self.shown += line
            if text in line:
                return
        raise AssertionError(self.shown + self.end()[1])

    def children(self) -> dict[str, int]:
        """What it has started that goes on, by the last word of note of the command line."""
        task = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        found = {}
        for pid in map(int, task.read_text().split()):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            module = words[words.index("-m") + 1] if "-m" in words else ""
            if module in ("bailment.drills.leashed", "bailment.cli.process"):
                found[words[words.index("-m") + 2]] = pid
            elif module == "bailment.drills.local_model":
                found[module] = pid
        return found

    def tell(self, how: signal.Signals) -> None:
        self._process.send_signal(how)

    def end(self) -> tuple[int, str]:
        """The exit status and what was said to standard error."""
        out, err = self._process.communicate(timeout=PATIENCE)
        self._timer.cancel()
        self.shown += out
        assert "Traceback" not in err, err
        return self._process.returncode, err

    @property
    def root(self) -> Path:
        found = re.search(r"everything happens in (\S+),", self.shown)
        assert found is not None
        return Path(found[1])


def test_once_tells_and_checks_the_whole_story() -> None:
    demo = Demo("--once")
    assert demo.end() == (0, "")
    at = 0
    for number, step in enumerate(STEPS, 1):
        at = demo.shown.index(f"\n{number}. {step}\n", at)
    assert demo.shown.count("   ✓ ") == len(STEPS)
    for said in SAID:
        assert said in demo.shown
    assert not demo.root.exists()


def test_it_stays_up_and_each_thing_to_try_works_until_ctrl_c(tmp_path: Path) -> None:
    demo = Demo()
    demo.until("Ctrl-C ends it")
    tries = demo.shown.partition("in another terminal, try:\n")[2].splitlines()
    script = "\n".join(line.strip() for line in tries if line.startswith("     "))
    assert script.count("bailment ") >= 7
    tried = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert tried.returncode == 0, tried.stderr
    assert "wrong" not in tried.stdout
    assert "verified: record 0" in tried.stdout
    children = demo.children()
    assert children.keys() == {"bailment.drills.local_model", "serve", "agent"}
    demo.tell(signal.SIGINT)
    assert demo.end() == (0, "")
    assert all(map(gone, children.values()))
    assert not demo.root.exists()


def test_a_step_that_fails_fails_the_demonstration() -> None:
    demo = Demo("--once")
    demo.until("5. The unmodified OpenAI and Anthropic SDKs talk to the model")
    children = demo.children()
    subprocess.run(["kill", "-9", str(children["agent"])], check=True)
    status, said = demo.end()
    assert status == 1
    assert demo.shown.count("did not go as it says") == 1
    assert re.search(r"^error: openai .*: APIConnectionError", said)
    assert f"what each process wrote is in {demo.root}" in said
    assert "all of it went as it says" not in demo.shown
    until_gone(*children.values())


@pytest.mark.parametrize("moment", ["$ bailment init", "$ bailment serve"])
def test_ctrl_c_at_any_time_leaves_nothing_behind(moment: str) -> None:
    demo = Demo()
    demo.until(moment)
    children = demo.children()
    demo.tell(signal.SIGINT)
    assert demo.end() == (130, "")
    until_gone(*children.values())
    assert not demo.root.exists()
