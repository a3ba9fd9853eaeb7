"""What a recipient's admin asks of its own standing over HTTP, and the evidence that it hands in.

Each request carries a DPoP proof by the admin's key. It is looked at before the body is read, as is
how much the recipient has handed in: nobody can make the issuer read more megabytes than that.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from bailment.access.nonce import Nonces
from bailment.access.proof import Proof
from bailment.access.reasons import Reason, Refused
from bailment.access.signing_in import organisation_of
from bailment.assurance.adapters.reading import MAX_SIZE
from bailment.control.actions import Actions
from bailment.control.assurance import Assurance, Handed
from bailment.control.assurance_acts import take
from bailment.control.evaluator import Evaluator
from bailment.control.requests import answer, proven, proven_body, refusal, shown_proof
from bailment.control.uploads import Uploads


class StandingRoutes:
    """The handlers."""

    def __init__(
        self, actions: Actions, assurance: Assurance, evaluator: Evaluator, nonces: Nonces
    ) -> None:
        self._actions = actions
        self._assurance = assurance
        self._evaluator = evaluator
        self._nonces = nonces
        self._uploads = Uploads()

    async def standing(self, request: Request) -> Response:
        """How the recipient stands, and why."""
        fold = self._actions.log.fold
        sent = await proven(request, fold, self._nonces, most=0, may=self._is_admins)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        return answer(self._assurance.account(self._recipient(sent.proof)))

    async def evidence(self, request: Request) -> Response:
        """Take in the body as evidence that the recipient collected itself."""
        proof = shown_proof(request, self._actions.log.fold, self._nonces, self._is_admins)
        if isinstance(proof, Refused):
            return self._refusal(proof)
        recipient, now = self._recipient(proof), self._actions.log.sequencer.time
        refused = self._uploads.refusal(recipient, now)
        if refused is not None:
            return self._refusal(refused)
        handed = Handed(
            recipient, request.path_params["kind"], "recipient", f"recipient:{recipient}"
        )
        with self._uploads.upload(recipient, now):
            sent = await proven_body(request, proof, MAX_SIZE)
            if isinstance(sent, Refused):
                return self._refusal(sent)
            return await take(self._assurance, self._evaluator, handed, sent.body)

    def _is_admins(self, proof: Proof) -> Refused | None:
        if self._recipient(proof):
            return None
        return Refused(Reason.PROOF_KEY, "the key is no recipient's")

    def _recipient(self, proof: Proof) -> str:
        """The organisation whose admin's key made the proof; empty if there is none."""
        register = self._actions.log.fold.register
        organisation = organisation_of(register, proof.thumbprint)
        return organisation.subject if organisation is not None else ""

    def _refusal(self, refused: Refused) -> Response:
        return refusal(refused, self._actions.log.fold.register.policy.contact)
