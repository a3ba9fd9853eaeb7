"""A transmitter of security events (OpenID SSF 1.0) on a port of its own, in the recipient's hands.

Its tokens are made by joserfc, so that nothing of ours signs what ours reads.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import uvicorn
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .world import Recipient

TOKEN = "the-streams-token"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
AUDIENCE = "https://lab.example/for-acme"


class Transmitter:
    """`alter` changes claims before they are signed, `config` what it says of itself; `mute` has
    it verify nothing."""

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self.url = url
        self.clock = clock
        self.keys = {
            "ES256": ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}),
            "RS256": RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}),
        }
        self.keys["PS256"] = self.keys["RS256"]
        self.config: dict[str, Any] = {}
        self.streams: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []
        self.answers: list[int] = []
        self.mute = False
        self.pushing: set[asyncio.Task[httpx2.Response]] = set()

    # What it serves

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/ssf-configuration", self._describe),
                Route("/keys", self._keys),
                Route("/streams", self._create, methods=["POST"]),
                Route("/verify", self._verify, methods=["POST"]),
            ]
        )

    async def _describe(self, request: Request) -> Response:
        told = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "configuration_endpoint": f"{self.url}/streams",
            "verification_endpoint": f"{self.url}/verify",
            "delivery_methods_supported": ["urn:ietf:rfc:8935"],
        }
        return JSONResponse(told | self.config)

    async def _keys(self, request: Request) -> Response:
        public = [self.keys[alg].as_dict(private=False) for alg in ("ES256", "RS256")]
        return JSONResponse({"keys": public})

    async def _create(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Response(status_code=401)
        stream = secrets.token_hex(8)
        asked = await request.json()
        self.streams[stream] = asked["delivery"]
        return JSONResponse({"stream_id": stream, "iss": self.url, "aud": AUDIENCE, **asked}, 201)

    async def _verify(self, request: Request) -> Response:
        asked = await request.json()
        self.asked.append(asked)
        if not self.mute:
            sending = asyncio.create_task(self.verification(asked["stream_id"], asked["state"]))
            self.pushing.add(sending)
            sending.add_done_callback(self.pushing.discard)
        return Response(status_code=204)

    # What it sends

    def token(
        self,
        event: str,
        subject: dict[str, Any] | None,
        members: dict[str, Any] | None = None,
        *,
        alg: str = "ES256",
        header: dict[str, Any] | None = None,
        key: Any = None,
        **claims: Any,
    ) -> str:
        """A signed event; `claims` replace those it would have, None takes one out."""
        signer = self.keys[alg] if key is None else key
        told: dict[str, Any] = {
            "iss": self.url,
            "aud": AUDIENCE,
            "iat": int(self.clock()),
            "jti": secrets.token_hex(8),
            "sub_id": subject,
            "events": {event: members or {}},
        } | claims
        told = {name: value for name, value in told.items() if value is not None}
        head = {"alg": alg, "typ": "secevent+jwt", "kid": signer.kid} | (header or {})
        head = {name: value for name, value in head.items() if value is not None}
        registry = jws.JWSRegistry(algorithms=["ES256", "RS256", "PS256", "HS256", "none"])
        return str(jws.serialize_compact(head, json.dumps(told), signer, registry=registry))

    async def push(self, token: str | bytes, stream: str = "", **headers: str) -> httpx2.Response:
        """Push it to a stream, the newest one by default (RFC 8935)."""
        delivery = self.streams[stream or list(self.streams)[-1]]
        given = {
            "content-type": "application/secevent+jwt",
            "authorization": delivery["authorization_header"],
        } | headers
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            return await http.post(delivery["endpoint_url"], content=token, headers=given)

    async def say(self, event: str, subject: dict[str, Any] | None, **more: Any) -> httpx2.Response:
        """Sign and push an event."""
        return await self.push(self.token(event, subject, **more))

    async def verification(self, stream: str, state: str | None) -> httpx2.Response:
        """A sign of life."""
        members = {"state": state} if state is not None else {}
        subject = {"format": "opaque", "id": stream}
        sent = await self.push(self.token(SSF + "verification", subject, members), stream)
        self.answers.append(sent.status_code)
        return sent

    async def settle(self) -> None:
        """Wait for what is under way."""
        while self.pushing:
            await asyncio.gather(*self.pushing)


@asynccontextmanager
async def transmitter(clock: Callable[[], float]) -> AsyncIterator[Transmitter]:
    """A transmitter that is served."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Transmitter(f"http://127.0.0.1:{listener.getsockname()[1]}", clock)
        server = uvicorn.Server(uvicorn.Config(made.app(), log_level="error", lifespan="off"))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield made
        finally:
            server.should_exit = True
            await serving


async def stream(recipient: Recipient, issuer: str, token: str = TOKEN) -> httpx2.Response:
    """The recipient's admin has its transmitter report to the issuer."""
    body = {"kind": "ssf", "issuer": issuer, "token": token}
    return await recipient.admin.post("/signals/sources", body)
