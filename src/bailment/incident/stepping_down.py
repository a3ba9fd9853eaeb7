"""What an organisation loses when evidence about it is marked stale, and who with it: shown before
that is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from bailment.access.assured import evaluated
from bailment.access.coverage import covered
from bailment.access.state import Indexed
from bailment.assurance.standing import tier_at
from bailment.incident.blast_radius import Use


class Lost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An organisation that steps down from the tier of the rank `tier` to that of `left`, 0 for
    none, because these requirements of the former rest on what is stale.

    `models` are those that it reaches no more, `people` how many people and workloads may use one
    of them and are not cut off anyway, `per_day` how many accesses with them they made a day in the
    last week, rounded up.
    """

    organisation: str
    tier: int
    left: int
    because: tuple[str, ...]
    models: tuple[str, ...]
    people: int
    per_day: int


def lost(
    register: Indexed,
    organisation: str,
    kinds: Collection[str],
    cut: Collection[str],
    recent: Sequence[Use],
    now: int,
) -> Lost:
    """What is lost if evidence of these kinds is marked stale now; a spec must be in force.

    `cut` are the people and workloads (as subjects) whom something else cuts off, `recent` is what
    everybody did in the last seven days.
    """
    if register.spec is None:
        raise ValueError("there is no spec that asks for evidence")
    has = tier_at(register.proven(organisation).standing, now)
    found = evaluated(register, organisation, register.spec, now, stale=dict.fromkeys(kinds, now))
    left = min(has, found.standing.tier)
    verdict = found.evaluation.tier(has) if left < has else None
    state = register.state
    models = [name for name, rank in sorted(state.tiers.items()) if left < rank <= has]
    uses: Counter[str] = Counter()
    for use in recent:
        uses[use.device] += use.count * (use.model in models)
    people = rate = 0
    for one in covered(
        register, f"{register.organisations[organisation].kind}:{organisation}", now
    ):
        path = register.path(one.link)
        may = [name for name in models if all(name in (link.models or models) for link in path)]
        if may and one.subject not in cut:
            people += 1
            rate += sum(uses[name] for name in one.devices or [one.subject.partition(":")[2]])
    because = tuple(one.requirement for one in verdict.blocking) if verdict is not None else ()
    return Lost(organisation, has, left, because, tuple(models), people, -(-rate // 7))
