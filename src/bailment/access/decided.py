"""What people decide, as records: who approves, and into which tier a model belongs."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from bailment import canonical
from bailment.access import jwk as jwks
from bailment.access.approval import APPROVER, TIER, approved
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed
from bailment.assurance.capability import Decision, objection
from bailment.errors import FormatError
from bailment.ledger.evidence_records import ApproverRegistered, ModelTiered
from bailment.spec.terms import TIERS


def approver(register: Indexed, facts: ApproverRegistered, now: int) -> Refused | None:
    """A key that is nobody else's. As soon as there are as many approvers as an exception takes,
    they approve of each further change: else one person could be two of them."""
    known = {name: key for name, key in register.state.approvers.items() if key}
    if facts.key:
        try:
            thumbprint = jwks.parse(facts.key).thumbprint
        except FormatError as error:
            return _wrong(str(error))
        if any(register.key(key).thumbprint == thumbprint for key in known.values()):
            return _wrong("the key is an approver's already")
        if any(
            register.key(one.key).thumbprint == thumbprint
            for one in register.state.recipients.values()
        ):
            return _wrong("the key is a recipient's, which must not approve what it may do")
    elif facts.approver not in known:
        return _wrong("there is no such approver")
    if register.spec is None or len(known) < register.spec.exceptions.approvers:
        return None
    told = {"approver": facts.approver, "key": facts.key}
    return approved(register, APPROVER, told, facts.approvals, register.spec.exceptions.approvers)


def tiered(register: Indexed, facts: ModelTiered, now: int) -> Refused | None:
    """A tier of the spec, for a model there is, decided and signed by an approver, who knew which
    tier the model had. An earlier decision does not count again."""
    state = register.state
    if register.spec is None:
        return _wrong("there is no spec, and so no tier")
    model = state.models.get(facts.model)
    if model is None:
        return _wrong(f"there is no model `{facts.model}`")
    if model.canary is True:
        return _wrong("a canary has no tier")
    try:
        decision = msgspec.convert(facts.decision, Decision)
        canonical.check(facts.decision)
    except (msgspec.ValidationError, FormatError) as error:
        return _wrong(f"the decision is wrong: {error}")
    if (decision.model, decision.tier) != (facts.model, facts.tier):
        return _wrong("the decision is about another model or tier")
    if why := objection(decision, register.spec):
        return _wrong(why)
    rank = state.tiers.get(facts.model, 0)
    if decision.before != (TIERS[rank - 1] if rank else UNSET):
        return _wrong("the model has another tier than the decision says it had")
    if not state.decided.get(facts.model, 0) < decision.decided <= now + register.policy.skew_ms:
        return _wrong("the decision is older than the last, or from the future")
    return approved(register, TIER, facts.decision, facts.approvals, 1)


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)
