"""Security event tokens (RFC 8417) as the Shared Signals Framework 1.0 profiles them.

A transmitter signs what happened to an account or a device. Its token must not be mistaken for any
other (`typ` is `secevent+jwt`, there is no `sub` and no `exp`), names one event, and is for us
alone. Whom it is about stands in `sub_id` (RFC 9493), in names that mean something to the
recipient; `control/signals.py` looks for the one person or device of that organisation.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple, TypeGuard

from bailment import canonical
from bailment.access import jws
from bailment.access.jwk import PublicKey
from bailment.access.signalling import REMEMBERED
from bailment.errors import FormatError

TYP = "secevent+jwt"
_RISC = "https://schemas.openid.net/secevent/risc/event-type/"
_CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
_SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
DISABLED, PURGED = _RISC + "account-disabled", _RISC + "account-purged"
ENABLED = _RISC + "account-enabled"
SESSION_REVOKED, CREDENTIAL_CHANGE = _CAEP + "session-revoked", _CAEP + "credential-change"
COMPLIANCE = _CAEP + "device-compliance-change"
VERIFICATION, STREAM_UPDATED = _SSF + "verification", _SSF + "stream-updated"
#: What we ask a transmitter for.
REQUESTED = (DISABLED, PURGED, ENABLED, SESSION_REVOKED, CREDENTIAL_CHANGE, COMPLIANCE)

_MOST = 512


class Rejected(NamedTuple):
    """Why a token is not taken: the code of RFC 8935 §2.4, and words for the transmitter."""

    err: str
    description: str


class Name(NamedTuple):
    """How a party is called: `format` of RFC 9493, `value`, and for `iss_sub` whose name it is."""

    format: str
    value: str
    issuer: str = ""


class SecurityEvent(NamedTuple):
    """An event that has been read and *not* verified; `issued` in ms.

    `user` and `device` are the parts of a complex subject; a simple one stands in both, for only
    the event says which of them it is.
    """

    signed: jws.Jws
    jti: str
    issuer: str
    audience: tuple[str, ...]
    issued: int
    event: str
    members: dict[str, Any]
    user: Name | None
    device: Name | None

    @property
    def known(self) -> str:
        """What it is known again by, hex."""
        return sha256(f"{self.issuer}\0{self.jti}".encode()).hexdigest()


def read_event(compact: str) -> SecurityEvent | Rejected:
    """Read the body of a push (RFC 8935 §2.1)."""
    try:
        signed = jws.parse(compact)
        claims = canonical.parse_unique(signed.payload)
    except FormatError as error:
        return _invalid(str(error))
    if str(signed.header.get("typ", "")).lower().removeprefix("application/") != TYP:
        return _invalid(f"the `typ` is not `{TYP}`")
    if not isinstance(claims, dict):
        return _invalid("the claims are not an object")
    if "sub" in claims or "exp" in claims:
        return _invalid("a security event token has neither `sub` nor `exp`")
    jti, issuer, issued = claims.get("jti"), claims.get("iss"), claims.get("iat")
    if not _text(jti) or not _text(issuer):
        return _invalid("`jti` and `iss` are texts of 1 to 512 characters")
    if not isinstance(issued, int) or isinstance(issued, bool) or not 0 <= issued < 2**40:
        return _invalid("`iat` is no whole number of seconds")
    told = claims.get("aud")
    audience = (told,) if isinstance(told, str) else told
    if not isinstance(audience, list | tuple) or not all(isinstance(one, str) for one in audience):
        return _invalid("`aud` is neither a text nor several")
    events = claims.get("events")
    if not isinstance(events, dict) or len(events) != 1:
        return _invalid("`events` names exactly one event")
    ((event, members),) = events.items()
    if not _text(event) or not isinstance(members, dict):
        return _invalid("the event is no object under its URI")
    try:
        user, device = _subject(claims.get("sub_id"))
    except FormatError as error:
        return _invalid(str(error))
    return SecurityEvent(
        signed, jti, issuer, tuple(audience), issued * 1000, event, members, user, device
    )


def check_event(
    event: SecurityEvent,
    keys: Iterable[PublicKey],
    *,
    issuer: str,
    audience: str,
    now: int,
    skew: int,
) -> Rejected | None:
    """Whether the stream's own transmitter said this, to us, lately. Times in ms."""
    if event.issuer != issuer:
        return Rejected("invalid_issuer", "the `iss` is not the stream's transmitter")
    if audience not in event.audience:
        return Rejected("invalid_audience", "the `aud` is not this stream's")
    if not any(jws.verify(event.signed, key) for key in keys):
        return Rejected("invalid_key", "none of the transmitter's keys of this `kid` signed it")
    if event.issued > now + skew:
        return _invalid("the `iat` lies in the future")
    if event.issued + REMEMBERED <= now:
        return _invalid("the `iat` lies more than a week back")
    return None


def _subject(told: object) -> tuple[Name | None, Name | None]:
    """User and device of a `sub_id`; FormatError if it is of a known format and not well formed."""
    if told is None:
        return None, None
    if not isinstance(told, dict):
        raise FormatError("the `sub_id` is no object")
    if told.get("format") == "complex":
        return _name(told.get("user")), _name(told.get("device"))
    name = _name(told)
    return name, name


def _name(told: object) -> Name | None:
    """A simple subject of RFC 9493 §3.2; None where it is missing or of a format not read here."""
    if told is None:
        return None
    if not isinstance(told, dict):
        raise FormatError("a subject is no object")
    kind = told.get("format")
    member = {"email": "email", "account": "uri", "opaque": "id", "iss_sub": "sub"}.get(str(kind))
    if member is None:
        return None
    value, issuer = told.get(member), told.get("iss", "")
    if not _text(value) or (kind == "iss_sub" and not _text(issuer)):
        raise FormatError(f"a subject of format `{kind}` has no usable `{member}`")
    if kind == "account":  # RFC 7565
        if not value.startswith("acct:"):
            raise FormatError("the `uri` of an account does not begin with `acct:`")
        value = value.removeprefix("acct:")
    return Name(str(kind), value, issuer if kind == "iss_sub" else "")


def _text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _MOST and value.isprintable()


def _invalid(why: str) -> Rejected:
    return Rejected("invalid_request", why)
