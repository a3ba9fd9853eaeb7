"""A gateway for tests: it keeps the HTTP contract with the real checks, and plays what it is told.

It listens on a real loopback port. Its clock may differ from ours by `ahead_ms`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import msgspec
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from bailment.access import jwk, jws
from bailment.access.assertion import verify_assertion
from bailment.access.chain import Link, narrows, read_link
from bailment.access.enrolment import code_of
from bailment.access.nonce import Nonces
from bailment.access.presentation import presented_proof, read_presentation
from bailment.access.proof import Proof, check_body, check_proof, read_proof
from bailment.access.reasons import Reason, Refused
from bailment.access.token import Claims, Confirmation, Details, sign_token, verify_token

Send = Callable[[dict[str, Any]], Awaitable[None]]
SKEW_MS, PROOF_MS = 5_000, 60_000


@dataclass
class Seen:
    """A request as it came, with its proof if that was in order."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    proof: Proof | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)


Play = Callable[[Seen, Send], Awaitable[None]]


@dataclass
class Enrolled:
    """A device at the gateway."""

    device: str
    name: str
    key: jwk.PublicKey
    person: str
    link: str = ""


class Gateway:
    """The ASGI application. `play` answers the model requests whose proof holds."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.url = ""
        self.ahead_ms = 0
        self.token_seconds = 300
        self.refuse: Refused | None = None  # what the token endpoint says
        self.always_nonce = False
        self.show_code: str | None = None
        self.seen: list[Seen] = []
        self.tokens: list[str] = []
        self.refused: list[Reason] = []
        self.issuer = ec.generate_private_key(ec.SECP256R1())
        self.invitations: dict[str, str] = {}  # code → person's link
        self.links: dict[str, Link] = {}
        self.people: dict[str, dict[str, str]] = {}
        self.devices: dict[str, Enrolled] = {}
        self.polls_until_expired: int | None = None
        self.polled = asyncio.Event()
        self.port = 0
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Listen, on the port of before if there was one; nonces of before are void."""
        self.nonces = Nonces(secrets.token_bytes(32), 60_000)
        self.port = await self._running.enter_async_context(serving(self, port=self.port))
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        await self._running.aclose()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def register(self, admin: jwk.PublicKey) -> Link:
        """An organisation with a link from the issuer."""
        now = self.now_ms()
        link = Link(
            secrets.token_hex(16),
            "",
            "recipient",
            secrets.token_hex(16),
            now - 3_600_000,
            now + 3_600_000,
            admin.jwk,
            ("m-1",),
            ("evaluation", "red-teaming"),
        )
        self.links[link.id] = link
        return link

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        path, query = scope["path"], scope["query_string"].decode()
        seen = Seen(scope["method"], path, query, headers, bytes(body))
        self.seen.append(seen)

        async def dated(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                nonce = self.nonces.current(self.now_ms())
                date = formatdate(self.now_ms() / 1000, usegmt=True)
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"dpop-nonce", nonce.encode()),
                    (b"date", date.encode()),
                ]
            await send(message)

        if path.startswith("/v1/"):
            await self._model(scope, receive, seen, dated)
        else:
            await self._control(scope, seen, dated)

    # What needs a token

    async def _model(self, scope: Any, receive: Any, seen: Seen, send: Send) -> None:
        refused = self._check_access(scope, seen)
        if refused is not None:
            self.refused.append(refused.reason)
            error = "use_dpop_nonce" if refused.reason is Reason.PROOF_NONCE else "invalid_token"
            challenge = (b"www-authenticate", f'DPoP error="{error}"'.encode())
            body = {"error": {"message": refused.detail, "code": refused.reason}}
            await whole(send, 401, body, challenge)
            return

        async def leave() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            seen.left.set()

        leaving = asyncio.create_task(leave())
        try:
            await self.play(seen, send)
        finally:
            leaving.cancel()

    def _check_access(self, scope: Any, seen: Seen) -> Refused | None:
        shown = read_presentation(scope["headers"])
        if isinstance(shown, Refused):
            return shown
        claims = verify_token(
            shown.token,
            jwk.from_key(self.issuer.public_key()),
            iss=self.url,
            aud=self.url,
            now_ms=self.now_ms(),
            skew_ms=0,
        )
        if isinstance(claims, Refused):
            return claims
        if shown.token not in self.tokens:
            return Refused(Reason.TOKEN_UNRECORDED)
        proof = self._proven(shown.proof, seen, shown.token, claims.cnf.jkt)
        return proof if isinstance(proof, Refused) else None

    def _proven(
        self, compact: str, seen: Seen, token: str | None, thumbprint: str | None
    ) -> Proof | Refused:
        proof = read_proof(compact)
        if isinstance(proof, Refused):
            return proof
        now = self.now_ms()
        refused = check_proof(
            proof,
            method=seen.method,
            target=self.url + seen.path,
            token=token,
            nonces=() if self.always_nonce else self.nonces.accepted(now),
            now_ms=now,
            lifetime_ms=PROOF_MS,
            skew_ms=SKEW_MS,
            expected_thumbprint=thumbprint or proof.thumbprint,
        ) or check_body(proof, sha256(seen.body).digest())
        if refused is None:
            seen.proof = proof
        return refused or proof

    # What needs a proof

    async def _control(self, scope: Any, seen: Seen, send: Send) -> None:
        shown = presented_proof(scope["headers"])
        proof = shown if isinstance(shown, Refused) else self._proven(shown, seen, None, None)
        token = seen.path == "/oauth/token"
        answer = proof if isinstance(proof, Refused) else self._answer(seen, proof)
        if not isinstance(answer, Refused):
            await whole(send, 201 if seen.method == "POST" and not token else 200, answer)
        elif token:
            self.refused.append(answer.reason)
            nonce = answer.reason is Reason.PROOF_NONCE
            error = "use_dpop_nonce" if nonce else "invalid_grant"
            words = {"error": error, "error_description": answer.detail, "reason": answer.reason}
            await whole(send, 400, words)
        else:
            self.refused.append(answer.reason)
            problem = {"title": "no", "detail": answer.detail, "reason": answer.reason}
            nonce = answer.reason is Reason.PROOF_NONCE
            more = [(b"www-authenticate", b'DPoP error="use_dpop_nonce"')] if nonce else []
            await whole(send, 401 if nonce else 403, problem, *more)

    def _answer(self, seen: Seen, proof: Proof) -> object | Refused:
        match seen.method, seen.path:
            case "POST", "/oauth/token":
                return self._token(seen, proof)
            case "POST", "/enrol/requests":
                return self._enrol(seen, proof)
            case "GET", "/enrol/pending":
                return self._pending(seen, proof)
            case "GET", "/delegations/mine":
                own = self._organisation(proof)
                return {"link": own} if own else Refused(Reason.PROOF_KEY, "not an admin's")
            case "POST", "/delegations":
                return self._delegate(seen)
            case "GET", path if path.startswith("/enrol/requests/"):
                return self._status(path.rpartition("/")[2], proof)
        return Refused(Reason.ROUTE_UNKNOWN, "there is nothing here")

    def _token(self, seen: Seen, proof: Proof) -> object | Refused:
        if self.refuse is not None:
            return self.refuse
        form = dict(parse_qsl(seen.body.decode(), strict_parsing=True))
        device = self.devices[form["client_id"]]
        assert form["grant_type"] == "client_credentials"
        assertion = verify_assertion(
            form["client_assertion"],
            device.key,
            device=device.device,
            audience=self.url,
            now_ms=self.now_ms(),
            skew_ms=SKEW_MS,
        )
        if isinstance(assertion, Refused):
            return assertion
        if proof.thumbprint != device.key.thumbprint:
            return Refused(Reason.PROOF_KEY)
        details = msgspec.json.decode(form["authorization_details"], type=Details)
        now_s = self.now_ms() // 1000
        claims = Claims(
            iss=self.url,
            aud=self.url,
            sub=device.person,
            client_id=device.device,
            iat=now_s,
            exp=now_s + self.token_seconds,
            jti=secrets.token_hex(16),
            cnf=Confirmation(proof.thumbprint),
            lnk=(device.link,),
            key_class="software",
            authorization_details=details,
        )
        self.tokens.append(sign_token(claims, self.issuer))
        return {
            "access_token": self.tokens[-1],
            "token_type": "DPoP",
            "expires_in": self.token_seconds,
            "authorization_details": details,
        }

    def _enrol(self, seen: Seen, proof: Proof) -> object | Refused:
        sent = json.loads(seen.body)
        link = self.links.get(self.invitations.pop(sent["invitation"], ""))
        if link is None:
            return Refused(Reason.LINK_UNKNOWN, "the invitation is used or unknown")
        device = secrets.token_hex(16)
        key = proof.header.key
        self.devices[device] = Enrolled(device, sent["name"], key, link.subject, link.id)
        code = self.show_code or code_of(key.thumbprint)
        person = {"person": link.subject, "expires": self.now_ms() + 900_000}
        return {"device": device, "code": code, "status": "pending", **person}

    def _status(self, device_id: str, proof: Proof) -> object | Refused:
        device = self.devices[device_id]
        if proof.thumbprint != device.key.thumbprint:
            return Refused(Reason.PROOF_KEY, "the proof is by another key")
        active = self.links[device.link].kind == "device"
        status = "active" if active else "pending"
        if self.polls_until_expired is not None and not active:
            self.polls_until_expired -= 1
            status = "pending" if self.polls_until_expired >= 0 else "expired"
        self.polled.set()
        allowed = {"models": ["m-1"], "purposes": ["evaluation"]} if active else {}
        return {"device": device_id, "status": status, "links": [device.link], **allowed}

    def _organisation(self, proof: Proof) -> Link | None:
        for link in self.links.values():
            is_its = link.key and jwk.parse(link.key).thumbprint == proof.thumbprint
            if link.kind == "recipient" and is_its:
                return link
        return None

    def _pending(self, seen: Seen, proof: Proof) -> object | Refused:
        code = parse_qs(seen.query)["code"][0]
        for device in self.devices.values():
            link = self.links[device.link]
            shown = self.show_code or code_of(device.key.thumbprint)
            if self._organisation(proof) and link.kind == "person" and shown == code:
                return {
                    "device": device.device,
                    "person": link.subject,
                    "person_name": self.people[link.subject]["name"],
                    "name": device.name,
                    "key_class": "software",
                    "key": device.key.jwk,
                    "parent": link.id,
                    "until": link.until,
                    "expires": self.now_ms() + 900_000,
                }
        return Refused(Reason.LINK_UNKNOWN, "no device of yours waits with this code")

    def _delegate(self, seen: Seen) -> object | Refused:
        sent = json.loads(seen.body)
        link = read_link(sent["link"])
        parent = self.links[link.parent]
        organisation = self.links[parent.parent] if parent.kind == "person" else parent
        if not jws.verify(jws.parse(sent["link"]), jwk.parse(organisation.key)):
            return Refused(Reason.CHAIN_BROKEN, "its parent's party did not sign it")
        if refused := narrows(link, parent):
            return refused
        if link.start > self.now_ms():
            return Refused(Reason.LINK_EARLY, "it has not begun")
        self.links[link.id] = link
        if link.kind == "device":
            self.devices[link.subject].link = link.id
            return {"link": link.id}
        self.people[link.subject] = sent["personal"]
        code = secrets.token_urlsafe(16)
        self.invitations[code] = link.id
        url = f"{self.url}/enrol#{code}"
        expires = self.now_ms() + 900_000
        return {"link": link.id, "invitation": {"code": code, "url": url, "expires": expires}}


async def whole(send: Send, status: int, value: object, *headers: tuple[bytes, bytes]) -> None:
    """Answer with JSON."""
    body = msgspec.json.encode(value)
    length = (b"content-length", b"%d" % len(body))
    start = [(b"content-type", b"application/json"), length, *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(
    app: Any, make: Callable[..., asyncio.Protocol] = HttpToolsProtocol, port: int = 0
) -> AsyncIterator[int]:
    """Serve an application on a loopback port; at the end every connection is cut."""
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    config.load()
    state = ServerState()
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    server = await asyncio.get_running_loop().create_server(
        lambda: make(config=config, server_state=state, app_state={}), sock=listening
    )
    try:
        yield listening.getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        await server.wait_closed()
