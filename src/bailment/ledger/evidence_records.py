"""The records of what recipients prove, and of what follows from it.

What higher rooms define (an item of evidence, a grant, a standing) is kept here as the JSON it
encodes to; the register reads it as what it is, and refuses what is not.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from bailment.ledger.facts import Facts


class EnclaveDeclared(Facts, frozen=True):
    """The tenants, accounts and organisations that evidence about a recipient may be about.

    `scopes` has a list of ids for each of `tenant`, `account` and `org`. It replaces what was
    declared before; evidence about what is left out no longer counts.
    """

    TYPE: ClassVar[str] = "enclave.declared"
    REGISTERS: ClassVar[bool] = True
    recipient: str
    scopes: dict[str, tuple[str, ...]]
    author: str


class ApproverRegistered(Facts, frozen=True):
    """Somebody whose signature approves decisions; `key` is a public JWK. An empty one ends it.

    `approvals` are those of the approvers there are, once they are as many as an exception takes.
    """

    TYPE: ClassVar[str] = "approver.registered"
    REGISTERS: ClassVar[bool] = True
    approver: str
    key: dict[str, str]
    author: str
    approvals: tuple[str, ...] = ()
    approval: str | UnsetType = UNSET


class ModelTiered(Facts, frozen=True):
    """Into which tier a model belongs: a person's signed decision (`formats/capability.md`)."""

    TYPE: ClassVar[str] = "model.tiered"
    REGISTERS: ClassVar[bool] = True
    model: str
    tier: str
    decision: dict[str, Any]
    approvals: tuple[str, ...]
    author: str


class EvidenceReceived(Facts, frozen=True):
    """An item of evidence about a recipient (`formats/evidence.md`)."""

    TYPE: ClassVar[str] = "evidence.received"
    REGISTERS: ClassVar[bool] = True
    recipient: str
    item: dict[str, Any]
    author: str


class EvidenceRefused(Facts, frozen=True):
    """What was submitted and is no evidence: the SHA-256 of the bytes, and why.

    What the submitter was told beyond the reason is not here, since it may quote the file.
    """

    TYPE: ClassVar[str] = "evidence.refused"
    recipient: str
    kind: str
    digest: str
    reason: str
    author: str


class EvidenceStaled(Facts, frozen=True):
    """Evidence of these kinds about a recipient, dated before this record, counts for no more: what
    collected it is not trusted, because of an `incident` or empty. What is newer counts."""

    TYPE: ClassVar[str] = "evidence.staled"
    REGISTERS: ClassVar[bool] = True
    recipient: str
    kinds: tuple[str, ...]
    reason: str
    author: str
    incident: str = ""
    approval: str | UnsetType = UNSET


class ExceptionGranted(Facts, frozen=True):
    """A recipient is excused from a requirement for a while, in writing.

    `approvals` are the approvers' signatures over the grant and its `text`.
    """

    TYPE: ClassVar[str] = "exception.granted"
    REGISTERS: ClassVar[bool] = True
    recipient: str
    grant: dict[str, Any]
    text: str
    approvals: tuple[str, ...]
    author: str


class StandingEvaluated(Facts, frozen=True):
    """What a recipient holds, from `at` on, and what that was derived from.

    `evaluation` is the digest of the evaluation at `at` under the spec, `inputs` commits to all
    evidence and exceptions that were there, `items` are those that decided something, with the
    SHA-256 of the bytes they came from. `unmet` has for each tier the requirements that keep it
    from being held, with their status. `standing` is the schedule of tiers; `held` says that
    what expired was held, as a `standing.held` before it allows.
    """

    TYPE: ClassVar[str] = "standing.evaluated"
    REGISTERS: ClassVar[bool] = True
    recipient: str
    at: int
    evaluation: str
    inputs: str
    items: tuple[tuple[str, str], ...]
    unmet: dict[str, dict[str, str]]
    standing: dict[str, Any]
    held: bool | UnsetType = UNSET


class StandingHeld(Facts, frozen=True):
    """What expired is held for these recipients, since more than the spec's share would fall at
    `at`; until each is evaluated without it, or released, or for as long as the spec lets."""

    TYPE: ClassVar[str] = "standing.held"
    REGISTERS: ClassVar[bool] = True
    at: int
    recipients: tuple[str, ...]


class StandingReleased(Facts, frozen=True):
    """A person let take effect what expired and was held: it is not held once more."""

    TYPE: ClassVar[str] = "standing.released"
    REGISTERS: ClassVar[bool] = True
    recipients: tuple[str, ...]
    reason: str
    author: str


class StandingNoticed(Facts, frozen=True):
    """A recipient was told, at its contact, of the step down at `step`."""

    TYPE: ClassVar[str] = "standing.noticed"
    recipient: str
    step: int
    tier: int
    contact: str


EVIDENCE_RECORDS: tuple[type[Facts], ...] = (
    EnclaveDeclared,
    ApproverRegistered,
    ModelTiered,
    EvidenceReceived,
    EvidenceRefused,
    EvidenceStaled,
    ExceptionGranted,
    StandingEvaluated,
    StandingHeld,
    StandingReleased,
    StandingNoticed,
)
