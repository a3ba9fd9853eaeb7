"""Credentials in headers: one token, one proof, wherever an SDK puts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.access.presentation import (
    Presentation,
    presented_proof,
    presented_token,
    read_presentation,
)
from bailment.access.reasons import Reason, Refused

PROOF = (b"dpop", b"proof")


def reason(*headers: tuple[bytes, bytes]) -> Reason | None:
    result = read_presentation(headers)
    return result.reason if isinstance(result, Refused) else None


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"DPoP token")],
        [(b"authorization", b"dpop  token ")],
        [(b"authorization", b"Bearer token")],
        [(b"x-api-key", b"token")],
        [(b"authorization", b"Bearer token"), (b"x-api-key", b"token")],
        [(b"host", b"x"), (b"authorization", b"DPoP token"), (b"x-api-key", b"token")],
    ],
)
def test_a_token_is_found_where_sdks_put_it(headers: list[tuple[bytes, bytes]]) -> None:
    expected = Presentation("dpop-body", "token", "proof")
    assert read_presentation([*headers, PROOF]) == expected
    assert read_presentation([PROOF, *headers]) == expected


def test_no_token_is_refused() -> None:
    assert reason(PROOF) == Reason.TOKEN_MISSING
    assert reason(PROOF, (b"authorization", b"DPoP")) == Reason.TOKEN_MISSING
    assert reason(PROOF, (b"authorization", b"Bearer "), (b"x-api-key", b"")) == (
        Reason.TOKEN_MISSING
    )


def test_a_bearer_token_and_an_api_key_that_disagree_are_refused() -> None:
    for value in (b"Bearer one", b"DPoP one", b"Bearer "):
        headers = ((b"authorization", value), (b"x-api-key", b"two"), PROOF)
        assert reason(*headers) == Reason.CREDENTIALS_DISAGREE
        assert reason(*reversed(headers)) == Reason.CREDENTIALS_DISAGREE


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key"])
def test_a_repeated_credential_is_refused(name: bytes) -> None:
    header = (name, b"DPoP token")
    assert reason(header, header, PROOF) == Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "value", [b"", b"token", b"Basic dXNlcjpwdw==", b"DPoPtoken", b"DPoP\ttoken"]
)
def test_another_scheme_is_refused(value: bytes) -> None:
    assert reason((b"authorization", value), PROOF) == Reason.TOKEN_MALFORMED


def test_a_token_beyond_ascii_is_refused() -> None:
    assert reason((b"authorization", b"DPoP t\xc3\xb6ken"), PROOF) == Reason.TOKEN_MALFORMED
    assert reason((b"x-api-key", b"\xff"), PROOF) == Reason.TOKEN_MALFORMED


def test_no_proof_is_refused_and_the_token_can_still_be_named() -> None:
    headers = [(b"authorization", b"Bearer token")]
    assert reason(*headers) == Reason.PROOF_MISSING
    assert presented_token(headers) == "token"


def test_several_proofs_are_refused() -> None:
    headers = ((b"x-api-key", b"token"), PROOF, PROOF)
    assert reason(*headers) == Reason.PROOF_MALFORMED


def test_a_proof_beyond_ascii_is_refused() -> None:
    assert reason((b"x-api-key", b"token"), (b"dpop", b"\xff")) == Reason.PROOF_MALFORMED


def test_credentials_are_not_shown() -> None:
    shown = repr(read_presentation([(b"x-api-key", b"SECRET"), (b"dpop", b"SECRET")]))
    assert "SECRET" not in shown


NAMES = st.sampled_from([b"authorization", b"x-api-key", b"dpop", b"host"])
VALUES = st.binary(max_size=12) | st.sampled_from([b"DPoP t", b"Bearer t", b"t", b"dpop \xff"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_any_headers_are_read_or_refused(headers: list[tuple[bytes, bytes]]) -> None:
    result = read_presentation(headers)
    if isinstance(result, Refused):
        assert Refused in {type(presented_token(headers)), type(presented_proof(headers))}
    else:
        assert result == Presentation(
            "dpop-body", str(presented_token(headers)), str(presented_proof(headers))
        )
