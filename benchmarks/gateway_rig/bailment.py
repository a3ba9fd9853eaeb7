"""Bailment under measurement: an issuer set up with its own commands, and a device enrolled there.

Nothing is switched off: tokens, body-bound proofs, the chain and the decision are checked, and
every access is two records in a log whose commits are synced to the disk that holds the folder.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from .proofs import Session, Signer
from .targets import PATH, Presentation, Served

PURPOSE = "benchmark"
MODEL = """
[models.bench]
url = "{upstream}"
context = 131072
output = 8192
pool = 512
"""
BUNDLE = 256  # entries in a full bundle (C2SP tlog-tiles)


class Bailment(Served):
    """The gateway with its log."""

    name = "bailment"
    settings = MODEL
    command: tuple[str | Path, ...] = ("-m", "bailment")

    def __init__(self, folder: Path) -> None:
        version = self.bailment("--version").split()[1]
        super().__init__(self.name, version, folder)
        self.issuer, self.admin = folder / "issuer", folder / "admin"
        self.session: Session | None = None

    def start(self, upstream: str) -> None:
        self.bailment(
            *("init", self.issuer, "--origin", "bench.example/log", "--contact", "nobody@example"),
            *("--url", self.url, "--port", str(self.port)),
        )
        with (self.issuer / "bailment.toml").open("a") as settings:
            settings.write(self.settings.format(upstream=upstream))
        self.launch([sys.executable, *self.command, "serve", "-d", self.issuer])

    def answers(self) -> bool:
        """Enrols a device as soon as the gateway is ready."""
        if self.session is None and self.is_ready():
            self.session = self.enrol()
        return self.session is not None and super().answers()

    def present(self, body: bytes, count: int) -> Presentation:
        assert self.session, "not started"
        return Presentation(*self.session.present(self.url + PATH, body, count))

    def summary(self) -> str:
        """What the log holds, read from its published files by its public format alone."""
        size = int((self.issuer / "log" / "checkpoint").read_text().split("\n")[1])
        found = Counter(json.loads(entry)["type"] for entry in self.entries(size))
        counts = ", ".join(f"{count:,} {kind}" for kind, count in found.most_common())
        return f"Bailment's log afterwards: {size:,} entries, {counts}."

    def enrol(self) -> Session:
        """Register a recipient, a person and a device, as each of them would."""
        self.bailment("recipient", "key", self.admin)
        self.bailment(
            *("recipient", "add", "acme", "--key", self.admin / "admin.jwk", "-d", self.issuer),
            *("--contact", "nobody@example", "--model", "bench", "--purpose", PURPOSE),
        )
        admin = ("--admin", self.admin, "--gateway", self.url)
        person = json.loads(self.bailment("delegate", "person", "Bench", *admin, "--json"))
        signer = Signer(ec.generate_private_key(ec.SECP256R1()))
        asked = {
            "invitation": person["invitation"]["url"].partition("#")[2],
            "key_class": "software",
            "name": "bench",
        }
        device = self.request_enrolment(signer, json.dumps(asked).encode())
        self.bailment("delegate", "device", device["code"], "--yes", *admin)
        return Session(self.url, device["device"], signer, PURPOSE)

    def request_enrolment(self, signer: Signer, body: bytes) -> dict[str, str]:
        """POST /enrol/requests; the first answer only tells the nonce (RFC 9449 §9)."""
        path, nonce = "/enrol/requests", None
        for _ in range(2):
            proof = signer.proofs(self.url + path, body, nonce, None, 1)[0]
            status, headers, answer = self.call("POST", path, body, {"DPoP": proof})
            if status == http.client.CREATED:
                return dict(json.loads(answer))
            nonce = headers["DPoP-Nonce"]
        raise RuntimeError(f"not enrolled: {status} {answer!r}")

    def is_ready(self) -> bool:
        try:
            return self.call("GET", "/readyz")[0] == http.client.OK
        except OSError:  # not listening yet
            return False

    def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def entries(self, size: int) -> list[bytes]:
        """All entries, from the entry bundles (tlog-tiles, Log Entries)."""
        found = []
        for index in range(-(-size // BUNDLE)):
            width = min(BUNDLE, size - index * BUNDLE)
            partial = "" if width == BUNDLE else f".p/{width}"
            groups = f"{index:09d}"[-3 * max(1, -(-len(str(index)) // 3)) :]
            split = [groups[at : at + 3] for at in range(0, len(groups), 3)]
            path = "/".join([*(f"x{group}" for group in split[:-1]), split[-1]])
            data = (self.issuer / "log" / "tile" / "entries" / (path + partial)).read_bytes()
            while data:
                end = 2 + int.from_bytes(data[:2], "big")
                found.append(data[2:end])
                data = data[end:]
        return found

    @staticmethod
    def bailment(*arguments: str | Path) -> str:
        """Type a command; its output."""
        done = subprocess.run(
            [sys.executable, "-m", "bailment", *arguments], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"bailment {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout


class Inline(Bailment):
    """The same without its worker: what looks at requests is in the gateway's own process alone."""

    name = "inline"
    settings = MODEL + "\n[worker]\nenabled = false\n"


class Unwatched(Inline):
    """The same without detection, to see what that costs."""

    name = "unwatched"
    command = ("-P", Path(__file__).parent / "unwatched.py")  # beside it lies a `bailment.py`
