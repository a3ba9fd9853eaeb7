"""The spec as evaluation reads it: every tier's requirements resolved, durations in ms.

`compile_spec` takes a document in which `bailment.spec.validation` found no error. Each tier has
its own copy of what it asks for, those of the tiers below included, with its own ages and limits:
nothing here depends on the tier any more.

How old an item may be is what is said nearest to the leaf: the leaf's own `max_age`; else the
requirement's for this tier, or the nearest tier below that overrides it; else the requirement's;
else the shorter of the kind's and the tier's freshness for its class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, cast

import msgspec
from msgspec import UNSET

from bailment.spec.conditions import Conditions, conditions_of
from bailment.spec.document import (
    HOLD_AT_MOST,
    Document,
    EvidenceKind,
    Override,
    Requirement,
    Rule,
    digest,
)
from bailment.spec.quantity import date_ms, duration_ms, number_ppm, share_ppm
from bailment.spec.terms import GATEWAY, RANK, SUSPENDED, TIERS, Class, TierName


class Compiled(msgspec.Struct, frozen=True):
    """The root of all that is compiled."""


class Source(Compiled, frozen=True):
    """Which items count: of this kind, collected at least so independently (a rung of the ladder,
    see `document.RANK`), and dated less than `max_age` ms ago."""

    kind: str
    rank: int
    max_age: int


class Check(Compiled, frozen=True):
    """The newest item that counts has this result for the check."""

    source: Source
    check: str
    result: Literal["pass", "fail"]


class Claim(Compiled, frozen=True):
    """The newest item that counts claims a number within the bounds, which are included."""

    source: Source
    claim: str
    least: int | None
    most: int | None


class Join(Compiled, frozen=True):
    """The people of the newest item of `seen` are all among those of the covering items."""

    seen: Source
    covered_by: tuple[Source, ...]


class AtLeast(Compiled, frozen=True):
    """So many of the nodes hold; with `distinct`, by items of so many collectors.

    The document's `all` is as many as there are.
    """

    count: int
    of: tuple[Node, ...]
    distinct: bool


Leaf = Check | Claim | Join
Node = Leaf | AtLeast


class Required(Compiled, frozen=True):
    """A requirement as one tier asks for it. Any one of `contradicted_by` contradicts it."""

    id: str
    title: str
    rule: Node
    contradicted_by: tuple[Check | Claim, ...]
    weight: int
    remedy: str
    excusable: bool


class TierOf(Compiled, frozen=True):
    """A tier: `rank` is 1 for T1; `requirements` are its own and those of the tiers below."""

    name: TierName
    title: str
    rank: int
    requirements: tuple[Required, ...]


class Kind(Compiled, frozen=True):
    """A kind of evidence. `cap` is the highest rung of the ladder that it can reach."""

    name: str
    title: str
    adapter: str
    class_: Class
    scope: Literal["tenant", "account", "org"]
    max_age: int
    cap: int


class Exceptions(Compiled, frozen=True):
    """The exceptions policy; ms."""

    max_ttl: int
    max_renewals: int
    approvers: int
    compensating: bool
    never_for: frozenset[str]


class Lapsing(Compiled, frozen=True):
    """The lapse policy; ms, tiers by rank, 0 where standing is suspended.

    `mass_change_hold` is in millionths of all recipients.
    """

    notice: tuple[int, ...]
    grace: int
    then: int
    suspend_after: int
    contradicted: int
    contradicted_after: int
    mass_change_hold: int
    hold_at_most: int = duration_ms(HOLD_AT_MOST)


class Threshold(Compiled, frozen=True):
    """A result that puts a model into the tier of this rank; the bounds in millionths."""

    tier: int
    task: str
    scorer: str
    metric: str
    least: int | None
    most: int | None


class Capability(Compiled, frozen=True):
    """A dangerous capability and its thresholds."""

    id: str
    title: str
    thresholds: tuple[Threshold, ...]


class CompiledSpec(Compiled, frozen=True):
    """All that evaluation, standing and the capability half read; `tiers` lowest first."""

    digest: str
    id: str
    version: str
    effective: int
    kinds: Mapping[str, Kind]
    tiers: tuple[TierOf, ...]
    exceptions: Exceptions
    lapse: Lapsing
    capabilities: tuple[Capability, ...]
    conditions: Conditions = Conditions()

    def tier(self, rank: int) -> TierOf | None:
        """The tier of this rank; None if the spec has none."""
        return next((tier for tier in self.tiers if tier.rank == rank), None)


def rank_of(tier: str) -> int:
    """1 for T1 to 4 for T4; 0 for suspended."""
    return 0 if tier == SUSPENDED else TIERS.index(tier) + 1


def sources(node: Node) -> Iterator[Source]:
    """All evidence that a rule looks at."""
    for leaf in leaves(node):
        yield from (leaf.seen, *leaf.covered_by) if isinstance(leaf, Join) else (leaf.source,)


def leaves(node: Node) -> Iterator[Leaf]:
    """The leaves of a rule, in its order."""
    if isinstance(node, AtLeast):
        for below in node.of:
            yield from leaves(below)
    else:
        yield node


def compile_spec(document: Document) -> CompiledSpec:
    """The document, resolved. It must be free of errors (`validation.check`)."""
    metadata = document.metadata
    names = [name for name in TIERS if name in document.tiers]
    return CompiledSpec(
        digest=digest(document),
        id=metadata.id,
        version=metadata.version,
        effective=date_ms(metadata.effective),
        kinds={name: _kind(name, kind) for name, kind in document.evidence_kinds.items()},
        tiers=tuple(_tier(document, name) for name in names),
        exceptions=_exceptions(document),
        lapse=_lapse(document),
        capabilities=tuple(_capabilities(document)),
        conditions=conditions_of(document.policy),
    )


def requirements_of(document: Document, name: TierName) -> list[str]:
    """The ids that a tier asks for, those of the tiers that it includes first, each once."""
    chain = [name]
    while (below := document.tiers[chain[0]].includes) is not UNSET:
        chain.insert(0, below)
    return list(dict.fromkeys(id_ for tier in chain for id_ in document.tiers[tier].require))


def overrides_for(requirement: Requirement, name: TierName) -> Iterator[Override]:
    """The overrides that hold for a tier, the nearest first."""
    if requirement.by_tier is not UNSET:
        for tier in reversed(TIERS[: TIERS.index(name) + 1]):
            if tier in requirement.by_tier:
                yield requirement.by_tier[tier]


def _kind(name: str, kind: EvidenceKind) -> Kind:
    cap = "observed" if kind.caps_at is UNSET else kind.caps_at
    return Kind(
        name=name,
        title=name if kind.title is UNSET else kind.title,
        adapter=kind.adapter,
        class_=kind.class_,
        scope=kind.scope,
        max_age=duration_ms(kind.max_age),
        cap=RANK[cap],
    )


def _tier(document: Document, name: TierName) -> TierOf:
    return TierOf(
        name=name,
        title=document.tiers[name].name,
        rank=rank_of(name),
        requirements=tuple(
            _required(document, name, id_) for id_ in requirements_of(document, name)
        ),
    )


def _required(document: Document, name: TierName, id_: str) -> Required:
    requirement = document.requirements[id_]
    resolve = _Resolve(document, name, requirement)
    against = () if requirement.contradicted_by is UNSET else requirement.contradicted_by
    return Required(
        id=id_,
        title=requirement.title,
        rule=resolve.node(requirement.satisfied_by),
        contradicted_by=tuple(resolve.observation(rule, "fail") for rule in against),
        weight=1 if requirement.weight is UNSET else requirement.weight,
        remedy="" if requirement.remedy is UNSET else requirement.remedy,
        excusable=id_ not in document.exceptions_policy.never_for,
    )


class _Resolve:
    """The rules of one requirement as one tier reads them."""

    def __init__(self, document: Document, tier: TierName, requirement: Requirement) -> None:
        self._kinds = document.evidence_kinds
        self._freshness = document.tiers[tier].freshness
        over = list(overrides_for(requirement, tier))
        ages = [one.max_age for one in over] + [requirement.max_age]
        self._age = next((age for age in ages if age is not UNSET), UNSET)
        self._limits: dict[str, int] = {}
        for one in reversed(over):
            self._limits |= {} if one.limits is UNSET else one.limits

    def node(self, rule: Rule) -> Node:
        if rule.all is not UNSET:
            return AtLeast(len(rule.all), tuple(map(self.node, rule.all)), distinct=False)
        if rule.of is not UNSET and rule.at_least is not UNSET:
            distinct = rule.distinct is not UNSET
            return AtLeast(rule.at_least, tuple(map(self.node, rule.of)), distinct)
        if rule.join is not UNSET:
            covers = tuple(self._source(kind, rule) for kind in rule.join.covered_by)
            return Join(self._source(rule.join.seen, rule), covers)
        return self.observation(rule, "pass")

    def observation(self, rule: Rule, result: Literal["pass", "fail"]) -> Check | Claim:
        source = self._source(cast(str, rule.kind), rule)
        if rule.claim is UNSET:
            return Check(source, cast(str, rule.check), result)
        # What contradicts is the same at every tier.
        limit = self._limits.get(rule.claim) if result == "pass" else None
        least, most = (
            None if bound is UNSET else bound if limit is None else limit
            for bound in (rule.min, rule.max)
        )
        return Claim(source, rule.claim, least, most)

    def _source(self, name: str, rule: Rule) -> Source:
        kind = self._kinds[name]
        said = next((age for age in (rule.max_age, rule.within, self._age) if age is not UNSET), "")
        usual = min(
            duration_ms(kind.max_age),
            duration_ms(getattr(self._freshness, kind.class_)),
        )
        lowest = "self" if rule.min_independence is UNSET else rule.min_independence
        if kind.adapter == GATEWAY:
            lowest = "observed"  # whatever else says so, the gateway did not see it
        return Source(name, RANK[lowest], duration_ms(said) if said else usual)


def _exceptions(document: Document) -> Exceptions:
    policy = document.exceptions_policy
    return Exceptions(
        max_ttl=duration_ms(policy.max_ttl),
        max_renewals=policy.max_renewals,
        approvers=policy.approvers,
        compensating=policy.compensating == "required",
        never_for=frozenset(policy.never_for),
    )


def _lapse(document: Document) -> Lapsing:
    lapse = document.lapse
    return Lapsing(
        notice=tuple(map(duration_ms, lapse.notice)),
        grace=duration_ms(lapse.grace),
        then=rank_of(lapse.then.step_down),
        suspend_after=duration_ms(lapse.suspend_after),
        contradicted=rank_of(lapse.contradicted.step_down),
        contradicted_after=duration_ms(lapse.contradicted.after),
        mass_change_hold=share_ppm(lapse.mass_change_hold),
        hold_at_most=duration_ms(lapse.hold_at_most or HOLD_AT_MOST),
    )


def _capabilities(document: Document) -> Iterator[Capability]:
    if document.capabilities is UNSET:
        return
    for id_, capability in document.capabilities.items():
        yield Capability(
            id=id_,
            title=capability.title,
            thresholds=tuple(
                Threshold(
                    tier=rank_of(one.tier),
                    task=one.task,
                    scorer="" if one.scorer is UNSET else one.scorer,
                    metric=one.metric,
                    least=None if one.min is UNSET else number_ppm(one.min),
                    most=None if one.max is UNSET else number_ppm(one.max),
                )
                for one in capability.thresholds
            ),
        )
