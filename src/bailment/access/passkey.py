"""Passkeys: what an assertion proves, from its bytes and the registered key alone.

Web Authentication Level 3, section 7.2, without what a browser or a session must add: that the
challenge is ours, and was not answered before, is for whoever made it. When the challenge is the
digest of an act, the assertion says for good that this person approved exactly that.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from bailment import canonical
from bailment.access import base64url
from bailment.access.jwk import PublicKey
from bailment.access.reasons import Reason, Refused
from bailment.errors import FormatError
from bailment.ledger.operator_records import Assertion

#: Longest member of an assertion, characters: what an authenticator sends is some hundred bytes.
_MOST = 8 * 1024
#: In the authenticator's data (section 6.1): flags, and where the counter stands.
_PRESENT, _VERIFIED = 0x01, 0x04
_COUNTER = slice(33, 37)


def origin_of(url: str) -> str:
    """The web origin (RFC 6454) of the issuer's URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def rp_id(url: str) -> str:
    """The relying party's id: the host of the issuer's URL."""
    return urlsplit(url).hostname or ""


def verify(
    shown: Assertion, key: PublicKey, counter: int, *, url: str, challenge: bytes | None
) -> int | Refused:
    """The authenticator's new counter, if `key` signed the challenge for this URL, with the user
    verified; why not otherwise.

    `counter` is the last one seen, `challenge` None where any will do.
    """
    try:
        members = (shown.client_data, shown.authenticator_data, shown.signature)
        if any(len(member) > _MOST for member in members):
            raise FormatError("the assertion is too long")
        client_data, data, signature = map(base64url.decode, members)
        client = canonical.parse_unique(client_data)
    except FormatError as error:
        return _refused(str(error))
    if not isinstance(client, dict):
        return _refused("the client data is no object")
    if why := _objection(client, data, url, challenge):
        return _refused(why)
    alg = min(key.algorithms - {"PS256"})
    form = _joined(signature) if alg == "ES256" else signature
    if not key.verify(alg, form, data + sha256(client_data).digest()):
        return _refused("the signature is not by this passkey")
    new = int.from_bytes(data[_COUNTER], "big")
    if (new or counter) and new <= counter:
        return _refused("the passkey's counter went back: there may be a copy of it")
    return new


def counter_of(shown: Assertion) -> int:
    """The counter in an assertion that was verified."""
    return int.from_bytes(base64url.decode(shown.authenticator_data)[_COUNTER], "big")


def _objection(client: dict[str, Any], data: bytes, url: str, challenge: bytes | None) -> str:
    """What is wrong with what was signed; empty if nothing is."""
    if client.get("type") != "webauthn.get":
        return "the client data is not of an assertion"
    if challenge is not None and client.get("challenge") != base64url.encode(challenge):
        return "the passkey signed another challenge"
    if client.get("origin") != origin_of(url) or client.get("crossOrigin") not in (None, False):
        return "the passkey signed for another origin"
    if len(data) < 37 or data[:32] != sha256(rp_id(url).encode()).digest():
        return "the passkey signed for another relying party"
    if data[32] & (_PRESENT | _VERIFIED) != _PRESENT | _VERIFIED:
        return "the passkey did not verify its user"
    return ""


def _joined(der: bytes) -> bytes:
    """An ECDSA signature as JWS has it (RFC 7518, section 3.4); empty if it is none."""
    try:
        r, s = decode_dss_signature(der)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    except (ValueError, OverflowError):
        return b""


def _refused(detail: str) -> Refused:
    return Refused(Reason.PASSKEY_REFUSED, detail)
