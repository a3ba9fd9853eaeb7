"""A passkey in software: what an authenticator and its browser answer, and how they may lie."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from bailment.access import base64url

UP, UV, AT = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One passkey (ES256) for `origin`; a test changes what it says."""

    origin: str
    rp: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    id: bytes = field(default_factory=lambda: os.urandom(16))
    counter: int = 0
    flags: int = UP | UV

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.create()` gives, as JSON."""
        point = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (point.x, point.y))
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cose
        data = self._data(self.flags | AT) + attested
        statement = {"fmt": "none", "attStmt": {}, "authData": data}
        client = self._client("webauthn.create", options["challenge"])
        response = {
            "clientDataJSON": base64url.encode(client),
            "attestationObject": base64url.encode(cbor2.dumps(statement)),
        }
        return {**self._named(), "response": response}

    def get(self, options: dict[str, Any], **client: Any) -> dict[str, Any]:
        """What `navigator.credentials.get()` gives, as JSON; `client` changes the client data."""
        self.counter += 1
        told = self._client("webauthn.get", options["challenge"], **client)
        data = self._data(self.flags)
        signature = self.key.sign(data + sha256(told).digest(), ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": base64url.encode(told),
            "authenticatorData": base64url.encode(data),
            "signature": base64url.encode(signature),
        }
        return {**self._named(), "response": response}

    def _named(self) -> dict[str, Any]:
        name = base64url.encode(self.id)
        return {"id": name, "rawId": name, "type": "public-key", "clientExtensionResults": {}}

    def _client(self, kind: str, answered: str, /, **changes: Any) -> bytes:
        told = {
            "type": kind,
            "challenge": answered,
            "origin": self.origin,
            "crossOrigin": False,
            **changes,
        }
        return json.dumps(told).encode()

    def _data(self, flags: int) -> bytes:
        return sha256(self.rp.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")
