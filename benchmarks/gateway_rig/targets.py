"""The gateways beside which bailment is measured, each started by its documented command."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from . import meter

PATH = "/v1/chat/completions"
KEY = "sk-bench"
READY_WITHIN = 120  # seconds; LiteLLM compiles itself at its first start
LITELLM_COMPROMISED = ("1.82.7", "1.82.8")  # these carried a credential stealer


@dataclass(frozen=True)
class Presentation:
    """What requests carry: headers for all, and a `DPoP` value for each if there are any."""

    headers: dict[str, str]
    proofs: list[str] = field(default_factory=list)

    def first(self) -> dict[str, str]:
        """All headers of a single request."""
        return self.headers | ({"DPoP": self.proofs[0]} if self.proofs else {})


class Target(Protocol):
    """One gateway under measurement."""

    name: str
    version: str
    url: str
    """Scheme, host and port, without a path."""
    authenticates: bool

    def start(self, upstream: str) -> None:
        """Start the gateway on core 0 before the model at `upstream`; return when it answers."""

    def present(self, body: bytes, count: int) -> Presentation:
        """The credentials for `count` requests with this body, sent within the next seconds."""

    def processes(self) -> list[int]:
        """The processes whose CPU time and memory are the gateway's."""

    def stop(self) -> None:
        """End the gateway and what it started; may be called twice."""

    def summary(self) -> str:
        """What the gateway left behind, once stopped, in a sentence; empty if nothing."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """One chat completion request on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("POST", PATH, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def venv(work: Path, requirement: str) -> Path:
    """The `bin` folder of a throw-away environment that holds one pinned requirement."""
    home = work / "venvs" / requirement.replace("[proxy]==", "-").replace("==", "-")
    if not (home / "ready").exists():
        print(f"installing {requirement} into {home}", file=sys.stderr, flush=True)
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        python = home / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], check=True)
        (home / "ready").touch()
    return home / "bin"


class Served:
    """A gateway that is one command with children, listening on a free port."""

    authenticates = True

    def __init__(self, name: str, version: str, folder: Path) -> None:
        self.name, self.version, self.folder = name, version, folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def present(self, body: bytes, count: int) -> Presentation:
        return Presentation({"Authorization": f"Bearer {KEY}"})

    def processes(self) -> list[int]:
        assert self.process, "not started"
        return meter.family(self.process.pid)

    def launch(self, command: list[str | Path], **environment: str) -> None:
        """Run `command` on core 0 and wait until it answers a chat completion."""
        with (self.folder / "log.txt").open("wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", "0", *command],
                cwd=self.folder,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_WITHIN
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: see {log.name}")
            time.sleep(0.2)

    def answers(self) -> bool:
        body = b'{"model":"bench","messages":[{"role":"user","content":"ready?"}]}'
        try:
            return post(self.url, body, self.present(body, 1).first())[0] == http.client.OK
        except (OSError, http.client.HTTPException):  # not listening yet
            return False

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def summary(self) -> str:
        return ""


class Nginx(Served):
    """`proxy_pass` over kept connections: the floor, since it checks nothing."""

    authenticates = False

    def __init__(self, folder: Path) -> None:
        banner = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
        super().__init__("nginx", banner.strip().rpartition("/")[2], folder)

    def present(self, body: bytes, count: int) -> Presentation:
        return Presentation({})

    def start(self, upstream: str) -> None:
        config = self.folder / "nginx.conf"
        config.write_text(f"""
daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream model {{
    server {urlsplit(upstream).netloc}; keepalive 256; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{self.port} backlog=1024;
    location / {{
      proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
""")
        self.launch(["nginx", "-e", "stderr", "-p", self.folder, "-c", config])


class LiteLLM(Served):
    """The proxy with a master key and no database, set up as its production page says."""

    def __init__(self, folder: Path, work: Path, version: str) -> None:
        if version in LITELLM_COMPROMISED:
            raise SystemExit(f"litellm {version} was published with a credential stealer")
        super().__init__(f"litellm {version}", version, folder)
        self.bin = venv(work, f"litellm[proxy]=={version}")

    def start(self, upstream: str) -> None:
        model = {"model": "openai/bench", "api_base": f"{upstream}/v1", "api_key": "none"}
        config = {
            "model_list": [{"model_name": "bench", "litellm_params": model}],
            "litellm_settings": {"set_verbose": False, "json_logs": True, "request_timeout": 600},
            "general_settings": {"master_key": KEY},
        }
        path = self.folder / "config.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        self.launch(
            [
                *(self.bin / "litellm", "--config", path, "--num_workers", "1"),
                *("--host", "127.0.0.1", "--port", str(self.port), "--telemetry", "False"),
            ],
            LITELLM_MODE="PRODUCTION",
            LITELLM_LOG="ERROR",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )


class Smg(Served):
    """The Rust gateway with one static key and one worker URL."""

    def __init__(self, folder: Path, work: Path, version: str) -> None:
        super().__init__("smg", version, folder)
        self.bin = venv(work, f"smg=={version}")

    def start(self, upstream: str) -> None:
        self.launch(
            [
                *(self.bin / "smg", "launch", "--host", "127.0.0.1", "--port", str(self.port)),
                *("--worker-urls", upstream, "--api-key", KEY, "--policy", "round_robin"),
                *("--history-backend", "none", "--log-level", "warn"),
                *("--disable-health-check", "--disable-load-monitoring"),
                *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())),
            ]
        )
