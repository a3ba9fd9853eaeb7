"""The stage starts what users start, and leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bailment.drills.stage import NotAsTold, Stage, listeners
from bailment.drills.story import Story, expect

PATIENCE = 60


@contextmanager
def made() -> Iterator[Stage]:
    """A stage with an issuer that does not run."""
    with Stage(lambda command: None) as stage:
        stage.run("init", str(stage.issuer), "--origin", "o", "--contact", "c")
        yield stage


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until_gone(*pids: int) -> None:
    end = time.monotonic() + PATIENCE
    while not all(map(gone, pids)):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.journey
def test_at_the_end_nothing_runs_and_nothing_is_left() -> None:
    with made() as stage:
        waiting = stage.start("status", "--wait", str(PATIENCE), log="status")
        stage.check()
    assert waiting.returncode == -signal.SIGTERM
    assert not stage.root.exists()


@pytest.mark.journey
def test_after_a_failure_the_logs_are_left_and_named() -> None:
    with pytest.raises(NotAsTold, match="no issuer is running") as caught, made() as stage:
        stage.run("hold", "add", "everything", "--reason", "r")
    assert str(stage.root) in caught.value.hint
    assert stage.root.exists()


@pytest.mark.journey
def test_a_process_that_ends_is_named_with_its_last_words() -> None:
    with Stage(lambda command: None) as stage:
        process = stage.start("hold", "list", log="listing")
        with pytest.raises(NotAsTold, match="the listing ended or said nothing of `x`") as caught:
            stage.wait_for_line(process, "x", PATIENCE)
        assert "is not an issuer's folder" in str(caught.value)
        process.wait(PATIENCE)
        with pytest.raises(NotAsTold, match=r"the listing ended with 1; .*not an issuer's folder"):
            stage.check()


_PARENT = """
import os, sys, time
from bailment.drills.stage import Stage
with Stage(print) as stage:
    stage.run("init", str(stage.issuer), "--origin", "o", "--contact", "c")
    first = stage.start("status", "--wait", "600", log="first")
    second = stage.start("serve", log="second")
    print("started", first.pid, second.pid, stage.root, flush=True)
    while True:  # a signal just before one long sleep would be heard after it
        time.sleep(0.1)
"""


@pytest.mark.journey
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_however_it_dies_what_it_started_dies_too(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        told = next(line for line in parent.stdout if line.startswith("started")).split()
        pids, root = [int(pid) for pid in told[1:3]], Path(told[3])
        assert not any(map(gone, pids))
        try:
            parent.send_signal(how)
            parent.wait(PATIENCE)
        finally:
            parent.kill()
        until_gone(*pids)
    assert root.exists() == (how is signal.SIGKILL)


def test_listeners_are_found_on_every_address() -> None:
    for host in ("127.0.0.1", "::1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as server:
            port = server.getsockname()[1]
            assert any(found.endswith(f":{port:04X}") for found in listeners(os.getpid()))
        assert not any(found.endswith(f":{port:04X}") for found in listeners(os.getpid()))


def test_a_step_says_whether_it_went_as_it_says_and_what_does_not_print_is_escaped() -> None:
    before, shown = threading.active_count(), StringIO()
    story = Story(Console(file=shown, highlight=False))
    with story.step("one"):
        story.says("two lines\nand \x1b[31mred")
    with pytest.raises(NotAsTold, match="not so"), story.step("two"):
        expect([], "not so")
    text = shown.getvalue()
    assert "1. one\n     two lines\n     'and \\x1b[31mred'\n   ✓ 0." in text
    assert text.endswith("2. two\n   did not go as it says\n")
    assert threading.active_count() <= before, "what turns while a step lasts has ended"
