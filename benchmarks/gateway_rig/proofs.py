"""A device's side of the token endpoint and of DPoP, made for signing many proofs ahead.

Written from the RFCs and the documented HTTP contract, not from the product's code, so that the
benchmark also shows that a stranger's client can talk to the gateway.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
import time
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode(value: object) -> str:
    return b64url(json.dumps(value, separators=(",", ":")).encode())


def content_digest(body: bytes) -> str:
    """RFC 9530 `Content-Digest` with SHA-256."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


class Signer:
    """An ES256 key that signs compact JWS."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.key = key
        numbers = key.public_key().public_numbers()
        x, y = (b64url(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
        self.jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        self.proof_head = encode({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk})

    def sign(self, head: str, claims: dict[str, object]) -> str:
        text = f"{head}.{encode(claims)}"
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(SHA256())))
        return f"{text}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def proofs(
        self, url: str, body: bytes, nonce: str | None, token: str | None, count: int
    ) -> list[str]:
        """`count` DPoP proofs (RFC 9449) for POSTs of `body`, alike but for their `jti`."""
        claims: dict[str, object] = {
            "htm": "POST",
            "htu": url,
            "iat": int(time.time()),
            "content_digest": content_digest(body),
        }
        if nonce:
            claims["nonce"] = nonce
        if token:
            claims["ath"] = b64url(hashlib.sha256(token.encode()).digest())
        prefix = secrets.token_hex(8)
        return [
            self.sign(self.proof_head, {**claims, "jti": f"{prefix}-{number:08}"})
            for number in range(count)
        ]


class Session:
    """An enrolled device: fetches a token and a nonce, and signs proofs with them."""

    def __init__(self, issuer: str, device: str, signer: Signer, purpose: str) -> None:
        self.issuer, self.device, self.signer, self.purpose = issuer, device, signer, purpose
        self.nonce: str | None = None
        self.handle = ""  # that came with the last token

    def present(self, url: str, body: bytes, count: int) -> tuple[dict[str, str], list[str]]:
        """The constant headers, and one DPoP header value for each of `count` requests.

        Token and nonce are new each time: they outlive a run, not a benchmark.
        """
        token = self.fetch_token()
        headers = {"Authorization": f"DPoP {token}"}
        return headers, self.signer.proofs(url, body, self.nonce, token, count)

    def fetch_token(self) -> str:
        """POST /oauth/token; the first answer only tells the nonce (RFC 9449 §8)."""
        for _ in range(2):
            status, answer = self.ask_token()
            if status == http.client.OK:
                self.handle = str(answer.get("ratchet", ""))
                return str(answer["access_token"])
            if answer.get("error") != "use_dpop_nonce":
                break
        raise RuntimeError(f"no token: {status} {answer}")

    def ask_token(self) -> tuple[int, dict[str, object]]:
        url, now = f"{self.issuer}/oauth/token", int(time.time())
        claims: dict[str, object] = {
            "iss": self.device,
            "sub": self.device,
            "aud": self.issuer,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_hex(16),
            **({"ratchet": self.handle} if self.handle else {}),
        }
        access = [{"type": "bailment_access", "purpose": self.purpose}]
        form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": self.device,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": self.signer.sign(
                    encode({"typ": "JWT", "alg": "ES256"}), claims
                ),
                "authorization_details": json.dumps(access),
            }
        ).encode()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "DPoP": self.signer.proofs(url, form, self.nonce, None, 1)[0],
        }
        connection = http.client.HTTPConnection(urlsplit(self.issuer).netloc, timeout=10)
        try:
            connection.request("POST", "/oauth/token", form, headers)
            answer = connection.getresponse()
            self.nonce = answer.getheader("DPoP-Nonce") or self.nonce
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()
