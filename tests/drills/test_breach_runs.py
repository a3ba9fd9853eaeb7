"""Both forms of the drill, small."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ..cli.lab import KEY, ModelServer, free_port, private

pytestmark = [pytest.mark.journey, pytest.mark.slow]
PROGRAM = [sys.executable, "-m", "bailment"]
_CANARY = """
[models.canary]
url = "unix://{socket}"
key_file = "model.key"
context = 8192
output = 512
canary = true
"""
PATIENCE = 180


def _run(*arguments: str, ends: int = 0) -> str:
    done = subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE, env=os.environ
    )
    assert done.returncode == ends, done.stderr
    return done.stdout


def test_a_live_drill_refuses_and_notices_and_is_then_in_no_count_nor_is_one_broken_off(
    tmp_path: Path,
) -> None:
    issuer, port = tmp_path / "i", free_port()
    _run(
        *("init", str(issuer), "--origin", "lab.example/log", "--contact", "a@lab.example"),
        *("--url", f"http://127.0.0.1:{port}", "--port", str(port)),
    )
    with (issuer / "bailment.toml").open("a") as settings:
        settings.write(_CANARY.format(socket=tmp_path / "m.sock"))
    private(issuer / "model.key", KEY)
    with ModelServer(tmp_path / "m.sock").running():
        serving = subprocess.Popen(
            [*PROGRAM, "serve", "-d", str(issuer)], stderr=subprocess.DEVNULL
        )
        try:
            _run("status", "--wait", "60", "-d", str(issuer))
            variants = ("--variant", "bearer", "--variant", "copied-key")
            brief = ("--seconds", "4", "--pace", "0.3", "--json", "-d", str(issuer))
            told = json.loads(_run("drill", "run", "breach-2026", "--live", *variants, *brief))
            for number in (signal.SIGINT, signal.SIGTERM):
                _broken_off(issuer, number, ends=130)
                assert not (issuer / "drill.json").exists()
            _broken_off(issuer, signal.SIGKILL, ends=-signal.SIGKILL)
            assert (issuer / "drill.json").exists()
            assert list(tmp_path.glob("bailment-drill-*")), "with keys of its recipients"
            assert "bailment drill end" in _run("doctor", "-d", str(issuer), ends=1)
            _run("drill", "end", "-d", str(issuer))
            assert not list(tmp_path.glob("bailment-drill-*"))
            findings = _listed(issuer, "finding")
            holds = _listed(issuer, "hold")
            standing = json.loads(_run("standing", "list", "--json", "-d", str(issuer)))
            links = json.loads(_run("link", "list", "--json", "-d", str(issuer)))
        finally:
            serving.terminate()
            serving.wait(PATIENCE)
    bearer, copied = told["variants"]
    assert (bearer["answers"], bearer["refused"]["name"]) == (0, "proof-missing")
    assert "ratchet-forked" in copied["findings"]
    assert copied["contained"]["name"] == "device on hold"
    assert told["background"]["refused"] == 0
    assert standing == [], "a drill's recipients are in no count"
    assert links and {one["state"] for one in links} == {"ended"}
    assert {one["drill"] for one in findings} == {told["drill"]}
    assert {one["drill"] for one in holds if one["subject"].startswith("device:")} == {
        told["drill"]
    }
    assert not (issuer / "drill.json").exists()


def _listed(issuer: Path, what: str) -> list[dict[str, Any]]:
    """Findings or holds, of which none are left where those of drills are left out."""
    assert json.loads(_run(what, "list", "--no-drills", "--json", "-d", str(issuer))) == []
    found: list[dict[str, Any]] = json.loads(_run(what, "list", "--json", "-d", str(issuer)))
    return found


def _broken_off(issuer: Path, number: signal.Signals, *, ends: int) -> None:
    """A drill that gets a signal as soon as it has a recipient, while another may not begin."""
    command = [*PROGRAM, "drill", "run", "breach-2026", "--live", "-d", str(issuer)]
    # What a process that is killed leaves there is the test's.
    kept = {**os.environ, "TMPDIR": str(issuer.parent)}
    held = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=kept)
    try:
        end = time.monotonic() + PATIENCE
        while not _recipients(issuer) and held.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert _recipients(issuer), "it has begun"
        _run("drill", "end", "-d", str(issuer), ends=1)
        held.send_signal(number)
        assert held.wait(PATIENCE) == ends
    finally:
        held.kill()
        held.wait()


def _recipients(issuer: Path) -> list[str]:
    path = issuer / "drill.json"
    found: list[str] = json.loads(path.read_bytes())["recipients"] if path.exists() else []
    return found


def _lab(tmp_path: Path) -> dict[str, Any]:
    small = ("--recipients", "2", "--weeks", "0.3", "--seed", "3", "--json")
    variants = ("--variant", "bearer", "--variant", "copied-key", "--variant", "relay-2")
    plot = ("--plot", str(tmp_path / "p.svg"))
    told: dict[str, Any] = json.loads(
        _run("drill", "run", "breach-2026", "--lab", *small, *variants, *plot)
    )
    return told


def test_a_small_lab_is_the_same_twice(tmp_path: Path) -> None:
    first, second = _lab(tmp_path), _lab(tmp_path)
    assert first["simulated"] is True
    assert (tmp_path / "p.svg").read_text().startswith("<svg")
    assert first["background"] == second["background"]
    for one, other in zip(first["variants"], second["variants"], strict=True):
        same = ("variant", "requests", "answers", "tokens", "static", "static_answers", "reasons")
        assert {name: one[name] for name in same} == {name: other[name] for name in same}
    assert first["variants"][0]["answers"] == 0
