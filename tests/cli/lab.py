"""A lab on this machine, driven as its people drive it: by the command line, in its own processes.

Only the model's server is stood in for: it answers on a unix socket as a real one did, if it is
shown its key, and counts what a test tells it to.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import httpx2

from bailment.detect.networks import Source, layer_of, tables_of

T = TypeVar("T")
PROGRAM = Path(__file__).with_name("quick.py")
FIXTURES = Path(__file__).parents[1] / "gateway" / "fixtures"
MODEL, OTHER, PURPOSE = "smollm2", "other", "red-team"
CONTACT, KEY = "security@lab.example", "the-models-key"
MARIA = "maria@acme.example"
#: Nothing may take this long (seconds): it hangs instead.
PATIENCE = 60

_MODELS = f"""
[models.{MODEL}]
url = "unix://{{socket}}"
key_file = "model.key"
context = 8192
output = 512
meter = {{{{ seconds = 0.2 }}}}

[models.{OTHER}]
url = "unix://{{socket}}"
key_file = "model.key"
context = 4096
output = 256

[worker]
enabled = {{worker}}
"""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Quick:
    """What starts commands quickly: see `quick.py`."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._process = subprocess.Popen([sys.executable, PROGRAM, self._path])
        while not path.exists():
            assert self._process.poll() is None
            time.sleep(0.01)

    def run(
        self, arguments: list[str], folder: Path, environment: Mapping[str, str], typed: str
    ) -> Done:
        """Run a command to its end."""
        request = {"arguments": arguments, "folder": str(folder), "environment": environment}
        with (
            tempfile.TemporaryFile() as stdin,
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
        ):
            files = [stdin, stdout, stderr]
            stdin.write(typed.encode(errors="surrogateescape"))
            stdin.seek(0)
            connection.settimeout(PATIENCE)
            connection.connect(self._path)
            numbers = [file.fileno() for file in files]
            socket.send_fds(connection, [json.dumps(request).encode()], numbers)
            status = int(connection.recv(100))
            for file in files:
                file.seek(0)
            return Done(status, stdout.read().decode(), stderr.read().decode())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass
class Shell:
    """Types commands, in an environment of its own."""

    home: Path
    quick: Quick
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, typed: str = ""
    ) -> Done:
        """Run a command that must not die of what it was told: no traceback, whatever happens."""
        words = [str(argument) for argument in arguments]
        done = self.quick.run(words, self.home, {**self.env, **(env or {})}, typed)
        assert "Traceback" not in done.err, done.err
        assert "\x1b" not in done.out + done.err, "colours are for terminals"
        return done

    def ok(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
        """The output of a command that succeeds."""
        done = self(*arguments, env=env)
        assert done.status == 0, done.err
        return done.out

    def json(self, *arguments: str | Path) -> Any:
        """What a command that succeeds says with `--json`, which is all that it says."""
        return json.loads(self.ok(*arguments, "--json"))

    @contextmanager
    def start(self, *arguments: str | Path, typed: str = "") -> Iterator[subprocess.Popen[str]]:
        """A command that goes on, but not for longer than the block."""
        with tempfile.TemporaryFile("w+") as stdin:
            stdin.write(typed)
            stdin.seek(0)
            with subprocess.Popen(
                command(*arguments),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=self.home,
                env=self.env,
            ) as process:
                try:
                    yield process
                finally:
                    process.kill()

    @property
    def env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.home), "COLUMNS": "100", **self.environment}


def command(*arguments: str | Path) -> list[str]:
    """A command line of ours."""
    return [sys.executable, "-m", "bailment", *map(str, arguments)]


def line_of(process: subprocess.Popen[str], pattern: str) -> str:
    """The first line of a process's output in which the pattern is found; what it matched."""
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        for line in cast(IO[str], process.stdout):
            if found := re.search(pattern, line):
                return found[found.lastindex or 0]
    finally:
        timer.cancel()
    raise AssertionError(f"no `{pattern}` was said: {stop(process).err}")


def stop(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> Done:
    """Tell a process to end, and wait until it has."""
    process.send_signal(how)
    return wait(process)


def wait(process: subprocess.Popen[str]) -> Done:
    """Wait until a process has ended."""
    out, err = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in err, err
    return Done(process.returncode, out, err)


class ModelServer(socketserver.ThreadingUnixStreamServer):
    """The model's server. `served` are the tokens that its counters show."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Answers)
        self.path = path
        self.served = (0, 0)

    @contextmanager
    def running(self) -> Iterator[ModelServer]:
        thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            self.path.unlink(missing_ok=True)


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModelServer

    def do_GET(self) -> None:
        if self.path == "/metrics":
            names = ("prompt_tokens_total", "prompt_tokens_cached_total", "tokens_predicted_total")
            counts = zip(names, (self.server.served[0], 0, self.server.served[1]), strict=True)
            self._answer("".join(f"llamacpp:{name} {count}\n" for name, count in counts).encode())
        else:
            self._answer(b'{"object": "list", "data": []}')

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._answer((FIXTURES / f"chat.{'sse' if asked.get('stream') else 'json'}").read_bytes())

    def _answer(self, body: bytes) -> None:
        allowed = self.headers["authorization"] == f"Bearer {KEY}"
        self.send_response(200 if allowed else 401)
        stream = body.startswith(b"data:")
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: Any) -> None:
        pass


@dataclass
class Lab:
    """A folder of an issuer's, and the shells of those who deal with it."""

    root: Path
    model: ModelServer
    quick: Quick
    port: int = field(default_factory=lambda: free_port())
    worker: bool = False

    def __post_init__(self) -> None:
        self.folder = self.root / "issuer"
        self.acme = self.root / "acme"
        #: The lab's security team, the recipient's admin, an engineer of theirs, an auditor.
        self.team = self._shell("team", BAILMENT_DIR=str(self.folder))
        self.admin = self._shell("admin", BAILMENT_GATEWAY=self.url)
        self.engineer = self._shell("engineer")
        self.auditor = self._shell("auditor")

    def _shell(self, name: str, **environment: str) -> Shell:
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        return Shell(home, self.quick, environment)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def init(self) -> None:
        """Make the folder, and say where the model is."""
        self.team.ok(
            *("init", self.folder, "--origin", "lab.example/log", "--contact", CONTACT),
            *("--url", self.url, "--port", str(self.port)),
        )
        with (self.folder / "bailment.toml").open("a") as settings:
            settings.write(_MODELS.format(socket=self.model.path, worker=str(self.worker).lower()))
        private(self.folder / "model.key", KEY)
        fresh = Source("list", "", time.time_ns() // 1_000_000, 0)  # those of the package grow old
        empty = [layer_of(())] * 3 + [layer_of((), 64)] * 3
        (self.folder / "networks.bin").write_bytes(tables_of((fresh,), empty).encode())

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[str]]:
        """The issuer, until it is told to stop; it must stop without complaint."""
        with self.team.start("serve") as process:
            self.team.ok("status", "--wait", str(PATIENCE))
            yield process
            done = stop(process)
            assert done.status == 0, done.err

    def invite(self, name: str, email: str, *options: str) -> str:
        """The invitation for a device of a new person's."""
        found = self.admin.json(
            "delegate", "person", name, "--email", email, "--admin", self.acme, *options
        )
        invitation: str = found["invitation"]["url"]
        return invitation

    def enrol(self, invitation: str, profile: str = "default") -> None:
        """Enrol a device of an engineer's, and have it confirmed."""
        enrol = ("enrol", "-", "--profile", profile)
        with self.engineer.start(*enrol, typed=invitation) as enrolling:
            code = line_of(enrolling, r"^code: (\S+)$")
            self.admin.ok("delegate", "device", code, "--admin", self.acme, "--yes")
            done = wait(enrolling)
            assert (done.status, done.out) == (0, f"enrolled for {PURPOSE}\n"), done.err
            assert "can read an invitation" not in done.err

    @contextmanager
    def agent(self, profile: str = "default") -> Iterator[dict[str, str]]:
        """The variables of an agent that runs."""
        with self.engineer.start("agent", "--profile", profile, "--json") as process:
            yield json.loads(line_of(process, "{.*}"))
            stop(process)


def ask(variables: Mapping[str, str], **members: Any) -> httpx2.Response:
    """Ask the model something through an agent."""
    return httpx2.post(
        variables["OPENAI_BASE_URL"] + "/chat/completions",
        headers={"authorization": f"Bearer {variables['OPENAI_API_KEY']}"},
        json={"model": MODEL, "messages": [{"role": "user", "content": "hello"}], **members},
        trust_env=False,
        timeout=PATIENCE,
    )


def until(condition: Callable[[], T]) -> T:
    """What a condition says once it says something."""
    end = time.monotonic() + PATIENCE
    while not (said := condition()):
        assert time.monotonic() < end
    return said


def private(path: Path, text: str) -> None:
    """Write a secret."""
    path.touch(mode=0o600)
    path.write_text(text)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
