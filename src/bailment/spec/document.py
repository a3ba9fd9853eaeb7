"""The distribution spec as it is written: the JSON form, of which YAML is another spelling.

A member that may be left out is UNSET when it is, and null is refused, so that a document encodes
to the very value it was read from and has one digest (`formats/spec.md`). What evaluation and the
gateway read is `bailment.spec.compiled`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bailment import canonical
from bailment.spec.policy import PolicySection
from bailment.spec.terms import (
    AdapterName,
    CheckId,
    ClaimName,
    Class,
    ControlId,
    Count,
    Date,
    Destination,
    Duration,
    Independence,
    KindName,
    Limit,
    Number,
    Part,
    Prose,
    RequirementId,
    Share,
    Slug,
    TierName,
    Title,
    Version,
)


class Metadata(Part, frozen=True):
    """Which spec this is."""

    id: Slug
    version: Version
    issuer: Annotated[Title, Meta(description="Who publishes the spec.")]
    effective: Annotated[Date, Meta(description="The day from which it is meant to hold.")]
    title: Title | UnsetType = UNSET


class EvidenceKind(Part, frozen=True):
    """A kind of evidence: who reads it, what it is about and how fast it ages."""

    adapter: Annotated[AdapterName, Meta(description="What reads it, and in which version.")]
    class_: Annotated[
        Class, Meta(description="`machine` where a tool can renew it, `process` where people must.")
    ] = msgspec.field(name="class")
    max_age: Annotated[Duration, Meta(description="Older evidence proves nothing.")]
    scope: Annotated[
        Literal["tenant", "account", "org"],
        Meta(description="Which id of the recipient's enclave it must name."),
    ]
    caps_at: Annotated[Independence, Meta(description="However collected, never above this.")] | (
        UnsetType
    ) = UNSET
    title: Title | UnsetType = UNSET


class Freshness(Part, frozen=True):
    """How old evidence of each class may be."""

    machine: Duration
    process: Duration


class Tier(Part, frozen=True):
    """What a tier asks for, on top of the tier below it."""

    name: Title
    require: tuple[RequirementId, ...]
    freshness: Freshness
    includes: Annotated[TierName, Meta(description="The next lower tier.")] | UnsetType = UNSET


class Join(Part, frozen=True):
    """Nobody may be left whom one kind of evidence saw and none of the others covers."""

    seen: Annotated[KindName, Meta(description="Its people must all be covered.")]
    covered_by: Annotated[
        tuple[KindName, ...], Meta(min_length=1, max_length=64, description="By these together.")
    ]


class Rule(Part, frozen=True):
    """One node of a rule, of exactly one of five forms:

    kind + check         the check's result must be pass
    kind + claim + min and/or max   the claimed number must lie within, bounds included
    join                 nobody seen is uncovered
    at_least + of        so many of the rules below hold
    all                  all rules below hold

    The first three, the leaves, may narrow which evidence counts by `min_independence` and
    `max_age`; a leaf of `contradicted_by` says by `within` for how long it contradicts.
    """

    kind: KindName | UnsetType = UNSET
    check: CheckId | UnsetType = UNSET
    claim: ClaimName | UnsetType = UNSET
    min: Limit | UnsetType = UNSET
    max: Limit | UnsetType = UNSET
    join: Join | UnsetType = UNSET
    at_least: Count | UnsetType = UNSET
    of: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=64)] | UnsetType = UNSET
    distinct: (
        Annotated[
            Literal["collector"],
            Meta(description="Rules that the same collector's evidence satisfies count as one."),
        ]
        | UnsetType
    ) = UNSET
    all: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=64)] | UnsetType = UNSET
    min_independence: Independence | UnsetType = UNSET
    max_age: Duration | UnsetType = UNSET
    within: Duration | UnsetType = UNSET


class Override(Part, frozen=True):
    """What a requirement asks otherwise from a tier on, upwards."""

    max_age: Duration | UnsetType = UNSET
    limits: (
        Annotated[
            dict[ClaimName, Limit],
            Meta(min_length=1, description="Claim to the number that replaces its `min` or `max`."),
        ]
        | UnsetType
    ) = UNSET


class Requirement(Part, frozen=True):
    """One thing that a recipient must prove."""

    title: Title
    satisfied_by: Rule
    statement: Annotated[Prose, Meta(description="The title in full.")] | UnsetType = UNSET
    family: Title | UnsetType = UNSET
    maps: (
        Annotated[
            tuple[ControlId, ...],
            Meta(description="Controls of other catalogues that ask for the same."),
        ]
        | UnsetType
    ) = UNSET
    weight: Annotated[int, Meta(ge=1, le=9, description="Orders gaps; 1 if left out.")] | (
        UnsetType
    ) = UNSET
    remedy: Annotated[Prose, Meta(description="What to do where it is not met.")] | UnsetType = (
        UNSET
    )
    max_age: Annotated[
        Duration, Meta(description="In place of the kind's and the tier's, longer or shorter.")
    ] | (UnsetType) = UNSET
    contradicted_by: (
        Annotated[
            tuple[Rule, ...],
            Meta(
                min_length=1,
                max_length=64,
                description="Leaves: a check that fails or a claim within its bounds contradicts.",
            ),
        ]
        | UnsetType
    ) = UNSET
    by_tier: Annotated[dict[TierName, Override], Meta(min_length=1)] | UnsetType = UNSET


class Threshold(Part, frozen=True):
    """A result of an evaluation at which a model belongs to a tier, or to a higher one."""

    tier: TierName
    task: Annotated[Title, Meta(description="The evaluation: an Inspect task's name.")]
    metric: Annotated[Title, Meta(description="The metric of its result: `accuracy`.")]
    scorer: Annotated[Title, Meta(description="Where a task has several.")] | UnsetType = UNSET
    min: Annotated[Number, Meta(description="Reached at or above.")] | UnsetType = UNSET
    max: Annotated[Number, Meta(description="Reached at or below.")] | UnsetType = UNSET


class Capability(Part, frozen=True):
    """A dangerous capability, and the results that show a model to have it."""

    title: Title
    thresholds: Annotated[tuple[Threshold, ...], Meta(min_length=1, max_length=64)]
    statement: Prose | UnsetType = UNSET


class ExceptionsPolicy(Part, frozen=True):
    """Who may be excused from a requirement, and for how long."""

    max_ttl: Duration
    max_renewals: Annotated[int, Meta(ge=0, le=64)]
    approvers: Annotated[int, Meta(ge=2, le=16, description="Different people who must sign.")]
    compensating: Annotated[
        Literal["required", "optional"], Meta(description="Whether a measure must stand in.")
    ]
    never_for: tuple[RequirementId, ...]


class StepDown(Part, frozen=True):
    """Down to a tier, or to none."""

    step_down: Destination


class Contradicted(Part, frozen=True):
    """Where a contradiction leads, and how soon."""

    step_down: Destination
    after: Duration


class Lapse(Part, frozen=True):
    """What happens as evidence expires: notices, grace, a step down, suspension."""

    notice: Annotated[
        tuple[Duration, ...],
        Meta(min_length=1, max_length=16, description="How long before, longest first."),
    ]
    grace: Annotated[Duration, Meta(description="From expiry to the step down.")]
    then: StepDown
    suspend_after: Annotated[Duration, Meta(description="From the step down to suspension.")]
    contradicted: Contradicted
    mass_change_hold: Annotated[
        Share,
        Meta(description="Above this share of recipients at once, expiries wait for a person."),
    ]


class Document(Part, frozen=True):
    """A distribution spec: what a recipient must prove before it is entrusted with a model."""

    apiVersion: Literal["bailment/v1"]
    kind: Literal["DistributionSpec"]
    metadata: Metadata
    evidence_kinds: Annotated[dict[KindName, EvidenceKind], Meta(min_length=1)]
    tiers: Annotated[dict[TierName, Tier], Meta(min_length=1)]
    requirements: Annotated[dict[RequirementId, Requirement], Meta(min_length=1)]
    exceptions_policy: ExceptionsPolicy
    lapse: Lapse
    policy: PolicySection
    capabilities: dict[Slug, Capability] | UnsetType = UNSET


def digest(document: Document | dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON, hex: the same for a document and the value it came from."""
    return canonical.digest(canonical.encode(document))
