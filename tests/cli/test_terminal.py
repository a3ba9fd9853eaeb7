"""What reaches a terminal, a pipe, a file or a foreign locale, and how Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access import jwk
from bailment.access.chain import Link, commit_person, sign_link
from bailment.cli.serve import opened
from bailment.clock import now_ms
from bailment.store.folder import Folder

from .lab import MARIA, OTHER, PATIENCE, Lab, Shell, command, line_of, stop, wait
from .terminal import Terminal

pytestmark = pytest.mark.journey

#: Clears the screen, sets the title, reverses the line, says things in the program's own markup.
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m[bold red]x[/]\u202e\r\nok     all is well"
#: What the gateway takes for a name all the same.
SLY = "[bold red]x[/]\u00a0ok     all is well"
LONG = "Wolfeschlegelsteinhausenbergerdorff " * 5
LISTINGS = ("recipient", "person", "link", "hold", "access")


@pytest.fixture(scope="module")
def evil(root: Path, bare: Lab) -> Iterator[Lab]:
    """A lab in whose log are names that are no names, which control would have refused."""
    lab = Lab(Path(tempfile.mkdtemp(dir=root)), bare.model, bare.quick, bare.port)
    shutil.copytree(bare.folder, lab.folder)
    asyncio.run(_misname(Folder(lab.folder)))
    yield lab
    shutil.rmtree(lab.root)


async def _misname(folder: Folder) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = jwk.from_key(key.public_key())
    now = now_ms()
    top = Link("", "", "recipient", "", now, now + 10**9, None, (OTHER,), (EVIL,))
    async with opened(folder) as issuer:
        actions = issuer.actions
        await actions.register_model(OTHER, 4096, 256, EVIL)
        handle = EVIL.replace("[/]", "")  # whose `/` the register itself refuses
        _, above, _ = await actions.register_recipient(handle, EVIL, public.jwk, top, EVIL)
        for name, email in ((EVIL, SLY), (LONG, "José-日本@acme.example")):
            ids = os.urandom(16).hex(), above, "person", os.urandom(16).hex()
            named = {"name": name, "email": email}
            link = Link(*ids, now, now + 10**9, personal=commit_person(named))  # type: ignore[arg-type]
            await actions.grant(sign_link(link, key, public.thumbprint), named)
        await actions.hold(f"model:{OTHER}", EVIL, EVIL)


def harmless(text: str) -> bool:
    """Whether a terminal could be shown this without obeying it, but for colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r\n", "\n").replace("\n", "")
    return not any(unicodedata.category(ch) in ("Cc", "Cf", "Zl", "Zp") for ch in plain)


@pytest.mark.parametrize("listing", LISTINGS)
def test_no_name_commands_the_terminal(evil: Lab, listing: str) -> None:
    text = evil.team.ok(listing, "list")
    assert harmless(text)
    assert "\n" + "ok     all is well" not in text
    as_json = evil.team.ok(listing, "list", "--json")
    assert harmless(as_json)
    if listing != "access":
        assert (
            "\\x1b[2J\\x1b]0;owned\\x07\\x9b31m[bold red]x[/]\\u202e\\r\\nok     all is well"
            in text
        )
        assert any(EVIL in row.values() for row in json.loads(as_json))
    if listing == "person":
        assert "[bold red]x[/]\\xa0ok     all is well" in text


def test_no_name_commands_a_terminal_that_is_there(evil: Lab) -> None:
    with Terminal(evil.team, "hold", "list") as terminal:
        assert terminal.end() == 0
        assert harmless(terminal.shown)
        assert "\x1b[" in terminal.shown  # headings are bold
        lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.shown).splitlines()
        assert max(map(len, lines)) <= 80


def test_no_color_is_obeyed(evil: Lab) -> None:
    for words in (("hold", "list"), ("doctor",), ("hold", "lift", "00", "--reason", "r")):
        with Terminal(evil.team, *words, NO_COLOR="1", TERM="dumb") as terminal:
            terminal.end()
            assert "\x1b" not in terminal.shown


def test_without_a_terminal_each_row_is_a_line(evil: Lab) -> None:
    rows, lines = evil.team.json("person", "list"), evil.team.ok("person", "list").splitlines()
    assert len(lines) == len(rows) + 1
    assert any(LONG.strip() in line for line in lines)


def test_the_admin_is_asked_in_words_that_cannot_be_forged(lab: Lab) -> None:
    invitation = lab.invite("Mal", "mal@acme.example")
    enrol = ("enrol", "-", "--profile", "mal", "--name", SLY)
    with lab.engineer.start(*enrol, typed=invitation) as enrolling:
        code = line_of(enrolling, r"^code: (\S+)$")
        confirm = ("delegate", "device", code, "--admin", str(lab.acme))
        for typed, status, said in (
            ("n\n", 1, "nothing was confirmed"),
            ("\x03", 1, "Aborted"),
            ("y\n", 0, "the device is confirmed"),
        ):
            with Terminal(lab.admin, *confirm) as terminal:
                terminal.until("[y/N]")
                assert harmless(terminal.shown)
                asked = terminal.shown.replace("\r\n", "")
                assert "Mal's device `[bold red]x[/]\\xa0ok     all is well`" in asked
                terminal.type(typed)
                assert (terminal.end(), said in terminal.shown) == (status, True)
                assert "Traceback" not in terminal.shown
        assert wait(enrolling).status == 0


class _Liar(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"title": EVIL, "detail": EVIL, "hint": EVIL, "reason": EVIL}).encode()
        self.send_response(403)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *values: object) -> None:
        pass


@contextmanager
def lying() -> Iterator[str]:
    """The URL of a gateway that answers everything with refusals of evil words."""
    with HTTPServer(("127.0.0.1", 0), _Liar) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_refusals_words_do_not_reach_the_terminal_raw(lab: Lab) -> None:
    with lying() as url:
        person = ("delegate", "person", "X", "--admin", lab.acme, "--gateway", url)
        for done in (
            lab.admin(*person),
            lab.engineer(
                *("enrol", "-", "--profile", "liar", "--key", "software"),
                typed=f"{url}/enrol#x",
            ),
        ):
            assert done.status == 1
            assert "the gateway refuses" in done.err
            assert harmless(done.err)
            said = [line for line in done.err.splitlines() if "the key is in a file" not in line]
            assert len(said) <= 2


def run(shell: Shell, *words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """The real program, from the shell."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": shell.env, **options}
    return subprocess.run(command(*words), cwd=shell.home, timeout=PATIENCE, **given)  # type: ignore[call-overload, no-any-return]


def test_a_locale_without_the_letters_is_no_obstacle(evil: Lab) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    env = {**evil.team.env, **ascii_only}
    listed = run(evil.team, "person", "list", env=env)
    assert (listed.returncode, listed.stderr) == (0, b"")
    assert b"Jos\\xe9-\\u65e5\\u672c@acme.example" in listed.stdout
    as_json = run(evil.team, "person", "list", "--json", env=env)
    assert any("José-日本" in row["email"] for row in json.loads(as_json.stdout))
    note = run(evil.team, "log", "checkpoint", env=env).stdout
    assert note.decode().splitlines()[4].startswith("— lab.example/log ")


def test_an_argument_that_is_no_text_is_refused(lab: Lab) -> None:
    words = [os.fsencode(word) for word in command("access", "list", "--person")]
    done = subprocess.run([*words, b"\xff"], capture_output=True, env=lab.team.env)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"error: an argument is not text in this terminal's encoding\n"


@pytest.mark.parametrize("words", [("person", "list"), ("person", "list", "--json"), ("--help",)])
def test_a_reader_who_has_had_enough_is_no_error(evil: Lab, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(evil.team, *words, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_listing_in_a_pipeline_ends_quietly(evil: Lab) -> None:
    script = f"set -o pipefail; '{sys.executable}' -m bailment person list | head -1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=evil.team.env)
    assert done.stdout.startswith(b"name ")
    assert done.stderr == b""


@pytest.mark.parametrize("words", [("person", "list"), ("person", "list", "--json")])
def test_an_output_that_is_full_is_said(lab: Lab, words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = run(lab.team, *words, stdout=full)
    assert (done.returncode, done.stderr) == (
        1,
        b"error: cannot use the output: no space left on device\n",
    )


def test_closed_outputs_are_no_obstacle(lab: Lab) -> None:
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        script = f"'{sys.executable}' -m bailment hold list {closed}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, env=lab.team.env)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False)


LOADING = """
import os, runpy, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["bailment", "hold", "list"]
runpy.run_module("bailment", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["typer", "rich.table", "bailment.store.view"])
def test_ctrl_c_while_it_loads_ends_it_without_a_word(bare: Lab, module: str) -> None:
    code = LOADING.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=bare.team.env)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_agent_ends_when_told(lab: Lab, how: signal.Signals) -> None:
    with lab.engineer.start("agent") as process:
        line_of(process, "ANTHROPIC_API_KEY")
        done = stop(process, how)
        assert (done.status, done.err.count("\n")) == (0, 1)  # a word on what the keys are worth


def test_an_issuer_ends_when_told_by_ctrl_c_too(copied: Lab) -> None:
    with copied.team.start("serve") as process:
        copied.team.ok("status", "--wait", str(PATIENCE))
        assert stop(process, signal.SIGINT).status == 0
    assert not (copied.folder / "control.sock").exists()


def test_prompts_are_for_terminals_alone(lab: Lab) -> None:
    with Terminal(lab.team, "person", "erase", MARIA, "--reason", "r") as terminal:
        terminal.until("[y/N]")
        terminal.type("\n")
        assert terminal.end() == 1
    assert lab.team.json("access", "list", "--person", MARIA, "--limit", "1")
