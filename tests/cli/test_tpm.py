"""A key in a TPM, as an engineer types it."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bailment.agent.tpm import VARIABLE

from ..software_tpm import maker, running
from .lab import CONTACT, MODEL, PURPOSE, Lab, ModelServer, Quick, Shell, ask, line_of, stop, wait

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def lab(root: Path, model: ModelServer, quick: Quick) -> Iterator[Lab]:
    """A lab that believes a maker of TPMs, of whom an engineer's machine has one."""
    lab = Lab(Path(tempfile.mkdtemp(dir=root)), model, quick)
    lab.init()
    made = maker(lab.root / "maker")
    made.make(lab.root / "state")
    settings = lab.folder / "bailment.toml"
    roots = ", ".join(f'"{one}"' for one in made.roots)
    settings.write_text(settings.read_text() + f"\n[tpm]\nroots = [{roots}]\n")
    with lab.serving():
        lab.admin.ok("recipient", "key", lab.acme)
        lab.team.ok(
            *("recipient", "add", "acme", "--key", lab.acme / "admin.jwk", "--contact", CONTACT),
            *("--model", MODEL, "--purpose", PURPOSE),
        )
        yield lab


@pytest.fixture
def engineer(lab: Lab) -> Iterator[Shell]:
    with running(lab.root / "state") as path:
        kept = {**lab.engineer.environment, VARIABLE: path}
        yield replace(lab.engineer, environment=kept)


def test_enrol_takes_the_tpm_and_says_so_and_the_agent_signs_with_it(
    lab: Lab, engineer: Shell
) -> None:
    invitation = lab.invite("Tim", "tim@acme.example")
    with engineer.start("enrol", "-", "--profile", "tim", typed=invitation) as enrolling:
        code = line_of(enrolling, r"^code: (\S+)$")
        lab.admin.ok("delegate", "device", code, "--admin", lab.acme, "--yes")
        done = wait(enrolling)
    assert (done.status, done.out) == (0, f"enrolled for {PURPOSE}\n"), done.err
    assert "the key is in this machine's TPM, and cannot leave it" in done.err
    folder = engineer.home / ".config" / "bailment" / "tim"
    assert json.loads((folder / "profile.json").read_bytes())["key_class"] == "hw-attested"
    (profile,) = engineer("doctor", "--profile", "tim", "--json").json[:1]
    assert profile["says"].endswith("its key is in the TPM")
    with engineer.start("agent", "--profile", "tim", "--json") as agent:
        variables = json.loads(line_of(agent, "{.*}"))
        for _ in range(3):
            assert ask(variables).status_code == 200
        stop(agent)
    refused = engineer("agent", "certificate", "--profile", "tim")
    assert refused.status == 1
    assert "this device's key is in hardware" in refused.err


def test_a_tpm_that_is_gone_is_an_error_and_one_that_is_back_is_used(
    lab: Lab, engineer: Shell
) -> None:
    socket = Path(engineer.environment[VARIABLE])
    with engineer.start("agent", "--profile", "tim", "--json") as agent:
        variables = json.loads(line_of(agent, "{.*}"))
        socket.unlink()
        os.kill(int((socket.parent / "pid").read_text()), signal.SIGKILL)
        refused = ask(variables)
        assert (refused.status_code, "key-unusable" in refused.text) == (502, True)
        with running(lab.root / "state") as path:
            Path(path).rename(socket)
            assert ask(variables).status_code == 200
            stop(agent)


def test_a_machine_without_a_tpm_says_so(lab: Lab) -> None:
    kept = {**lab.engineer.environment, VARIABLE: "/nowhere", "BAILMENT_INVITATION": "x"}
    shell = replace(lab.engineer, environment=kept)
    invitation = lab.invite("Una", "una@acme.example")
    enrol = ("enrol", "-", "--profile", "una", "--key", "tpm")
    with shell.start(*enrol, typed=invitation) as enrolling:
        done = wait(enrolling)
    assert (done.status, "this machine has no TPM 2.0 at `/nowhere`" in done.err) == (1, True)
    with shell.start(*enrol[:4], typed=invitation) as enrolling:
        line_of(enrolling, r"^code: (\S+)$")
        assert "the key is in a file, which can be copied" in stop(enrolling).err
