"""Approvals: a person's signature under a decision, which anybody can check later.

An approval is a compact JWS (`typ` `bailment-KIND+jwt`, ES256) by a registered approver's key, over
the canonical JSON of what is decided; `kid` is the key's thumbprint. The `typ` keeps a signature
under one kind of decision from counting for another. Several approvers sign the same bytes.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import jws
from bailment.access.jwk import PublicKey
from bailment.access.reasons import Reason, Refused
from bailment.errors import FormatError

#: The kinds of decisions: a model's tier, and an exception from a requirement.
TIER, EXCEPTION = "tier", "exception"


def sign_approval(kind: str, told: object, key: ec.EllipticCurvePrivateKey, thumbprint: str) -> str:
    """The approval of `told`, a JSON value or a struct, by the key with this RFC 7638 thumbprint.

    FormatError if it is too long for anybody to read.
    """
    compact = jws.sign({"kid": thumbprint, "typ": _typ(kind)}, canonical.encode(told), key)
    if len(compact) > jws.MAX_LENGTH:
        raise FormatError(f"the {kind} decision is too long to be signed")
    return compact


def verify_approval(compact: str, kind: str, key: PublicKey) -> dict[str, Any] | Refused:
    """What was approved, if `key` approved a decision of this kind."""
    try:
        signed = jws.parse(compact)
        told = canonical.decode(signed.payload)
    except FormatError as error:
        return _refused(f"the approval is malformed: {error}")
    if signed.alg != "ES256" or signed.header.get("typ") != _typ(kind):
        return _refused(f"the approval is of no {kind} decision")
    if signed.header.get("kid") != key.thumbprint or not jws.verify(signed, key):
        return _refused("the approval is not by this key")
    return told if isinstance(told, dict) else _refused("what was approved is no object")


def _typ(kind: str) -> str:
    return f"bailment-{kind}+jwt"


def _refused(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)
