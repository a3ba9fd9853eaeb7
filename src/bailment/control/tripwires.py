"""`POST /enrol/tripwires`: a device registers the hash of what its agent's clients show the agent.

The device's proof is over it and goes into the log, so nobody else can lay a trail to a device.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.access.tripwire import registration_body
from bailment.control.actions import Actions, Denied
from bailment.control.requests import Proven, answer, proven, refusal
from bailment.ledger.identity_records import TripwireSet


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device: str
    secret: str


@dataclass(frozen=True, slots=True)
class TripwireRoute:
    """The handler."""

    actions: Actions
    nonces: Nonces

    async def register(self, request: Request) -> Response:
        """Put a hash on record; once more is no error."""
        register = self.actions.log.fold.register
        contact = register.policy.contact
        sent = await proven(request, self.actions.log.fold, self.nonces)
        if isinstance(sent, Refused):
            return refusal(sent, contact)
        facts = self._read(sent)
        if isinstance(facts, Refused):
            return refusal(facts, contact)
        known = register.state.tripwires.get(facts.secret)
        if known is None or known.subject != facts.subject:
            try:
                await self.actions.append(lambda now: facts)
            except Denied as denied:
                return refusal(denied.refused, contact)
        return answer({"secret": facts.secret}, 201)

    def _read(self, sent: Proven) -> TripwireSet | Refused:
        try:
            body = msgspec.json.decode(sent.body, type=_Body)
        except msgspec.DecodeError as error:
            return Refused(Reason.BODY_MALFORMED, str(error))
        if sent.body != registration_body(body.device, body.secret):
            form = 'write `{"device":"…","secret":"…"}`, without any space'
            return Refused(Reason.BODY_MALFORMED, form)
        register = self.actions.log.fold.register
        device = register.state.devices.get(body.device)
        if device is None or register.key(device.key).thumbprint != sent.proof.thumbprint:
            # The same answer, whether there is such a device or not.
            return Refused(Reason.PROOF_KEY, "the key is not the device's")
        subject = f"device:{body.device}"
        return TripwireSet(body.secret, "capability", subject, sent.proof.compact)
