"""kill -9 at random points, again and again: nothing acknowledged is lost, no history forks.

Each process opens the log by the ordinary path and appends from several writers until it is
killed: while it starts, while it recovers, under load. What it was told to be durable it tells
over a pipe. (A kill does not test power loss: `tests/store/test_power_loss.py` does.)
"""

from __future__ import annotations

import base64
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

KILLS = 250
CHECK_EVERY = 50
#: How long after a phase began the kill comes, at most, in seconds.
PHASES = {"starting": 0.4, "recovering": 0.06, "appending": 0.8}
APPENDER = Path(__file__).with_name("appender.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.mark.soak
def test_killed_processes_lose_nothing_they_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, seen = tmp_path / "issuer", tmp_path / "seen"
    _run("prepare", root)
    chance = random.Random(20260407)
    died: Counter[str] = Counter()
    summary = ""
    for kill in range(1, KILLS + 1):
        phase = chance.choices(list(PHASES), (2, 3, 4))[0]
        lines = _kill_one(root, phase, chance.random() * PHASES[phase])
        died[_phase(lines)] += 1
        with seen.open("a") as file:
            file.writelines(lines)
        if kill % CHECK_EVERY == 0:
            summary = _run("check", root, seen).decode()
    entries, acknowledged, checkpoints = map(int, summary.split())
    assert sum(died.values()) == KILLS
    assert min(died["starting"], died["recovering"], died["appending"]) >= 10, died
    with capsys.disabled():
        sys.stdout.write(
            f"\n{KILLS} kills: {died['starting']} while starting, {died['recovering']} while "
            f"recovering, {died['appending']} while appending\n"
            f"{entries} entries; {acknowledged} acknowledged, 0 lost; {checkpoints} checkpoints "
            "seen, each consistent with the next\n"
        )


def _kill_one(root: Path, phase: str, after: float) -> list[str]:
    """Start an appender and kill it so long after the phase began; all that was seen meanwhile."""
    lines: list[str] = []
    reached = {name: threading.Event() for name in PHASES}
    reached["starting"].set()
    with subprocess.Popen(
        [sys.executable, str(APPENDER), "append", str(root)],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        reader = threading.Thread(target=_read, args=(process, lines, reached))
        reader.start()
        assert reached[phase].wait(60), "the appender does not start"
        end = time.monotonic() + after
        while (left := end - time.monotonic()) > 0:
            lines.extend(_published(root))
            time.sleep(min(left, 0.01))
        process.kill()
        reader.join()
    assert process.returncode == -9, "the appender ended by itself"
    lines.extend(_published(root))
    assert all(line.endswith("\n") for line in lines)
    return lines


def _read(
    process: subprocess.Popen[bytes], lines: list[str], reached: dict[str, threading.Event]
) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.decode())
        if line == b"opening\n":
            reached["recovering"].set()
        elif line.startswith(b"open "):
            reached["appending"].set()
    for event in reached.values():
        event.set()


def _published(root: Path) -> list[str]:
    try:
        note = (root / "log" / "checkpoint").read_bytes()
    except FileNotFoundError:
        return []
    return [f"checkpoint {base64.b64encode(note).decode()}\n"]


def _phase(lines: list[str]) -> str:
    if any(line.startswith("open ") for line in lines):
        return "appending"
    return "recovering" if "opening\n" in lines else "starting"


def _run(*arguments: str | Path) -> bytes:
    done = subprocess.run(
        [sys.executable, str(APPENDER), *map(str, arguments)],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
