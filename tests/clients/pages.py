"""The pages in `docs/clients/`, run as they stand.

A block that is opened with ```` ```python by=WAY ```` makes a client in that way, one with
`use=USE` uses it; `bash by=WAY use=USE` is whole by itself. Each client and way is one process,
with what the page tells its reader to have: an enrolled device, and the sidecar's variables. The
only stand-ins are the model's server, the host name, and the authority of its certificate.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pytest

from bailment.agent.certificate import certificate, fetch_certified_token
from bailment.agent.client import fetch_token
from bailment.agent.profile import Device, Profile, device_key, save
from bailment.ledger.records import AccessClosed, AccessOpened

from ..gateway.scripted import Peer
from ..world import END, PATIENCE, PURPOSE, STREAM, Asked, World, canned, chunk, world
from ..world import Device as Key

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "clients"
BIN = Path(__file__).parent / "node_modules" / ".bin"
HOST = "https://gateway.example"
MODEL = """
[models.aurora]
url = "unix://{}"
context = 200000
output = 64000
"""
_FENCE = re.compile(r"^```(python|bash)((?: (?:by|use)=\S+)+)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Row:
    """One client in one way, for all its uses."""

    page: str
    client: str
    way: str
    uses: tuple[str, ...]
    language: str
    text: str

    def command(self, host: str) -> tuple[str, ...]:
        text = self.text.replace(HOST, host)
        if self.language == "python":
            return (sys.executable, "-c", text)
        return ("bash", "-euo", "pipefail", "-c", text)


def rows() -> list[Row]:
    """What the pages show, in their order."""
    found = []
    for name in ("openai-python", "anthropic-python", "curl", "claude-code"):
        page = (DOCS / f"{name}.md").read_text()
        title = page.partition("\n")[0].removeprefix("# ")
        blocks = [
            (language, dict(word.split("=", 1) for word in words.split()), text)
            for language, words, text in _FENCE.findall(page)
        ]
        uses = [(told["use"], text) for _, told, text in blocks if "by" not in told]
        for way in dict.fromkeys(told["by"] for _, told, _ in blocks if "by" in told):
            own = [(told.get("use", ""), t) for _, told, t in blocks if told.get("by") == way]
            both = [*own, *uses]
            text = "\n".join(part for _, part in both)
            names = tuple(name for use, _ in both if use for name in use.split(","))
            found.append(Row(name, title, way, names, blocks[0][0], text))
    return found


def version_of(page: str) -> str:
    """The installed version of a page's client; skips the test where there is none."""
    if page.endswith("-python"):
        return version(page.removesuffix("-python"))
    program = shutil.which("curl") if page == "curl" else str(BIN / "claude")
    if program is None or not Path(program).exists():
        pytest.skip(f"{page} is missing: npm install --prefix tests/clients, apt-get install curl")
    told = subprocess.check_output([program, "--version"], text=True)
    return re.findall(r"\d+\.[\d.]+", told)[0]


@dataclass
class Ran:
    """How a process ended, and what it said."""

    status: int
    out: str
    kinds: list[tuple[str, str]] = field(default_factory=list)  # of each access: kind, outcome


@dataclass
class Stage:
    """An issuer with the model `aurora`, and a machine on which a device is enrolled."""

    lab: World
    home: Path
    device: Device
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        path = (Path(sys.executable).parent, BIN, "/usr/local/bin", "/usr/bin", "/bin")
        return {
            "HOME": str(self.home),
            "PATH": ":".join(map(str, path)),
            "SSL_CERT_FILE": str(self.lab.pem),
            "NODE_EXTRA_CA_CERTS": str(self.lab.pem),
        }

    async def run(self, row: Row, variables: dict[str, str] | None = None) -> Ran:
        """A row's process, with the sidecar's variables where its way is that, or with these."""
        if variables is None:
            variables = self.variables if row.way == "sidecar" else {}
        since = self.lab.size
        process = await asyncio.create_subprocess_exec(
            *row.command(self.lab.url),
            env={**self.environment, **variables},
            cwd=self.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(2 * PATIENCE):
                out, _ = await process.communicate()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        opened = self.lab.of(AccessOpened, since)
        await self.lab.until(lambda: len(self.lab.of(AccessClosed, since)) == len(opened))
        ends = {one.access: one.outcome for one in self.lab.of(AccessClosed, since)}
        kinds = [(one.kind, ends[one.access]) for one in opened]
        return Ran(process.returncode or 0, out.decode(), kinds)

    async def tokens(self) -> dict[str, str]:
        """What somebody could put into a client's variables: a token of each kind."""
        return {
            "proof": await fetch_token(self.device, PURPOSE),
            "certificate": await asyncio.to_thread(fetch_certified_token, self.device, PURPOSE),
        }


def pointing(url: str, key: str) -> dict[str, str]:
    """The variables of a client that is pointed straight at the gateway."""
    return {
        "OPENAI_BASE_URL": url + "/v1",
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": key,
        "CLAUDE_CODE_MAX_RETRIES": "0",  # it would go on for minutes
    }


async def greet(peer: Peer, asked: Asked) -> None:
    """Answer as a real server did, to the end of its turn."""
    body, stream = canned(asked)
    body = body.replace(b'"max_tokens"', b'"end_turn"') if "messages" in asked.path else body
    if stream:
        await peer.send(STREAM, chunk(body), END)
    else:
        await peer.answer(body, b"content-type: application/json\r\n")


@asynccontextmanager
async def staged(root: Path) -> AsyncIterator[Stage]:
    """The stage, with the sidecar running."""
    home = root / "home"
    home.mkdir()
    more = MODEL.format(root / "model.sock")
    with pytest.MonkeyPatch.context() as patch:
        async with world(root, more=more, tls=True) as lab:
            patch.setenv("SSL_CERT_FILE", str(lab.pem))
            lab.model.play = greet
            stage = Stage(lab, home, await _enrol(lab, home / ".config" / "bailment" / "default"))
            await asyncio.to_thread(certificate, stage.device)
            async with _sidecar(stage):
                yield stage


async def _enrol(lab: World, folder: Path) -> Device:
    recipient = await lab.recipient(models=("aurora",))
    person = await recipient.person()
    known = await person.enrol(Key(lab, private=device_key(folder)))
    await recipient.confirm(known)
    made = Profile(
        gateway=lab.url,
        device=known.id,
        person=person.id,
        key_class="software",
        status="active",
        purposes=(PURPOSE,),
        models=("aurora",),
    )
    save(found := Device(folder, made, known.private))
    return found


@asynccontextmanager
async def _sidecar(stage: Stage) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bailment", "agent", "--json"),
        env=stage.environment,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(2 * PATIENCE):
            stage.variables = json.loads(await process.stdout.readline())
        yield
    finally:
        process.terminate()
        await process.wait()
