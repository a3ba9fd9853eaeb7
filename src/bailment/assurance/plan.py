"""What another spec would do to whom, and when, before it is applied.

Both specs judge the same evidence at the same instant, and standing follows from each as if nothing
new arrived. Whoever has the same inputs gets the same plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from bailment.assurance.evaluation import Evaluation, Status, Verdict, evaluate
from bailment.assurance.grant import Grant
from bailment.assurance.item import Item
from bailment.assurance.mass_change import Change, hold_mass_change
from bailment.assurance.proof_tree import NEVER
from bailment.assurance.standing import Phase, Standing, advance, step_at, tier_at
from bailment.spec.compiled import CompiledSpec


class Holding(msgspec.Struct, frozen=True):
    """What is known of a recipient: its evidence, its exceptions, and its standing now, if any."""

    items: Sequence[Item] = ()
    exceptions: Sequence[Grant] = ()
    standing: Standing | None = None


class Because(msgspec.Struct, frozen=True):
    """A requirement of the tier in question that fares otherwise; `unasked` where the tier, or the
    spec, does not ask for it. The lapses are when it ceases to be met, where it is met."""

    requirement: str
    before: Status | Literal["unasked"]
    after: Status | Literal["unasked"]
    lapses_before: int | None = None
    lapses_after: int | None = None


class Effect(msgspec.Struct, frozen=True):
    """A recipient whose tier in force would be another: from `at` on, the first such instant.

    `phase` is why the tier after is in force (`standing.Step`). `because` is empty where only the
    lapse policy makes the difference. `held`: so many would change at once that a person must
    decide first.
    """

    recipient: str
    at: int
    before: int
    after: int
    phase: Phase
    because: tuple[Because, ...] = ()
    held: bool = False


def plan(
    old: CompiledSpec | None, new: CompiledSpec, recipients: Mapping[str, Holding], at: int
) -> tuple[Effect, ...]:
    """The effects of putting `new` in the place of `old` at `at`, ms; the soonest first.

    `old` is None where no spec has been applied yet: then nobody has a tier.
    """
    changes: dict[str, Change] = {}
    effects = []
    for name, one in recipients.items():
        before = stays = None
        if old is not None:
            before = evaluate(old, one.items, one.exceptions, at)
            stays = advance(one.standing, before, old.lapse, at)
        after = evaluate(new, one.items, one.exceptions, at)
        goes = advance(one.standing, after, new.lapse, at)
        changes[name] = Change(one.standing, goes)
        effect = _effect(name, stays, goes, before, after)
        if effect is not None:
            effects.append(effect)
    held = hold_mass_change(changes, len(recipients), new.lapse)
    return tuple(
        replace(effect, held=effect.recipient in held)
        for effect in sorted(effects, key=lambda effect: (effect.at, effect.recipient))
    )


def _effect(
    name: str,
    stays: Standing | None,
    goes: Standing,
    before: Evaluation | None,
    after: Evaluation,
) -> Effect | None:
    """The first difference between two standings; None if there is none."""
    steps = (*(stays.steps if stays else ()), *goes.steps)
    for at in sorted({step.at for step in steps}):
        tier, step = tier_at(stays, at), step_at(goes, at)
        if step is not None and step.tier != tier:
            because = _because(before, after, max(tier, step.tier), falls=step.tier < tier)
            return Effect(name, at, tier, step.tier, step.phase, because)
    return None


def _because(
    before: Evaluation | None, after: Evaluation, rank: int, *, falls: bool
) -> tuple[Because, ...]:
    """The requirements of the tier that one spec sees met and the other not; or else, those that
    cease to be met first."""
    old, new = _verdicts(before, rank), _verdicts(after, rank)
    found = [
        Because(
            id_,
            old[id_].status if id_ in old else "unasked",
            new[id_].status if id_ in new else "unasked",
            old[id_].lapses if id_ in old else None,
            new[id_].lapses if id_ in new else None,
        )
        for id_ in sorted(old.keys() | new.keys())
    ]
    worse, better = (new, old) if falls else (old, new)
    unmet = [
        one
        for one in found
        if one.requirement in worse
        and not worse[one.requirement].held
        and (one.requirement not in better or better[one.requirement].held)
    ]
    return tuple(unmet or _sooner(found, worse, better))


def _sooner(
    found: list[Because], worse: dict[str, Verdict], better: dict[str, Verdict]
) -> Iterator[Because]:
    """Those that the worse side sees lapse first, if the better one sees them last longer."""
    lapses = {id_: verdict.lapses for id_, verdict in worse.items() if verdict.lapses is not None}
    first = min(lapses.values(), default=NEVER)
    for one in found:
        if lapses.get(one.requirement) == first:
            other = better.get(one.requirement)
            if other is None or other.lapses is None or other.lapses > first:
                yield one


def _verdicts(evaluation: Evaluation | None, rank: int) -> dict[str, Verdict]:
    tier = evaluation.tier(rank) if evaluation else None
    return {verdict.requirement: verdict for verdict in tier.verdicts} if tier else {}
