"""The distribution spec as it is written: the JSON form, of which YAML is another spelling.

A member that may be left out is UNSET when it is, and null is refused, so that a document encodes
to the very value it was read from and has one digest (`formats/spec.md`). What evaluation and the
gateway read is `bailment.spec.compiled`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET

from bailment import canonical
from bailment.spec.policy import PolicySection
from bailment.spec.terms import (
    AdapterName,
    CheckId,
    ClaimName,
    Class,
    ControlId,
    Date,
    Destination,
    Duration,
    Independence,
    KindName,
    Limit,
    Maybe,
    Number,
    Part,
    Prose,
    RequirementId,
    Share,
    Slug,
    TierName,
    Title,
    Version,
    says,
)

#: The most items in a list.
MANY = 64


class Metadata(Part, frozen=True):
    """Which spec this is."""

    id: Annotated[Slug, says("The spec's name, the same in all its versions.")]
    version: Annotated[Version, says("Three numbers, as Semantic Versioning has them.")]
    issuer: Annotated[Title, says("Who publishes the spec.")]
    effective: Annotated[Date, says("The day, in UTC, from which it is meant to hold.")]
    title: Maybe[Annotated[Title, says("What the spec is about, in a line.")]] = UNSET


class EvidenceKind(Part, frozen=True):
    """A kind of evidence: who reads it, what it is about and how fast it ages."""

    adapter: Annotated[AdapterName, says("What reads it, and in which version.")]
    class_: Annotated[
        Class, says("`machine` where a tool can renew it at any time, `process` where people must.")
    ] = msgspec.field(name="class")
    max_age: Annotated[Duration, says("What is older proves nothing.")]
    scope: Annotated[
        Literal["tenant", "account", "org"],
        says("Which of the recipient's registered ids it must name."),
    ]
    caps_at: Maybe[
        Annotated[Independence, says("However it was collected, it counts for no more than this.")]
    ] = UNSET
    title: Maybe[Annotated[Title, says("What it is, in words.")]] = UNSET


class Freshness(Part, frozen=True):
    """How old evidence of each class may be."""

    machine: Annotated[Duration, says("What a tool can renew.")]
    process: Annotated[Duration, says("What people must renew.")]


class Tier(Part, frozen=True):
    """What a tier asks for, on top of the tier below it."""

    name: Annotated[Title, says("What it is called.")]
    require: Annotated[
        tuple[RequirementId, ...], says("Requirements, besides those of the included tier.")
    ]
    freshness: Annotated[Freshness, says("How old evidence may be where nothing nearer says so.")]
    includes: Maybe[
        Annotated[TierName, says("The next lower tier of the spec; left out in the lowest.")]
    ] = UNSET


class Join(Part, frozen=True):
    """Nobody may be left whom one kind of evidence saw and none of the others covers."""

    seen: Annotated[KindName, says("Its people must all be covered.")]
    covered_by: Annotated[
        tuple[KindName, ...], says("By these together.", min_length=1, max_length=MANY)
    ]


class Rule(Part, frozen=True):
    """One node of a rule, of exactly one of five forms: `kind` with `check`, `kind` with `claim`
    and `min` or `max`, `join`, `at_least` with `of`, or `all`.

    The first three, the leaves, may narrow which evidence counts by `min_independence` and
    `max_age`. In `contradicted_by` there are only the first two, each with `within`.
    """

    kind: Maybe[Annotated[KindName, says("Which evidence decides: the newest that counts.")]] = (
        UNSET
    )
    check: Maybe[
        Annotated[CheckId, says("This check passed; in `contradicted_by`: it failed.")]
    ] = UNSET
    claim: Maybe[Annotated[ClaimName, says("This number lies within the bounds.")]] = UNSET
    min: Maybe[Annotated[Limit, says("The claim is this or more.")]] = UNSET
    max: Maybe[Annotated[Limit, says("The claim is this or less.")]] = UNSET
    join: Maybe[Annotated[Join, says("Nobody who was seen is uncovered.")]] = UNSET
    at_least: Maybe[Annotated[int, says("So many of the rules hold.", ge=1, le=MANY)]] = UNSET
    of: Maybe[
        Annotated[
            tuple[Rule, ...],
            says("The rules to choose from, no two the same.", min_length=1, max_length=MANY),
        ]
    ] = UNSET
    distinct: Maybe[
        Annotated[
            Literal["collector"],
            says("Rules that hold by what the same collector collected count as one."),
        ]
    ] = UNSET
    all: Maybe[
        Annotated[tuple[Rule, ...], says("All of these rules hold.", min_length=1, max_length=MANY)]
    ] = UNSET
    min_independence: Maybe[
        Annotated[Independence, says("Only what was collected so independently, or more.")]
    ] = UNSET
    max_age: Maybe[
        Annotated[Duration, says("Only what is younger, whatever else says how old it may be.")]
    ] = UNSET
    within: Maybe[Annotated[Duration, says("For how long what is found contradicts.")]] = UNSET


class Override(Part, frozen=True):
    """What a requirement asks otherwise from a tier on, upwards."""

    max_age: Maybe[
        Annotated[Duration, says("In place of the requirement's own, and not longer.")]
    ] = UNSET
    limits: Maybe[
        Annotated[
            dict[ClaimName, Limit],
            says("By claim: what replaces its `min` or `max`, and is not looser.", min_length=1),
        ]
    ] = UNSET


class Requirement(Part, frozen=True):
    """One thing that a recipient must prove."""

    title: Annotated[Title, says("What must be so, in a line.")]
    satisfied_by: Annotated[Rule, says("What proves it.")]
    statement: Maybe[Annotated[Prose, says("What must be so, in full, and why.")]] = UNSET
    family: Maybe[Annotated[Title, says("Under which heading people find it.")]] = UNSET
    maps: Maybe[
        Annotated[
            tuple[ControlId, ...], says("Controls of other catalogues that ask for the like.")
        ]
    ] = UNSET
    weight: Maybe[
        Annotated[int, says("What to mend first: the heaviest; 1 if left out.", ge=1, le=9)]
    ] = UNSET
    remedy: Maybe[Annotated[Prose, says("What a recipient does where it is not met.")]] = UNSET
    max_age: Maybe[
        Annotated[
            Duration, says("In place of the kind's and the tier's, whether shorter or longer.")
        ]
    ] = UNSET
    contradicted_by: Maybe[
        Annotated[
            tuple[Rule, ...],
            says("Any of these takes it away at once.", min_length=1, max_length=MANY),
        ]
    ] = UNSET
    by_tier: Maybe[
        Annotated[
            dict[TierName, Override], says("What is asked from a tier on, upwards.", min_length=1)
        ]
    ] = UNSET


class Threshold(Part, frozen=True):
    """A result of an evaluation at which a model belongs to a tier, or to a higher one; with
    exactly one of `min` and `max`."""

    tier: Annotated[TierName, says("To which the model then belongs.")]
    task: Annotated[Title, says("The evaluation: the name of an Inspect task.")]
    metric: Annotated[Title, says("The metric of its result, such as `accuracy`.")]
    scorer: Maybe[Annotated[Title, says("The scorer, where a task has several.")]] = UNSET
    min: Maybe[Annotated[Number, says("Reached at this or above.")]] = UNSET
    max: Maybe[Annotated[Number, says("Reached at this or below.")]] = UNSET


class Capability(Part, frozen=True):
    """A dangerous capability, and the results that show a model to have it."""

    title: Annotated[Title, says("The capability, in a line.")]
    thresholds: Annotated[
        tuple[Threshold, ...], says("Any one suffices.", min_length=1, max_length=MANY)
    ]
    statement: Maybe[Annotated[Prose, says("The capability, in full.")]] = UNSET


class ExceptionsPolicy(Part, frozen=True):
    """Who may be excused from a requirement, and for how long."""

    max_ttl: Annotated[Duration, says("How long an exception lasts at most.")]
    max_renewals: Annotated[int, says("How often one may follow another.", ge=0, le=MANY)]
    approvers: Annotated[int, says("How many different people must sign.", ge=2, le=16)]
    compensating: Annotated[
        Literal["required", "optional"], says("Whether another measure must stand in.")
    ]
    never_for: Annotated[tuple[RequirementId, ...], says("From these nobody is excused.")]


class StepDown(Part, frozen=True):
    """Where an expiry leads."""

    step_down: Annotated[Destination, says("To this tier at most, or to none.")]


class Contradicted(Part, frozen=True):
    """Where a contradiction leads, and how soon."""

    step_down: Annotated[Destination, says("To this tier at most, or to none.")]
    after: Annotated[Duration, says("`PT0S` is at once.")]


#: Longer than a weekend, in which nobody may have looked.
HOLD_AT_MOST = "P3D"


class Lapse(Part, frozen=True):
    """What happens as evidence expires: notices, grace, a step down, suspension."""

    notice: Annotated[
        tuple[Duration, ...],
        says("How long before the expiry, the longest first.", min_length=1, max_length=16),
    ]
    grace: Annotated[Duration, says("From the expiry to the step down.")]
    then: Annotated[StepDown, says("What comes after the grace.")]
    suspend_after: Annotated[Duration, says("From the step down to suspension.")]
    contradicted: Annotated[Contradicted, says("What a contradiction does.")]
    mass_change_hold: Annotated[
        Share,
        says(
            "Where more recipients than this, and more than one, would change at once, expiries "
            "wait for a person."
        ),
    ]
    hold_at_most: Maybe[
        Annotated[
            Duration,
            says(f"How long they wait; then they take effect; `{HOLD_AT_MOST}` if left out."),
        ]
    ] = UNSET


class Document(Part, frozen=True):
    """A distribution spec: what a recipient must prove before it is entrusted with a model."""

    apiVersion: Annotated[Literal["bailment/v1"], says("The version of this format.")]
    kind: Annotated[Literal["DistributionSpec"], says("What the text is.")]
    metadata: Annotated[Metadata, says("Which spec this is.")]
    evidence_kinds: Annotated[
        dict[KindName, EvidenceKind], says("What counts as evidence, by name.", min_length=1)
    ]
    tiers: Annotated[dict[TierName, Tier], says("What each tier asks for.", min_length=1)]
    requirements: Annotated[
        dict[RequirementId, Requirement], says("What must be proven, by id.", min_length=1)
    ]
    exceptions_policy: Annotated[ExceptionsPolicy, says("Who may be excused.")]
    lapse: Annotated[Lapse, says("What happens as evidence expires.")]
    policy: Annotated[PolicySection, says("The numbers that the gateway and its people obey.")]
    capabilities: Maybe[
        Annotated[dict[Slug, Capability], says("What puts a model into a tier, by name.")]
    ] = UNSET


def digest(document: Document | dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON, hex: the same for a document and the value it came from."""
    return canonical.digest(canonical.encode(document))
