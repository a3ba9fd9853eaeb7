"""The rules by which a record may enter the register: one small function each.

Each returns why not, as a value. `Register.apply` obeys them when it folds, the control plane
asks them before it appends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from bailment.access import (
    assured,
    attestation,
    decided,
    held_expiry,
    identified,
    jws,
    operators,
    signing_in,
)
from bailment.access import jwk as jwks
from bailment.access.alive import alive, over
from bailment.access.chain import Link, narrows, read_link
from bailment.access.holds import subject_exists
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, read_spec
from bailment.errors import FormatError
from bailment.ledger.enforcement_records import MaintenanceExtended
from bailment.ledger.evidence_records import (
    ApproverRegistered,
    EnclaveDeclared,
    EvidenceReceived,
    ExceptionGranted,
    ModelTiered,
    StandingEvaluated,
    StandingHeld,
    StandingReleased,
)
from bailment.ledger.records import (
    DelegationEnded,
    DelegationGranted,
    EnrolmentRequested,
    HoldAdded,
    HoldLifted,
    InvitationIssued,
    LogStarted,
    ModelRegistered,
    PersonErased,
    RecipientRegistered,
    SpecApplied,
)
from bailment.spec.policy import BOUNDS, policy_of


def _started(register: Indexed, facts: LogStarted, now: int) -> Refused | None:
    if register.epoch:
        return _wrong("the log has started already")
    return _key(facts.issuer)


def _spec(register: Indexed, facts: SpecApplied, now: int) -> Refused | None:
    policy = facts.policy
    for name, _, least, most in BOUNDS:
        if not least <= getattr(policy, name) <= most:
            return _wrong(f"the policy's `{name}` must lie between {least} and {most}")
    if facts.document is UNSET:
        gone = "a spec is in force; what replaces it is a spec"
        return _wrong(gone) if register.spec is not None else None
    try:
        document = read_spec(facts.document)
    except FormatError as error:
        return _wrong(str(error))
    if policy_of(document.policy) != policy:
        return _wrong("the policy is not the one that the spec says")
    return assured.signed_by_issuer(register, facts)


def _model(register: Indexed, facts: ModelRegistered, now: int) -> Refused | None:
    if not facts.model or not facts.model.isascii() or len(facts.model) > 128:
        return _wrong("a model's name is 1 to 128 ASCII characters")
    if not 0 < facts.output <= facts.context:
        return _wrong("a model's output limit lies between 1 and its context")
    if facts.canary is True and facts.model in register.state.tiers:
        return _wrong("a model of some tier is no canary")
    return None


def _recipient(register: Indexed, facts: RecipientRegistered, now: int) -> Refused | None:
    if facts.recipient in register.state.recipients:
        return _wrong("the pseudonym is taken")
    if "/" in facts.handle:
        return _wrong("a `/` in a handle stands before a subcontractor's")
    if any(facts.handle == other.handle for other in register.state.recipients.values()):
        return _wrong(f"there is a recipient `{facts.handle}` already")
    for other in register.state.recipients.values():
        if other.key == facts.key:
            return _wrong(f"the key is that of the recipient `{other.handle}`")
    return _key(facts.key) or _taken(register, facts.key, now)


def _granted(register: Indexed, facts: DelegationGranted, now: int) -> Refused | None:
    try:
        link = read_link(facts.link)
        signed = jws.parse(facts.link)
    except FormatError as error:
        return _wrong(str(error))
    if link.id in register.links or not link.id:
        return _wrong("the link's id is taken")
    parent = register.links.get(link.parent)
    if link.parent and parent is None:
        return Refused(Reason.LINK_UNKNOWN, "the parent link does not exist")
    # Signature before the rest: who cannot sign learns nothing about what stands above.
    key = register.grantor_key(link.parent)
    if key is not None and signed.header.get("kid") != key.thumbprint:
        return Refused(Reason.CHAIN_BROKEN, "the link's `kid` is not the delegating party's key")
    if key is None or not jws.verify(signed, key):
        return Refused(Reason.CHAIN_BROKEN, "the link is not signed by the delegating party")
    refused = narrows(link, parent) or limited(register, link) or alive(register, link.parent, now)
    if refused is not None:
        return refused
    if link.kind == "recipient":
        return _recipient_link(register, link.subject, link.key)
    if link.kind == "device":
        return _device_link(register, link, now)
    if not link.subject or not _free(register, link):
        return _wrong("the subject's id is taken")
    if link.key is None:
        return None
    return _key(link.key) or _taken(register, link.key, now)


def _taken(register: Indexed, key: dict[str, str], now: int) -> Refused | None:
    """Whether an organisation's key is another's: what its admin signs would be done in the name of
    whoever declared the key, which anybody may who has seen its public half."""
    thumbprint = jwks.parse(key).thumbprint
    for other in register.state.recipients.values():
        if register.key(other.key).thumbprint == thumbprint:
            return _wrong(f"the key is that of the recipient `{other.handle}`")
    for link in register.links.values():
        if link.kind != "subcontractor" or link.key is None:
            continue
        ended = any(over(register, one, now) for one in register.path(link.id))
        if register.key(link.key).thumbprint == thumbprint and not ended:
            name = register.organisations[link.subject].handle
            return _wrong(f"the key is that of the organisation `{name}`")
    return None


def limited(register: Indexed, link: Link) -> Refused | None:
    """What the spec in force says of how far access may be passed on, and for how long."""
    if link.kind == "recipient":
        return None
    conditions, path = register.conditions, register.path(link.parent)
    if conditions.link_ms and link.until - link.start > conditions.link_ms:
        days = conditions.link_ms // 86_400_000
        return _wrong(f"the spec lets a link last {days} days, and this one lasts longer")
    hands = [one for one in (*path, link) if one.kind == "subcontractor"]
    if len(hands) > conditions.depth[0]:
        return _wrong(f"the spec lets a chain have {conditions.depth[0]} subcontractors")
    if link.kind == "subcontractor":
        handle = register.handle_of(link)
        if any(one.handle == handle for one in register.organisations.values()):
            return _wrong(f"there is an organisation `{handle}` already, or was")
    return None


def _free(register: Indexed, link: Link) -> bool:
    """Whether the id is nobody's yet, or that of a person of the same organisation, who may have
    several links. Nobody may move somebody else's subject under a link of their own, and nobody
    may give a name to an id again that was erased."""
    state = register.state
    if any(link.subject in table for table in (state.devices, state.recipients, state.erased)):
        return False
    known = register.links.get(register.link_of.get(link.subject, ""))
    if known is None:
        return True
    mine = register.recipient_of(link.parent) == register.recipient_of(known.id)
    return mine and link.kind == known.kind == "person"


def _recipient_link(register: Indexed, subject: str, key: Any) -> Refused | None:
    recipient = register.state.recipients.get(subject)
    if recipient is None or recipient.key != key:
        return Refused(Reason.CHAIN_BROKEN, "the link's key is not the recipient's registered one")
    if subject in register.state.drilled:
        return _wrong("the recipient was a drill's, which is over")
    return None


def _device_link(register: Indexed, link: Link, now: int) -> Refused | None:
    device = register.state.devices.get(link.subject)
    if device is None or device.key != link.key:
        return Refused(Reason.CHAIN_BROKEN, "the device did not enrol with this key")
    if register.state.invitations[device.invitation].link != link.parent:
        return Refused(Reason.CHAIN_BROKEN, "the device enrolled for another person")
    if link.subject in register.link_of:
        return _wrong("the device has a link already")
    if refused := _used(register, device.key):
        return refused
    if not link.personal and signing_in.provider_of(register, link.parent) is not None:
        return _wrong("the link does not say who confirmed the device")
    if now >= device.until:
        return Refused(Reason.LINK_EXPIRED, "the enrolment was not confirmed in time")
    return None


def _used(register: Indexed, key: dict[str, str]) -> Refused | None:
    """Whether a device was ever confirmed with this key: one that was taken away from a device, as
    it leaked, must not come back with another; who asks again before that may."""
    if register.confirmed_with(key):
        return _wrong("the key is, or was, another device's: a device makes a key of its own")
    return None


def _ended(register: Indexed, facts: DelegationEnded, now: int) -> Refused | None:
    granted = register.state.links.get(facts.link)
    if granted is None:
        return Refused(Reason.LINK_UNKNOWN, "there is no such link")
    return _wrong("the link was ended already") if granted.ended else None


def _invited(register: Indexed, facts: InvitationIssued, now: int) -> Refused | None:
    link = register.links.get(facts.link)
    if link is None or link.kind != "person":
        return Refused(Reason.LINK_UNKNOWN, "an invitation is for a person's link")
    if facts.invitation in register.state.invitations:
        return _wrong("the invitation exists already")
    return alive(register, facts.link, now)


def _enrolled(register: Indexed, facts: EnrolmentRequested, now: int) -> Refused | None:
    invitation = register.state.invitations.get(facts.invitation)
    if invitation is None or invitation.used or now >= invitation.until:
        return _wrong("the invitation is unknown, used or expired")
    if facts.device in register.state.devices:
        return _wrong("the device id is taken")
    refused = alive(register, invitation.link, now) or _key(facts.key) or _used(register, facts.key)
    refused = refused or attestation.believed(facts, register.key(facts.key))
    return refused or signing_in.unsigned(register, facts.invitation, facts.key)


def _held(register: Indexed, facts: HoldAdded, now: int) -> Refused | None:
    if facts.hold in register.state.holds:
        return _wrong("the hold exists already")
    if not subject_exists(register, facts.subject):
        return _wrong(f"there is no `{facts.subject}` to hold")
    return None


def _extended(register: Indexed, facts: MaintenanceExtended, now: int) -> Refused | None:
    most = register.conditions.enforcement.maintenance_ms
    if not facts.until:
        return None if register.state.maintenance > now else _wrong("there is no maintenance")
    if not now < facts.until <= now + most:
        return _wrong(f"maintenance ends within {most // 1000} s, or has not begun")
    return None


def _lifted(register: Indexed, facts: HoldLifted, now: int) -> Refused | None:
    return None if facts.hold in register.state.holds else _wrong("there is no such hold")


def _erased(register: Indexed, facts: PersonErased, now: int) -> Refused | None:
    link = register.links.get(register.link_of.get(facts.person, ""))
    if link is None or link.kind != "person":
        return Refused(Reason.LINK_UNKNOWN, "there is no such person")
    return (
        _wrong("the person was erased already") if facts.person in register.state.erased else None
    )


def _key(jwk: Any) -> Refused | None:
    try:
        jwks.parse(jwk)
    except FormatError as error:
        return _wrong(str(error))
    return None


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)


RULES: dict[type, Callable[[Indexed, Any, int], Refused | None]] = {
    LogStarted: _started,
    SpecApplied: _spec,
    ModelRegistered: _model,
    RecipientRegistered: _recipient,
    DelegationGranted: _granted,
    DelegationEnded: _ended,
    InvitationIssued: _invited,
    EnrolmentRequested: _enrolled,
    HoldAdded: _held,
    HoldLifted: _lifted,
    MaintenanceExtended: _extended,
    PersonErased: _erased,
    EnclaveDeclared: assured.declared,
    ApproverRegistered: decided.approver,
    ModelTiered: decided.tiered,
    EvidenceReceived: assured.received,
    ExceptionGranted: assured.excepted,
    StandingEvaluated: assured.stood,
    StandingHeld: held_expiry.held,
    StandingReleased: held_expiry.let_go,
    **operators.RULES,
    **identified.RULES,
}
