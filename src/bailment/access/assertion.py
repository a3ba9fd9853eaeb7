"""Client assertions (RFC 7523 §3): how a device names itself at the token endpoint."""

from __future__ import annotations

from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import jws
from bailment.access.jwk import PublicKey
from bailment.access.reasons import Reason, Refused
from bailment.errors import FormatError

TYP = "JWT"
TYPE_URI = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_LIFETIME_S = 60


class Assertion(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claims; others are ignored. `iat` and `exp` in seconds, `iss` and `sub` the device id.

    `jti` must differ from that of every other assertion and proof by this key: where it is to
    be used once, `proof.replay_key` remembers it. `ratchet` is the handle that came with the last
    token.
    """

    iss: str
    sub: str
    aud: str
    iat: Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INTEGER)]
    exp: Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INTEGER)]
    jti: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{8,64}\Z")]
    ratchet: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")] | None = None


def make_assertion(
    private_key: ec.EllipticCurvePrivateKey,
    *,
    device: str,
    audience: str,
    jti: str,
    now_s: int,
    lifetime_s: int = MAX_LIFETIME_S,
    ratchet: str = "",
) -> str:
    """The `client_assertion` of a device for one token request; `audience` is the issuer URL."""
    claims = Assertion(device, device, audience, now_s, now_s + lifetime_s, jti, ratchet or None)
    return jws.sign({"typ": TYP}, canonical.encode(claims), private_key)


def verify_assertion(
    compact: str, key: PublicKey, *, device: str, audience: str, now_ms: int, skew_ms: int
) -> Assertion | Refused:
    """The claims if `device`, whose key this is, made the assertion for `audience` and it lives.

    Everything wrong is CLIENT_ASSERTION (RFC 6749 `invalid_client`); the detail says what.
    """
    try:
        signed = jws.parse(compact)
        claims = msgspec.convert(canonical.parse_unique(signed.payload), Assertion)
    except FormatError as error:
        return _refused(str(error))
    except msgspec.ValidationError:
        return _refused("the claims are not `iss`, `sub`, `aud`, `iat`, `exp` and `jti`")
    if signed.header.get("typ") != TYP:
        return _refused(f"the `typ` is not `{TYP}`")
    if not jws.verify(signed, key):
        return _refused("the device's key did not sign it")
    if claims.iss != device or claims.sub != device:
        return _refused("`iss` and `sub` are not the device")
    if claims.aud != audience:
        return _refused(f"`aud` is not `{audience}`")
    if not 0 < claims.exp - claims.iat <= MAX_LIFETIME_S:
        return _refused(f"it lives longer than {MAX_LIFETIME_S} s")
    if claims.iat * 1000 > now_ms + skew_ms:
        return _refused("`iat` is in the future")
    if claims.exp * 1000 + skew_ms <= now_ms:
        return _refused("it has expired")
    return claims


def _refused(detail: str) -> Refused:
    return Refused(Reason.CLIENT_ASSERTION, detail)
