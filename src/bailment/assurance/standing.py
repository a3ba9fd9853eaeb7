"""The tier in force over time: what the gateway looks up, computed ahead from an evaluation.

A tier that evidence holds is in force. When it lapses the recipient keeps it for the grace period;
then a lower tier is in force, whether evidence holds that one or not; then none:

    earned ──lapse──▶ grace ──grace──▶ stepped-down ──suspend_after──▶ none

A schedule never raises anybody: only a new evaluation does, so an evaluator that stands still can
keep nobody in who should be out. There is grace only for a tier that was held, counted from the
moment at which it lapsed, and no evaluation in between starts it anew.

What is lost since evidence was marked stale has no grace, and supports no lower tier: in force is
what the rest of the evidence holds.

A contradiction has no grace. From `contradicted_after` on no tier above the policy's is in force,
and none that the contradicted requirement belongs to, as long as evidence contradicts it. It counts
where the requirement belongs to a tier that was held when it came up: nobody loses a tier over what
only a higher one asks for.

Nobody is locked out silently. Every step down is announced: ahead of the lapse as the policy says,
and at the lapse; where the lapse could not be foreseen, at once.

Tiers are ranks, 0 for none; times are ms since the epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from bailment.assurance.evaluation import Evaluation
from bailment.assurance.proof_tree import NEVER
from bailment.spec.compiled import Lapsing

#: Why a tier is in force, or none is.
Phase = Literal["earned", "grace", "stepped-down", "contradicted", "none"]


class Footing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tier that evidence holds or held, until when, and the requirements that then lapse.

    `failed`: evidence shows one of them to be unmet, rather than being too old. `held`: they have
    expired, and that is held until it lapses (`mass_change`).
    """

    rank: int
    lapses: int | None = None
    requirements: tuple[str, ...] = ()
    failed: bool = False
    held: bool = False


class Contradiction(msgspec.Struct, frozen=True):
    """A requirement that evidence contradicts, since which evaluation, at which tiers."""

    requirement: str
    since: int
    ranks: tuple[int, ...]


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """From `at` on `tier` is in force, because of these requirements."""

    at: int
    tier: int
    phase: Phase
    requirements: tuple[str, ...] = ()


class Notice(msgspec.Struct, frozen=True):
    """To be sent at `at`: the step down at `step` is coming. Two that are equal are one."""

    at: int
    step: int
    tier: int


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """The tier in force from `at` on.

    `steps` begin at `at`; their tiers only fall. `until` is when to evaluate again if nothing new
    arrives. `footings` and `contradictions` are what the next standing needs of this one.
    """

    at: int
    steps: tuple[Step, ...]
    notices: tuple[Notice, ...] = ()
    until: int | None = None
    footings: tuple[Footing, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()

    @property
    def tier(self) -> int:
        """The tier in force at `at`."""
        return self.steps[0].tier

    def due(self, now: int) -> int | None:
        """The first instant after `now` at which there is something to do: evaluate, tell, note
        a step."""
        instants = [step.at for step in self.steps] + [notice.at for notice in self.notices]
        if self.until is not None:
            instants.append(self.until)
        return min((instant for instant in instants if instant > now), default=None)


def step_at(standing: Standing, now: int) -> Step | None:
    """The step in force at `now`; None before the standing begins."""
    return next((step for step in reversed(standing.steps) if step.at <= now), None)


def tier_at(standing: Standing | None, now: int) -> int:
    """The tier in force at `now`: 0 without a standing, and before it begins."""
    step = None if standing is None else step_at(standing, now)
    return 0 if step is None else step.tier


def advance(
    previous: Standing | None,
    evaluation: Evaluation,
    lapse: Lapsing,
    at: int,
    ungraced: Collection[int] = (),
) -> Standing:
    """The standing from `at` on, by the evaluation made then.

    Fold the evaluations of a recipient in order. `previous` is None before the first one. Tiers of
    the ranks `ungraced` are not held, and nothing is left of them.
    """
    before = previous or Standing(at, ())
    contradictions = tuple(_contradictions(before, evaluation, at))
    over = {rank for one in contradictions if _begins(one, lapse) <= at for rank in one.ranks}
    footings = tuple(
        footing
        for footing in _footings(before, evaluation, at)
        if footing.rank not in over
        and footing.rank not in ungraced
        # What has just lapsed is kept even without grace: it may yet be held (`mass_change`).
        and (_lapses(footing) > before.at or _support(footing, lapse, at) is not None)
    )
    standing = Standing(at, (), before.notices, evaluation.until, footings, contradictions)
    return scheduled(standing, lapse, tier_at(previous, at))


def scheduled(standing: Standing, lapse: Lapsing, before: int) -> Standing:
    """The standing with the steps and notices that follow from its footings and contradictions.

    Of its notices those remain whose step is still to come. `before` is the tier that was in force.
    """
    steps = tuple(_steps(standing, lapse))
    falls = [(a, b) for a, b in pairwise(steps) if b.tier < a.tier]
    notices = {one for a, b in falls for one in _notices(standing, a, b, lapse)}
    if steps[0].tier < before:
        notices.add(Notice(standing.at, standing.at, steps[0].tier))
    return replace(standing, steps=steps, notices=tuple(sorted(notices, key=_in_order)))


def _contradictions(before: Standing, evaluation: Evaluation, at: int) -> Iterator[Contradiction]:
    """Those that came up at a tier that was held, or did before and are not over."""
    since = {one.requirement: one.since for one in before.contradictions}
    highest = max((footing.rank for footing in before.footings), default=0)
    found: dict[str, list[int]] = {}
    for tier in evaluation.tiers:
        for verdict in tier.verdicts:
            if verdict.status == "contradicted":
                found.setdefault(verdict.requirement, []).append(tier.rank)
    for requirement, ranks in sorted(found.items()):
        if requirement in since or min(ranks) <= highest:
            yield Contradiction(requirement, since.get(requirement, at), tuple(ranks))


def _footings(before: Standing, evaluation: Evaluation, at: int) -> Iterator[Footing]:
    """Every tier that is held, or was and has lapsed."""
    known = {footing.rank: footing for footing in before.footings}
    for tier in evaluation.tiers:
        old = known.get(tier.rank)
        if tier.held:
            first = (v.requirement for v in tier.verdicts if v.lapses == tier.lapses)
            yield Footing(tier.rank, tier.lapses, () if tier.lapses is None else tuple(first))
        elif old is not None:
            foreseen = old.lapses is not None and old.lapses <= at
            yield Footing(
                tier.rank,
                old.lapses if foreseen else at,
                tuple(verdict.requirement for verdict in tier.blocking),
                any(verdict.status == "failed" for verdict in tier.blocking),
            )


class _Support(NamedTuple):
    """The tier that a footing supports, as its own or a lower one, until when, as what, and what
    then lapses; the greatest is the one that counts."""

    tier: int
    own: bool
    until: int
    phase: Phase
    requirements: tuple[str, ...]


def _support(footing: Footing, lapse: Lapsing, at: int) -> _Support | None:
    """What a footing supports at an instant; None if nothing any more."""
    lapses = _lapses(footing)
    down = lapses + lapse.grace
    over = down + lapse.suspend_after
    if at < lapses:
        return _Support(footing.rank, True, lapses, "earned", footing.requirements)
    if at < down:
        return _Support(footing.rank, True, down, "grace", footing.requirements)
    lower = min(footing.rank - 1, lapse.then)
    if at < over and lower:
        return _Support(lower, False, over, "stepped-down", footing.requirements)
    return None


def _steps(standing: Standing, lapse: Lapsing) -> Iterator[Step]:
    """From `standing.at` until nothing changes any more."""
    at, told = standing.at, None
    lapsed: tuple[str, ...] = ()
    while True:
        against = [one for one in standing.contradictions if _begins(one, lapse) <= at]
        step, until, lapsed = _step(standing.footings, against, lapse, at, lapsed)
        if told is None or (step.tier, step.phase) != (told.tier, told.phase):
            yield step
            told = step
        begins = (_begins(one, lapse) for one in standing.contradictions)
        at = min((begin for begin in begins if begin > at), default=NEVER)
        at = min(at, until)
        if at >= NEVER:
            return


def _step(
    footings: tuple[Footing, ...],
    against: list[Contradiction],
    lapse: Lapsing,
    at: int,
    lapsed: tuple[str, ...],
) -> tuple[Step, int, tuple[str, ...]]:
    """The tier in force at an instant, until when it is supported, and what then lapses; `lapsed`
    is what lapsed just before."""
    gone = {rank for one in against for rank in one.ranks}
    found = [_support(footing, lapse, at) for footing in footings if footing.rank not in gone]
    top = max((one for one in found if one is not None), default=None)
    if top is None:
        top = _Support(0, False, NEVER, "none", lapsed)
    if against:
        tier = min(top.tier, lapse.contradicted)
        because = tuple(one.requirement for one in against)
        return Step(at, tier, "contradicted", because), top.until, top.requirements
    because = lapsed if top.phase == "earned" else top.requirements
    return Step(at, top.tier, top.phase, because), top.until, top.requirements


def _lapses(footing: Footing) -> int:
    return NEVER if footing.lapses is None else footing.lapses


def _begins(contradiction: Contradiction, lapse: Lapsing) -> int:
    return contradiction.since + lapse.contradicted_after


def _notices(standing: Standing, before: Step, step: Step, lapse: Lapsing) -> set[Notice]:
    """What announces a step down: ahead of the lapse and of the step, and at the lapse. What was
    planned for the step already stays planned; what comes too late for all of it is said now."""
    graced = before.phase == "grace"
    lapses = step.at - lapse.grace if graced else step.at
    planned = {lapses - ahead for ahead in lapse.notice}
    planned |= {max(lapses, step.at - ahead) for ahead in lapse.notice}
    notices = {Notice(at, step.at, step.tier) for at in planned if standing.at <= at < step.at}
    notices |= {one for one in standing.notices if (one.step, one.tier) == (step.at, step.tier)}
    return notices or {Notice(standing.at, step.at, step.tier)}


def _in_order(notice: Notice) -> tuple[int, int, int]:
    return notice.at, notice.step, notice.tier
