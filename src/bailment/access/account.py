"""A recipient's standing, told: what it holds, what is ahead, and what keeps it from more."""

from __future__ import annotations

import msgspec

from bailment.access.assured import evaluated
from bailment.access.staling import ended, marks
from bailment.access.state import Indexed
from bailment.assurance.item import Item
from bailment.assurance.mass_change import held_back
from bailment.assurance.proof_tree import NEVER
from bailment.assurance.standing import Notice, Phase, Step, step_at
from bailment.spec.terms import TIERS, Independence


class Lacking(msgspec.Struct, frozen=True):
    """A requirement that keeps a tier from being held."""

    requirement: str
    title: str
    status: str


class Holding(msgspec.Struct, frozen=True):
    """A requirement that is satisfied or excused; `ends` is when it no longer is if nothing new
    arrives, ms (None: never)."""

    requirement: str
    title: str
    status: str
    ends: int | None


class Shown(msgspec.Struct, frozen=True):
    """The newest evidence of a kind about a scope; `ends` is when it is too old, whatever tier and
    requirement ask for, ms."""

    id: str
    kind: str
    scope: str
    independence: Independence
    dated: int
    ends: int
    simulated: bool
    notes: tuple[str, ...]


class Account(msgspec.Struct, frozen=True):
    """`tier` is in force at `at` (None: none) since `since`; times are ms.

    `held_back`: what expired was held, since too many recipients would have fallen at once.
    `lacking` is as last evaluated, `holding` as of `at`, by tier.
    """

    recipient: str
    spec: str
    at: int
    tier: str | None
    phase: Phase
    since: int
    evaluated: int
    held_back: bool
    ahead: tuple[Step, ...]
    notices: tuple[Notice, ...]
    lacking: dict[str, tuple[Lacking, ...]]
    holding: dict[str, tuple[Holding, ...]]
    evidence: tuple[Shown, ...]


def account(register: Indexed, recipient: str, now: int) -> Account:
    """How a recipient stands at `now`, by what was last evaluated."""
    proven, spec = register.proven(recipient), register.spec
    standing = proven.standing
    step = None if standing is None else step_at(standing, now)
    titles = {
        one.id: one.title for tier in (spec.tiers if spec else ()) for one in tier.requirements
    }
    return Account(
        recipient=register.organisations[recipient].handle,
        spec=f"{spec.id} {spec.version}" if spec else "",
        at=now,
        tier=TIERS[step.tier - 1] if step and step.tier else None,
        phase=step.phase if step else "none",
        since=step.at if step else 0,
        evaluated=standing.at if standing else 0,
        held_back=standing is not None and held_back(standing),
        ahead=tuple(one for one in standing.steps if one.at > now) if standing else (),
        notices=tuple(one for one in standing.notices if one.step > now) if standing else (),
        lacking={
            tier: tuple(
                Lacking(one, titles.get(one, one), status) for one, status in sorted(found.items())
            )
            for tier, found in sorted(proven.unmet.items())
        },
        holding=_holding(register, recipient, titles, now),
        evidence=tuple(_newest(register, [ended(item, marks(proven)) for item in proven.items])),
    )


def _holding(
    register: Indexed, recipient: str, titles: dict[str, str], now: int
) -> dict[str, tuple[Holding, ...]]:
    """What holds of each tier, that which ends first first."""
    if register.spec is None:
        return {}
    found = evaluated(register, recipient, register.spec, now).evaluation
    return {
        TIERS[tier.rank - 1]: tuple(
            Holding(one.requirement, titles[one.requirement], one.status, one.lapses)
            for one in sorted(tier.verdicts, key=lambda one: one.lapses or NEVER)
            if one.held
        )
        for tier in found.tiers
    }


def _newest(register: Indexed, items: list[Item]) -> list[Shown]:
    newest: dict[tuple[str, str], Item] = {}
    for item in items:
        before = newest.get((item.kind, item.scope))
        if before is None or (before.dated, before.received) <= (item.dated, item.received):
            newest[item.kind, item.scope] = item
    return [_shown(register, item) for _, item in sorted(newest.items())]


def _shown(register: Indexed, item: Item) -> Shown:
    kind = register.spec.kinds.get(item.kind) if register.spec else None
    ends = item.dated + (kind.max_age if kind else 0)
    return Shown(
        item.id,
        item.kind,
        item.scope,
        item.independence,
        item.dated,
        min(ends, item.expires) if item.expires else ends,
        item.simulated,
        item.notes,
    )
