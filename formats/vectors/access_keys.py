"""The keys of the access vectors, and what signs and encodes with them.

Uses `cryptography` and the standard library only, none of the code that the vectors are to test.
The same on every run: ECDSA by RFC 6979, PSS with a salt of zeros. The RSA key is that of RFC 7515
A.2, the device's P-256 key that of A.3. These keys are public: never use them.
"""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

JSON = dict[str, Any]


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def ec_key(d: str) -> JSON:
    point = ec.derive_private_key(int.from_bytes(unb64(d), "big"), ec.SECP256R1()).public_key()
    numbers = point.public_numbers()
    x, y = (b64(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": d}


KEYS: dict[str, JSON] = {
    "device": ec_key("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"),
    "other": ec_key(b64(sha256(b"bailment vectors: another device").digest())),
    "issuer": ec_key(b64(sha256(b"bailment vectors: the issuer").digest())),
    "rsa": {
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPM"
        "EzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kp"
        "aSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT"
        "6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB",
        "d": "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-"
        "7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqz"
        "jkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT"
        "5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
    },
}
ALGORITHM = {"EC": "ES256", "RSA": "RS256"}


def public(name: str) -> JSON:
    return {k: v for k, v in KEYS[name].items() if k != "d"}


def thumbprint(name: str) -> str:
    return b64(
        sha256(json.dumps(public(name), sort_keys=True, separators=(",", ":")).encode()).digest()
    )


def signature(name: str, alg: str, message: bytes) -> bytes:
    d = int.from_bytes(unb64(KEYS[name]["d"]), "big")
    if alg == "ES256":
        key = ec.derive_private_key(d, ec.SECP256R1())
        r, s = decode_dss_signature(
            key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
        )
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    n = int.from_bytes(unb64(KEYS[name]["n"]), "big")
    encoded = {"RS256": emsa_pkcs1, "PS256": emsa_pss}[alg](sha256(message).digest(), 256)
    return pow(int.from_bytes(encoded, "big"), d, n).to_bytes(256, "big")


def emsa_pkcs1(digest: bytes, size: int) -> bytes:
    """RFC 8017 §9.2 for SHA-256."""
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest
    return b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info


def emsa_pss(digest: bytes, size: int) -> bytes:
    """RFC 8017 §9.1.1 for SHA-256, MGF1 and a salt of 32 zeros; `size` in octets."""
    salt = bytes(32)
    h = sha256(bytes(8) + digest + salt).digest()
    block = bytes(size - 32 - 32 - 2) + b"\1" + salt
    mask = b"".join(sha256(h + i.to_bytes(4, "big")).digest() for i in range(size // 32))
    masked = bytearray(a ^ b for a, b in zip(block, mask, strict=False))
    masked[0] &= 0x7F
    return bytes(masked) + h + b"\xbc"


def sign(header: JSON | str, payload: JSON | str, key: str, alg: str = "") -> str:
    texts = [
        t if isinstance(t, str) else json.dumps(t, sort_keys=True, separators=(",", ":"))
        for t in (header, payload)
    ]
    message = ".".join(b64(text.encode()) for text in texts)
    return f"{message}.{b64(signature(key, alg or ALGORITHM[KEYS[key]['kty']], message.encode()))}"


def hashed(token: str) -> str:
    return b64(sha256(token.encode()).digest())


def content_digest(body: str) -> str:
    return f"sha-256=:{b64encode(sha256(body.encode()).digest()).decode()}:"


def without(claims: JSON, *names: str) -> JSON:
    return {k: v for k, v in claims.items() if k not in names}
