"""What an ID token must say to be believed, and what of it is never believed."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from bailment.control.oidc import Request, SignedIn, SignInFailed, believe
from bailment.ledger.identity_records import ProviderRegistered

NOW = 1_800_000_000_000
SKEW = 5_000
ISSUER = "https://login.acme.example"
PROVIDER = ProviderRegistered("0" * 32, ISSUER, "bailment", "email", "", "")
REQUEST = Request("https://gateway.example/cb", NOW, (), "state", "the-nonce", "verifier")
KEY, OTHER = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "7f31",
    "aud": "bailment",
    "iat": NOW // 1000,
    "exp": NOW // 1000 + 300,
    "auth_time": NOW // 1000,
    "nonce": "the-nonce",
    "acr": "phr",
    "amr": ["hwk"],
    "email": "maria@acme.example",
    "email_verified": True,
}


def public(*keys: ECKey | RSAKey) -> dict[str, Any]:
    return {"keys": [{**key.as_dict(private=False), "kid": key.thumbprint()} for key in keys]}


def signed(
    claims: dict[str, Any], key: ECKey | RSAKey = KEY, alg: str = "ES256", **header: Any
) -> str:
    head = {"alg": alg, "kid": key.thumbprint(), **header}
    return jwt.encode(head, claims, key, algorithms=[alg])


def read(token: str, request: Request = REQUEST, keys: Any = None, now: int = NOW) -> SignedIn:
    return believe(PROVIDER, request, token, keys or public(KEY), now, SKEW)


def test_what_is_as_it_must_be_is_believed() -> None:
    found = read(signed(CLAIMS))
    assert (found.sub, found.email, found.auth_time) == ("7f31", "maria@acme.example", NOW)
    assert (found.acr, found.amr) == ("phr", ("hwk",))
    assert read(signed(CLAIMS | {"aud": ["bailment"], "azp": "bailment"})) is not None
    for alg in ("RS256", "PS256"):
        assert read(signed(CLAIMS, RSA, alg), keys=public(KEY, RSA)).sub == "7f31"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": f"{ISSUER}/"},
        {"iss": "https://evil.example"},
        {"aud": "other"},
        {"aud": ["bailment", "other"], "azp": "bailment"},
        {"aud": []},
        {"aud": None},
        {"azp": "other"},
        {"exp": NOW // 1000 - 6},
        {"exp": "tomorrow"},
        {"exp": True},
        {"iat": NOW // 1000 + 600},
        {"iat": NOW // 1000 - 600},
        {"iat": 1.8e9},
        {"nbf": NOW // 1000 + 600},
        {"nonce": "another"},
        {"nonce": ""},
        {"nonce": None},
        {"auth_time": NOW // 1000 - 600},
        {"auth_time": NOW // 1000 + 600},
        {"auth_time": 0},
        {"auth_time": str(NOW // 1000)},
        {"auth_time": True},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "a\nb"},
        {"amr": "hwk"},
        {"amr": [1]},
        {"amr": ["x"] * 17},
        {"acr": 1},
        {"acr": ["phr"]},
    ],
    ids=str,
)
def test_what_is_otherwise_is_not_believed(changed: dict[str, Any]) -> None:
    with pytest.raises(SignInFailed):
        read(signed(CLAIMS | changed))


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "iat", "nonce", "auth_time"])
def test_nothing_that_counts_may_be_left_out(name: str) -> None:
    claims = {key: value for key, value in CLAIMS.items() if key != name}
    with pytest.raises(SignInFailed):
        read(signed(claims))


def test_what_is_demanded_of_how_the_person_signed_in_is_held() -> None:
    strict = Request("https://gateway.example/cb", NOW, ("phr", "phrh"), "s", "the-nonce", "v")
    assert read(signed(CLAIMS), strict).acr == "phr"
    for claims in (CLAIMS | {"acr": "pwd"}, {k: v for k, v in CLAIMS.items() if k != "acr"}):
        with pytest.raises(SignInFailed, match="has to sign in by `phr` or `phrh`"):
            read(signed(claims), strict)


def test_an_address_counts_only_if_the_provider_verified_it() -> None:
    for told in (False, None, "true", 1):
        assert read(signed(CLAIMS | {"email_verified": told})).email == ""


def part(data: bytes) -> str:
    """A part of a compact JWS."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


# Algorithm confusion, and keys of the token's own choosing


def test_algorithm_confusion_none_is_no_signature() -> None:
    head, body = part(b'{"alg":"none"}'), part(json.dumps(CLAIMS).encode())
    with pytest.raises(SignInFailed):
        read(f"{head}.{body}.")


def test_algorithm_confusion_a_public_key_is_no_secret() -> None:
    """HS256 with the provider's public key, in any of its spellings, as the shared secret."""
    spellings = [
        RSA.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        RSA.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(RSA.as_dict(private=False)).encode(),
    ]
    for spelling in spellings:
        head = part(json.dumps({"alg": "HS256", "kid": RSA.thumbprint()}).encode())
        signing = f"{head}.{part(json.dumps(CLAIMS).encode())}"
        token = f"{signing}.{part(hmac.digest(spelling, signing.encode(), 'sha256'))}"
        with pytest.raises(SignInFailed):
            read(token, keys=public(RSA))


def test_a_secret_among_the_providers_keys_verifies_nothing() -> None:
    key = OctKey.generate_key(256)
    token = jwt.encode({"alg": "HS256", "kid": "k"}, CLAIMS, key, algorithms=["HS256"])
    with pytest.raises(SignInFailed):
        read(token, keys={"keys": [{**key.as_dict(), "kid": "k"}]})


def test_a_key_in_the_header_verifies_nothing() -> None:
    for header in (
        {"jwk": OTHER.as_dict(private=False)},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert"},
    ):
        head = {"alg": "ES256", **header}
        token = jwt.encode(head, CLAIMS, OTHER, algorithms=["ES256"])
        with pytest.raises(SignInFailed, match="none of the provider's keys"):
            read(token)


def test_a_key_that_is_for_something_else_verifies_nothing() -> None:
    for other in ({"use": "enc"}, {"alg": "ES512"}, {"kid": "another"}):
        keys = {"keys": [{**public(KEY)["keys"][0], **other}]}
        with pytest.raises(SignInFailed, match="none of the provider's keys"):
            read(signed(CLAIMS), keys=keys)


def test_another_kind_of_token_is_no_id_token() -> None:
    for typ in ("at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt"):
        with pytest.raises(SignInFailed, match="another kind"):
            read(signed(CLAIMS, typ=typ))
    with pytest.raises(SignInFailed):
        read(signed(CLAIMS, crit=["b64"], b64=True))


def test_nothing_of_the_providers_is_quoted_in_what_a_person_reads() -> None:
    hostile = "<script>alert(1)</script>"
    for name in CLAIMS:
        with_it = CLAIMS | {name: hostile}
        if name in ("sub", "acr", "email", "email_verified"):
            continue
        with pytest.raises(SignInFailed) as caught:
            read(signed(with_it))
        assert "script" not in str(caught.value) + caught.value.hint


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below),
    max_leaves=5,
)


@given(name=st.sampled_from(sorted(CLAIMS)), value=_VALUES)
def test_whatever_a_claim_holds_it_is_believed_or_refused_and_never_fails(
    name: str, value: Any
) -> None:
    try:
        found = read(signed(CLAIMS | {name: value}))
    except SignInFailed:
        return
    assert found.sub and abs(found.auth_time - NOW) <= SKEW + 999


@given(keys=st.dictionaries(st.sampled_from(["keys", "x"]), _VALUES))
def test_whatever_is_served_as_keys_nothing_fails(keys: dict[str, Any]) -> None:
    with pytest.raises(SignInFailed):
        believe(PROVIDER, REQUEST, signed(CLAIMS), keys, NOW, SKEW)
