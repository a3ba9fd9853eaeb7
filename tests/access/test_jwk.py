"""Public keys: thumbprints, what is exported, what is refused."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from bailment.access import base64url, jwk
from bailment.errors import FormatError

EC_JWK = jwk.from_key(ec.derive_private_key(7, ec.SECP256R1()).public_key()).jwk

RFC_7638 = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJ"
    "ECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Qv"
    "zqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZ"
    "u0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}


def test_the_thumbprint_is_that_of_the_example_of_rfc_7638() -> None:
    key = jwk.parse(RFC_7638)
    assert key.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert key.jwk == {name: RFC_7638[name] for name in ("e", "kty", "n")}


@pytest.mark.parametrize("bits", [2048, 4096])
def test_rsa_keys_of_both_bounds_are_accepted(bits: int) -> None:
    modulus = (1 << bits - 1) + 1
    key = rsa.RSAPublicNumbers(65537, modulus).public_key()
    parsed = jwk.from_key(key)
    assert jwk.parse(parsed.jwk) == parsed
    assert parsed.algorithms == {"RS256", "PS256"}


@pytest.mark.parametrize(
    "key",
    [
        ec.derive_private_key(7, ec.SECP384R1()).public_key(),
        rsa.RSAPublicNumbers(3, (1 << 2047) + 1).public_key(),
        rsa.RSAPublicNumbers(65537, (1 << 4096) + 1).public_key(),
    ],
    ids=["P-384", "e = 3", "4097 bits"],
)
def test_a_key_object_of_another_kind_is_refused(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
) -> None:
    with pytest.raises(FormatError):
        jwk.from_key(key)


@pytest.mark.parametrize("name", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_key_with_a_private_member_is_refused(name: str) -> None:
    with pytest.raises(FormatError, match="private"):
        jwk.parse({**EC_JWK, name: ""})


@pytest.mark.parametrize("value", [None, [], "EC", 1, {}, {"kty": []}, {"kty": "EC", "crv": {}}])
def test_what_is_no_key_is_refused(value: object) -> None:
    with pytest.raises(FormatError):
        jwk.parse(value)


@pytest.mark.parametrize("name", ["x", "y"])
def test_an_over_long_member_is_refused_before_it_is_decoded(name: str) -> None:
    with pytest.raises(FormatError, match="too long"):
        jwk.parse({**EC_JWK, name: "A" * 44})
    with pytest.raises(FormatError, match="too long"):
        jwk.parse({"kty": "RSA", "e": "AQAB", "n": "A" * 684})


@pytest.mark.parametrize("extra", [{"use": "enc"}, {"use": None}, {"alg": "RS256"}, {"alg": []}])
def test_a_key_meant_for_something_else_is_refused(extra: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        jwk.parse({**EC_JWK, **extra})


def test_members_that_mean_nothing_here_do_not_change_the_key() -> None:
    extra = {"use": "sig", "alg": "ES256", "kid": "1", "key_ops": ["verify"], "x5c": []}
    assert jwk.parse({**EC_JWK, **extra}) == jwk.parse(EC_JWK)


def test_a_public_key_cannot_be_changed() -> None:
    key = jwk.parse(EC_JWK)
    key.jwk["x"] = "changed"
    assert key.jwk == EC_JWK
    with pytest.raises(dataclasses.FrozenInstanceError):
        key.thumbprint = "changed"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["x", "y"])
def test_a_coordinate_without_its_leading_zeros_is_refused(name: str) -> None:
    with pytest.raises(FormatError, match="not 32 octets"):
        jwk.parse({**EC_JWK, name: base64url.encode(bytes(31))})


def test_a_pss_signature_with_another_salt_does_not_verify() -> None:
    private = rsa.generate_private_key(65537, 2048)
    key = jwk.from_key(private.public_key())
    for salt, good in ((32, True), (20, False), (0, False)):
        pss = padding.PSS(padding.MGF1(SHA256()), salt)
        assert key.verify("PS256", private.sign(b"m", pss, SHA256()), b"m") is good


@given(
    modulus=st.integers(1 << 2047, (1 << 2048) - 1).map(lambda n: n | 1),
    signature=st.binary(max_size=600) | st.integers(0, 3).map(lambda n: n.to_bytes(256, "big")),
    alg=st.sampled_from(["ES256", "RS256", "PS256"]),
)
def test_a_made_up_modulus_verifies_nothing_and_breaks_nothing(
    modulus: int, signature: bytes, alg: str
) -> None:
    n = base64url.encode(modulus.to_bytes(256, "big"))
    key = jwk.parse({"kty": "RSA", "e": "AQAB", "n": n})
    assert key.verify(alg, signature, b"message") is False


@given(x=st.binary(min_size=32, max_size=32), y=st.binary(min_size=32, max_size=32))
def test_a_made_up_point_is_refused(x: bytes, y: bytes) -> None:
    members = {"x": base64url.encode(x), "y": base64url.encode(y)}
    with pytest.raises(FormatError, match="not on P-256"):
        jwk.parse({"kty": "EC", "crv": "P-256", **members})
