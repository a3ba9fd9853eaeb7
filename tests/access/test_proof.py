"""DPoP proofs: every way in which one can be wrong has its own reason."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from bailment import canonical
from bailment.access import base64url, jwk, jws
from bailment.access.proof import (
    Proof,
    check_body,
    check_proof,
    make_proof,
    read_proof,
    replay_key,
    replay_span,
    token_hash,
)
from bailment.access.reasons import Reason, Refused

NOW = 1_780_000_000_000
LIFETIME, SKEW = 60_000, 5_000
TARGET = "https://gateway.example/v1/messages"
TOKEN = "header.claims.signature"
NONCE = "a-nonce-of-this-server"
BODY = sha256(b'{"model":"m"}').digest()
DEVICE = ec.derive_private_key(7, ec.SECP256R1())
DEVICE_KEY = jwk.from_key(DEVICE.public_key())
THIEF = ec.derive_private_key(8, ec.SECP256R1())
THIEF_KEY = jwk.from_key(THIEF.public_key())

MADE: dict[str, Any] = {
    "method": "POST",
    "target": TARGET,
    "body_sha256": BODY,
    "token": TOKEN,
    "nonce": NONCE,
    "jti": "0123456789abcdef",
    "now_s": NOW // 1000,
}


def made(**changes: Any) -> str:
    return make_proof(DEVICE, DEVICE_KEY, **(MADE | changes))


def forged(
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    key: ec.EllipticCurvePrivateKey = DEVICE,
) -> str:
    """A proof with some members exchanged, signed again; None removes one."""
    signed = jws.parse(made())
    new = [
        {name: value for name, value in (old | (changes or {})).items() if value is not None}
        for old, changes in ((signed.header, header), (json.loads(signed.payload), claims))
    ]
    return jws.sign(new[0], canonical.encode(new[1]), key)


def refusal(compact: str, **changes: Any) -> Reason | None:
    proof = read_proof(compact)
    if isinstance(proof, Refused):
        return proof.reason
    expected: dict[str, Any] = {
        "method": "POST",
        "target": TARGET,
        "token": TOKEN,
        "nonces": (NONCE, "the-one-before"),
        "now_ms": NOW,
        "lifetime_ms": LIFETIME,
        "skew_ms": SKEW,
        "expected_thumbprint": DEVICE_KEY.thumbprint,
    }
    refused = check_proof(proof, **(expected | changes))
    return refused.reason if refused else None


def read(compact: str) -> Proof:
    proof = read_proof(compact)
    assert isinstance(proof, Proof)
    return proof


def test_a_good_proof_is_accepted() -> None:
    assert refusal(made()) is None
    assert check_body(read(made()), BODY) is None


def test_a_proof_by_another_key_is_refused() -> None:
    by_thief = make_proof(THIEF, THIEF_KEY, **MADE)
    assert refusal(by_thief) == Reason.PROOF_KEY
    assert refusal(by_thief, expected_thumbprint=THIEF_KEY.thumbprint) is None


def test_a_substituted_key_is_refused() -> None:
    _, claims, signature = made().split(".")
    thief_head = make_proof(THIEF, THIEF_KEY, **MADE).split(".")[0]
    # The device's signature under the thief's key, and the thief's signature under the device's.
    thief = {"expected_thumbprint": THIEF_KEY.thumbprint}
    assert refusal(f"{thief_head}.{claims}.{signature}", **thief) == Reason.PROOF_SIGNATURE
    assert refusal(forged(key=THIEF)) == Reason.PROOF_SIGNATURE


def test_a_changed_claim_is_refused() -> None:
    head, _, signature = made().split(".")
    claims = make_proof(THIEF, THIEF_KEY, **(MADE | {"jti": "another-jti"})).split(".")[1]
    assert refusal(f"{head}.{claims}.{signature}") == Reason.PROOF_SIGNATURE


def test_another_method_is_refused() -> None:
    assert refusal(made(method="GET")) == Reason.PROOF_METHOD
    assert refusal(made(method="post")) == Reason.PROOF_METHOD


@pytest.mark.parametrize(
    "target",
    [
        "https://gateway.example/v1/responses",
        "https://gateway.example/v1/messages/",
        "https://gateway.example/v1/Messages",
        "https://gateway.example/v1/messages%2F",
        "https://gateway.example/v1//messages",
        "https://gateway.example.evil.example/v1/messages",
        "https://other.example/v1/messages",
        "https://gateway.example:8443/v1/messages",
        "http://gateway.example/v1/messages",
    ],
)
def test_another_target_is_refused(target: str) -> None:
    assert refusal(made(target=target)) == Reason.PROOF_TARGET


@pytest.mark.parametrize("htu", ["", "/v1/messages", "https://gateway.example@/v1/messages", "%"])
def test_a_target_that_is_no_url_is_refused(htu: str) -> None:
    assert refusal(forged(claims={"htu": htu})) == Reason.PROOF_TARGET


@pytest.mark.parametrize(
    "htu",
    [
        "HTTPS://GATEWAY.example:443/v1/messages",
        "https://gateway.example/v1/x/../%6Dessages?beta=true#x",
    ],
)
def test_a_target_is_compared_in_its_normal_form(htu: str) -> None:
    assert refusal(forged(claims={"htu": htu})) is None
    assert refusal(made(target=htu), target=htu) is None


def test_a_proof_for_another_token_is_refused() -> None:
    assert refusal(made(token="another")) == Reason.PROOF_TOKEN
    assert refusal(made(token=None)) == Reason.PROOF_TOKEN
    assert refusal(made(), token=None) == Reason.PROOF_TOKEN
    assert refusal(forged(claims={"ath": token_hash(TOKEN) + "="})) == Reason.PROOF_TOKEN
    assert refusal(made(token=None), token=None) is None


def test_a_stale_proof_is_refused() -> None:
    oldest = (NOW - LIFETIME - SKEW) // 1000
    assert refusal(made(now_s=oldest)) is None
    assert refusal(made(now_s=oldest - 1)) == Reason.PROOF_STALE
    assert refusal(made(now_s=oldest), now_ms=NOW + 1) == Reason.PROOF_STALE
    assert refusal(made(now_s=0)) == Reason.PROOF_STALE


def test_a_proof_from_the_future_is_refused() -> None:
    newest = (NOW + SKEW) // 1000
    assert refusal(made(now_s=newest)) is None
    assert refusal(made(now_s=newest + 1)) == Reason.PROOF_FUTURE
    assert refusal(made(now_s=newest), now_ms=NOW - 1) == Reason.PROOF_FUTURE
    assert refusal(made(now_s=2**53 - 1)) == Reason.PROOF_FUTURE


@pytest.mark.parametrize("iat", [None, -1, 2**53, 2**70, "1780000000", True, [], 1.5, "now"])
def test_a_time_that_is_no_count_of_seconds_is_refused(iat: object) -> None:
    assert refusal(forged(claims={"iat": iat})) == Reason.PROOF_MALFORMED


def test_a_nonce_that_is_not_accepted_now_is_refused() -> None:
    assert refusal(made(nonce="the-one-before")) is None
    for nonce in ("another", "", NONCE + " ", "é", None):
        assert refusal(made(nonce=nonce)) == Reason.PROOF_NONCE
    assert refusal(made(), nonces=()) == Reason.PROOF_NONCE
    assert refusal(made(nonce="any"), nonces=None) is None


def test_a_proof_both_stale_and_without_a_good_nonce_is_asked_for_the_nonce() -> None:
    assert refusal(made(now_s=0, nonce="another")) == Reason.PROOF_NONCE


def test_nothing_is_said_about_a_proof_that_the_key_did_not_sign() -> None:
    wrong = {"htm": "GET", "htu": "x", "iat": 0, "nonce": None, "ath": None}
    assert refusal(forged(claims=wrong, key=THIEF)) == Reason.PROOF_SIGNATURE


def test_a_changed_body_is_refused() -> None:
    refused = check_body(read(made()), sha256(b"another body").digest())
    assert refused is not None
    assert refused.reason == Reason.PROOF_BODY


@pytest.mark.parametrize("digest", [None, "", "sha-256=:AA==:", "sha-512=:AA==:"])
def test_a_body_without_the_one_digest_is_refused(digest: str | None) -> None:
    refused = check_body(read(forged(claims={"content_digest": digest})), BODY)
    assert refused is not None
    assert refused.reason == Reason.PROOF_BODY


def test_a_proof_over_nothing_is_good_only_where_there_is_no_body_or_none_is_demanded() -> None:
    proof, empty = read(forged(claims={"content_digest": None})), sha256(b"").digest()
    assert check_body(proof, empty) is None
    assert check_body(proof, BODY) is not None
    assert check_body(proof, BODY, demanded=False) is None


def test_a_digest_that_is_there_is_looked_at_even_where_none_is_demanded() -> None:
    assert check_body(read(made()), sha256(b"another body").digest(), demanded=False) is not None


def test_an_empty_body_has_a_digest_too() -> None:
    empty = sha256(b"").digest()
    proof = read(made(body_sha256=empty))
    assert check_body(proof, empty) is None
    assert check_body(proof, BODY) is not None
    assert proof.claims.content_digest == "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"


@pytest.mark.parametrize("alg", ["none", "HS256", "RS256", "PS256", "ES384", "EdDSA"])
def test_an_algorithm_that_does_not_fit_the_key_is_refused(alg: str) -> None:
    assert refusal(forged(header={"alg": alg})) == Reason.PROOF_MALFORMED


def test_a_proof_signed_with_the_public_key_as_a_secret_is_refused() -> None:
    header = {"alg": "HS256", "jwk": DEVICE_KEY.jwk, "typ": "dpop+jwt"}
    text = f"{base64url.encode(canonical.encode(header))}.{made().split('.')[1]}"
    mac = hmac.digest(canonical.encode(DEVICE_KEY.jwk), text.encode(), "sha256")
    assert refusal(f"{text}.{base64url.encode(mac)}") == Reason.PROOF_MALFORMED


def test_a_proof_without_a_signature_is_refused() -> None:
    head, claims, _ = made().split(".")
    assert refusal(f"{head}.{claims}.") == Reason.PROOF_SIGNATURE


@pytest.mark.parametrize("typ", [None, "JWT", "at+jwt", "DPOP+JWT", "application/dpop+jwt", 1])
def test_a_jws_of_another_type_is_no_proof(typ: object) -> None:
    assert refusal(forged(header={"typ": typ})) == Reason.PROOF_MALFORMED


@pytest.mark.parametrize("key", [None, "key", {}, DEVICE_KEY.jwk | {"d": "AAAA"}])
def test_a_proof_without_a_plain_public_key_is_refused(key: object) -> None:
    assert refusal(forged(header={"jwk": key})) == Reason.PROOF_MALFORMED


def test_a_private_key_in_the_header_is_refused_by_name() -> None:
    refused = read_proof(forged(header={"jwk": DEVICE_KEY.jwk | {"d": "AAAA"}}))
    assert refused == Refused(Reason.PROOF_MALFORMED, "the `jwk` holds private members")


@pytest.mark.parametrize("claim", ["htm", "htu", "iat", "jti"])
def test_a_proof_without_a_required_claim_is_refused(claim: str) -> None:
    assert refusal(forged(claims={claim: None})) == Reason.PROOF_MALFORMED


@pytest.mark.parametrize("claim", ["htm", "htu", "jti", "ath", "nonce", "content_digest"])
def test_a_claim_of_another_type_is_refused(claim: str) -> None:
    assert refusal(forged(claims={claim: 1})) == Reason.PROOF_MALFORMED


@pytest.mark.parametrize("jti", ["", "1234567", "1" * 65, "12345678\n", "1234 678", "12345678é"])
def test_a_jti_that_is_not_8_to_64_printable_characters_is_refused(jti: str) -> None:
    assert refusal(forged(claims={"jti": jti})) == Reason.PROOF_MALFORMED


def test_a_duplicate_claim_is_refused() -> None:
    head, payload, _ = made().split(".")
    claims = base64url.decode(payload)[:-1] + b',"htm":"GET"}'
    text = f"{head}.{base64url.encode(claims)}"
    refused = read_proof(f"{text}.{made().split('.')[2]}")
    assert refused == Refused(Reason.PROOF_MALFORMED, "the key `htm` appears twice in one object")


def test_a_malleable_spelling_is_refused() -> None:
    good = made()
    last = chr(ord(good[-1]) + 1)  # its low four bits are beyond the last octet
    for spelling in (good[:-1] + last, good + "=", good + "==", good + "\n", " " + good):
        assert refusal(spelling) == Reason.PROOF_MALFORMED


def test_an_oversize_proof_is_refused() -> None:
    assert refusal(forged(claims={"extra": "x" * 16_384})) == Reason.PROOF_MALFORMED
    assert refusal("x" * 10_000_000) == Reason.PROOF_MALFORMED


def test_other_claims_and_header_members_are_ignored() -> None:
    assert refusal(forged(header={"kid": "1"}, claims={"extra": {"a": [1.5]}})) is None


def test_a_known_header_is_not_read_again_and_is_bound_to_its_text() -> None:
    proof = read(made())
    known = {proof.protected: proof.header}
    again = read_proof(made(jti="another-jti"), known)
    assert isinstance(again, Proof)
    assert again.header is proof.header
    other = read_proof(make_proof(THIEF, THIEF_KEY, **MADE), known)
    assert isinstance(other, Proof)
    assert other.thumbprint == THIEF_KEY.thumbprint


def test_a_known_header_does_not_stand_in_for_the_signature() -> None:
    proof = read(made())
    forgery = read_proof(forged(claims={"htm": "GET"}, key=THIEF), {proof.protected: proof.header})
    assert isinstance(forgery, Proof)
    assert not forgery.header.key.verify("ES256", forgery.signature, forgery.signing_input)


def test_a_proof_cannot_be_changed_after_it_was_read() -> None:
    proof = read(made())
    with pytest.raises(AttributeError):
        proof.compact = "another"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        proof.claims.htm = "GET"  # type: ignore[misc]


@given(
    seen_after=st.integers(-LIFETIME - 3 * SKEW, LIFETIME + 3 * SKEW),
    again_after=st.integers(0, 2 * LIFETIME + 6 * SKEW),
    lifetime=st.integers(1, LIFETIME),
    skew=st.integers(0, SKEW),
)
def test_a_proof_is_never_acceptable_after_its_replay_key_may_be_forgotten(
    seen_after: int, again_after: int, lifetime: int, skew: int
) -> None:
    """A proof that came early from a fast clock was once forgotten early (keycloak #43505)."""

    def accepted(now: int) -> bool:
        return refusal(made(), now_ms=now, lifetime_ms=lifetime, skew_ms=skew) is None

    seen = NOW + seen_after
    if accepted(seen):
        forgotten = seen + replay_span(lifetime, skew) + 1
        assert not accepted(max(forgotten, seen + again_after))


def test_a_replay_key_belongs_to_one_jti_of_one_key() -> None:
    keys = {
        replay_key(thumbprint, jti)
        for thumbprint in (DEVICE_KEY.thumbprint, THIEF_KEY.thumbprint)
        for jti in ("12345678", "123456789")
    }
    assert len(keys) == 4
    assert {len(key) for key in keys} == {16}
