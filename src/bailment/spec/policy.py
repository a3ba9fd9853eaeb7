"""The policy section: the numbers that credentials, delegation, detection, response and disclosure
obey, as written, and the part of them that every decision carries."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from bailment.ledger.records import Policy
from bailment.spec.quantity import duration_ms
from bailment.spec.terms import Duration, Part, TierName, Title

#: Longest life of a token that any policy may set (RFC 9700 asks for short ones).
MAX_TOKEN_MS = 300_000
#: Longest time from a record to the heads record that covers it.
MAX_HEADS_MS = 3_600_000
#: The numbers of a `Policy`: which, where the section says them, and their least and most, ms.
BOUNDS: tuple[tuple[str, tuple[str, str], int, int], ...] = (
    ("token_ms", ("credential", "max_ttl"), 1, MAX_TOKEN_MS),
    ("proof_ms", ("credential", "proof_window"), 1, 300_000),
    ("skew_ms", ("credential", "clock_skew"), 0, 60_000),
    ("decision_ms", ("credential", "decision_window"), 1, 60_000),
    ("invitation_ms", ("credential", "invitation_ttl"), 1, 30 * 86_400_000),
    ("heads_ms", ("log", "heads"), 1_000, MAX_HEADS_MS),
)


class Credential(Part, frozen=True):
    """Tokens and the proofs that come with them."""

    max_ttl: Annotated[Duration, Meta(description="How long a token lives.")]
    sender_constrained: Annotated[Literal["dpop"], Meta(description="RFC 9449.")]
    proof_window: Annotated[Duration, Meta(description="How old a proof may be.")]
    clock_skew: Annotated[Duration, Meta(description="How far a caller's clock may be ahead.")]
    decision_window: Annotated[
        Duration, Meta(description="How long a decision holds until the log has accepted it.")
    ]
    invitation_ttl: Annotated[Duration, Meta(description="How long an invitation can be used.")]


class DelegationLimit(Part, frozen=True):
    """What delegation is limited to from a tier on, upwards."""

    max_depth: Annotated[int, Meta(ge=0, le=8)] | UnsetType = UNSET
    max_ttl: Duration | UnsetType = UNSET


class Delegation(Part, frozen=True):
    """How far access may be passed on."""

    max_depth: Annotated[int, Meta(ge=0, le=8, description="Subcontractors in one chain.")]
    max_ttl: Annotated[Duration, Meta(description="How long a link may last.")]
    delegate_meets: Annotated[
        Literal["same-tier", "nothing"], Meta(description="What a subcontractor must prove.")
    ]
    by_tier: Annotated[dict[TierName, DelegationLimit], Meta(min_length=1)] | UnsetType = UNSET


class Detection(Part, frozen=True):
    """How soon misuse must be noticed."""

    shared_credential: Duration
    off_network: Duration
    purpose_drift: Duration


class KillSwitch(Part, frozen=True):
    """Who may stop everything."""

    approvers: Annotated[int, Meta(ge=1, le=16)]


class Response(Part, frozen=True):
    """How soon what must be done after a finding."""

    revoke: Duration
    notify_recipient: Duration
    rotate: Duration
    kill_switch: KillSwitch


class Disclosure(Part, frozen=True):
    """How soon reports are due, and whether they name recipients."""

    initial: Duration
    final: Duration
    names: Literal["redacted-committed", "named"]


class Log(Part, frozen=True):
    """What the log owes to those who watch it."""

    heads: Annotated[Duration, Meta(description="From a record to the heads that cover it.")]


class PolicySection(Part, frozen=True):
    """The numbers that credentials, delegation, detection, response and disclosure obey."""

    contact: Annotated[Title, Meta(description="Whom a refused caller is told to ask.")]
    credential: Credential
    delegation: Delegation
    detection: Detection
    response: Response
    disclosure: Disclosure
    log: Log


def policy_of(section: PolicySection) -> Policy:
    """What the gateway's decisions obey; ms."""
    credential = section.credential
    return Policy(
        token_ms=duration_ms(credential.max_ttl),
        proof_ms=duration_ms(credential.proof_window),
        skew_ms=duration_ms(credential.clock_skew),
        decision_ms=duration_ms(credential.decision_window),
        invitation_ms=duration_ms(credential.invitation_ttl),
        heads_ms=duration_ms(section.log.heads),
        contact=section.contact,
    )
