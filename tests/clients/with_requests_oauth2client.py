"""A device that knows only the RFCs, by requests-oauth2client; else as `oauth4webapi.mjs`."""

from __future__ import annotations

import hashlib
import json
import sys
from base64 import b64encode
from typing import Any

import requests
from jwskate import Jwt, SignedJwt
from requests_oauth2client import DPoPKey, DPoPToken, OAuth2Client, PrivateKeyJwt
from requests_oauth2client.dpop import RepeatedDPoPNonce

told = json.load(sys.stdin)


class Ratcheted(PrivateKeyJwt):
    """Shows the handle that came with the last token."""

    handle = ""

    def client_assertion(self, audience: str) -> str:
        made = SignedJwt(super().client_assertion(told["issuer"]))
        claims = {**made.claims, **({"ratchet": Ratcheted.handle} if Ratcheted.handle else {})}
        return str(Jwt.sign(claims, key=self.private_jwk, alg=self.alg))


class Digested(DPoPKey):
    """Signs over the body that waits here: `DPoPKey` is made to be subclassed for more claims."""

    body: bytes | None = None

    def proof(self, *args: Any, **more: Any) -> SignedJwt:
        made = super().proof(*args, **more)
        if Digested.body is None:
            return made
        digest = b64encode(hashlib.sha256(Digested.body).digest()).decode()
        claims = {**made.claims, "content_digest": f"sha-256=:{digest}:"}
        extra = {"jwk": self.public_jwk}
        return Jwt.sign(
            claims, key=self.private_key, alg=self.alg, typ=self.jwt_typ, extra_headers=extra
        )


key = {**told["key"], "kid": "device", "alg": "ES256"}
metadata = requests.get(told["issuer"] + "/.well-known/oauth-authorization-server", timeout=30)
client = OAuth2Client.from_discovery_document(
    metadata.json(),
    issuer=told["issuer"],
    auth=Ratcheted(told["device"], key),
    authorization_server_jwks=requests.get(metadata.json()["jwks_uri"], timeout=30).json(),
    testing=True,
)
dpop_key = Digested(told["key"], alg="ES256")
detail = {"type": "bailment_access", "purpose": told["purpose"], "models": [told["model"]]}


def token() -> DPoPToken:
    got = client.client_credentials(
        dpop=True, dpop_key=dpop_key, authorization_details=json.dumps([detail])
    )
    assert isinstance(got, DPoPToken)
    Ratcheted.handle = got.ratchet
    return got


def call(access: DPoPToken, method: str, path: str, sent: bytes | None = None) -> dict[str, Any]:
    Digested.body = sent
    headers = {"content-type": "application/json"}
    url = told["issuer"] + path
    try:
        answered = requests.request(
            method, url, data=sent, headers=headers, auth=access, timeout=30
        )
    except RepeatedDPoPNonce as error:  # it takes every challenge for one about the nonce
        answered = error.response
    Digested.body = None
    return {"status": answered.status_code, "body": answered.json()}


first, second = token(), token()
message = {"role": "user", "content": "hello"}
question = json.dumps({"model": told["model"], "messages": [message], "max_tokens": 16}).encode()
seen = {
    "first": {"access_token": first.access_token, "token_type": first.token_type},
    "second": {"access_token": second.access_token, "token_type": second.token_type},
    "listed": call(second, "GET", "/v1/models"),
    "answered": call(second, "POST", "/v1/chat/completions", question),
    "state": client.introspect_token(second.access_token),
}
client.revoke_token(second.access_token)
seen["after"] = call(second, "GET", "/v1/models")
seen["other"] = call(first, "GET", "/v1/models")
json.dump(seen, sys.stdout, default=str)
