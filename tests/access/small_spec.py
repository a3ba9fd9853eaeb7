"""A distribution spec of two tiers, small enough to see through, and a book under it."""

from __future__ import annotations

from typing import Any

import msgspec

from bailment import canonical
from bailment.access import jws
from bailment.access.assured import sign_spec, standing_record
from bailment.assurance.capability import Decision, propose
from bailment.assurance.item import Item
from bailment.ledger.evidence_records import (
    ApproverRegistered,
    EnclaveDeclared,
    EvidenceReceived,
    ExceptionGranted,
    ModelTiered,
)
from bailment.ledger.records import SpecApplied, spec_digest
from bailment.spec.policy import policy_of
from bailment.spec.terms import TIERS, TierName
from bailment.spec.validation import load

from .book import Book, Party

HOUR = 3_600_000
#: The adapters of its kinds, and of those that tests add.
ADAPTERS = {"roster": "scim/1", "scan": "scubagear/1", "word": "scim/1", "gw.use": "gateway/1"}
SPEC = b"""
apiVersion: bailment/v1
kind: DistributionSpec
metadata: {id: small, version: 1.0.0, issuer: lab.example, effective: "2026-05-01"}
evidence_kinds:
  roster: {adapter: scim/1, class: machine, max_age: P7D, scope: tenant}
  scan: {adapter: scubagear/1, class: machine, max_age: PT2H, scope: tenant}
tiers:
  T1: {name: general, require: [ID-1], freshness: {machine: P7D, process: P90D}}
  T2: {name: restricted, includes: T1, require: [ID-2], freshness: {machine: P7D, process: P90D}}
requirements:
  ID-1:
    title: Nobody unknown
    satisfied_by: {kind: roster, claim: unmatched_accounts, max: 0}
  ID-2:
    title: Strong sign-in
    satisfied_by: {kind: scan, check: MFA}
    contradicted_by: [{kind: scan, claim: shared, min: 1, within: P7D}]
exceptions_policy:
  {max_ttl: P30D, max_renewals: 1, approvers: 2, compensating: required, never_for: [ID-1]}
lapse:
  notice: [PT1H]
  grace: PT1H
  then: {step_down: T1}
  suspend_after: P14D
  contradicted: {step_down: T1, after: PT0S}
  mass_change_hold: 20%
  hold_at_most: PT6H
policy:
  contact: access@lab.example
  credential:
    max_ttl: PT5M
    sender_constrained: dpop
    proof_window: PT1M
    clock_skew: PT5S
    decision_window: PT2S
    invitation_ttl: PT15M
    certificate_ttl: P1D
  delegation: {max_depth: 2, max_ttl: P30D, delegate_meets: same-tier}
  detection: {shared_credential: PT5M, off_network: PT5M, purpose_drift: PT1H}
  response: {revoke: PT1S, notify_recipient: PT1H, rotate: PT4H, kill_switch: {approvers: 2}}
  disclosure: {initial: P3D, final: P30D, names: redacted-committed}
  enforcement: {heartbeat: PT0.25S, stale: PT1S, cut: PT3S, maintenance_max: PT1H}
  signals: {verify_every: PT5M, silent_after: PT15M}
  operators: {session_idle: PT15M, step_up: PT5M, proposal_ttl: P1D, two_person: []}
  log: {heads: PT1M}
"""


class Specified(Book):
    """A book with the spec in force, and people who approve."""

    def __init__(self) -> None:
        super().__init__()
        self.approvers = {name: Party() for name in ("ada", "bo")}
        for name, party in self.approvers.items():
            self.add(ApproverRegistered(name, party.public.jwk, "tests"))
        self.add(self.spec())

    def spec(self, text: bytes = SPEC, key: Any = None) -> SpecApplied:
        document = load(text)
        value = msgspec.to_builtins(document)
        applied = SpecApplied(policy_of(document.policy), "tests", value)
        signature = sign_spec(spec_digest(applied), key or self.issuer.key)
        return msgspec.structs.replace(applied, signature=signature)

    def sign(self, kind: str, told: dict[str, Any], *names: str) -> tuple[str, ...]:
        return tuple(
            jws.sign(
                {"typ": f"bailment-{kind}+jwt", "kid": self.approvers[name].public.thumbprint},
                canonical.encode(told),
                self.approvers[name].key,
            )
            for name in names
        )

    def tiered(self, model: str, tier: TierName, *names: str) -> ModelTiered:
        rank = self.register.state.tiers.get(model, 0)
        before = TIERS[rank - 1] if rank else None
        proposal = propose(self.register.spec, (), model="", before=before)
        decision = Decision(
            model,
            tier,
            self.register.state.spec,
            "as is known",
            self.register.state.decided.get(model, self.time - 1) + 1,
            unevaluated=proposal.unevaluated,
            proposed=proposal.tier or msgspec.UNSET,
            before=before or msgspec.UNSET,
        )
        told = msgspec.to_builtins(decision)
        return ModelTiered(model, tier, told, self.sign("tier", told, *names), "tests")

    def enclave(self, recipient: str, *tenants: str) -> None:
        self.add(EnclaveDeclared(recipient, {"tenant": tenants}, "tests"), recipient)

    def item(self, kind: str, **given: Any) -> Item:
        name = self.new_id()
        values = {
            "id": name,
            "kind": kind,
            "adapter": ADAPTERS.get(kind, ""),
            "independence": "pulled",
            "collector": "lab",
            "report": name,
            "scope": "tenant-a",
            "dated": self.time,
            "received": self.time,
            "digest": name * 2,
            **given,
        }
        return Item(**values)

    def evidence(self, recipient: str, item: Item) -> EvidenceReceived:
        return EvidenceReceived(recipient, msgspec.to_builtins(item), "tests")

    def show(self, recipient: str, item: Item) -> None:
        self.add(self.evidence(recipient, item), recipient)

    def grant_exception(self, recipient: str, requirement: str, *names: str) -> ExceptionGranted:
        grant = {
            "id": self.new_id(),
            "requirement": requirement,
            "from": self.time,
            "until": self.time + HOUR,
            "approvers": list(names),
            "compensating": ["watched by hand"],
        }
        text = "their scanner is broken"
        told = {"recipient": recipient, "grant": grant, "text": text}
        approvals = self.sign("exception", told, *names)
        return ExceptionGranted(recipient, grant, text, approvals, "tests")

    def judge(self, recipient: str) -> None:
        self.add(standing_record(self.register, recipient, self.time), recipient)
