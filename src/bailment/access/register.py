"""The register: the state that decisions read, folded from the log and from nothing else.

`Register.apply` is the only way in. It takes records in log order and refuses, as a malfunction
of whoever wrote the log, a record that could not rightly be there: a link signed by the wrong
party, an invitation used twice. The control plane asks `check` first, so that a person gets the
refusal and the log stays clean; an auditor runs the same `apply` over an export.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from bailment.access import identified, operators, two_person
from bailment.access.assured import apart, grant_of, item_of, standing_of, submission, traces
from bailment.access.chain import read_link
from bailment.access.entries import RULES
from bailment.access.held_expiry import hold_after, note_hold
from bailment.access.reasons import Refused
from bailment.access.state import Granted, Indexed, Invitation, Proven, read_spec
from bailment.assurance.item import Item
from bailment.assurance.retention import retained
from bailment.errors import VerificationError
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
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import TripwireSet
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
    spec_digest,
)
from bailment.spec.compiled import compile_spec, rank_of


class Register(Indexed):
    """The state, kept by folding records."""

    def check(self, facts: Facts, now: int) -> Refused | None:
        """Why this record may not be appended now, or None."""
        rule = RULES.get(type(facts))
        refused = rule(self, facts, now) if rule is not None else None
        return refused or two_person.refusal(self, facts, now)

    def check_all(self, records: Sequence[Facts], now: int) -> Refused | None:
        """Why these may not be appended one right after the other, or None.

        Each is asked with the register as it is now. So several must be the items of one submission
        of evidence, of which none bears on whether another may be there; or what an organisation
        begins with: itself, its link, and the address that its clients are given.
        """
        match records:
            case [RecipientRegistered() as first, DelegationGranted(), TripwireSet()]:
                return self.check(first, now) or self._check_of(first, records[1:], now)
        if len(records) > 1 and (refused := apart(records)):
            return refused
        return next(filter(None, (self.check(facts, now) for facts in records)), None)

    def _check_of(
        self, recipient: RecipientRegistered, records: Sequence[Facts], now: int
    ) -> Refused | None:
        """Why these may not be appended right after their recipient, which may; or None."""
        known = self.state.recipients
        known[recipient.recipient] = recipient
        try:
            return next(filter(None, (self.check(facts, now) for facts in records)), None)
        finally:
            del known[recipient.recipient]

    def apply(self, index: int, facts: Facts, time: int) -> None:
        """Fold the record at this index of the log; VerificationError if it cannot stand there."""
        if not facts.REGISTERS:
            return
        refused = self.check(facts, time)
        if refused is not None:
            raise VerificationError(
                f"entry {index}, a `{facts.TYPE}`, cannot be there: {refused.reason}: "
                f"{refused.detail}"
            )
        if not identified.write(self.state, facts, time):
            self._write(index, facts)
        operators.spend(self.state, facts)
        self.state.epoch = index + 1

    def _write(self, index: int, facts: Facts) -> None:
        state = self.state
        match facts:
            case LogStarted():
                state.origin, state.url, state.issuer = facts.origin, facts.url, facts.issuer
            case SpecApplied():
                state.policy, state.spec = facts.policy, spec_digest(facts)
                self._write_spec({} if facts.document is UNSET else facts.document)
            case ModelRegistered():
                state.models[facts.model] = facts
            case RecipientRegistered():
                state.recipients[facts.recipient] = facts
                self.register_recipient(facts)
            case DelegationGranted():
                link = read_link(facts.link)
                paired = facts.approval is not UNSET
                state.links[link.id] = Granted(facts.link, index, paired=paired)
                self.index(link)
            case DelegationEnded():
                state.links[facts.link].ended = True
            case InvitationIssued():
                state.invitations[facts.invitation] = Invitation(facts.link, facts.until)
            case EnrolmentRequested():
                state.invitations[facts.invitation].used = True
                # What proved the key's class was checked; nothing looks at it again.
                state.devices[facts.device] = msgspec.structs.replace(facts, evidence=UNSET)
                if not facts.name:
                    state.enrolled[facts.device] = index
            case HoldAdded():
                state.holds[facts.hold] = facts
                self.holds_on.setdefault(facts.subject, []).append(facts)
            case HoldLifted():
                hold = state.holds.pop(facts.hold)
                self.holds_on[hold.subject].remove(hold)
            case MaintenanceExtended():
                state.maintenance = facts.until
            case PersonErased():
                state.erased[facts.person] = index
            case EnclaveDeclared():
                self._prove(facts.recipient).scopes = facts.scopes
            case ApproverRegistered():
                state.approvers[facts.approver] = facts.key
            case ModelTiered():
                state.tiers[facts.model] = rank_of(facts.tier)
                state.decided[facts.model] = facts.decision["decided"]
            case EvidenceReceived():
                self._receive(facts.recipient, item_of(facts.item))
            case ExceptionGranted():
                self._prove(facts.recipient).grants.append(grant_of(facts.grant))
            case StandingEvaluated():
                proven = self._prove(facts.recipient)
                standing = standing_of(facts.standing)
                proven.hold, proven.since = hold_after(self, facts, standing)
                proven.standing, proven.unmet = standing, facts.unmet
            case StandingHeld() | StandingReleased():
                for one in facts.recipients:
                    note_hold(self, self._prove(one), facts)
            case _ if not operators.write(self, index, facts):
                raise VerificationError(f"nothing folds a `{facts.TYPE}`")

    def _write_spec(self, document: dict[str, Any]) -> None:
        self.state.document = document
        self.spec = compile_spec(read_spec(document)) if document else None

    def _receive(self, recipient: str, item: Item) -> None:
        proven = self._prove(recipient)
        if self.spec is not None:
            proven.items = retained(proven.items, item, self.spec, item.received)
        mark = submission(recipient, item)
        self.state.submitted |= dict.fromkeys(traces(recipient, item), mark)

    def _prove(self, recipient: str) -> Proven:
        return self.state.proven.setdefault(recipient, Proven())
