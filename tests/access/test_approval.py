"""Approvals count for the decision that was signed, by the key that signed it, and for no other."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from bailment import canonical
from bailment.access import base64url, jwk, jws
from bailment.access.approval import EXCEPTION, TIER, sign_approval, verify_approval
from bailment.access.reasons import Reason, Refused
from bailment.errors import FormatError

PRIVATE, OTHER = (ec.derive_private_key(number, ec.SECP256R1()) for number in (7, 8))
KEY, STRANGER = (jwk.from_key(one.public_key()) for one in (PRIVATE, OTHER))
TOLD = {"model": "preview", "tier": "T3", "reasons": "Both were measured."}
SIGNED = sign_approval(TIER, TOLD, PRIVATE, KEY.thumbprint)


def why(found: object) -> str:
    assert isinstance(found, Refused) and found.reason is Reason.CHAIN_BROKEN
    return found.detail


def forged(payload: bytes = canonical.encode(TOLD), **header: str) -> str:
    """An approval by the right key with another header or payload."""
    told = {"kid": KEY.thumbprint, "typ": "bailment-tier+jwt", **header}
    return jws.sign(told, payload, PRIVATE)


def test_what_was_approved_is_read_back() -> None:
    assert verify_approval(SIGNED, TIER, KEY) == TOLD
    assert forged() == SIGNED


def test_one_kind_of_decision_does_not_count_for_another() -> None:
    assert "of no exception decision" in why(verify_approval(SIGNED, EXCEPTION, KEY))
    assert "of no tier decision" in why(verify_approval(forged(typ="JWT"), TIER, KEY))


def test_an_approval_by_another_key_does_not_count() -> None:
    assert "not by this key" in why(verify_approval(SIGNED, TIER, STRANGER))
    stolen = sign_approval(TIER, TOLD, OTHER, KEY.thumbprint)
    assert "not by this key" in why(verify_approval(stolen, TIER, KEY))
    assert "not by this key" in why(verify_approval(forged(kid="x"), TIER, KEY))


def test_an_approval_of_other_words_does_not_count() -> None:
    head, _, signature = SIGNED.split(".")
    payload = base64url.encode(canonical.encode({**TOLD, "tier": "T1"}))
    assert "not by this key" in why(verify_approval(f"{head}.{payload}.{signature}", TIER, KEY))


@pytest.mark.parametrize("payload", [b"", b"{", b'{"b":1,"a":1}', b'{"a": 1}', b'{"a":1.5}'])
def test_what_is_not_canonical_is_malformed(payload: bytes) -> None:
    assert "malformed" in why(verify_approval(forged(payload), TIER, KEY))


def test_what_is_no_object_is_no_decision() -> None:
    assert "no object" in why(verify_approval(forged(b"[1]"), TIER, KEY))


def test_an_approval_is_by_es256() -> None:
    key = rsa.generate_private_key(65537, 2048)
    public = jwk.from_key(key.public_key())
    header = {"alg": "RS256", "kid": public.thumbprint, "typ": "bailment-tier+jwt"}
    parts = [base64url.encode(canonical.encode(part)) for part in (header, TOLD)]
    compact = ".".join((*parts, base64url.encode(b"x" * 256)))
    assert "of no tier decision" in why(verify_approval(compact, TIER, public))


def test_what_nobody_could_read_is_not_signed() -> None:
    with pytest.raises(FormatError, match="too long"):
        sign_approval(TIER, {"reasons": "x" * 12_300}, PRIVATE, KEY.thumbprint)


@given(st.integers(0, len(SIGNED) - 1), st.characters(exclude_categories=["Cs"]))
def test_no_changed_character_is_approved(at: int, character: str) -> None:
    changed = SIGNED[:at] + character + SIGNED[at + 1 :]
    assert changed == SIGNED or isinstance(verify_approval(changed, TIER, KEY), Refused)


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    assert isinstance(verify_approval(text, TIER, KEY), Refused)
