"""What a TPM said of a device's key, as it stands in the record of the enrolment."""

from __future__ import annotations

from typing import Annotated

import msgspec

#: base64url without padding: at most 600 octets, which is more than a TPM says of P-256 keys.
_Octets = Annotated[str, msgspec.Meta(max_length=800)]


class KeyEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`key` certified by `attester` for one challenge (TCG TPM 2.0 Library, Part 2).

    key        TPMT_PUBLIC of the device's key
    attester   TPMT_PUBLIC of the attestation key
    attest     TPMS_ATTEST of TPM2_Certify over `key`, qualified with nonce, key and invitation
    signature  TPMT_SIGNATURE by `attester` over `attest`
    nonce      32 octets by the issuer
    root       SHA-256 (hex) of the root certificate under which the TPM of `attester` was vouched
               for, and showed itself by TPM2_ActivateCredential; empty where none was
    """

    key: _Octets
    attester: _Octets
    attest: _Octets
    signature: _Octets
    nonce: _Octets
    root: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
