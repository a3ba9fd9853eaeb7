"""For Schemathesis: every request is signed with a device's key, over its body and with the newest
nonce, so that what lies behind the proof is tested too."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode
from typing import Any
from uuid import uuid4

import requests
import schemathesis
from jwskate import Jwk, Jwt
from requests.auth import AuthBase

_KEY = Jwk(json.loads(os.environ["DEVICE_KEY"]))
_NONCE: dict[str, str] = {}
schemathesis.serializer.alias("application/secevent+jwt", "text/plain")


class Signed(AuthBase):
    """A DPoP proof (RFC 9449) with `content_digest`."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else body
        claims = {
            "htm": request.method,
            "htu": str(request.url).partition("?")[0],
            "iat": Jwt.timestamp(),
            "jti": str(uuid4()),
            **_NONCE,
        }
        if isinstance(data, bytes):
            digest = b64encode(hashlib.sha256(data).digest()).decode()
            claims["content_digest"] = f"sha-256=:{digest}:"
        extra = {"jwk": _KEY.public_jwk()}
        proof = Jwt.sign(claims, key=_KEY, alg="ES256", typ="dpop+jwt", extra_headers=extra)
        request.headers["DPoP"] = str(proof)
        return request


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    kwargs["auth"] = Signed()


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    for nonce in response.headers.get("dpop-nonce", ()):
        _NONCE["nonce"] = nonce
