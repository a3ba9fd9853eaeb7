"""Write approvals.json: acts, their digests, and what passkeys and keys sign of them.

python formats/vectors/generate_approvals.py
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

OUT = Path(__file__).with_name("approvals.json")
URL, HOST = "https://lab.example:8443", "lab.example"
#: Known to everybody, and so for these vectors alone.
KEY = ec.derive_private_key(int.from_bytes(sha256(b"bailment passkey").digest()), ec.SECP256R1())
OTHER = ec.derive_private_key(int.from_bytes(sha256(b"bailment other").digest()), ec.SECP256R1())
ES256 = ec.ECDSA(SHA256(), deterministic_signing=True)
ACT: dict[str, Any] = {
    "record": "hold.added",
    "facts": {
        "hold": "0123456789abcdef0123456789abcdef",
        "subject": "everything",
        "reason": "the model leaked",
        "author": "operator:fedcba9876543210fedcba9876543210",
    },
    "proposal": "00112233445566778899aabbccddeeff",
    "shown": {"people": 5, "recipients": ["acme", "initech"]},
    "until": 1_795_000_000_000,
}
UP, UV = 0x01, 0x04


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    point = key.public_key().public_numbers()
    x, y = (b64(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def assertion(
    *,
    key: ec.EllipticCurvePrivateKey = KEY,
    host: str = HOST,
    flags: int = UP | UV,
    counter: int = 7,
    signed: bytes | None = None,
    **changes: Any,
) -> dict[str, str]:
    """What a passkey answers; `changes` replace members of the client data."""
    told = {
        "type": "webauthn.get",
        "challenge": b64(sha256(canonical(ACT)).digest()),
        "origin": URL,
        "crossOrigin": False,
        **changes,
    }
    client = json.dumps(told).encode()
    data = sha256(host.encode()).digest() + bytes([flags]) + counter.to_bytes(4, "big")
    message = data + sha256(client).digest() if signed is None else signed
    return {
        "credential": b64(b"a passkey's id"),
        "client_data": b64(client),
        "authenticator_data": b64(data),
        "signature": b64(key.sign(message, ES256)),
    }


def cases() -> Iterator[dict[str, Any]]:
    good = assertion()
    refused = {
        "a sign-in, whose challenge is random": assertion(challenge=b64(b"r" * 32)),
        "another act": assertion(challenge=b64(sha256(b"another act").digest())),
        "another origin": assertion(origin="https://evil.example"),
        "the origin without its port": assertion(origin="https://lab.example"),
        "a frame in another site's page": assertion(crossOrigin=True),
        "a registration": assertion(type="webauthn.create"),
        "another relying party": assertion(host="evil.example"),
        "a user who was not there": assertion(flags=UV),
        "a user who was not verified": assertion(flags=UP),
        "another key": assertion(key=OTHER),
        "a signature over something else": assertion(signed=b"something else"),
        "a counter that stands still": assertion(counter=6),
        "a counter that went back": assertion(counter=5),
        "authenticator data cut short": {**good, "authenticator_data": b64(b"short")},
        "client data that is no object": {**good, "client_data": b64(b"[]")},
        "client data with padding": {**good, "client_data": good["client_data"] + "="},
        "a signature that is none": {**good, "signature": b64(b"none")},
    }
    yield {"name": "as it should be", "counter": 6, "assertion": good, "result": "7"}
    never = assertion(counter=0)
    yield {"name": "a passkey that counts nothing", "counter": 0, "assertion": never, "result": "0"}
    for name, shown in refused.items():
        yield {"name": name, "counter": 6, "assertion": shown, "result": "passkey-refused"}


def jws() -> str:
    """An approver's signature under the act."""
    members = jwk(KEY)
    header = {"alg": "ES256", "kid": b64(sha256(canonical(members)).digest())}
    header["typ"] = "bailment-act+jwt"
    told = {"digest": sha256(canonical(ACT)).hexdigest(), "proposal": ACT["proposal"]}
    message = f"{b64(canonical(header))}.{b64(canonical(told))}"
    r, s = decode_dss_signature(KEY.sign(message.encode(), ES256))
    return f"{message}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def vectors() -> str:
    """The text of the file."""
    document = {
        "url": URL,
        "key": jwk(KEY),
        "act": ACT,
        "canonical": canonical(ACT).decode(),
        "digest": sha256(canonical(ACT)).hexdigest(),
        "jws": jws(),
        "assertions": list(cases()),
    }
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    OUT.write_text(vectors())
