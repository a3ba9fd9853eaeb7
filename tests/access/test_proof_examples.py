"""The proofs printed in RFC 9449."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from bailment.access.proof import Proof, check_body, check_proof, read_proof
from bailment.access.reasons import Reason, Refused

# RFC 9449 §4.1 (token request) and §7.1 (resource request).
RFC_HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNo"
    "UklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERW"
    "clUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
)
RFC_TOKEN_PROOF = (
    f"{RFC_HEADER}."
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUu"
    "Y29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ."
    "2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
RFC_RESOURCE_PROOF = (
    f"{RFC_HEADER}."
    "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxl"
    "Lm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0Ji"
    "MHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9."
    "2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
RFC_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
RFC_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


@pytest.mark.parametrize(
    ("compact", "expected"),
    [
        (
            RFC_TOKEN_PROOF,
            {"method": "POST", "target": "https://server.example.com/token", "token": None},
        ),
        (
            RFC_RESOURCE_PROOF,
            {
                "method": "GET",
                "target": "https://resource.example.org/protectedresource",
                "token": RFC_TOKEN,
            },
        ),
    ],
    ids=["token request", "resource request"],
)
def test_the_proofs_of_rfc_9449_are_accepted_but_for_their_body(
    compact: str, expected: dict[str, Any]
) -> None:
    proof = read_proof(compact)
    assert isinstance(proof, Proof)
    expected |= {"now_ms": 1_562_262_618_000, "lifetime_ms": 60_000, "skew_ms": 5_000}
    expected |= {"expected_thumbprint": RFC_THUMBPRINT}
    assert check_proof(proof, nonces=None, **expected) is None
    refused = check_proof(proof, nonces=("nonce",), **expected)
    assert refused is not None
    assert refused.reason == Reason.PROOF_NONCE
    assert check_body(proof, sha256(b"").digest()) is None
    refused = check_body(proof, sha256(b"x").digest())
    assert refused == Refused(Reason.PROOF_BODY, "the proof has no `content_digest`")
