"""Whose record it is: the slot in which a record must lie, so that whom it concerns is shown it."""

from __future__ import annotations

from bailment.access.chain import read_link
from bailment.access.register import Register
from bailment.access.two_person import confirmed_by, record_of
from bailment.ledger.detection_records import FindingRaised, StepUpAsked, StepUpEnded
from bailment.ledger.evidence_records import (
    EnclaveDeclared,
    EvidenceReceived,
    EvidenceRefused,
    EvidenceStaled,
    ExceptionGranted,
    StandingEvaluated,
    StandingNoticed,
)
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import (
    DeviceCertified,
    PersonSignedIn,
    ProviderRegistered,
    SignalReceived,
    SignalSource,
    SignInsEnded,
    SourceSilent,
    TokenRevoked,
    TripwireSet,
    WebhookRegistered,
)
from bailment.ledger.incident_records import (
    CustodyDeclared,
    NoticeAcknowledged,
    NoticeSent,
    RotationDemanded,
)
from bailment.ledger.operator_records import (
    ActApproved,
    ActProposed,
    ActWithdrawn,
    OperatorEnded,
    OperatorInvited,
    OperatorRegistered,
    OperatorSignedIn,
)
from bailment.ledger.records import (
    AccessRefused,
    DelegationEnded,
    DelegationGranted,
    EnrolmentRequested,
    HoldAdded,
    HoldLifted,
    InvitationIssued,
    PersonErased,
    RecipientRegistered,
    TokenIssued,
)


def slot_of(facts: Facts, register: Register) -> str:
    """The recipient whose record this is, before it is folded; empty for the issuer's own.

    An access is opened in its token's slot and closed where it was opened, which the decision and
    `admission` know; here they count as the issuer's.
    """
    match facts:
        case RecipientRegistered():
            return facts.recipient
        case (
            EnclaveDeclared()
            | EvidenceReceived()
            | EvidenceRefused()
            | EvidenceStaled()
            | ExceptionGranted()
            | StandingEvaluated()
            | StandingNoticed()
        ):
            return _of_organisation(facts.recipient, register)
        case DelegationGranted():
            link = read_link(facts.link)
            return link.subject if link.kind == "recipient" else register.recipient_of(link.parent)
        case DelegationEnded() | InvitationIssued():
            return register.recipient_of(facts.link)
        case EnrolmentRequested():
            return _of_invitation(facts.invitation, register)
        case TokenIssued() | TokenRevoked() | AccessRefused() | DeviceCertified():
            return register.recipient_of(register.link_of.get(facts.device, ""))
        case PersonErased() | StepUpAsked() | StepUpEnded() | PersonSignedIn() | SignInsEnded():
            return register.recipient_of(register.link_of.get(facts.person, ""))
        case ProviderRegistered():
            return register.recipient_of(register.link_of.get(facts.organisation, ""))
        case CustodyDeclared() | NoticeSent() | NoticeAcknowledged() | RotationDemanded():
            return _of_organisation(facts.organisation, register)
        case SignalSource() | SignalReceived() | WebhookRegistered():
            return _of_organisation(facts.organisation, register)
        case SourceSilent():
            source = register.state.sources.get(facts.source)
            return _of_organisation(source.organisation, register) if source else ""
        case HoldAdded():
            return slot_of_subject(facts.subject, register)
        case FindingRaised():
            return slot_of_subject(facts.subject or "", register)
        case TripwireSet():
            return slot_of_subject(facts.subject, register)
        case OperatorInvited():
            return _of_organisation(facts.organisation, register)
        case OperatorRegistered() | OperatorEnded() | OperatorSignedIn():
            operator = register.state.operators.get(facts.operator)
            return _of_organisation(operator.organisation, register) if operator else ""
        case ActProposed():
            return _of_organisation(confirmed_by(register, record_of(facts.act)), register)
        case ActApproved() | ActWithdrawn():
            proposal = register.state.proposals.get(facts.proposal)
            return _of_organisation(proposal.organisation, register) if proposal else ""
        case HoldLifted():
            hold = register.state.holds.get(facts.hold)
            return slot_of_subject(hold.subject, register) if hold is not None else ""
    return ""


def slot_of_subject(subject: str, register: Register) -> str:
    """The recipient that a hold on this subject concerns; empty if it concerns all."""
    kind, _, name = subject.partition(":")
    if kind == "recipient":
        return name
    if kind == "device" and (device := register.state.devices.get(name)) is not None:
        return _of_invitation(device.invitation, register)
    return register.recipient_of(name if kind == "link" else register.link_of.get(name, ""))


def _of_organisation(organisation: str, register: Register) -> str:
    """The recipient at the top; of one that has no link yet, itself."""
    found = register.organisations.get(organisation)
    return found.recipient if found is not None else ""


def _of_invitation(invitation: str, register: Register) -> str:
    found = register.state.invitations.get(invitation)
    return register.recipient_of(found.link) if found is not None else ""
