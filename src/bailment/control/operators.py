"""Operators: invited on the control socket, registered with a passkey, ended.

There is no password, and so no default one. An invitation is printed once to whoever owns the
issuer's folder; whoever follows it within a quarter of an hour makes a passkey, which takes the
signatures of others as soon as there are enough of them.
"""

from __future__ import annotations

import os
import secrets as entropy
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET
from starlette.concurrency import run_in_threadpool

from bailment.access import base64url, jwk
from bailment.access.passkey import origin_of, rp_id
from bailment.access.reasons import Reason, Refused
from bailment.access.signing_in import commit_account
from bailment.access.state import Operator
from bailment.clock import now_ms
from bailment.control.actions import Actions, Denied, Invited, invitation_hash
from bailment.control.requests import Act, Line
from bailment.control.two_person import Approvals
from bailment.errors import FormatError
from bailment.ledger.facts import Facts
from bailment.ledger.operator_records import (
    Assertion,
    OperatorEnded,
    OperatorInvited,
    OperatorRegistered,
    OperatorSignedIn,
    Role,
)

#: How long an invitation to the control plane can be used, whatever the policy allows devices.
_INVITED_MS = 900_000
#: What passkeys are made for: ES256, and RS256 for Windows Hello (RFC 9053, RFC 8812).
ALGORITHMS = (-7, -257)
#: What the library raises besides, over bytes that are no registration.
_MALFORMED = (ValueError, KeyError, TypeError, IndexError)


class InviteOperator(Act, frozen=True, tag="operator-invite"):
    """Let somebody register a passkey for a role."""

    called: Line
    role: Role
    organisation: str = ""
    approver: str = ""
    person: str = ""
    account: Annotated[str, msgspec.Meta(max_length=255)] = ""


class EndOperator(Act, frozen=True, tag="operator-end"):
    """Let somebody be an operator no longer."""

    operator: str
    reason: Line


class SignAct(Act, frozen=True, tag="act-sign"):
    """Put an approver's signature under a proposal."""

    proposal: str
    approver: str
    signature: Annotated[str, msgspec.Meta(max_length=16384)]


class WithdrawAct(Act, frozen=True, tag="act-withdraw"):
    """End a proposal undone."""

    proposal: str
    reason: Line


OperatorActs = InviteOperator | EndOperator | SignAct | WithdrawAct


class Registration(msgspec.Struct, frozen=True):
    """What `navigator.credentials.create()` gave (RegistrationResponseJSON)."""

    id: str
    rawId: str
    response: dict[str, Any]
    type: Literal["public-key"]


class Operators:
    """What is done with operators, over one log; `provider` is the issuer's own, if it has one."""

    def __init__(self, actions: Actions, approvals: Approvals, provider: str = "") -> None:
        self._actions = actions
        self.approvals = approvals
        self._provider = provider

    @property
    def url(self) -> str:
        """The issuer's."""
        return self._actions.log.fold.register.state.url

    def by_id(self, operator: str) -> Operator | None:
        """An operator who may act."""
        found = self._actions.log.fold.register.state.operators.get(operator)
        return found if found is not None and found.active else None

    def name(self, operator: str) -> str:
        """What an operator is called: by their invitation, or by the id's beginning."""
        found = self._actions.log.fold.register.state.operators.get(operator)
        told = self._actions.people.at(found.index) if found is not None else {}
        return told.get("name") or f"operator {operator[:8]}"

    async def invite(self, asked: InviteOperator) -> tuple[str, Invited]:
        """Invite somebody: the new operator's id, and the invitation."""
        operator, code = os.urandom(16).hex(), entropy.token_urlsafe(24)
        personal, claim, until = {"name": asked.called}, "", 0
        if asked.account:
            if not self._provider:
                raise Denied(
                    Refused(Reason.SIGN_IN_FAILED, "there is no [operators] in bailment.toml")
                )
            personal |= {"account": asked.account, "salt": os.urandom(16).hex()}
            claim = commit_account(self._provider, asked.account, personal["salt"])

        def make(now: int) -> Facts:
            nonlocal until
            policy = self._actions.log.fold.register.policy
            until = now + min(policy.invitation_ms, _INVITED_MS)
            return OperatorInvited(
                operator,
                asked.role,
                asked.organisation,
                invitation_hash(code),
                until,
                asked.author,
                asked.approver,
                asked.person,
                claim,
            )

        await self._actions.append(make, person=operator, personal=personal)
        return operator, Invited(code, f"{self.url}/console/register#{code}", until)

    def invited(self, code: str) -> str:
        """The operator whose invitation this is; Denied if it is nobody's, used or expired."""
        hashed, now = invitation_hash(code), now_ms()
        for name, one in self._actions.log.fold.register.state.operators.items():
            if one.invitation == hashed and not one.ended and now < one.until:
                return name
        raise Denied(Refused(Reason.LINK_UNKNOWN, "the invitation is unknown, used or expired"))

    async def register(self, code: str, challenge: bytes, made: Registration) -> str:
        """Register the passkey that somebody invited made for this challenge; the operator's id.

        Denied if it does not hold; Proposed where others must sign for its key.
        """
        operator = self.invited(code)
        facts = await run_in_threadpool(_passkey, operator, challenge, made, self.url)
        await self._actions.append(lambda now: facts)
        return operator

    def of_passkey(self, credential: str) -> str:
        """The operator whose passkey this is; Denied if it is nobody's."""
        for name, one in self._actions.log.fold.register.state.operators.items():
            if one.active and one.credential == credential:
                return name
        raise Denied(Refused(Reason.PASSKEY_REFUSED, "the passkey is no operator's"))

    async def signed_in(self, operator: str, assertion: Assertion | None) -> None:
        """Record that somebody signed in; Denied if the assertion does not hold."""
        facts = OperatorSignedIn(operator, assertion or UNSET)
        await self._actions.append(lambda now: facts)

    async def end(self, operator: str, reason: str, author: str) -> None:
        """Let somebody be an operator no longer."""
        facts = OperatorEnded(operator, reason, author)
        await self._actions.append(lambda now: facts)


def _passkey(operator: str, challenge: bytes, made: Registration, url: str) -> OperatorRegistered:
    """The record of a passkey that was made for this challenge; Denied if it does not hold.

    For a thread: the library takes a while to load, and memory, and is wanted once an operator.
    """
    from webauthn import verify_registration_response
    from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography
    from webauthn.helpers.cose import COSEAlgorithmIdentifier
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        verified = verify_registration_response(
            credential=msgspec.to_builtins(made),
            expected_challenge=challenge,
            expected_rp_id=rp_id(url),
            expected_origin=origin_of(url),
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(one) for one in ALGORITHMS],
        )
        decoded = decode_credential_public_key(verified.credential_public_key)
        key = jwk.from_key(decoded_public_key_to_cryptography(decoded))  # type: ignore[arg-type]
    except (WebAuthnException, FormatError, *_MALFORMED) as error:
        raise Denied(Refused(Reason.PASSKEY_REFUSED, str(error).lower())) from None
    return OperatorRegistered(
        operator,
        base64url.encode(verified.credential_id),
        key.jwk,
        verified.aaguid,
        verified.sign_count,
        f"operator:{operator}",
    )


async def perform(operators: Operators, act: OperatorActs) -> dict[str, Any]:
    """Do what the control socket asks; what there is to say about it afterwards."""
    match act:
        case InviteOperator():
            operator, invited = await operators.invite(act)
            return {"operator": operator, "url": invited.url, "until": invited.until}
        case EndOperator():
            await operators.end(act.operator, act.reason, act.author)
        case SignAct():
            approved = await operators.approvals.sign(
                act.proposal, f"approver:{act.approver}", signature=act.signature
            )
            return {
                "proposal": approved.proposal,
                "missing": approved.missing,
                "done": approved.done,
            }
        case WithdrawAct():
            await operators.approvals.withdraw(act.proposal, act.reason, act.author)
    return {}
