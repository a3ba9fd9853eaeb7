"""From the results of evaluations to a model's tier (`formats/capability.md`).

Results propose, a person decides. What was not evaluated proposes nothing: it neither puts a model
into a tier nor takes one out, and is said loudly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta

from bailment import canonical
from bailment.assurance.results import Ignored, Result
from bailment.spec.compiled import CompiledSpec, Threshold, rank_of
from bailment.spec.terms import Maybe, Slug, TierName, Title

#: Reasons, in characters.
MAX_REASONS = 2000
#: What a decision may have in bytes, so that its signature fits what `access.jws` reads.
MAX_DECISION = 12_000


class Measured(msgspec.Struct, frozen=True):
    """A threshold, and the result that says most about it: the one nearest to or furthest beyond
    it; None if nothing measured it."""

    capability: str
    title: str
    threshold: Threshold
    result: Result | None

    @property
    def reached(self) -> bool:
        """Whether the result puts the model into the threshold's tier."""
        if self.result is None:
            return False
        least, most = self.threshold.least, self.threshold.most
        value = self.result.value
        return (least is None or value >= least) and (most is None or value <= most)


class Proposal(msgspec.Struct, frozen=True):
    """What results say of the tier of a model.

    `model` is the name under which it was evaluated and `before` the tier that it has; `tier` is
    the one proposed, None if nothing can be. `ignored` are results that no threshold asks for.
    """

    spec: str
    model: str
    before: TierName | None
    tier: TierName | None
    measured: tuple[Measured, ...]
    ignored: tuple[Ignored, ...]

    @property
    def unevaluated(self) -> tuple[str, ...]:
        """The capabilities about which there is no result at all."""
        known = {one.capability for one in self.measured if one.result is not None}
        named = dict.fromkeys(one.capability for one in self.measured)
        return tuple(name for name in named if name not in known)

    @property
    def cited(self) -> tuple[Result, ...]:
        """The results that the proposal rests on, each once."""
        return tuple(dict.fromkeys(one.result for one in self.measured if one.result is not None))


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model's tier, as a person decided it and signs it.

    model        by the name that the issuer serves it under; `evaluated` is the one in the results
    spec         the digest of the spec whose thresholds were looked at
    results      what the proposal rests on
    unevaluated  capabilities of the spec about which there was no result
    proposed     the tier that the results propose; left out if they propose none
    before       the tier that the model had; left out if it had none
    reasons      why, in words
    decided      ms
    """

    model: Title
    tier: TierName
    spec: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    reasons: Annotated[str, Meta(min_length=1, max_length=MAX_REASONS)]
    decided: Annotated[int, Meta(ge=0, le=canonical.MAX_INTEGER)]
    evaluated: Maybe[Title] = UNSET
    results: tuple[Result, ...] = ()
    unevaluated: tuple[Slug, ...] = ()
    proposed: Maybe[TierName] = UNSET
    before: Maybe[TierName] = UNSET


def propose(
    spec: CompiledSpec, results: Iterable[Result], *, model: str, before: TierName | None = None
) -> Proposal:
    """The tier that results of a model propose: the highest of any threshold that is reached.

    Where none is, that is the spec's lowest tier, if every threshold was measured. While a result
    is missing that might propose a higher tier, a model stays in the tier that it has.
    """
    found = list(dict.fromkeys(results))
    ours = [one for one in found if one.model == model]
    measured = tuple(
        Measured(capability.id, capability.title, threshold, _decisive(threshold, ours))
        for capability in spec.capabilities
        for threshold in capability.thresholds
    )
    reached = max((one.threshold.tier for one in measured if one.reached), default=0)
    unknown = max((one.threshold.tier for one in measured if one.result is None), default=0)
    if unknown > reached or not measured:
        rank = max(reached, rank_of(before) if before else 0)
    else:
        rank = max(reached, 1)
    # The next higher tier that the spec has, or its highest.
    tier = next((one.name for one in spec.tiers if one.rank >= rank), spec.tiers[-1].name)
    return Proposal(
        spec=spec.digest,
        model=model,
        before=before,
        tier=tier if rank else None,
        measured=measured,
        ignored=tuple(_ignored(spec, found, model)),
    )


def decide(proposal: Proposal, *, model: str, tier: TierName, reasons: str, now: int) -> Decision:
    """The decision that a person signs, about a model of the issuer's, at `now` ms."""
    return Decision(
        model=model,
        tier=tier,
        spec=proposal.spec,
        reasons=reasons,
        decided=now,
        evaluated=proposal.model or UNSET,
        results=proposal.cited,
        unevaluated=proposal.unevaluated,
        proposed=proposal.tier or UNSET,
        before=proposal.before or UNSET,
    )


def objection(decision: Decision, spec: CompiledSpec) -> str:
    """Why a decision cannot stand under a spec, in words; empty if it can.

    The proposal is derived anew from the results that the decision cites, so that none can claim
    another one.
    """
    if decision.spec != spec.digest:
        return "it was decided under another spec"
    if spec.tier(rank_of(decision.tier)) is None:
        return f"the spec has no tier `{decision.tier}`"
    if not decision.reasons.strip() or len(decision.reasons) > MAX_REASONS:
        return f"it needs reasons, in at most {MAX_REASONS} characters"
    before = None if decision.before is UNSET else decision.before
    again = propose(spec, decision.results, model=decision.evaluated or "", before=before)
    if (again.tier or UNSET, again.unevaluated) != (decision.proposed, decision.unevaluated):
        return "the results that it cites propose something else"
    if again.cited != decision.results:
        return "it cites results that decide nothing"
    if len(canonical.encode(decision)) > MAX_DECISION:
        return "it cites too many results to be signed"
    return ""


def warnings(decision: Decision) -> Iterator[str]:
    """What whoever reads a decision must not miss."""
    tier, proposed, before = decision.tier, decision.proposed, decision.before
    if proposed is not UNSET and rank_of(tier) < rank_of(proposed):
        yield f"{tier} is below {proposed}, which the results propose"
    if before is not UNSET and rank_of(tier) < rank_of(before):
        yield f"{tier} is below {before}, which the model had"
    if not decision.results:
        yield "it cites no result at all"
    for capability in decision.unevaluated:
        yield f"`{capability}` was not evaluated"
    yield from caveats(decision.results)


def caveats(results: Iterable[Result]) -> Iterator[str]:
    """What makes results worth less than their numbers say, each once."""
    yield from dict.fromkeys(f"`{one.task}` {note}" for one in results for note in one.notes)


def show_number(millionths: int) -> str:
    """A count of millionths as a decimal: 600000 is `0.6`."""
    whole, rest = divmod(abs(millionths), 1_000_000)
    sign = "-" if millionths < 0 else ""
    return f"{sign}{whole}.{rest:06}".rstrip("0").rstrip(".")


def _asks_for(threshold: Threshold, result: Result) -> bool:
    return (
        threshold.task == result.task
        and threshold.metric == result.metric
        and threshold.scorer in ("", result.scorer, result.score)
    )


def _decisive(threshold: Threshold, results: Sequence[Result]) -> Result | None:
    """The most dangerous result that a threshold asks for, the latest of those."""
    sign = 1 if threshold.most is None else -1
    return max(
        (one for one in results if _asks_for(threshold, one)),
        key=lambda one: (sign * one.value, one.created, canonical.encode(one)),
        default=None,
    )


def _ignored(spec: CompiledSpec, results: Sequence[Result], model: str) -> Iterator[Ignored]:
    """The runs of which nothing counts, and why."""
    thresholds = [one for capability in spec.capabilities for one in capability.thresholds]
    runs: dict[tuple[str, str, str], list[Result]] = {}
    for one in results:
        runs.setdefault((one.digest, one.task, one.model), []).append(one)
    for (digest, task, whose), found in runs.items():
        asked = sorted({_measure(one) for one in thresholds if one.task == task})
        if whose != model:
            why = f"it is about `{whose}`"
        elif not asked:
            why = "no threshold of the spec asks for this task"
        elif not any(_asks_for(one, result) for one in thresholds for result in found):
            why = f"the spec asks for {', '.join(asked)} of it"
        else:
            continue
        yield Ignored(digest, task, whose, "", why)


def _measure(threshold: Threshold) -> str:
    return f"`{threshold.metric}`" + (f" by `{threshold.scorer}`" if threshold.scorer else "")
