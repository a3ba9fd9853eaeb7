"""Who asks the token endpoint: a device that proves its key, and what a token is bound to.

RFC 7521 and 7523: a client assertion and a DPoP proof by the device's key, over the form.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from bailment.access.assertion import TYPE_URI, verify_assertion
from bailment.access.fold import Fold
from bailment.access.nonce import Nonces
from bailment.access.proof import Proof
from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.control.requests import Proven, proven
from bailment.ledger.records import EnrolmentRequested


@dataclass(frozen=True, slots=True)
class Client:
    """A device that is who it says, and the form that it sent.

    proof   its DPoP proof over the form, to whose key a token is bound
    """

    device: EnrolmentRequested
    form: dict[str, str]
    body: bytes
    proof: Proof


@dataclass(frozen=True, slots=True)
class ClientAuth:
    """RFC 6749 §2.3, for every endpoint that takes a form from a device."""

    fold: Fold
    nonces: Nonces

    async def authenticate(self, request: Request) -> Client | Refused:
        """The device behind a request."""
        sent = await proven(request, self.fold, self.nonces, digest=False)
        if isinstance(sent, Refused):
            return sent
        form = read_form(sent.body)
        return form if isinstance(form, Refused) else self._asserted(form, sent)

    def _asserted(self, form: dict[str, str], sent: Proven) -> Client | Refused:
        """The device, if assertion and proof are by its key."""
        if form.get("client_assertion_type") != TYPE_URI:
            return Refused(Reason.BODY_MALFORMED, f"`client_assertion_type`: `{TYPE_URI}`")
        register = self.fold.register
        device = register.state.devices.get(form.get("client_id", ""))
        if device is None:
            return Refused(Reason.CLIENT_ASSERTION, "the client is unknown")
        key = register.key(device.key)
        if sent.proof.thumbprint != key.thumbprint:
            return Refused(Reason.PROOF_KEY, "the proof is by another key than the device's")
        checked = verify_assertion(
            form.get("client_assertion", ""),
            key,
            device=device.device,
            audience=register.state.url,
            now_ms=now_ms(),
            skew_ms=register.policy.skew_ms,
        )
        if isinstance(checked, Refused):
            return checked
        return Client(device, form, sent.body, sent.proof)


def read_form(body: bytes) -> dict[str, str] | Refused:
    """RFC 6749 §3.2: no parameter may come twice."""
    try:
        pairs = parse_qsl(body.decode(), strict_parsing=True, max_num_fields=20)
    except (ValueError, UnicodeDecodeError):
        return Refused(Reason.BODY_MALFORMED, "the body is not a form")
    form = dict(pairs)
    if len(form) != len(pairs):
        return Refused(Reason.BODY_MALFORMED, "a parameter comes twice")
    return form
