"""Having the machine's TPM prove that a device's key is in it, when the device enrols."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated

import msgspec

from bailment.access import attestation, base64url
from bailment.agent.tpm_key import Attester, TpmKey

if TYPE_CHECKING:
    from bailment.agent.client import GatewayClient

_Octets = Annotated[str, msgspec.Meta(max_length=800)]


class Challenge(msgspec.Struct, frozen=True):
    """What the gateway asks of the TPM; `credential` and `secret` are empty where nobody whom the
    issuer believes vouches for it, and `unattested` says why."""

    nonce: _Octets
    credential: _Octets = ""
    secret: _Octets = ""
    unattested: Annotated[str, msgspec.Meta(max_length=500)] = ""


async def attested(
    client: GatewayClient, key: TpmKey, invitation: str, tell: Callable[[str], None]
) -> dict[str, object]:
    """What an enrolment says of a key in a TPM: its class, and the answer to the challenge.

    Raises TpmError, and as `GatewayClient.post`.
    """
    attester = Attester(key)
    try:
        shown = {
            "invitation": invitation,
            "key": base64url.encode(key.public),
            "attester": base64url.encode(attester.public),
            "certificates": [base64url.encode(one) for one in attester.certificates()],
        }
        asked = await client.post(attestation.PATH, shown, Challenge)
        thumbprint, hashed = client.signer.public.thumbprint, sha256(invitation.encode())
        nonce = base64url.decode(asked.nonce)
        attest, signature = attester.certify(
            attestation.qualification(nonce, thumbprint, hashed.hexdigest())
        )
        answer = {"attest": base64url.encode(attest), "signature": base64url.encode(signature)}
        if not asked.credential:
            tell(f"the issuer takes the TPM's word for nothing: {asked.unattested}")
            return {"key_class": "hw-unattested", "attestation": answer}
        sealed = base64url.decode(asked.credential), base64url.decode(asked.secret)
        answer["activated"] = base64url.encode(attester.activate(*sealed))
        return {"key_class": "hw-attested", "attestation": answer}
    finally:
        attester.forget()
