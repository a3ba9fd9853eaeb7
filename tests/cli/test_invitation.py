"""An invitation reaches a device without being shown to whoever lists this machine's processes."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from .lab import CONTACT, MODEL, PURPOSE, Lab, ModelServer, Quick, line_of, stop
from .terminal import Terminal

pytestmark = pytest.mark.journey

CODE = r"^code: (\S+)$"
WARNING = "warning: others on this machine can read an invitation on the command line"


@pytest.fixture(scope="module")
def lab(root: Path, model: ModelServer, quick: Quick) -> Iterator[Lab]:
    """A lab of its own, since others count who there is."""
    lab = Lab(Path(tempfile.mkdtemp(dir=root)), model, quick)
    lab.init()
    with lab.serving():
        lab.admin.ok("recipient", "key", lab.acme)
        lab.team.ok(
            *("recipient", "add", "acme", "--key", lab.acme / "admin.jwk", "--contact", CONTACT),
            *("--model", MODEL, "--purpose", PURPOSE),
        )
        yield lab


def test_it_is_read_from_standard_input_and_no_process_shows_it(lab: Lab) -> None:
    invitation = lab.invite("Ina", "ina@acme.example")
    with lab.engineer.start("enrol", "-", "--profile", "ina", typed=invitation) as enrolling:
        line_of(enrolling, CODE)
        shown = Path(f"/proc/{enrolling.pid}/cmdline").read_bytes()
        assert invitation.partition("#")[2].encode() not in shown
        assert WARNING not in stop(enrolling, signal.SIGINT).err


def test_it_is_read_from_the_environment(lab: Lab) -> None:
    invitation = lab.invite("Eva", "eva@acme.example")
    shell = replace(lab.engineer, environment={"BAILMENT_INVITATION": f"{invitation}\n"})
    with shell.start("enrol", "--profile", "eva") as enrolling:
        line_of(enrolling, CODE)
        assert WARNING not in stop(enrolling, signal.SIGINT).err
    with lab.engineer.start("enrol", "--profile", "eva") as again:  # and waits on without it
        line_of(again, CODE)
        stop(again, signal.SIGINT)
    done = replace(shell, environment={"BAILMENT_INVITATION": "x"})("enrol", "--profile", "none")
    assert (done.status, "the invitation is not a URL" in done.err) == (1, True)


@pytest.mark.parametrize("words", [(), ("-",)], ids=["nothing", "dash"])
def test_at_a_terminal_it_is_asked_for_and_not_shown(lab: Lab, words: tuple[str, ...]) -> None:
    invitation = lab.invite("Tess", f"tess{len(words)}@acme.example")
    with Terminal(lab.engineer, "enrol", *words, "--profile", f"tess{len(words)}") as terminal:
        terminal.until("invitation: ")
        terminal.type(f"{invitation}\n")
        terminal.until("code: ")
        assert invitation.partition("#")[2] not in terminal.shown
        terminal.type("\x03")
        terminal.end()


def test_on_the_command_line_it_is_taken_with_a_warning(lab: Lab) -> None:
    invitation = lab.invite("Walt", "walt@acme.example")
    with lab.engineer.start("enrol", invitation, "--profile", "walt") as enrolling:
        line_of(enrolling, CODE)
        assert WARNING in stop(enrolling, signal.SIGINT).err
