"""An organisation's admin registers the identity provider at which its people sign in."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.access.signing_in import Registration, organisation_of, registration_body
from bailment.control import oidc
from bailment.control.actions import Actions, Denied, Proposed
from bailment.control.oidc import SignInFailed
from bailment.control.outbound import Outbound
from bailment.control.requests import answer, proven, refusal, waiting
from bailment.ledger.identity_records import ProviderRegistered
from bailment.store.providers import ProviderSecrets

_MOST_SECRET = 1024


@dataclass(frozen=True, slots=True)
class Providers:
    """The handlers; each call is proven by the organisation's admin key."""

    actions: Actions
    nonces: Nonces
    outbound: Outbound
    secrets: ProviderSecrets

    async def register(self, request: Request) -> Response:
        """Register a provider in the place of the one before, if it describes itself as it should.

        The body is canonical JSON, so that the record says all that the admin's proof is over.
        """
        sent = await proven(request, self.actions.log.fold, self.nonces)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        try:
            said = msgspec.json.decode(sent.body, type=Registration)
        except msgspec.DecodeError as error:
            return self._refusal(Refused(Reason.BODY_MALFORMED, str(error)))
        ours = organisation_of(self.actions.log.fold.register, sent.proof.thumbprint)
        if ours is None or ours.subject != said.organisation:
            return self._refusal(Refused(Reason.PROOF_KEY, "the key is no organisation's"))
        if registration_body(said) != sent.body:
            return self._refusal(Refused(Reason.BODY_MALFORMED, "the body is not canonical JSON"))
        facts = ProviderRegistered(
            organisation=said.organisation,
            issuer=said.issuer,
            client=said.client,
            claim=said.claim,
            proof=sent.proof.compact,
            body=sha256(sent.body).hexdigest(),
            auth=said.auth,
        )
        try:
            if said.issuer:
                await oidc.discover(self.outbound, facts)
            await self.actions.append(lambda now: facts)
        except Denied as denied:
            return self._refusal(denied.refused)
        except Proposed as proposed:
            return waiting(proposed, self.actions.log.fold.register.state.url)
        except SignInFailed as failed:
            why = f"{failed}; {failed.hint}" if failed.hint else str(failed)
            return self._refusal(Refused(Reason.SIGN_IN_FAILED, why))
        url = self.actions.log.fold.register.state.url
        told = {
            "redirect_uri": f"{url}/sign-in/callback/{said.organisation}",
            "jwks_uri": f"{url}/sign-in/jwks.json",
        }
        return answer(told, 201)

    async def secret(self, request: Request) -> Response:
        """Keep what the organisation's provider gave us to show; it is in no record."""
        sent = await proven(request, self.actions.log.fold, self.nonces, most=_MOST_SECRET)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        ours = organisation_of(self.actions.log.fold.register, sent.proof.thumbprint)
        if ours is None:
            return self._refusal(Refused(Reason.PROOF_KEY, "the key is no organisation's"))
        if not sent.body.isascii() or not sent.body.decode().isprintable():
            return self._refusal(Refused(Reason.BODY_MALFORMED, "a secret is printable ASCII"))
        self.secrets.keep(ours.subject, sent.body.decode())
        return answer({})

    def _refusal(self, refused: Refused) -> Response:
        return refusal(refused, self.actions.log.fold.register.policy.contact)
