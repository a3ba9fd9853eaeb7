"""A group of strangers with something that is not theirs, in a process of their own:

    python -m bailment.drills.breach.attackers

It reads its order from standard input and confines itself before it reads anything else. Whoever
ends its standard input ends it.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access import jwk
from bailment.access.proof import make_proof
from bailment.agent import profile
from bailment.agent.profile import load
from bailment.agent.sdk import BailmentAuth
from bailment.clock import now_ms
from bailment.drills.breach.order import Line, Order, Protected, Stranger, Tried
from bailment.drills.breach.sandbox import confine, is_shut, probe
from bailment.errors import BailmentError

CHAT = "/v1/chat/completions"
_TIMEOUT = httpx2.Timeout(60.0, connect=10.0)
#: After so many refusals without an answer between them somebody gives up.
_GIVES_UP = 3


def main() -> None:
    """Confine the process, say how well, and let everybody try."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    own = Path(order.own)
    how = confine(own)
    tried = probe(Path(order.folder))
    _tell(Protected(how if is_shut(tried) else "none", tried))
    if not is_shut(tried):
        return
    threading.Thread(target=_until_ended, daemon=True).start()
    group = Group(order, own)
    people = [threading.Thread(target=group.one, args=(who,)) for who in order.strangers]
    for person in people:
        person.start()
    for person in people:
        person.join()


def _until_ended() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


_TELLING = threading.Lock()


def _tell(line: Line) -> None:
    with _TELLING:
        try:
            sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # nobody listens any more
            os._exit(0)


class Group:
    """Everybody with the same loot."""

    def __init__(self, order: Order, own: Path) -> None:
        self._order = order
        self._own = own
        self._over = threading.Event()
        self._ends = now_ms() + round(1000 * order.seconds)
        self._line: BailmentAuth | None = None
        if order.loot == "shared-key":
            self._line = BailmentAuth(self._copy("shared"), order.purpose)

    def one(self, who: Stranger) -> None:
        """Try until the time is over, or it is no use."""
        refused = 0
        self._pause(who.name)
        with client(who, self._order.gateway) as http:
            for number, send in enumerate(self._ways(who, http)):
                sent = now_ms()
                status, reason, tokens = outcome(send)
                _tell(Tried(who.name, sent, now_ms(), status, reason, tokens))
                refused = 0 if status == 200 else refused + 1
                if refused == _GIVES_UP or now_ms() > self._ends:
                    return
                self._pause(f"{who.name} {number}")

    def _pause(self, what: str) -> None:
        """Nobody keeps a beat, and not all begin at once: half of the pace to one and a half."""
        spread = int(sha256(what.encode()).hexdigest(), 16) % 1000 / 1000
        self._over.wait(self._order.pace * (0.5 + spread))

    def _ways(self, who: Stranger, http: httpx2.Client) -> Iterator[Callable[[], httpx2.Response]]:
        """What one does next, again and again."""
        order, bodies = self._order, cycle(body_of(who, self._order.model))
        if order.loot == "token":
            yield from self._with_token(http, next(bodies))
        elif order.loot in ("capability", "relay"):
            shown = {"authorization": f"Bearer {order.text}"}
            base = order.gateway if order.loot == "capability" else order.files["agent"]
            for body in bodies:
                yield lambda body=body: http.post(base + CHAT, json=body, headers=shown)  # type: ignore[misc]
        else:
            auth = self._line or BailmentAuth(self._copy(who.name), order.purpose)
            for body in bodies:
                yield lambda body=body: http.post(order.gateway + CHAT, json=body, auth=auth)  # type: ignore[misc]

    def _with_token(
        self, http: httpx2.Client, body: dict[str, Any]
    ) -> Iterator[Callable[[], httpx2.Response]]:
        """As a bearer token, and as one that is bound to a key of one's own."""
        url, token = self._order.gateway + CHAT, self._order.text
        yield lambda: http.post(url, json=body, headers={"authorization": f"Bearer {token}"})
        key, nonces = ec.generate_private_key(ec.SECP256R1()), [""]

        def send() -> httpx2.Response:
            request = http.build_request("POST", url, json=body)
            request.headers["authorization"] = f"DPoP {token}"
            request.headers["dpop"] = make_proof(
                key,
                jwk.from_key(key.public_key()),
                method="POST",
                target=url,
                body_sha256=sha256(request.content).digest(),
                token=token,
                nonce=nonces[-1] or None,
                jti=secrets.token_urlsafe(16),
                now_s=now_ms() // 1000,
            )
            answered = http.send(request)
            nonces.append(answered.headers.get("dpop-nonce", ""))
            return answered

        while True:
            yield send

    def _copy(self, name: str) -> profile.Device:
        """The device, on a machine of one's own."""
        folder = self._own / name
        folder.mkdir(mode=0o700)
        for file, text in self._order.files.items():
            path = folder / file
            path.touch(mode=0o600)
            path.write_text(text)
        return load(folder)


@contextmanager
def client(who: Stranger, gateway: str) -> Iterator[httpx2.Client]:
    """An HTTP client as somebody's SDK makes it, whose connections come from their address."""
    verify = httpx2.create_ssl_context() if gateway.startswith("https:") else True
    transport = httpx2.HTTPTransport(verify=verify, local_address=who.address or None)
    headers = dict(who.headers)
    if who.forwarded:
        headers["x-forwarded-for"] = who.forwarded
    with httpx2.Client(transport=transport, headers=headers, timeout=_TIMEOUT) as http:
        yield http


def body_of(who: Stranger, model: str) -> list[dict[str, Any]]:
    """What somebody asks, one after another."""
    system = [{"role": "system", "content": who.system}] if who.system else []
    return [
        {
            "model": model,
            "max_tokens": 8,
            "messages": [*system, {"role": "user", "content": prompt}],
        }
        for prompt in who.prompts
    ]


def outcome(send: Callable[[], httpx2.Response]) -> tuple[int, str, int]:
    """Status, reason and tokens of a request; status 0 if there was no answer."""
    try:
        answered = send()
    except (httpx2.HTTPError, BailmentError, OSError) as error:
        return 0, type(error).__name__, 0
    try:
        told = answered.json()
    except ValueError:
        told = {}
    if answered.status_code == 200:
        usage = told.get("usage") or {}
        return 200, "", int(usage.get("total_tokens", 0))
    error_ = told.get("error")
    reason = error_.get("code") if isinstance(error_, dict) else told.get("reason")
    return answered.status_code, str(reason or error_ or ""), 0


if __name__ == "__main__":
    main()
