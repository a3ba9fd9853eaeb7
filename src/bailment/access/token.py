"""Access tokens: JWTs (RFC 9068) that live minutes and are worth nothing without a device's key.

A token says which device, person and links it was issued for. It grants nothing by itself: the
decision asks the register at every use. RFC 8693 `act` is never read, since its §4.1 forbids to
base access on nested actors.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import UNSET, UnsetType

from bailment import canonical
from bailment.access import jws
from bailment.access.jwk import PublicKey
from bailment.access.proof import token_hash
from bailment.access.reasons import Reason, Refused
from bailment.errors import FormatError
from bailment.ledger.records import Budget

__all__ = [
    "MAX_LIFETIME_MS",
    "AccessDetail",
    "Claims",
    "Confirmation",
    "Details",
    "read_claims",
    "sign_token",
    "token_hash",
    "verify_token",
]

TYP = "at+jwt"
MAX_LIFETIME_MS = 300_000

Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INTEGER // 1000)]
Thumbprint = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Block = Annotated[str, msgspec.Meta(min_length=1, max_length=43)]
_Networks = Annotated[tuple[_Block, ...], msgspec.Meta(min_length=1, max_length=16)]


#: The members of `cnf` that bind a token, of which it has one.
_BINDINGS = frozenset({"jkt", "x5t#S256"})


class Confirmation(msgspec.Struct, frozen=True):
    """RFC 7800 `cnf`: what the token is bound to, which is one of two.

    jkt           thumbprint of a key, whose holder makes a proof for each request (RFC 9449 §6.1)
    certificate   `x5t#S256` of the certificate that connections are made with (RFC 8705 §3.1)
    """

    jkt: Thumbprint | UnsetType = UNSET
    certificate: Thumbprint | UnsetType = msgspec.field(name="x5t#S256", default=UNSET)


class AccessDetail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """RFC 9396 authorization details: what for, and what narrows the chain for this token alone.

    No models means no narrowing. `networks` are CIDR blocks, `budget` is the token's own.
    """

    type: Literal["bailment_access"]
    purpose: Name
    models: Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)] = ()
    budget: Budget | UnsetType = UNSET
    networks: _Networks | UnsetType = UNSET


Details = Annotated[tuple[AccessDetail, ...], msgspec.Meta(min_length=1, max_length=1)]
"""Exactly one, so that a token has exactly one purpose; the form of the request parameter too."""


class Claims(msgspec.Struct, frozen=True):
    """The claims of an access token; `iat` and `exp` in seconds.

    sub         person id
    client_id   device id
    lnk         link ids, the issuer's first
    """

    iss: Name
    aud: Name
    sub: Id
    client_id: Id
    iat: Seconds
    exp: Seconds
    jti: Name
    cnf: Confirmation
    lnk: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=16)]
    key_class: Literal["hw-attested", "hw-unattested", "software"]
    authorization_details: Details


def sign_token(claims: Claims, issuer_key: ec.EllipticCurvePrivateKey) -> str:
    """The access token with these claims."""
    return jws.sign({"typ": TYP}, canonical.encode(claims), issuer_key)


def verify_token(
    compact: str,
    issuer_key: PublicKey,
    *,
    iss: str,
    aud: str,
    now_ms: int,
    skew_ms: int,
    max_lifetime_ms: int = MAX_LIFETIME_MS,
) -> Claims | Refused:
    """The claims of a token that this issuer signed for this audience and that lives at `now_ms`.

    Refused as TOKEN_MALFORMED, TOKEN_UNTRUSTED, TOKEN_UNBOUND or TOKEN_EXPIRED. Only the last
    two speak of a token that the issuer did sign.
    """
    try:
        signed = jws.parse(compact)
    except FormatError as error:
        return Refused(Reason.TOKEN_MALFORMED, str(error))
    if signed.header.get("typ") != TYP:
        return Refused(Reason.TOKEN_UNTRUSTED, f"the `typ` is not `{TYP}`")
    if not jws.verify(signed, issuer_key):
        return Refused(Reason.TOKEN_UNTRUSTED, "the issuer did not sign this token")
    claims = _read_claims(signed.payload)
    if isinstance(claims, Refused):
        return claims
    if claims.iss != iss or claims.aud != aud:
        return Refused(Reason.TOKEN_UNTRUSTED, "`iss` or `aud` is not this service")
    lifetime_ms = (claims.exp - claims.iat) * 1000
    if not 0 < lifetime_ms <= max_lifetime_ms:
        return Refused(Reason.TOKEN_UNTRUSTED, "the token lives longer than allowed")
    if claims.iat * 1000 > now_ms + skew_ms:
        return Refused(Reason.TOKEN_UNTRUSTED, "`iat` is in the future")
    if claims.exp * 1000 + skew_ms <= now_ms:
        return Refused(Reason.TOKEN_EXPIRED, "the token has expired")
    return claims


def read_claims(compact: str) -> Claims | Refused:
    """The claims of a token that is known to be the issuer's: its hash is in the log."""
    try:
        return _read_claims(jws.parse(compact).payload)
    except FormatError as error:
        return Refused(Reason.TOKEN_MALFORMED, str(error))


def _read_claims(payload: bytes) -> Claims | Refused:
    try:
        value = canonical.parse_unique(payload)
        cnf = value.get("cnf") if isinstance(value, dict) else None
        named = cnf.keys() & _BINDINGS if isinstance(cnf, dict) else ()
        if isinstance(value, dict) and len(named) != 1:
            return Refused(
                Reason.TOKEN_UNBOUND, "`cnf` binds the token to one key or one certificate"
            )
        return msgspec.convert(value, Claims)
    except (FormatError, msgspec.ValidationError):
        return Refused(Reason.TOKEN_MALFORMED, "the claims are not those of an access token")
