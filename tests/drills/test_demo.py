"""The demonstration, as a newcomer meets it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from itertools import chain
from pathlib import Path
from typing import IO, Self, cast

import pytest

from .test_stage import PATIENCE, gone, until_gone

pytestmark = [pytest.mark.journey, pytest.mark.slow]

STEPS = (
    "A lab starts an issuer in front of a model that only it can reach",
    "It says what a recipient must prove: eight requirements, in three tiers",
    "A person decides which tier the model is, on an evaluation's results",
    "A recipient is registered; its admin's key stays with it",
    "Its admin names a person, who enrols a device with a key that never leaves it",
    "The agent signs for her; SDKs need a base URL and a key that works only here",
    "The model is T3, and acme has proven nothing",
    "It rehearses with a canary model, which asks for no tier",
    "The lab measures how fast it can revoke acme's access",
    "Acme hands in a roster, and what an assessor signed (it is simulated)",
    "So acme has earned T3, and nobody gave it",
    "The unmodified OpenAI and Anthropic SDKs talk to the model",
    "A thief has her access token, but not her key",
    "Something was unusual, so she has to sign in again; a thief could not",
    "Somebody calls the model around the gateway",
    "Maria is put on hold while a stream is on its way to her",
    "Brook and cove register, enrol and rehearse in the same way",
    "Brook scans its own tenant, and knows before it sends anything",
    "It sends the scan all the same, and is refused for what the scan says",
    "Cove earns T3 with yesterday's roster; the spec takes one for a day",
    "The roster grows too old, and the gateway refuses at that very moment",
    "A contractor of acme's wants access, and nobody declared it",
    "Acme declares it, for less than acme has; it must prove T3 itself",
    "It earns T3 as acme did",
    "The contract ends while a stream is on its way: one record, and Maria works on",
    "Who did what",
    "An outsider checks all of it, from an export and the pinned key alone",
    "Cove hands in today's roster, and has T3 back",
    "Four strangers are given the token of Cleo, of cove",
    "Four strangers copy her device's key, each onto a machine of their own",
    "That is an incident: what could be reached, and what was",
    "The plan is shown with whom it cuts off, then carried out, then tried",
)
SAID = (
    "she signs in at acme's provider (it is simulated): You are signed in",
    "smollm2-135m answers on a unix socket and on no port at all",
    "from no spec to restricted-demo 1.0.0",
    "smollm2-135m belongs to T3",
    "PermissionDeniedError, code 'standing-too-low'",
    "AM-1 missing (Everybody who reaches the model is a named, current person; by ",
    "acme  T3 restricted  NOT HELD, ",
    "streams cut after ",
    "what Maria saw: cut, refused for ",
    "counts as third-party, SIMULATED",
    "acme  T3 restricted  held until ",
    "holds:    8 (4 simulated): 3 observed, 4 third-party, 1 self-tool",
    "AM-7 fails: scuba.entra MS.AAD.3.1v1",
    "AM-7 failed (Phishing-resistant sign-in is enforced for everybody; by scuba.entra)",
    "next: AM-7: mend scuba.entra MS.AAD.3.1v1",
    "s before: answered",
    "standing is T1 now: AM-1 expired",
    "cut (standing-too-low)",
    "the token alone: 401 proof-missing",
    "the token with the thief's own key: 401 proof-key",
    "in the log: Maria Silva's token, refused: proof-key",
    "that no access in the log explains",
    "the SDK raises APIError",
    "PermissionDeniedError, code 'held'",
    "contact security@lab.example",
    "cut (held)",
    "`proof-key`",
    "the subcontractor acme/vale's standing is none now",
    "PermissionDeniedError, code 'link-ended'",
    "Maria, of acme itself: answered",
    "standings again, from the spec and the evidence",
    "verified: the log is what it claims to be",
    "so her own device is cut too: PermissionDeniedError, code 'held'",
    "1 of 1 credentials refused; 0 accesses open",
    "not cut: Maria, of acme: answered",
    "all of it went as it says",
)

#: For all of it, where others use the machine too.
_WHOLE = 6 * PATIENCE
#: For what it offers to try: a live drill among it takes more than a minute by itself.
_TRIES = 4 * PATIENCE


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
        self._timer = threading.Timer(_WHOLE + _TRIES, self._process.kill)
        self._timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """It and its children are gone, whatever the test came to."""
        if self._process.poll() is None:
            self.tell(signal.SIGINT)
            self._process.communicate(timeout=PATIENCE)
        self._timer.cancel()

    def until(self, text: str) -> None:
        """Read until a line with this is shown."""
        for line in cast(IO[str], self._process.stdout):
            self.shown += line
            if text in line:
                return
        raise AssertionError(self.shown + self.end()[1])

    def children(self) -> dict[str, list[int]]:
        """What it has started that goes on, by the last word of note of the command line."""
        task = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        found: dict[str, list[int]] = {}
        for pid in map(int, task.read_text().split()):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            module = words[words.index("-m") + 1] if "-m" in words else ""
            if module in ("bailment.drills.leashed", "bailment.cli.process"):
                found.setdefault(words[words.index("-m") + 2], []).append(pid)
            elif module == "bailment.drills.local_model":
                found.setdefault(module, []).append(pid)
        return found

    def tell(self, how: signal.Signals) -> None:
        self._process.send_signal(how)

    def end(self) -> tuple[int, str]:
        """The exit status and what was said to standard error."""
        out, err = self._process.communicate(timeout=_WHOLE)
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
    with Demo("--once") as demo:
        assert demo.end() == (0, "")
        at = 0
        for number, step in enumerate(STEPS, 1):
            at = demo.shown.index(f"\n{number}. {step}\n", at)
        assert demo.shown.count("   ✓ ") == len(STEPS)
        for said in SAID:
            assert said in demo.shown
        assert not demo.root.exists()


def test_it_stays_up_and_each_thing_to_try_works_until_ctrl_c(tmp_path: Path) -> None:
    with Demo() as demo:
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
            timeout=_TRIES,
        )
        assert tried.returncode == 0, tried.stdout + tried.stderr
        assert "wrong" not in re.split(r"[^a-z-]+", tried.stdout)  # a doctor's word
        assert "verified: record 0" in tried.stdout
        children = demo.children()
        assert {name: len(pids) for name, pids in children.items()} == {
            "bailment.drills.local_model": 2,
            "serve": 1,
            "agent": 4,
        }
        demo.tell(signal.SIGINT)
        assert demo.end() == (0, "")
        assert all(map(gone, chain(*children.values())))
        assert not demo.root.exists()


def test_a_step_that_fails_fails_the_demonstration() -> None:
    with Demo("--once") as demo:
        demo.until("8. It rehearses with a canary model, which asks for no tier")
        children = demo.children()
        subprocess.run(["kill", "-9", *map(str, children["agent"])], check=True)
        status, said = demo.end()
        assert status == 1
        assert demo.shown.count("did not go as it says") == 1
        assert re.search(r"^error: openai .*: APIConnectionError", said)
        assert f"what each process wrote is in {demo.root}" in said
        assert "all of it went as it says" not in demo.shown
        until_gone(*chain(*children.values()))


@pytest.mark.parametrize("moment", ["$ bailment init", "$ bailment serve"])
def test_ctrl_c_at_any_time_leaves_nothing_behind(moment: str) -> None:
    with Demo() as demo:
        demo.until(moment)
        children = demo.children()
        demo.tell(signal.SIGINT)
        assert demo.end() == (130, "")
        until_gone(*chain(*children.values()))
        assert not demo.root.exists()
