"""Parsers that meet strangers: whatever comes in, a value comes out."""

from __future__ import annotations

import json
import random
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailment.access import base64url, jwk, jws
from bailment.access.assertion import Assertion, make_assertion, verify_assertion
from bailment.access.proof import check_body, check_proof, make_proof, read_proof, replay_key
from bailment.access.reasons import Refused
from bailment.access.token import Claims, verify_token
from bailment.errors import FormatError

KEY = ec.derive_private_key(7, ec.SECP256R1())
PUBLIC = jwk.from_key(KEY.public_key())
NOW = 1_780_000_000_000
URL = "https://gateway.example"
PROOF = make_proof(
    KEY,
    PUBLIC,
    method="POST",
    target=URL,
    body_sha256=bytes(32),
    token="token",
    nonce="nonce",
    jti="12345678",
    now_s=NOW // 1000,
)
ASSERTION = make_assertion(KEY, device="device", audience=URL, jti="12345678", now_s=NOW // 1000)
SEEDS = (PROOF, ASSERTION)

NUMBERS = st.sampled_from([0, -1, 2**53, 2**63, 2**64, 10**4000, 1e308, 0.5, NOW // 1000])
ATOMS = st.none() | st.booleans() | NUMBERS | st.integers() | st.text(max_size=20)
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
HEADER_NAMES = ["alg", "typ", "jwk", "crit", "kid"]
CLAIM_NAMES = [
    *("htm", "htu", "iat", "jti", "ath", "nonce", "content_digest"),
    *("iss", "sub", "aud", "exp", "cnf", "lnk", "client_id", "key_class", "authorization_details"),
]
JWK_NAMES = ["kty", "crv", "x", "y", "n", "e", "d", "use", "alg"]
JWKS = st.dictionaries(st.sampled_from(JWK_NAMES), VALUES, max_size=3).map(PUBLIC.jwk.__or__)
ALGS = st.sampled_from(["ES256", "RS256", "PS256", "none"])
TYPS = st.sampled_from(["dpop+jwt", "at+jwt", "JWT"])
HEADERS = st.fixed_dictionaries(
    {"alg": ALGS | VALUES, "typ": TYPS | VALUES, "jwk": JWKS | VALUES},
    optional={"crit": VALUES, "\ud800": VALUES},
)
CLAIMS = st.dictionaries(st.sampled_from(CLAIM_NAMES), VALUES, max_size=6).map(
    (json.loads(jws.parse(PROOF).payload) | json.loads(jws.parse(ASSERTION).payload)).__or__
)


@st.composite
def signed(draw: st.DrawFn) -> str:
    """A JWS that the key did sign, over a header and claims that are partly nonsense."""
    texts = [json.dumps(draw(part)) for part in (HEADERS, CLAIMS)]
    again = draw(st.sampled_from(["", ',"typ":1}', ',"iat":1}', ',"\\ud800":1,"\\ud800":2}']))
    texts = [text[: -1 if again else None] + again for text in texts]
    message = ".".join(base64url.encode(text.encode()) for text in texts)
    return f"{message}.{base64url.encode(signature_of(message))}"


def signature_of(message: str) -> bytes:
    r, s = decode_dss_signature(KEY.sign(message.encode(), ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A good JWS with a piece cut out, doubled or exchanged."""
    text = draw(st.sampled_from(SEEDS))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 40)))
    middle = draw(st.sampled_from(["", text[start:end] * 2, text[:start]]) | st.text(max_size=4))
    return text[:start] + middle + text[end:]


TEXTS = st.text() | st.text(".eyJ-_=\ud800é") | mutated() | signed()


def meet(compact: str) -> None:
    """Show `compact` to everything that reads a JWS."""
    try:
        parsed = jws.parse(compact)
    except FormatError as error:
        encodable(str(error))
    else:
        jws.verify(parsed, PUBLIC)
    times: Any = {"now_ms": NOW, "skew_ms": 5_000}
    token = verify_token(compact, PUBLIC, iss=URL, aud=URL, **times)
    assertion = verify_assertion(compact, PUBLIC, device="device", audience=URL, **times)
    proof = read_proof(compact)
    for result in (token, assertion, proof):
        if isinstance(result, Refused):
            encodable(result.detail)
    assert isinstance(token, Claims | Refused)
    assert isinstance(assertion, Assertion | Refused)
    if not isinstance(proof, Refused):
        check_proof(
            proof,
            method="POST",
            target=URL,
            token="token",
            nonces=("nonce",),
            lifetime_ms=60_000,
            expected_thumbprint=proof.thumbprint,
            **times,
        )
        check_body(proof, bytes(32))
        assert len(replay_key(proof.thumbprint, proof.claims.jti)) == 16


def encodable(text: str) -> None:
    """What goes into an answer must be UTF-8, and short."""
    assert len(text.encode("utf-8")) < 500


@given(TEXTS)
def test_any_text_is_read_or_refused(compact: str) -> None:
    meet(compact)


@given(JWKS | VALUES)
def test_any_value_is_a_key_or_refused(value: object) -> None:
    try:
        key = jwk.parse(value)
    except FormatError as error:
        encodable(str(error))
        return
    assert jwk.parse(key.jwk) == key


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_no_signature_but_the_right_one_verifies(signature: bytes, message: bytes) -> None:
    assert not PUBLIC.verify("ES256", signature, message)


@given(mutated())
def test_no_mutation_of_a_proof_is_accepted(compact: str) -> None:
    proof = read_proof(compact)
    if not isinstance(proof, Refused) and compact != PROOF:
        refused = check_proof(
            proof,
            method="POST",
            target=URL,
            token="token",
            nonces=("nonce",),
            now_ms=NOW,
            lifetime_ms=60_000,
            skew_ms=0,
            expected_thumbprint=PUBLIC.thumbprint,
        )
        assert refused is not None


@pytest.mark.soak
@settings(max_examples=20_000, suppress_health_check=list(HealthCheck))
@given(TEXTS)
def test_any_of_20_000_texts_is_read_or_refused(compact: str) -> None:
    meet(compact)


@pytest.mark.soak
def test_any_of_a_million_mutations_is_read_or_refused() -> None:
    """Plain chance, without hypothesis's care, so many more: pieces of JSON exchanged below the
    base64url, where the parsers of claims and keys are."""
    chance = random.Random(0)
    parts = [[base64url.decode(part) for part in seed.split(".")] for seed in SEEDS]
    pieces = [b'"', b"{", b"}", b"[", b",", b":", b"0", b"-1", b"1e9", b"null", b"\\", b"\xff", b""]
    for _ in range(1_000_000):
        mutant = list(chance.choice(parts))
        for _ in range(chance.randint(1, 3)):
            which = chance.randrange(3)
            start = chance.randrange(len(mutant[which]) + 1)
            end = start + chance.choice([0, 1, 1, 4, 40])
            piece = chance.choice(pieces) or chance.choice(chance.choice(parts))
            mutant[which] = mutant[which][:start] + piece + mutant[which][end:]
        meet(".".join(map(base64url.encode, mutant)))


def test_a_name_that_is_no_text_is_refused_in_words_that_are() -> None:
    header = base64url.encode(b'{"\\ud800":1,"\\ud800":2}')
    refused = read_proof(f"{header}.e30.AA")
    assert isinstance(refused, Refused)
    encodable(refused.detail)


def test_the_seeds_are_good() -> None:
    proof = read_proof(PROOF)
    assert not isinstance(proof, Refused)
    assert check_body(proof, sha256(b"").digest()) is not None
    assert check_body(proof, bytes(32)) is None
