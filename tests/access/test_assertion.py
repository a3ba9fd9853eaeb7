"""Client assertions: by the device's key, for this issuer, at most a minute long."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import jwk, jws
from bailment.access.assertion import Assertion, make_assertion, verify_assertion
from bailment.access.reasons import Reason, Refused

NOW = 1_780_000_000_000
SKEW = 5_000
ISSUER, DEVICE = "https://gateway.example", "0b" * 16
KEY = ec.derive_private_key(7, ec.SECP256R1())
PUBLIC = jwk.from_key(KEY.public_key())
JTI = "0123456789abcdef"
GOOD = make_assertion(KEY, device=DEVICE, audience=ISSUER, jti=JTI, now_s=NOW // 1000)


def verified(compact: str, **changes: Any) -> Assertion | Refused:
    expected: dict[str, Any] = {
        "device": DEVICE,
        "audience": ISSUER,
        "now_ms": NOW,
        "skew_ms": SKEW,
    }
    return verify_assertion(compact, PUBLIC, **(expected | changes))


def refused(compact: str, detail: str, **changes: Any) -> bool:
    result = verified(compact, **changes)
    return result == Refused(Reason.CLIENT_ASSERTION, detail)


def forged(header: Any = None, **claims: Any) -> str:
    old = json.loads(jws.parse(GOOD).payload) | claims
    payload = canonical.encode({name: value for name, value in old.items() if value is not None})
    return jws.sign({"typ": "JWT"} | (header or {}), payload, KEY)


def test_a_good_assertion_gives_its_claims() -> None:
    seconds = NOW // 1000
    assert verified(GOOD) == Assertion(DEVICE, DEVICE, ISSUER, seconds, seconds + 60, JTI)


def test_an_assertion_by_another_key_is_refused() -> None:
    thief = ec.derive_private_key(8, ec.SECP256R1())
    compact = make_assertion(thief, device=DEVICE, audience=ISSUER, jti=JTI, now_s=NOW // 1000)
    assert refused(compact, "the device's key did not sign it")
    assert refused(forged({"alg": "RS256"}), "the device's key did not sign it")


@pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "jwt", None])
def test_a_jws_of_another_type_is_no_assertion(typ: object) -> None:
    assert refused(forged({"typ": typ}), "the `typ` is not `JWT`")


def test_an_assertion_about_another_device_is_refused() -> None:
    for name in ("iss", "sub"):
        assert refused(forged(**{name: "0c" * 16}), "`iss` and `sub` are not the device")
    assert refused(GOOD, "`iss` and `sub` are not the device", device="0c" * 16)


def test_an_assertion_for_another_issuer_is_refused() -> None:
    assert refused(forged(aud=ISSUER + "/"), f"`aud` is not `{ISSUER}`")


def test_an_assertion_longer_than_a_minute_is_refused() -> None:
    seconds = NOW // 1000
    for exp in (seconds + 61, seconds, 0):
        assert refused(forged(exp=exp), "it lives longer than 60 s")


def test_an_assertion_is_refused_before_and_after_its_life() -> None:
    assert isinstance(verified(GOOD, now_ms=NOW - SKEW), Assertion)
    assert refused(GOOD, "`iat` is in the future", now_ms=NOW - SKEW - 1)
    assert isinstance(verified(GOOD, now_ms=NOW + 60_000 + SKEW - 1), Assertion)
    assert refused(GOOD, "it has expired", now_ms=NOW + 60_000 + SKEW)


@pytest.mark.parametrize("name", [n for n in Assertion.__struct_fields__ if n != "ratchet"])
def test_an_assertion_without_a_claim_is_refused(name: str) -> None:
    detail = "the claims are not `iss`, `sub`, `aud`, `iat`, `exp` and `jti`"
    assert refused(forged(**{name: None}), detail)
    assert refused(forged(**{name: [1]}), detail)


@pytest.mark.parametrize("handle", ["", "a" * 65, "two words", "ü", 7, ["a"]])
def test_a_handle_of_another_form_is_refused(handle: object) -> None:
    detail = "the claims are not `iss`, `sub`, `aud`, `iat`, `exp` and `jti`"
    assert refused(forged(ratchet=handle), detail)


def test_a_handle_comes_through() -> None:
    made = verified(forged(ratchet="a-handle"))
    assert isinstance(made, Assertion)
    assert made.ratchet == "a-handle"


def test_what_is_no_jws_is_refused() -> None:
    assert refused("assertion", "a compact JWS has three parts")
