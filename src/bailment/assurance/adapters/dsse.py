"""Signed envelopes: DSSE v1.0, around an in-toto statement or around a report of any format.

    signature = Sign("DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload)

`keyid` is a hint that nobody signed, and decides nothing: every known key is tried.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from bailment.assurance.adapters.reading import Unreadable, as_type
from bailment.assurance.reasons import EvidenceReason
from bailment.assurance.signers import Signer

#: The payload is the bytes of a report in any format that is not an in-toto statement.
REPORT_TYPE = "application/vnd.bailment.report+json"
STATEMENT_TYPE = "application/vnd.in-toto+json"
MAX_SIGNATURES = 16

_TO_STANDARD = str.maketrans("-_", "+/")


class Opened(NamedTuple):
    """A payload, the known signers whose signatures hold, and how many other signatures it has."""

    payload: bytes
    is_statement: bool
    signers: tuple[Signer, ...]
    strangers: int


class _Signature(msgspec.Struct):
    sig: str
    keyid: str | None = None


class _Envelope(msgspec.Struct):
    payload: str
    payloadType: Annotated[str, Meta(max_length=200)]
    signatures: Annotated[list[_Signature], Meta(max_length=MAX_SIGNATURES)]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def recognises(value: Any) -> bool:
    """Whether it is an envelope."""
    return isinstance(value, dict) and {"payload", "payloadType", "signatures"} <= value.keys()


def open_envelope(value: Any, known: Sequence[Signer]) -> Opened:
    """The payload, with those of the known signers who signed it.

    Unreadable if it is not of a type that is evidence, nobody signed it, or a signature that names
    a known key by `keyid` does not hold: it was changed since.
    """
    envelope = as_type(value, _Envelope)
    kind = envelope.payloadType
    is_statement = kind == STATEMENT_TYPE or (
        kind.startswith("application/vnd.in-toto.") and kind.endswith("+json")
    )
    if not (is_statement or kind == REPORT_TYPE):
        raise Unreadable(
            EvidenceReason.UNRECOGNISED,
            f"the payload is neither `{STATEMENT_TYPE}` nor `{REPORT_TYPE}`",
            "$.payloadType",
        )
    if not envelope.signatures:
        raise Unreadable(EvidenceReason.UNSIGNED, "nobody signed it", "$.signatures")
    payload = _base64(envelope.payload, "$.payload")
    message = pae(kind, payload)
    signers: dict[str, Signer] = {}
    strangers = 0
    for at, one in enumerate(envelope.signatures):
        signature = _base64(one.sig, f"$.signatures[{at}].sig")
        signer = next((who for who in known if who.verify(signature, message)), None)
        if signer is not None:
            signers[signer.key_id] = signer
        elif any(who.key_id == one.keyid for who in known):
            raise Unreadable(
                EvidenceReason.SIGNATURE,
                "the signature by a known key does not hold: it was changed after it was signed",
                f"$.signatures[{at}]",
            )
        else:
            strangers += 1
    return Opened(payload, is_statement, tuple(signers.values()), strangers)


def _base64(text: str, where: str) -> bytes:
    """Standard or URL-safe, both of which DSSE demands; padding may be left out."""
    bare = text.translate(_TO_STANDARD).rstrip("=")
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (Error, ValueError):
        raise Unreadable(EvidenceReason.SHAPE, "not base64", where) from None
