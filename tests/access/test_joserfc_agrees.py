"""An independent JOSE implementation reads what we make, and we read what it makes."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jws as joserfc
from joserfc.jwk import ECKey, RSAKey

from bailment.access import jwk
from bailment.access.assertion import make_assertion
from bailment.access.proof import Proof, check_body, check_proof, make_proof, read_proof
from bailment.access.reasons import Refused
from bailment.access.token import (
    AccessDetail,
    Claims,
    Confirmation,
    sign_token,
    token_hash,
    verify_token,
)

NOW = 1_780_000_000_000
URL = "https://gateway.example"
TARGET = f"{URL}/v1/messages"
BODY = sha256(b"{}").digest()
DIGEST = "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:"
DEVICE = ec.derive_private_key(7, ec.SECP256R1())
DEVICE_KEY = jwk.from_key(DEVICE.public_key())
ISSUER = ec.derive_private_key(9, ec.SECP256R1())
ISSUER_KEY = jwk.from_key(ISSUER.public_key())
ALL = joserfc.JWSRegistry(algorithms=["ES256", "RS256", "PS256"], strict_check_header=False)
CLAIMS = Claims(
    iss=URL,
    aud=URL,
    sub="0a" * 16,
    client_id="0b" * 16,
    iat=NOW // 1000,
    exp=NOW // 1000 + 300,
    jti="0c" * 16,
    cnf=Confirmation(DEVICE_KEY.thumbprint),
    lnk=("01" * 16,),
    key_class="software",
    authorization_details=(AccessDetail(type="bailment_access", purpose="evaluation"),),
)


def theirs(compact: str, key: jwk.PublicKey) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and claims as the other implementation verifies them."""
    verified = joserfc.deserialize_compact(compact, ECKey.import_key({**key.jwk}), registry=ALL)
    return verified.protected, json.loads(verified.payload or b"")


def test_our_proof_is_read_by_joserfc() -> None:
    compact = make_proof(
        DEVICE,
        DEVICE_KEY,
        method="POST",
        target=TARGET,
        body_sha256=BODY,
        token="token",
        nonce="nonce",
        jti="0123456789abcdef",
        now_s=NOW // 1000,
    )
    header, claims = theirs(compact, DEVICE_KEY)
    assert header == {"alg": "ES256", "jwk": DEVICE_KEY.jwk, "typ": "dpop+jwt"}
    assert claims == {
        "ath": token_hash("token"),
        "content_digest": DIGEST,
        "htm": "POST",
        "htu": TARGET,
        "iat": NOW // 1000,
        "jti": "0123456789abcdef",
        "nonce": "nonce",
    }


def test_our_token_and_assertion_are_read_by_joserfc() -> None:
    header, claims = theirs(sign_token(CLAIMS, ISSUER), ISSUER_KEY)
    assert header == {"alg": "ES256", "typ": "at+jwt"}
    assert claims["cnf"] == {"jkt": DEVICE_KEY.thumbprint}
    assert claims["authorization_details"] == [
        {"type": "bailment_access", "purpose": "evaluation", "models": []}
    ]
    assertion = make_assertion(DEVICE, device="d", audience=URL, jti="12345678", now_s=1)
    header, claims = theirs(assertion, DEVICE_KEY)
    assert header == {"alg": "ES256", "typ": "JWT"}
    assert claims == {"aud": URL, "exp": 61, "iat": 1, "iss": "d", "jti": "12345678", "sub": "d"}


@pytest.fixture(scope="module")
def rsa_key() -> RSAKey:
    return RSAKey.import_key(rsa.generate_private_key(65537, 2048))


@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256"])
def test_a_proof_by_joserfc_is_accepted(alg: str, rsa_key: RSAKey) -> None:
    key = ECKey.import_key(DEVICE) if alg == "ES256" else rsa_key
    public = key.as_dict(private=False)
    header = {"typ": "dpop+jwt", "alg": alg, "jwk": public}
    claims = {
        "jti": "0123456789abcdef",
        "htm": "POST",
        "htu": TARGET,
        "iat": NOW // 1000,
        "ath": token_hash("token"),
        "nonce": "nonce",
        "content_digest": DIGEST,
    }
    proof = read_proof(joserfc.serialize_compact(header, json.dumps(claims), key, registry=ALL))
    assert isinstance(proof, Proof)
    assert proof.thumbprint == key.thumbprint()
    refused = check_proof(
        proof,
        method="POST",
        target=TARGET,
        token="token",
        nonces=("nonce",),
        now_ms=NOW,
        lifetime_ms=60_000,
        skew_ms=0,
        expected_thumbprint=key.thumbprint(),
    )
    assert refused is None
    assert check_body(proof, BODY) is None


def test_a_token_by_joserfc_is_accepted() -> None:
    _, claims = theirs(sign_token(CLAIMS, ISSUER), ISSUER_KEY)
    compact = joserfc.serialize_compact(
        {"typ": "at+jwt", "alg": "ES256"}, json.dumps(claims), ECKey.import_key(ISSUER)
    )
    result = verify_token(compact, ISSUER_KEY, iss=URL, aud=URL, now_ms=NOW, skew_ms=0)
    assert not isinstance(result, Refused)
    assert result == CLAIMS
