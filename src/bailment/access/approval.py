"""Approvals: a person's signature under a decision, which anybody can check later.

An approval is a compact JWS (`typ` `bailment-KIND+jwt`, ES256) by a registered approver's key, over
the canonical JSON of what is decided; `kid` is the key's thumbprint. The `typ` keeps a signature
under one kind of decision from counting for another. Several approvers sign the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import jws
from bailment.access.jwk import PublicKey
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed
from bailment.errors import FormatError

#: The kinds of decisions: a model's tier, an exception from a requirement, who else may approve.
TIER, EXCEPTION, APPROVER = "tier", "exception", "approver"
#: Any other act that takes more people (`two_person.py`).
ACT = "act"
#: Signatures that are looked at.
_MOST = 16


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


def approved(
    register: Indexed,
    kind: str,
    told: dict[str, Any],
    approvals: Sequence[str],
    number: int,
    names: Collection[str] = (),
) -> Refused | None:
    """Why not enough registered approvers (just these, if named) signed what is told, or None."""
    keys = register.state.approvers
    by_thumbprint = {register.key(key).thumbprint: name for name, key in keys.items() if key}
    signed: set[str] = set()
    for compact in approvals[:_MOST]:
        try:
            name = by_thumbprint.get(str(jws.parse(compact).header.get("kid", "")))
        except FormatError as error:
            return _refused(f"an approval is malformed: {error}")
        if name is None:
            return _refused("an approval is by a key that is no approver's")
        if verify_approval(compact, kind, register.key(keys[name])) != told:
            return _refused(f"`{name}` did not sign this")
        signed.add(name)
    if names and signed != set(names):
        return _refused("the approvers named are not those who signed")
    if len(signed) < number:
        return _refused(f"it takes {number} approvers, and {len(signed)} signed")
    return None


def _typ(kind: str) -> str:
    return f"bailment-{kind}+jwt"


def _refused(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)
