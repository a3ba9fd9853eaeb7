"""A simulated employer's identity provider: OpenID Connect for demonstrations and fast tests.

It speaks the protocol as a real one does (discovery, authorization code with PKCE, ES256 ID tokens)
and checks nobody: whoever picks an account is signed in, and is said to have used a passkey. Every
page of it says so. `python -m bailment.drills.employer FOLDER PORT` serves it on this machine.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec
import uvicorn
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bailment.drills.leashed import hold

SIMULATED = "Simulated identity provider: nobody is checked here, and no passkey is used."
_CONFIGURATION = "employer.json"


class Account(msgspec.Struct, frozen=True):
    """Somebody who can be picked."""

    sub: str
    email: str


class Client(msgspec.Struct, frozen=True):
    """Who may ask for sign-ins; with a `secret` it must be shown."""

    redirect_uris: tuple[str, ...]
    secret: str = ""


class Directory(msgspec.Struct, frozen=True):
    """What the employer's IT has set up."""

    clients: dict[str, Client] = {}
    people: tuple[Account, ...] = ()
    acr: str = "phr"
    amr: tuple[str, ...] = ("hwk", "user")


@dataclass
class Employer:
    """The provider. Tests set `alter` to make of its ID tokens what an attacker would."""

    issuer: str
    directory: Callable[[], Directory]
    clock: Callable[[], float] = time.time
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    alter: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
    #: RFC 9207: whether callbacks name who sends them.
    names_itself: bool = True
    _asked: dict[str, dict[str, str]] = field(default_factory=dict)
    _codes: dict[str, tuple[dict[str, str], dict[str, Any]]] = field(default_factory=dict)

    def app(self) -> Starlette:
        """What it serves."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.describe),
                Route("/jwks.json", self.keys),
                Route("/authorize", self.ask),
                Route("/pick", self.pick, methods=["POST"]),
                Route("/token", self.token, methods=["POST"]),
            ]
        )

    async def describe(self, request: Request) -> Response:
        """OpenID Connect Discovery 1.0, section 4."""
        return JSONResponse(self.description())

    def description(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks.json",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": self.names_itself,
        }

    async def keys(self, request: Request) -> Response:
        """The keys of its ID tokens."""
        public = self.key.as_dict(private=False)
        return JSONResponse({"keys": [{**public, "kid": self.key.thumbprint(), "use": "sig"}]})

    async def ask(self, request: Request) -> Response:
        """A page on which one picks who one is."""
        query = dict(request.query_params)
        client = self.directory().clients.get(query.get("client_id", ""))
        if client is None or query.get("redirect_uri") not in client.redirect_uris:
            return HTMLResponse("no such client, or not its redirect URI", 400)
        if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
            return HTMLResponse("PKCE is asked for", 400)
        name = secrets.token_urlsafe(16)
        self._asked[name] = query
        picks = "".join(
            f'<button name="sub" value="{escape(one.sub)}">{escape(one.email)}</button> '
            for one in self.directory().people
        )
        return HTMLResponse(
            f'<!doctype html><meta charset="utf-8"><title>Sign in</title><p>{SIMULATED}</p>'
            f'<form method="post" action="/pick"><input type="hidden" name="asked" value="{name}">'
            f"{picks}</form>"
        )

    async def pick(self, request: Request) -> Response:
        """Somebody was picked: back to the client with a code."""
        form = await _form(request)
        query = self._asked.pop(form.get("asked", ""), None)
        who = next((one for one in self.directory().people if one.sub == form.get("sub")), None)
        if query is None or who is None:
            return HTMLResponse("nobody was picked", 400)
        now, code = int(self.clock()), secrets.token_urlsafe(16)
        directory = self.directory()
        claims = {
            "iss": self.issuer,
            "sub": who.sub,
            "aud": query["client_id"],
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": query.get("nonce", ""),
            "acr": directory.acr,
            "amr": list(directory.amr),
            "email": who.email,
            "email_verified": True,
        }
        self._codes[code] = query, claims
        given = {"code": code, "state": query.get("state", "")}
        given |= {"iss": self.issuer} if self.names_itself else {}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(given)}", 303)

    async def token(self, request: Request) -> Response:
        """A code, once, for an ID token (RFC 6749, section 4.1.3; RFC 7636)."""
        form = await _form(request)
        query, claims = self._codes.pop(form.get("code", ""), ({}, {}))
        asked = (query.get("redirect_uri"), query.get("code_challenge"))
        verifier = form.get("code_verifier", "")
        if asked != (form.get("redirect_uri"), create_s256_code_challenge(verifier)):
            return JSONResponse({"error": "invalid_grant"}, 400)
        wanted = self.directory().clients[query["client_id"]].secret
        if wanted and _shown(request) != (query["client_id"], wanted):
            return JSONResponse({"error": "invalid_client"}, 401)
        return JSONResponse(
            {"access_token": "none", "token_type": "Bearer", "id_token": self.sign(claims)}
        )

    def sign(self, claims: dict[str, Any]) -> str:
        """An ID token."""
        header = {"alg": "ES256", "kid": self.key.thumbprint()}
        return jwt.encode(header, self.alter(claims), self.key, algorithms=["ES256"])


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


def _shown(request: Request) -> tuple[str, str]:
    """What a client shows by HTTP Basic."""
    _, _, given = request.headers.get("authorization", "").partition(" ")
    name, _, secret = b64decode(given).decode().partition(":")
    return unquote(name), unquote(secret)


def write(folder: Path, directory: Directory) -> None:
    """Set it up, as an administrator would; a running one reads it anew."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIGURATION).write_bytes(msgspec.json.encode(directory))


def read(folder: Path) -> Directory:
    """How it is set up now."""
    return msgspec.json.decode((folder / _CONFIGURATION).read_bytes(), type=Directory)


def main(folder: Path, port: int) -> None:
    """Serve on this machine until standard input ends; says where."""
    hold()
    employer = Employer(f"http://127.0.0.1:{port}", lambda: read(folder))
    sys.stdout.write(json.dumps({"serving": employer.issuer}) + "\n")
    sys.stdout.flush()
    uvicorn.run(employer.app(), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
