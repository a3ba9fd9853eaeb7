"""Compact JWS: what is refused, and the examples of RFC 7515."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from bailment.access import base64url, jwk, jws
from bailment.errors import FormatError

KEY = ec.derive_private_key(7, ec.SECP256R1())
PUBLIC = jwk.from_key(KEY.public_key())
GOOD = jws.sign({"typ": "JWT"}, b'{"a":1}', KEY)

# RFC 7515 A.2 (its public key and signature) and A.3 (its key pair and signature).
PAYLOAD = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
A2_JWK = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt"
    "0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5"
    "z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aG"
    "hyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
A2 = (
    f"eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5"
    "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb"
    "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO"
    "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
A3_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
A3 = (
    f"eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)


def with_header(header: object) -> str:
    text = header if isinstance(header, str) else json.dumps(header)
    return ".".join((base64url.encode(text.encode()), *GOOD.split(".")[1:]))


@pytest.mark.parametrize(("compact", "key"), [(A2, A2_JWK), (A3, A3_JWK)], ids=["A.2", "A.3"])
def test_the_examples_of_rfc_7515_verify(compact: str, key: dict[str, str]) -> None:
    signed = jws.parse(compact)
    assert json.loads(signed.payload)["iss"] == "joe"
    assert jws.verify(signed, jwk.parse(key))
    forged = jws.parse(".".join((compact.split(".")[0], "e30", compact.split(".")[2])))
    assert not jws.verify(forged, jwk.parse(key))


def test_signing_is_repeatable_and_verifies() -> None:
    assert jws.sign({"typ": "JWT"}, b'{"a":1}', KEY) == GOOD
    signed = jws.parse(GOOD)
    assert signed.header == {"alg": "ES256", "typ": "JWT"}
    assert signed.payload == b'{"a":1}'
    assert jws.verify(signed, PUBLIC)


def test_another_key_does_not_verify() -> None:
    other = ec.derive_private_key(8, ec.SECP256R1()).public_key()
    assert not jws.verify(jws.parse(GOOD), jwk.from_key(other))


@pytest.mark.parametrize(
    "alg", ["none", "None", "", "HS256", "HS512", "ES384", "ES256K", "RS512", "EdDSA", None, 1, []]
)
def test_any_other_algorithm_is_refused(alg: object) -> None:
    with pytest.raises(FormatError, match="the `alg` is none of"):
        jws.parse(with_header({"alg": alg}))


def test_no_algorithm_is_refused() -> None:
    with pytest.raises(FormatError, match="the `alg` is none of"):
        jws.parse(with_header({"typ": "JWT"}))


@pytest.mark.parametrize("alg", ["RS256", "PS256"])
def test_an_algorithm_that_does_not_fit_the_key_does_not_verify(alg: str) -> None:
    assert not jws.verify(jws.parse(with_header({"alg": alg})), PUBLIC)


def test_a_critical_extension_is_refused() -> None:
    with pytest.raises(FormatError, match="crit"):
        jws.parse(with_header({"alg": "ES256", "crit": ["exp"], "exp": 1}))


def test_a_duplicate_header_member_is_refused() -> None:
    with pytest.raises(FormatError, match="twice"):
        jws.parse(with_header('{"alg":"ES256","alg":"ES256"}'))
    with pytest.raises(FormatError, match="twice"):
        jws.parse(with_header('{"alg":"ES256","jwk":{"kty":"EC","kty":"RSA"}}'))


@pytest.mark.parametrize("header", ["[]", '"ES256"', "1", "null", "", "{", "\ufeff{}", "[" * 9000])
def test_a_header_that_is_no_object_is_refused(header: str) -> None:
    with pytest.raises(FormatError):
        jws.parse(with_header(header))


@pytest.mark.parametrize("compact", ["", ".", "..", "a", "a.b", "a.b.c.d", f"{GOOD}.", f".{GOOD}"])
def test_anything_but_three_parts_is_refused(compact: str) -> None:
    with pytest.raises(FormatError):
        jws.parse(compact)


def test_one_character_more_than_16_kib_is_refused() -> None:
    empty = len(jws.sign({}, b"", KEY))
    room = (jws.MAX_LENGTH - empty) * 3 // 4
    longest = jws.sign({}, bytes(room), KEY)
    assert jws.MAX_LENGTH - 1 <= len(longest) <= jws.MAX_LENGTH
    assert jws.verify(jws.parse(longest), PUBLIC)
    with pytest.raises(FormatError, match="longer than 16384"):
        jws.parse(jws.sign({}, bytes(room + 1), KEY))


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
@pytest.mark.parametrize("change", ["=", " ", "\n", "*", "\0", "é", "\ud800"])
def test_a_character_outside_the_alphabet_is_refused(part: int, change: str) -> None:
    for spot in (0, 3, -1):
        parts = GOOD.split(".")
        parts[part] = parts[part][:spot] + change + parts[part][spot:]
        with pytest.raises(FormatError):
            jws.parse(".".join(parts))


def test_a_signature_has_exactly_one_spelling() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = []
    for last in alphabet:
        try:
            accepted.append(jws.parse(GOOD[:-1] + last).parts.signature)
        except FormatError:
            continue
    assert len(accepted) == len(set(accepted)) == 4


@pytest.mark.parametrize("length", [0, 1, 63, 65, 70, 128])
def test_an_es256_signature_of_another_length_does_not_verify(length: int) -> None:
    head, payload, _ = GOOD.split(".")
    compact = f"{head}.{payload}.{base64url.encode(bytes(length))}"
    assert not jws.verify(jws.parse(compact), PUBLIC)


def test_an_es256_signature_whose_halves_are_padded_does_not_verify() -> None:
    """The same two numbers in more octets: a second spelling of one signature."""
    head, payload, signature = GOOD.split(".")
    octets = base64url.decode(signature)
    padded = octets[:32] + b"\0" + octets[32:]
    compact = f"{head}.{payload}.{base64url.encode(padded)}"
    assert not jws.verify(jws.parse(compact), PUBLIC)


@given(st.binary(max_size=100))
def test_base64url_is_the_same_there_and_back(data: bytes) -> None:
    assert base64url.decode(base64url.encode(data)) == data


@given(st.text(max_size=100) | st.text("ab-_+/=AZ09 \n", max_size=20))
def test_base64url_decodes_only_what_it_encodes(text: str) -> None:
    try:
        data = base64url.decode(text)
    except FormatError:
        return
    assert base64url.encode(data) == text
