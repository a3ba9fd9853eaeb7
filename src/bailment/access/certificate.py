"""Certificates of devices (RFC 8705): asked for by the device's key, good while the log says so.

A certificate is known by its `x5t#S256` alone. Nothing in it is read: whose it is, and how long it
is good, is what its record says, which the device itself signed for.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from msgspec import UNSET

from bailment import canonical
from bailment.access import base64url
from bailment.access.alive import alive
from bailment.access.proof import (
    check_key,
    check_request,
    check_time,
    content_digest,
    read_proof,
)
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, State
from bailment.ledger.identity_records import DeviceCertified
from bailment.ledger.records import TokenIssued

#: Where a device asks for a certificate.
PATH = "/enrol/certificates"


def thumbprint(der: bytes) -> str:
    """RFC 8705 §3.1 `x5t#S256`: base64url of the certificate's SHA-256, 43 characters."""
    return base64url.encode(sha256(der).digest())


def presented_certificate(scope: Mapping[str, Any]) -> str:
    """The `x5t#S256` of the certificate that an ASGI connection was made with, empty if none.

    Read from the ASGI TLS extension. The listener has seen to it that the issuer's own authority
    signed the certificate and that the client holds its key.
    """
    tls = scope.get("extensions", {}).get("tls", {})
    chain = tls.get("client_cert_chain")
    return _of_pem(chain[0]) if chain else ""


@lru_cache(4096)  # a connection has one certificate and many requests
def _of_pem(pem: str) -> str:
    lines = pem.split()[2:-2]  # between `-----BEGIN CERTIFICATE-----` and its end
    return thumbprint(b64decode("".join(lines)))


def certification_body(device: str) -> bytes:
    """The one body that asks for a device's certificate, which its proof is made over."""
    return canonical.encode({"device": device})


def certified(register: Indexed, facts: DeviceCertified, now: int) -> Refused | None:
    """Why a device may not be certified: its chain must stand, and its key must have asked."""
    path = register.path(register.link_of.get(facts.device, ""))
    if not path or path[-1].kind != "device":
        return Refused(Reason.LINK_UNKNOWN, "there is no such device")
    if refused := alive(register, path[-1].id, now):
        return refused
    if facts.until > min(link.until for link in path):
        return _wrong("the certificate outlives a link")
    if not now < facts.until <= now + register.conditions.certificate_ms:
        return _wrong("the certificate lasts longer than the spec allows")
    if any(facts.certificate == one.certificate for one in _all(register)):
        return _wrong("the certificate is on record already")
    return _asked(register, facts, now)


def keep(state: State, facts: DeviceCertified) -> None:
    """Fold it: a device's two newest are good, the one in use and the one it renews to."""
    known = state.certificates.get(facts.device, [])
    state.certificates[facts.device] = [*known[-1:], facts]


def bound(register: Indexed, token: TokenIssued, now: int) -> Refused | None:
    """Why the certificate that the token is bound to is not the device's now, if it is to one."""
    if token.certificate is UNSET:
        return None
    found = certificate_of(register, token.device, token.certificate)
    if found is None:
        return Refused(Reason.CERTIFICATE_OTHER, "the certificate is not one of the device's")
    if now >= found.until:
        return Refused(Reason.CERTIFICATE_EXPIRED, "the certificate has expired")
    return None


def certificate_of(register: Indexed, device: str, certificate: str) -> DeviceCertified | None:
    """The record of a device's certificate, if the device has this one, expired or not."""
    known = register.state.certificates.get(device, ())
    return next((one for one in known if compare_digest(one.certificate, certificate)), None)


def asked(
    register: Indexed, device: str, compact: str, path: str, body: bytes, now: int
) -> Refused | None:
    """Why this proof does not say that the device's key asked for just this; a replay is for the
    caller to notice."""
    proof = read_proof(compact)
    if isinstance(proof, Refused):
        return proof
    policy = register.policy
    key = register.key(register.state.devices[device].key)
    if proof.claims.content_digest != content_digest(sha256(body).digest()):
        return Refused(Reason.PROOF_BODY, "the proof is over something else")
    return (
        check_key(proof, key.thumbprint)
        or check_request(proof, method="POST", target=register.state.url + path, ath=None)
        or check_time(proof, now_ms=now, lifetime_ms=policy.proof_ms, skew_ms=policy.skew_ms)
    )


def _asked(register: Indexed, facts: DeviceCertified, now: int) -> Refused | None:
    """Whether the device's key asked for just this, once."""
    known = register.state.certificates.get(facts.device, ())
    if any(facts.proof == one.proof for one in known):
        return Refused(Reason.PROOF_REPLAYED, "the proof has been used")
    body = certification_body(facts.device)
    return asked(register, facts.device, facts.proof, PATH, body, now)


def _all(register: Indexed) -> list[DeviceCertified]:
    return [one for known in register.state.certificates.values() for one in known]


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)
