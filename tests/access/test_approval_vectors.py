"""The published vectors of what passkeys and keys sign, by our own verifier and by another."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import cbor2
import pytest
import webauthn
from webauthn.helpers.exceptions import WebAuthnException

from bailment import canonical
from bailment.access import base64url, jwk
from bailment.access.approval import ACT, verify_approval
from bailment.access.passkey import origin_of, rp_id, verify
from bailment.access.reasons import Refused
from bailment.ledger.operator_records import Assertion

FOLDER = Path(__file__).parents[2] / "formats" / "vectors"
VECTORS = json.loads((FOLDER / "approvals.json").read_bytes())
KEY = jwk.parse(VECTORS["key"])
CASES = [pytest.param(case, id=case["name"]) for case in VECTORS["assertions"]]


def test_the_file_is_the_one_that_its_generator_writes() -> None:
    module = runpy.run_path(str(FOLDER / "generate_approvals.py"))
    assert module["OUT"].read_text() == module["vectors"]()


def test_an_act_s_digest_is_that_of_its_canonical_json() -> None:
    data = canonical.encode(VECTORS["act"])
    assert data.decode() == VECTORS["canonical"]
    assert canonical.digest(data) == VECTORS["digest"]


def test_an_approver_s_signature_is_over_the_digest_of_one_proposal() -> None:
    told = {"digest": VECTORS["digest"], "proposal": VECTORS["act"]["proposal"]}
    assert verify_approval(VECTORS["jws"], ACT, KEY) == told
    assert isinstance(verify_approval(VECTORS["jws"], "exception", KEY), Refused)


@pytest.mark.parametrize("case", CASES)
def test_an_assertion_is_what_its_vector_says(case: dict[str, Any]) -> None:
    found = verify(
        Assertion(**case["assertion"]),
        KEY,
        case["counter"],
        url=VECTORS["url"],
        challenge=bytes.fromhex(VECTORS["digest"]),
    )
    assert str(found.reason if isinstance(found, Refused) else found) == case["result"]


#: What the other verifier does not look at.
_LENIENT = ("a frame in another site's page", "client data with padding")


@pytest.mark.parametrize("case", [case for case in CASES if case.id not in _LENIENT])
def test_another_verifier_says_the_same(case: dict[str, Any]) -> None:
    shown, members = case["assertion"], VECTORS["key"]
    x, y = (base64url.decode(members[name]) for name in ("x", "y"))
    response = {
        "clientDataJSON": shown["client_data"],
        "authenticatorData": shown["authenticator_data"],
        "signature": shown["signature"],
    }
    name = shown["credential"]
    try:
        found = webauthn.verify_authentication_response(
            credential={"id": name, "rawId": name, "type": "public-key", "response": response},
            expected_challenge=bytes.fromhex(VECTORS["digest"]),
            expected_rp_id=rp_id(VECTORS["url"]),
            expected_origin=origin_of(VECTORS["url"]),
            credential_public_key=cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y}),
            credential_current_sign_count=case["counter"],
            require_user_verification=True,
        )
        result = str(found.new_sign_count)
    except WebAuthnException:
        result = "passkey-refused"
    assert result == case["result"]
