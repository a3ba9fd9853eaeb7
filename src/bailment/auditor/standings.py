"""Whether what was received was evaluated: a standing that is in the log follows, by the register's
own rule, but one that should be there may have been left out."""

from __future__ import annotations

from bailment.access.assured import evaluated
from bailment.access.chain import GRANTORS
from bailment.access.fold import Fold
from bailment.access.held_expiry import over
from bailment.assurance.standing import tier_at
from bailment.auditor.findings import Findings, Kind
from bailment.ledger.evidence_records import (
    EnclaveDeclared,
    EvidenceReceived,
    EvidenceStaled,
    ExceptionGranted,
    StandingEvaluated,
    StandingReleased,
)
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import AccessOpened, SpecApplied
from bailment.spec.compiled import CompiledSpec
from bailment.spec.terms import TIERS

_CHANGES = (EnclaveDeclared, EvidenceReceived, EvidenceStaled, ExceptionGranted)


class Standings:
    """Follows a log, record by record, after the register.

    A change that alters no tier needs no record. So a finding is raised only where an access was
    opened that the standing made anew does not reach, and later after the change than
    `heads_ms`, in which an honest issuer evaluates many times over.
    """

    def __init__(self, fold: Fold, findings: Findings) -> None:
        self._fold = fold
        self._findings = findings
        self._changed: dict[str, tuple[int, int]] = {}  # by recipient: entry and time

    def follow(self, index: int, leaf: Leaf, facts: Facts) -> None:
        """Take the next entry, which the register has folded."""
        match facts:
            case StandingEvaluated():
                self._changed.pop(facts.recipient, None)
            case StandingReleased():
                for recipient in facts.recipients:
                    self._changed.setdefault(recipient, (index, leaf.time))
            case SpecApplied():
                for recipient in self._fold.register.organisations:
                    self._changed.setdefault(recipient, (index, leaf.time))
            case AccessOpened():
                self._judge(index, leaf, facts)
            case _ if isinstance(facts, _CHANGES):
                self._changed.setdefault(facts.recipient, (index, leaf.time))

    def _judge(self, index: int, leaf: Leaf, facts: AccessOpened) -> None:
        """Each organisation on the chain has to reach the model's tier."""
        register, token = self._fold.register, self._fold.admission.token(facts.token)
        needed = register.state.tiers.get(facts.model, 0)
        if register.spec is None or not needed or token is None:
            return
        asked = GRANTORS if register.conditions.delegate_meets else ("recipient",)
        for link in register.path(register.link_of.get(token.device, "")):
            if link.kind in asked:
                self._judge_one(index, leaf, link.subject, needed, register.spec)

    def _judge_one(
        self, index: int, leaf: Leaf, organisation: str, needed: int, spec: CompiledSpec
    ) -> None:
        register = self._fold.register
        changed, since = self._changed.get(organisation, (0, leaf.time))
        proven = register.proven(organisation)
        if proven.hold == "held" and not over(proven, spec, leaf.time):
            return
        if leaf.time - since <= register.policy.heads_ms:
            return
        standing = evaluated(register, organisation, spec, leaf.time).standing
        has = tier_at(standing, leaf.time)
        if has < needed:
            kind = register.organisations[organisation].kind
            self._findings.add(
                index,
                Kind.UNEVALUATED,
                f"opened for {TIERS[needed - 1]} after entry {changed}, which takes the {kind} "
                f"to {TIERS[has - 1] if has else 'no tier'} and was never evaluated",
            )
        self._changed.pop(organisation, None)  # once is enough, until something changes again
