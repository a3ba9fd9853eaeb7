"""The two-person rule, in one place: which records take how many people, and whether they signed.

A record that takes more than whoever asks for it is first proposed, as a whole. Registered people
sign the proposal's digest: operators with a passkey, approvers with their key. The record then
enters the register only with the proposal that it was, to the byte, in its `approval`.

Each human counts once. Who merely proposed counts for nothing: a name on the control socket is
what somebody typed. Below the number of people that an act takes, there being nobody to sign,
what stops access goes ahead at once, and what opens it is refused.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from bailment import canonical
from bailment.access.approval import ACT, verify_approval
from bailment.access.chain import read_link
from bailment.access.holds import KILL_SWITCH
from bailment.access.passkey import verify
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, Operator, Proposal
from bailment.errors import FormatError
from bailment.ledger.enforcement_records import MaintenanceExtended
from bailment.ledger.evidence_records import ApproverRegistered, EvidenceStaled
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import ProviderRegistered
from bailment.ledger.operator_records import (
    ActApproved,
    ActProposed,
    ActWithdrawn,
    OperatorEnded,
    OperatorRegistered,
)
from bailment.ledger.records import (
    DelegationEnded,
    DelegationGranted,
    HoldAdded,
    HoldLifted,
    SpecApplied,
    decode_facts,
)

#: Acts of a recipient's admin, which one operator of the same organisation confirms.
CONFIRMED = frozenset(("person-name", "device-confirm", "provider-change"))
#: The roles of those who sign what the issuer does.
ISSUERS = ("issuer-security", "issuer-approver")
#: Proposals that may be open at once, of the issuer and of one organisation, which must not be able
#: to keep the issuer from acting; and signatures under one.
MOST_OPEN, MOST_THEIRS = 256, 32
MOST_SIGNED = 16


def act_of(register: Indexed, facts: Facts) -> str:
    """The act, by its name in a spec's `two_person`, that a record carries out; else empty."""
    match facts:
        case HoldAdded():
            return f"hold-{facts.subject.partition(':')[0]}"
        case EvidenceStaled():  # a recipient may lose as much by it
            return "hold-recipient"
        case DelegationEnded():
            return "end-recipient" if _ends_a_recipient(register, facts.link) else ""
        case HoldLifted():
            hold = register.state.holds.get(facts.hold)
            kind = hold.subject.partition(":")[0] if hold is not None else ""
            return "kill-switch-off" if kind == KILL_SWITCH else f"lift-{kind}"
        case MaintenanceExtended():
            return "maintenance" if facts.until else ""
        case SpecApplied():
            return "spec-apply"
        case ApproverRegistered() if facts.approvals:
            return ""  # the approvers' own rule has seen to it
        case OperatorRegistered() | OperatorEnded() | ApproverRegistered():
            return "operator-change"
        case ProviderRegistered():
            return "provider-change"
        case DelegationGranted():
            return {"person": "person-name", "device": "device-confirm"}.get(_kind(facts.link), "")
    return ""


def people(register: Indexed, act: str) -> int:
    """How many people must sign for an act; 0 where the spec asks for none."""
    operators = register.conditions.operators
    if act not in operators.two_person:
        return 0
    if act in CONFIRMED:
        return 1
    return max(2, operators.kill_switch) if act == "kill-switch-off" else 2


def confirmed_by(register: Indexed, facts: Facts) -> str:
    """The organisation whose operators confirm a record; empty for those of the issuer."""
    if isinstance(facts, ProviderRegistered):
        return facts.organisation
    if isinstance(facts, DelegationGranted) and act_of(register, facts) in CONFIRMED:
        for link in reversed(register.path(read_link(facts.link).parent)):
            if link.kind in ("recipient", "subcontractor"):
                return link.subject
    return ""


def signers(register: Indexed, organisation: str = "") -> dict[str, str]:
    """Who may sign (`operator:<id>`, `approver:<name>`), and which human each of them is."""
    state = register.state
    found: dict[str, str] = {}
    if not organisation:
        names = [f"approver:{name}" for name, key in state.approvers.items() if key]
        found = dict(zip(names, names, strict=True))
    for name, one in state.operators.items():
        fits = one.organisation == organisation and (
            one.role == "recipient-admin" if organisation else one.role in ISSUERS
        )
        if fits and one.active:
            human = f"approver:{one.approver}" if one.approver else f"operator:{name}"
            found[f"operator:{name}"] = human
    return found


def told(facts: Facts) -> dict[str, Any]:
    """A record as it is proposed: its type, and its facts but for the approval."""
    value = canonical.decode(canonical.encode(facts))
    value.pop("approval", None)
    return {"record": facts.TYPE, "facts": value}


def record_of(act: dict[str, Any]) -> Facts:
    """The record that an act would write; FormatError if it says none."""
    return decode_facts(str(act.get("record")), canonical.encode(act.get("facts")))


def concerns(register: Indexed, facts: Facts) -> str:
    """The person whom a link is for; empty for any other record."""
    if not isinstance(facts, DelegationGranted):
        return ""
    link = read_link(facts.link)
    if link.kind == "device":
        above = register.links.get(link.parent)
        return above.subject if above is not None else ""
    return link.subject if link.kind == "person" else ""


def needed(register: Indexed, facts: Facts) -> int | Refused:
    """How many people must sign before this record; 0 if it can be written as it is."""
    act = act_of(register, facts)
    number = people(register, act)
    if not number:
        return 0
    there = len(set(signers(register, confirmed_by(register, facts)).values()))
    if there >= number:
        return number
    if act.startswith(("hold-", "end-")) or act == "operator-change":
        return 0
    return _missing(f"{_named(act)} takes {_counted(number)}, and {there} can sign")


def refusal(register: Indexed, facts: Facts, now: int) -> Refused | None:
    """Why a record may not be written for want of signatures, or None. Asked of every record."""
    number = needed(register, facts)
    if isinstance(number, Refused):
        return number
    approval = getattr(facts, "approval", UNSET)
    if approval is UNSET:
        if not number:
            return None
        return _missing(f"{_named(act_of(register, facts))} takes {_counted(number)} who sign")
    proposal = register.state.proposals.get(approval)
    if proposal is None or now >= proposal.until:
        return _missing("the proposal is unknown, done or expired")
    if {name: proposal.act.get(name) for name in ("record", "facts")} != told(facts):
        return _missing("what was approved is something else")
    short = number - len(agreed(register, proposal, facts))
    return _missing(f"{_counted(short)} must still sign") if short > 0 else None


def agreed(register: Indexed, proposal: Proposal, facts: Facts) -> set[str]:
    """The humans who signed and may still sign."""
    may = signers(register, confirmed_by(register, facts))
    return {may[name] for name in proposal.by if name in may}


# The rules of proposals themselves


def proposed(register: Indexed, facts: ActProposed, now: int) -> Refused | None:
    """An act of which all is said, open for as long as the spec lets it be."""
    state = register.state
    if facts.proposal in state.proposals:
        return _missing("the proposal exists already")
    if canonical.digest(canonical.encode(facts.act)) != facts.digest:
        return _missing("the digest is another act's")
    if (facts.act.get("proposal"), facts.act.get("until")) != (facts.proposal, facts.until):
        return _missing("the act is not of this proposal")
    try:
        canonical.check(facts.act)
        record = record_of(facts.act)
    except FormatError as error:
        return _missing(str(error))
    if not act_of(register, record):
        return _missing("the act takes nobody else")
    whose = confirmed_by(register, record)
    known = [one for one in state.proposals.values() if one.organisation == whose]
    if sum(one.until > now for one in known) >= (MOST_THEIRS if whose else MOST_OPEN):
        return _missing(f"{len(known)} proposals are open: sign or withdraw some")
    ttl = register.conditions.operators.proposal_ms
    if not now - register.policy.decision_ms <= facts.at <= now < facts.until <= facts.at + ttl:
        return _missing("the proposal lasts longer than the spec allows")
    return None


def approved(register: Indexed, facts: ActApproved, now: int) -> Refused | None:
    """A signature over the proposal's digest, by somebody who may sign it and has not yet."""
    state = register.state
    proposal = state.proposals.get(facts.proposal)
    if proposal is None or now >= proposal.until:
        return _missing("the proposal is unknown, done or expired")
    if len(proposal.by) >= MOST_SIGNED:
        return _missing("enough have signed")
    may = signers(register, proposal.organisation)
    human = may.get(facts.by)
    if human is None:
        return _missing("whoever signs this may not approve it")
    if human in {may.get(name) for name in proposal.by}:
        return _missing("the same person signed already")
    kind, _, name = facts.by.partition(":")
    if kind == "operator":
        operator = state.operators[name]
        if operator.person and operator.person == proposal.concerns:
            return _missing("nobody confirms their own device")
        new = _by_passkey(register, operator, facts, proposal)
        return new if isinstance(new, Refused) else None
    if facts.assertion is not UNSET or facts.signature is UNSET:
        return _missing("an approver signs with a key")
    wanted = {"proposal": facts.proposal, "digest": proposal.digest}
    found = verify_approval(facts.signature, ACT, register.key(state.approvers[name]))
    if isinstance(found, Refused):
        return found
    return None if found == wanted else _missing("another act was signed")


def withdrawn(register: Indexed, facts: ActWithdrawn, now: int) -> Refused | None:
    """A proposal that there is."""
    known = facts.proposal in register.state.proposals
    return None if known else _missing("there is no such proposal")


def _by_passkey(
    register: Indexed, operator: Operator, facts: ActApproved, proposal: Proposal
) -> int | Refused:
    """The passkey's new counter."""
    if facts.assertion is UNSET or facts.signature is not UNSET:
        return _missing("an operator signs with a passkey")
    if facts.assertion.credential != operator.credential:
        return Refused(Reason.PASSKEY_REFUSED, "the passkey is another operator's")
    key, url = register.key(operator.key), register.state.url
    challenge = bytes.fromhex(proposal.digest)
    return verify(facts.assertion, key, operator.counter, url=url, challenge=challenge)


def _ends_a_recipient(register: Indexed, name: str) -> bool:
    """Whether a link is all that a recipient has; one of canaries alone is a rehearsal's."""
    link, models = register.links.get(name), register.state.models
    if link is None or link.kind != "recipient":
        return False
    return not all(one in models and models[one].canary is True for one in link.models)


def _kind(link: str) -> str:
    try:
        return read_link(link).kind
    except FormatError:
        return ""  # no link at all, which its own rule says


def _named(act: str) -> str:
    return f"`{act}`"


def _counted(number: int) -> str:
    return "one person" if number == 1 else f"{number} people"


def _missing(detail: str) -> Refused:
    return Refused(Reason.APPROVAL_MISSING, detail)
