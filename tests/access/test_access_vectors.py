"""The published vectors of tokens, proofs, assertions and keys, through our own entry points."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bailment.access import jwk
from bailment.access.assertion import Assertion, verify_assertion
from bailment.access.chain import commit_person
from bailment.access.proof import check_body, check_proof, read_proof
from bailment.access.reasons import Refused
from bailment.access.register import Register
from bailment.access.token import Claims, verify_token
from bailment.errors import FormatError
from bailment.ledger.records import DelegationGranted, LogStarted, RecipientRegistered

FOLDER = Path(__file__).parents[2] / "formats" / "vectors"
VECTORS = json.loads((FOLDER / "dpop.json").read_bytes())
KEYS = {name: jwk.parse(key["public"]) for name, key in VECTORS["keys"].items()}


def cases(section: str) -> pytest.MarkDecorator:
    named = [pytest.param(case, id=case["name"]) for case in VECTORS[section]]
    return pytest.mark.parametrize("case", named)


def outcome(result: object) -> str:
    return str(result.reason) if isinstance(result, Refused) else "accepted"


def request_of(case: dict[str, Any]) -> dict[str, Any]:
    return {**VECTORS["request"], **case["request"]}


@cases("proofs")
def test_a_proof_has_its_outcome(case: dict[str, Any]) -> None:
    request = request_of(case)
    proof = read_proof(case["proof"])
    if isinstance(proof, Refused):
        assert outcome(proof) == case["expect"]
        return
    checked = check_proof(
        proof,
        expected_thumbprint=KEYS[request["key"]].thumbprint,
        **{
            name: request[name]
            for name in (
                *("method", "target", "token", "nonces"),
                *("now_ms", "lifetime_ms", "skew_ms"),
            )
        },
    ) or check_body(proof, sha256(request["body"].encode()).digest())
    assert outcome(checked) == case["expect"]


@cases("tokens")
def test_a_token_has_its_outcome(case: dict[str, Any]) -> None:
    request = request_of(case)
    result = verify_token(
        case["token"],
        KEYS["issuer"],
        iss=request["issuer"],
        aud=request["issuer"],
        now_ms=request["now_ms"],
        skew_ms=request["skew_ms"],
    )
    assert outcome(result) == case["expect"]
    assert isinstance(result, Claims | Refused)


@cases("assertions")
def test_an_assertion_has_its_outcome(case: dict[str, Any]) -> None:
    request = request_of(case)
    result = verify_assertion(
        case["assertion"],
        KEYS[request["key"]],
        device=request["device"],
        audience=request["issuer"],
        now_ms=request["now_ms"],
        skew_ms=request["skew_ms"],
    )
    assert outcome(result) == case["expect"]
    assert isinstance(result, Assertion | Refused)


@cases("links")
def test_a_link_has_its_outcome(case: dict[str, Any]) -> None:
    register, now = Register(), VECTORS["request"]["now_ms"]
    keys = {name: key.jwk for name, key in KEYS.items()}
    register.apply(0, LogStarted("example/log", "https://x.example", keys["issuer"]), now)
    known = RecipientRegistered("2b" * 16, "acme", "", keys["device"], "owner")
    register.apply(1, known, now)
    refused = register.check(DelegationGranted(case["link"]), now)
    assert outcome(refused) == case["expect"]


@pytest.mark.parametrize("case", VECTORS["people"])
def test_a_person_has_its_commitment(case: dict[str, Any]) -> None:
    assert commit_person(case["personal"]) == case["commitment"]


@cases("bad_jwks")
def test_a_bad_key_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        jwk.parse(case["jwk"])


def test_the_thumbprints_are_those_published() -> None:
    assert {name: key.thumbprint for name, key in KEYS.items()} == {
        name: key["thumbprint"] for name, key in VECTORS["keys"].items()
    }


def test_the_generator_writes_the_file_again_byte_for_byte(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FOLDER / "generate_access.py", tmp_path], check=True)
    assert (tmp_path / "dpop.json").read_bytes() == (FOLDER / "dpop.json").read_bytes()
