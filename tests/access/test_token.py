"""Access tokens: signed by this issuer, for this service, alive, and bound to a key."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import jwk, jws
from bailment.access.reasons import Reason, Refused
from bailment.access.token import (
    AccessDetail,
    Claims,
    Confirmation,
    Details,
    sign_token,
    token_hash,
    verify_token,
)

NOW = 1_780_000_000_000
SKEW = 5_000
URL = "https://gateway.example"
ISSUER = ec.derive_private_key(9, ec.SECP256R1())
ISSUER_KEY = jwk.from_key(ISSUER.public_key())
DEVICE_KEY = jwk.from_key(ec.derive_private_key(7, ec.SECP256R1()).public_key())
DETAIL = AccessDetail(type="bailment_access", purpose="evaluation", models=("example",))
CLAIMS = Claims(
    iss=URL,
    aud=URL,
    sub="0a" * 16,
    client_id="0b" * 16,
    iat=NOW // 1000,
    exp=NOW // 1000 + 300,
    jti="0c" * 16,
    cnf=Confirmation(DEVICE_KEY.thumbprint),
    lnk=("01" * 16, "02" * 16, "03" * 16),
    key_class="software",
    authorization_details=(DETAIL,),
)
GOOD = sign_token(CLAIMS, ISSUER)


def verified(compact: str, **changes: Any) -> Claims | Refused:
    expected: dict[str, Any] = {"iss": URL, "aud": URL, "now_ms": NOW, "skew_ms": SKEW}
    return verify_token(compact, ISSUER_KEY, **(expected | changes))


def reason(compact: str, **changes: Any) -> Reason | None:
    result = verified(compact, **changes)
    return result.reason if isinstance(result, Refused) else None


def forged(header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token by the issuer's own key with some claims exchanged; None removes one."""
    old = json.loads(jws.parse(GOOD).payload) | claims
    payload = canonical.encode({name: value for name, value in old.items() if value is not None})
    return jws.sign({"typ": "at+jwt"} | (header or {}), payload, ISSUER)


def test_a_good_token_gives_its_claims() -> None:
    assert verified(GOOD) == CLAIMS
    assert jws.parse(GOOD).header == {"alg": "ES256", "typ": "at+jwt"}


def test_the_hash_of_a_token_is_that_of_the_example_of_rfc_9449() -> None:
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    assert token_hash(token) == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


def test_a_token_of_another_issuer_is_refused() -> None:
    other = ec.derive_private_key(10, ec.SECP256R1())
    assert reason(sign_token(CLAIMS, other)) == Reason.TOKEN_UNTRUSTED
    assert reason(forged(iss="https://other.example")) == Reason.TOKEN_UNTRUSTED
    assert reason(GOOD, iss="https://other.example") == Reason.TOKEN_UNTRUSTED


def test_a_token_for_another_audience_is_refused() -> None:
    assert reason(GOOD, aud="https://other.example") == Reason.TOKEN_UNTRUSTED
    assert reason(forged(aud=[URL])) == Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("typ", ["JWT", "dpop+jwt", "bailment-link+jwt", "AT+JWT", "", None, 1])
def test_a_jws_of_another_type_is_no_token(typ: object) -> None:
    assert reason(forged({"typ": typ})) == Reason.TOKEN_UNTRUSTED


@pytest.mark.parametrize("alg", ["RS256", "PS256"])
def test_an_algorithm_that_does_not_fit_the_issuers_key_is_refused(alg: str) -> None:
    assert reason(forged({"alg": alg})) == Reason.TOKEN_UNTRUSTED


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_an_algorithm_that_proves_nothing_is_refused(alg: str) -> None:
    assert reason(forged({"alg": alg})) == Reason.TOKEN_MALFORMED


def test_an_unbound_token_is_refused() -> None:
    both = {"jkt": DEVICE_KEY.thumbprint, "x5t#S256": DEVICE_KEY.thumbprint}
    nothing: tuple[object, ...] = (None, {}, [], "jkt", {"kid": DEVICE_KEY.thumbprint}, both)
    for cnf in nothing:
        assert reason(forged(cnf=cnf)) == Reason.TOKEN_UNBOUND
    for jkt in ("", 1, "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 43 + "\n"):
        assert reason(forged(cnf={"jkt": jkt})) == Reason.TOKEN_MALFORMED
        assert reason(forged(cnf={"x5t#S256": jkt})) == Reason.TOKEN_MALFORMED


def test_a_token_that_lives_longer_than_300_s_is_refused() -> None:
    assert reason(forged(exp=CLAIMS.iat + 301)) == Reason.TOKEN_UNTRUSTED
    assert reason(GOOD, max_lifetime_ms=299_999) == Reason.TOKEN_UNTRUSTED
    assert reason(forged(exp=CLAIMS.iat)) == Reason.TOKEN_UNTRUSTED
    assert reason(forged(exp=0)) == Reason.TOKEN_UNTRUSTED


def test_an_expired_token_is_refused() -> None:
    last = CLAIMS.exp * 1000 + SKEW - 1
    assert reason(GOOD, now_ms=last) is None
    assert reason(GOOD, now_ms=last + 1) == Reason.TOKEN_EXPIRED


def test_a_token_from_the_future_is_refused() -> None:
    assert reason(GOOD, now_ms=NOW - SKEW) is None
    assert reason(GOOD, now_ms=NOW - SKEW - 1) == Reason.TOKEN_UNTRUSTED


def test_the_actor_claim_is_never_read() -> None:
    actor = {"sub": "0d" * 16, "act": {"sub": "0e" * 16}}
    assert verified(forged(act=actor)) == CLAIMS


@pytest.mark.parametrize("name", [name for name in Claims.__struct_fields__ if name != "cnf"])
def test_a_token_without_a_claim_is_refused(name: str) -> None:
    assert reason(forged(**{name: None})) == Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "somebody"},
        {"sub": "0A" * 16},
        {"client_id": "0b" * 16 + "\n"},
        {"lnk": []},
        {"lnk": ["01" * 16] * 17},
        {"lnk": "01" * 16},
        {"key_class": "hardware"},
        {"iat": True},
        {"iat": -1},
        {"exp": 2**60},
        {"iss": 1},
        {"jti": ""},
        {"authorization_details": []},
        {"authorization_details": [{"type": "bailment_access"}]},
        {"authorization_details": [{"purpose": "p"}]},
        {"authorization_details": [{"type": "other", "purpose": "p"}]},
        {"authorization_details": [{"type": "bailment_access", "purpose": "p", "models": "m"}]},
        {"authorization_details": [{"type": "bailment_access", "purpose": "p", "budget": 1}]},
        {"authorization_details": [{"type": "bailment_access", "purpose": "p"}] * 2},
    ],
    ids=str,
)
def test_a_claim_out_of_form_is_refused(claims: dict[str, Any]) -> None:
    assert reason(forged(**claims)) == Reason.TOKEN_MALFORMED


def test_a_duplicate_claim_is_refused() -> None:
    payload = jws.parse(GOOD).payload[:-1] + b',"sub":"' + b"0d" * 16 + b'"}'
    assert reason(jws.sign({"typ": "at+jwt"}, payload, ISSUER)) == Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 9000])
def test_claims_that_are_no_object_are_refused(payload: bytes) -> None:
    assert reason(jws.sign({"typ": "at+jwt"}, payload, ISSUER)) == Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("compact", ["", "sk-proj-0123456789", GOOD + "=", "x" * 20_000])
def test_what_is_no_jws_is_refused(compact: str) -> None:
    assert reason(compact) == Reason.TOKEN_MALFORMED


def test_claims_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        CLAIMS.sub = "0d" * 16  # type: ignore[misc]


def test_the_details_of_a_token_request_have_the_same_form() -> None:
    request = b'[{"type":"bailment_access","purpose":"p"}]'
    details = msgspec.json.decode(request, type=Details)
    assert details == (AccessDetail(type="bailment_access", purpose="p"),)
