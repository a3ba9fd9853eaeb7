"""Whether a recipient's standing reaches a model, as the decision asks for each access.

Standing is a schedule that was computed ahead, so this is a lookup. Why it does not reach is put
together only where it does not.
"""

from __future__ import annotations

from bailment.access.chain import GRANTORS, Link
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed
from bailment.assurance.standing import Standing, tier_at
from bailment.spec.compiled import CompiledSpec, Required, sources
from bailment.spec.terms import TIERS

_ASK = "`bailment standing show` tells its admin more, `bailment why` the issuer"


def reach(register: Indexed, path: list[Link], model: str, now: int) -> Refused | None:
    """Why the standing of an organisation on this chain does not reach a model now, or None.

    Where no spec is in force nothing has to be proven, which `bailment doctor` says loudly.
    """
    if register.spec is None or register.state.models[model].canary is True:
        return None
    needed = register.state.tiers.get(model, 0)
    if not needed:
        return Refused(Reason.MODEL_UNTIERED, f"nobody has decided the tier of `{model}`")
    hands, deepest = sum(link.kind == "subcontractor" for link in path), register.conditions.depth
    if hands > deepest[needed - 1]:
        return Refused(
            Reason.CHAIN_BROKEN,
            f"the spec lets {deepest[needed - 1]} subcontractors reach a model of {_tier(needed)}, "
            f"and this chain has {hands}",
            f"link:{path[-1].id}",
        )
    # A subcontractor proves as much as who delegates to it, unless the spec asks for nothing.
    asked = GRANTORS if register.conditions.delegate_meets else ("recipient",)
    for link in path:
        if link.kind not in asked:
            continue
        proven = register.proven(link.subject)
        has = tier_at(proven.standing, now)
        if has < needed:
            name = register.organisations[link.subject].handle
            whose = f"the subcontractor {name}'s " if link.kind == "subcontractor" else ""
            return Refused(
                Reason.STANDING_TOO_LOW,
                f"`{model}` is {_tier(needed)}, and {whose}standing is {_tier(has)} now: "
                + _lacking(register.spec, proven.unmet, needed, proven.standing, now),
                f"{link.kind}:{link.subject}",
            )
    return None


def _lacking(
    spec: CompiledSpec,
    unmet: dict[str, dict[str, str]],
    needed: int,
    standing: Standing | None,
    now: int,
) -> str:
    """The requirements that stand in the way, and which evidence would meet them."""
    tier = spec.tier(needed)
    if tier is None:
        return f"the spec has no {_tier(needed)}"
    if standing is None:
        return "nothing has been evaluated yet"
    known = dict(unmet.get(tier.name, {}))
    for step in standing.steps:
        if step.at <= now:  # what has lapsed since the evaluation
            known = dict.fromkeys(step.requirements, "expired") | known
    shown = [
        f"{one.id} {known[one.id]} ({one.title}; by {_kinds(one)})"
        for one in tier.requirements
        if one.id in known
    ]
    more = f", and {len(shown) - 3} more" if len(shown) > 3 else ""
    return "; ".join(shown[:3]) + more + f"; {_ASK}"


def _kinds(required: Required) -> str:
    """The evidence that can meet a requirement."""
    return ", ".join(dict.fromkeys(source.kind for source in sources(required.rule)))


def _tier(rank: int) -> str:
    return TIERS[rank - 1] if rank else "none"
