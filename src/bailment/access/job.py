"""Job tokens: by what a CI system or a platform vouches for a workload (RFC 7523 §2.1 and §3).

An OpenID Connect provider signs for each job a token that says which job it is. A workload's link
names issuer, audience and subject exactly: no pattern, since one that fits one repository more is
somebody else's way in. Whatever else a token says is not read, `act` (RFC 8693 §4.1) least of
all: its own specification forbids to base access on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Any, Protocol

import msgspec

from bailment import canonical
from bailment.access import jwk as jwks
from bailment.access import jws
from bailment.access.chain import Link
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed
from bailment.errors import FormatError

#: No job token is taken that was made longer ago (s); `admission` remembers it for longer.
OLDEST_S = 3600
_MOST_KEYS = 64
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
_Time = Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INTEGER // 1000)]


class JobClaims(msgspec.Struct, frozen=True):
    """The claims that are read; times in seconds. `aud` is one string: who has several is for
    others too."""

    iss: _Text
    aud: _Text
    sub: _Text
    iat: _Time
    exp: _Time
    nbf: _Time = 0
    jti: _Text | None = None


class JobToken(msgspec.Struct, frozen=True):
    """A job token that has been read and *not* checked. `known` is what it is known again by."""

    claims: JobClaims
    signed: jws.Jws

    @property
    def known(self) -> str:
        """Not its characters: another signature over the same claims is the same token."""
        if self.claims.jti is None:
            return sha256(self.signed.parts.signing_input).hexdigest()
        return sha256(f"jti {self.claims.iss} {self.claims.jti}".encode()).hexdigest()


class Signed(Protocol):
    """Anything that came as a JWS."""

    @property
    def signed(self) -> jws.Jws:
        """As it was read, unverified."""


def read_job(compact: str) -> JobToken | Refused:
    """Read an `assertion`."""
    try:
        signed = jws.parse(compact)
        claims = msgspec.convert(canonical.parse_unique(signed.payload), JobClaims)
    except FormatError as error:
        return _refused(str(error))
    except msgspec.ValidationError:
        return _refused("the claims are not `iss`, `sub`, one `aud`, integer `iat` and `exp`")
    return JobToken(claims, signed)


def workload_of(register: Indexed, claims: JobClaims, client: str = "") -> Link | Refused:
    """The one workload with this issuer, audience and subject whose link was not ended.

    `client` is its id, if the job knows it: two organisations may name the same job.
    """
    found = [
        link
        for link in register.links.values()
        if link.workload is not None
        and client in ("", link.subject)
        and (link.workload.iss, link.workload.aud, link.workload.sub)
        == (claims.iss, claims.aud, claims.sub)
        and not register.state.links[link.id].ended
    ]
    if len(found) == 1:
        return found[0]
    if found:
        return _refused("two workloads have these: name one by `client_id`")
    return _refused("no workload has this issuer, audience and subject")


def check_job(
    token: JobToken, keys: Iterable[jwks.PublicKey], *, now_ms: int, skew_ms: int
) -> Refused | None:
    """Whether one of the issuer's keys signed it, and it is of now."""
    if not any(jws.verify(token.signed, key) for key in keys):
        return _refused("none of the issuer's keys signed it")
    claims = token.claims
    if max(claims.iat, claims.nbf) * 1000 > now_ms + skew_ms:
        return _refused("it is from the future")
    if claims.exp * 1000 + skew_ms <= now_ms:
        return _refused("it has expired")
    if (claims.iat + OLDEST_S) * 1000 <= now_ms:
        return _refused(f"it was made more than {OLDEST_S} s ago")
    return None


def keys_of(document: Any, token: Signed) -> list[jwks.PublicKey]:
    """Those of a JWK Set (RFC 7517 §5) that may have signed a token: of the `kid` that it names,
    of a kind that fits its `alg`. Keys that we do not take are passed over."""
    listed = document.get("keys") if isinstance(document, dict) else None
    kid = token.signed.header.get("kid")
    found = []
    for one in listed[:_MOST_KEYS] if isinstance(listed, list) else ():
        if not isinstance(one, dict) or (kid is not None and one.get("kid") != kid):
            continue
        members = {name: one[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in one}
        try:
            key = jwks.parse(members)
        except FormatError:
            continue
        if one.get("use", "sig") == "sig" and token.signed.alg in key.algorithms:
            found.append(key)
    return found


def _refused(detail: str) -> Refused:
    return Refused(Reason.JOB_TOKEN, detail)
