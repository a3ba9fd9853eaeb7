"""Compact JWS (RFC 7515): the one way through for tokens, links, proofs and client assertions.

Bounded and unambiguous: at most 16 KiB, three parts, each in its one base64url spelling, a
header without duplicate keys, no extensions (`crit`), an algorithm out of three.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from bailment import canonical
from bailment.access import base64url
from bailment.access.jwk import PublicKey
from bailment.errors import FormatError

MAX_LENGTH = 16 * 1024
ALGORITHMS = ("ES256", "RS256", "PS256")

# RFC 6979: signing needs no entropy, so a thinking room may sign, and vectors can be repeated.
_ECDSA = ec.ECDSA(SHA256(), deterministic_signing=True)


class Parts(NamedTuple):
    """A compact JWS taken apart; the header is still text."""

    protected: str
    payload: bytes
    signature: bytes
    signing_input: bytes


class Jws(NamedTuple):
    """A parsed, *unverified* JWS."""

    header: dict[str, Any]
    alg: str
    parts: Parts

    @property
    def payload(self) -> bytes:
        return self.parts.payload


def split(compact: str) -> Parts:
    """Take `compact` apart and decode payload and signature; FormatError if it is no JWS."""
    if len(compact) > MAX_LENGTH:
        raise FormatError(f"the JWS is longer than {MAX_LENGTH} characters")
    parts = compact.split(".")
    if len(parts) != 3:
        raise FormatError("a compact JWS has three parts")
    protected, payload, signature = parts
    octets = base64url.decode(payload), base64url.decode(signature)
    if not protected.isascii():
        raise FormatError("not base64url")
    return Parts(protected, *octets, compact[: -len(signature) - 1].encode())


def read_header(protected: str) -> tuple[dict[str, Any], str]:
    """The decoded protected header and its `alg`; FormatError if it is not acceptable."""
    header = canonical.parse_unique(base64url.decode(protected))
    if not isinstance(header, dict):
        raise FormatError("the JWS header is not an object")
    if "crit" in header:
        raise FormatError("the JWS header demands an extension with `crit`")
    alg = header.get("alg")
    if alg not in ALGORITHMS:
        raise FormatError("the `alg` is none of `ES256`, `RS256`, `PS256`")
    return header, alg


def parse(compact: str) -> Jws:
    """Parse without verifying; FormatError if it is no acceptable JWS."""
    parts = split(compact)
    return Jws(*read_header(parts.protected), parts)


def verify(jws: Jws, key: PublicKey) -> bool:
    """Whether `key` signed `jws`; False also when its `alg` does not fit the key."""
    return key.verify(jws.alg, jws.parts.signature, jws.parts.signing_input)


def sign(header: dict[str, Any], payload: bytes, key: ec.EllipticCurvePrivateKey) -> str:
    """The compact JWS of `payload` by ES256 (P-256 only); `alg` is added to `header`."""
    protected = base64url.encode(canonical.encode({"alg": "ES256", **header}))
    signing_input = f"{protected}.{base64url.encode(payload)}"
    r, s = decode_dss_signature(key.sign(signing_input.encode(), _ECDSA))
    signature = base64url.encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    return f"{signing_input}.{signature}"
