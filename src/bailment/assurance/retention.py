"""Which evidence can still decide something: the rest need not be kept in the register's state.

Machines report daily, and only the newest report of a scope that counts decides a leaf. An older
one is kept while it says what no newer one does, or contradicts.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailment.assurance.item import Item
from bailment.assurance.proof_tree import newness, reads
from bailment.spec.compiled import Check, Claim, CompiledSpec, sources
from bailment.spec.terms import RANK


def retained(items: Sequence[Item], new: Item, spec: CompiledSpec, now: int) -> list[Item]:
    """The items that may still decide something once `new` is among them, with it.

    Whether a requirement is held, or contradicted, is the same with these as with all of them, at
    `now` and ever after. All have been received.
    """
    kind = spec.kinds.get(new.kind)
    if kind is None or kind.class_ == "process":  # what people state adds up
        return [*items, new]
    required = [one for tier in spec.tiers for one in tier.requirements]
    asked = max(
        (s.rank for one in required for s in sources(one.rule) if s.kind == new.kind), default=0
    )
    if RANK[new.independence] < asked:  # to some rule it says nothing, and mends nothing
        return [*items, new]
    against = [
        leaf for one in required for leaf in one.contradicted_by if leaf.source.kind == new.kind
    ]
    return [*(old for old in items if not _superseded(old, new, against, now)), new]


def _superseded(old: Item, new: Item, against: Sequence[Check | Claim], now: int) -> bool:
    return (
        (old.kind, old.scope) == (new.kind, new.scope)
        and newness(old) < newness(new)
        and _said(old) <= _said(new)
        and not any(old.dated + leaf.source.max_age > now and reads(leaf, old) for leaf in against)
    )


def _said(item: Item) -> set[tuple[str, str]]:
    """What an item says anything about."""
    checks = {("check", name) for name, result in item.checks.items() if result != "inconclusive"}
    return checks | {("claim", name) for name in item.claims}
