"""People in the control plane, as records: the rules by which they enter, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from bailment.access import jwk as jwks
from bailment.access import two_person
from bailment.access.passkey import counter_of, verify
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, Operator, Proposal, State
from bailment.errors import FormatError
from bailment.ledger.facts import Facts
from bailment.ledger.operator_records import (
    ActApproved,
    ActProposed,
    ActWithdrawn,
    OperatorEnded,
    OperatorInvited,
    OperatorRegistered,
    OperatorSignedIn,
)


def invited(register: Indexed, facts: OperatorInvited, now: int) -> Refused | None:
    """Somebody of the issuer, or of an organisation that there is; anew, or who has not come."""
    state = register.state
    before = state.operators.get(facts.operator)
    if before is not None and before.credential:
        return _wrong("the operator is registered already")
    if any(one.invitation == facts.invitation for one in state.operators.values()):
        return _wrong("the invitation exists already")
    if not now < facts.until <= now + register.policy.invitation_ms:
        return _wrong("the invitation lasts longer than the policy allows")
    if (facts.role == "recipient-admin") != bool(facts.organisation):
        return _wrong("a `recipient-admin`, and nobody else, acts for an organisation")
    if facts.organisation:
        link = register.links.get(register.link_of.get(facts.organisation, ""))
        if link is None or link.kind not in ("recipient", "subcontractor"):
            return _wrong("there is no such organisation")
    if facts.approver and not state.approvers.get(facts.approver):
        return _wrong(f"there is no approver `{facts.approver}`")
    if facts.person:
        link = register.links.get(register.link_of.get(facts.person, ""))
        if link is None or link.kind != "person":
            return _wrong("there is no such person")
    return None


def registered(register: Indexed, facts: OperatorRegistered, now: int) -> Refused | None:
    """A passkey of somebody invited, which is nobody else's."""
    operator = register.state.operators.get(facts.operator)
    if operator is None or operator.credential or operator.ended:
        return _wrong("nobody was invited for this")
    if facts.approval is UNSET and now >= operator.until:  # else it was proposed in time
        return _wrong("the invitation has expired")
    if not 0 < len(facts.credential) <= 1400:
        return _wrong("a passkey's id is 1 to 1023 bytes")
    for other in register.state.operators.values():
        if other.credential and (other.credential == facts.credential or other.key == facts.key):
            return _wrong("the passkey is an operator's already")
    try:
        jwks.parse(facts.key)
    except FormatError as error:
        return _wrong(str(error))
    return None


def ended(register: Indexed, facts: OperatorEnded, now: int) -> Refused | None:
    """An operator who is one, or is about to be."""
    operator = register.state.operators.get(facts.operator)
    known = operator is not None and not operator.ended
    return None if known else _wrong("there is no such operator")


def signed_in(register: Indexed, facts: OperatorSignedIn, now: int) -> Refused | None:
    """A registered operator, with an assertion of their own passkey if there is one."""
    operator = register.state.operators.get(facts.operator)
    if operator is None or not operator.active:
        return _wrong("there is no such operator")
    if facts.assertion is UNSET:
        return None if operator.claim else _wrong("the operator signs in with a passkey")
    if facts.assertion.credential != operator.credential:
        return Refused(Reason.PASSKEY_REFUSED, "the passkey is another operator's")
    key = register.key(operator.key)
    url = register.state.url
    new = verify(facts.assertion, key, operator.counter, url=url, challenge=None)
    return new if isinstance(new, Refused) else None


def write(register: Indexed, index: int, facts: Facts) -> bool:
    """Fold one of these records; False if it is none."""
    state = register.state
    match facts:
        case OperatorInvited():
            state.operators[facts.operator] = Operator(
                role=facts.role,
                organisation=facts.organisation,
                invitation=facts.invitation,
                until=facts.until,
                index=index,
                approver=facts.approver,
                person=facts.person,
                claim=facts.claim,
            )
        case OperatorRegistered():
            operator = state.operators[facts.operator]
            operator.credential, operator.key = facts.credential, facts.key
            operator.counter, operator.invitation = facts.counter, ""
        case OperatorEnded():
            state.operators[facts.operator].ended = True
        case OperatorSignedIn():
            if facts.assertion is not UNSET:
                state.operators[facts.operator].counter = counter_of(facts.assertion)
        case ActProposed():
            _propose(register, index, facts)
        case ActApproved():
            state.proposals[facts.proposal].by.append(facts.by)
            if facts.assertion is not UNSET:
                name = facts.by.partition(":")[2]
                state.operators[name].counter = counter_of(facts.assertion)
        case ActWithdrawn():
            del state.proposals[facts.proposal]
        case _:
            return False
    return True


def spend(state: State, facts: Facts) -> None:
    """A proposal that was carried out is no more."""
    approval = getattr(facts, "approval", UNSET)
    if approval is not UNSET:
        state.proposals.pop(approval, None)


def _propose(register: Indexed, index: int, facts: ActProposed) -> None:
    proposals = register.state.proposals
    for name in [name for name, one in proposals.items() if one.until <= facts.at]:
        del proposals[name]
    record = two_person.record_of(facts.act)
    proposals[facts.proposal] = Proposal(
        act=facts.act,
        digest=facts.digest,
        until=facts.until,
        author=facts.author,
        index=index,
        organisation=two_person.confirmed_by(register, record),
        concerns=two_person.concerns(register, record),
    )


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)


RULES: dict[type, Callable[[Any, Any, int], Refused | None]] = {
    OperatorInvited: invited,
    OperatorRegistered: registered,
    OperatorEnded: ended,
    OperatorSignedIn: signed_in,
    ActProposed: two_person.proposed,
    ActApproved: two_person.approved,
    ActWithdrawn: two_person.withdrawn,
}
