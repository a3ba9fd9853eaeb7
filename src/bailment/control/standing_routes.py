"""What a recipient's admin asks of its own standing over HTTP, and the evidence that it hands in.

Each request carries a DPoP proof by the admin's key, which is looked at before the body is read:
nobody else can make the issuer read megabytes.
"""

from __future__ import annotations

from collections import defaultdict, deque

from starlette.requests import Request
from starlette.responses import Response

from bailment.access.nonce import Nonces
from bailment.access.proof import Proof
from bailment.access.reasons import Reason, Refused
from bailment.assurance.adapters.reading import MAX_SIZE
from bailment.control.actions import Actions
from bailment.control.assurance import Assurance, Handed
from bailment.control.assurance_acts import take
from bailment.control.evaluator import Evaluator
from bailment.control.requests import Proven, answer, proven, refusal

#: A recipient may hand in so many files in so many ms: each is a record and an evaluation.
_MOST, _WITHIN = 120, 3_600_000


class StandingRoutes:
    """The handlers."""

    def __init__(
        self, actions: Actions, assurance: Assurance, evaluator: Evaluator, nonces: Nonces
    ) -> None:
        self._actions = actions
        self._assurance = assurance
        self._evaluator = evaluator
        self._nonces = nonces
        self._handed: dict[str, deque[int]] = defaultdict(deque)

    async def standing(self, request: Request) -> Response:
        """How the recipient stands, and why."""
        sent = await self._proven(request, 0)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        return answer(self._assurance.account(self._recipient(sent.proof)))

    async def evidence(self, request: Request) -> Response:
        """Take in the body as evidence that the recipient collected itself."""
        sent = await self._proven(request, MAX_SIZE)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        recipient = self._recipient(sent.proof)
        refused = self._too_often(recipient)
        if refused is not None:
            return self._refusal(refused)
        kind = request.path_params["kind"]
        handed = Handed(recipient, kind, "recipient", f"recipient:{recipient}")
        return await take(self._assurance, self._evaluator, handed, sent.body)

    async def _proven(self, request: Request, most: int) -> Proven | Refused:
        return await proven(
            request, self._actions.log.fold, self._nonces, most=most, may=self._is_admins
        )

    def _is_admins(self, proof: Proof) -> Refused | None:
        if self._recipient(proof):
            return None
        return Refused(Reason.PROOF_KEY, "the key is no recipient's")

    def _recipient(self, proof: Proof) -> str:
        """The recipient whose admin's key made the proof; empty if there is none."""
        register = self._actions.log.fold.register
        for name, recipient in register.state.recipients.items():
            if register.key(recipient.key).thumbprint == proof.thumbprint:
                return name
        return ""

    def _too_often(self, recipient: str) -> Refused | None:
        now, before = self._actions.log.sequencer.time, self._handed[recipient]
        while before and before[0] <= now - _WITHIN:
            before.popleft()
        if len(before) >= _MOST:
            return Refused(Reason.OVERLOADED, f"at most {_MOST} files in an hour")
        before.append(now)
        return None

    def _refusal(self, refused: Refused) -> Response:
        return refusal(refused, self._actions.log.fold.register.policy.contact)
