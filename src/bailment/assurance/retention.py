"""Which evidence can still decide something: the rest need not be kept in the register's state.

Machines report daily, and only what is newest decides. An older report is kept while it says what
no newer one does, was collected more independently than each that does, fails what none of them
mends, or contradicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bailment.assurance.item import Item
from bailment.assurance.proof_tree import newness, reads
from bailment.spec.compiled import CompiledSpec, Join, leaves
from bailment.spec.terms import RANK


def retained(items: Sequence[Item], new: Item, spec: CompiledSpec, now: int) -> list[Item]:
    """The items that may still decide something once `new` is among them, with it.

    Whether a requirement is held, or contradicted, is the same with these as with all of them, at
    `now` and ever after. All have been received. However many reports come, of a scope stay beside
    `new` at most two for each rung of the ladder and leaf of the spec, one for each rung that joins
    may look at, and what contradicts.
    """
    kind = spec.kinds.get(new.kind)
    every = [*items, new]
    if kind is None or kind.class_ == "process":  # what people state adds up
        return every
    shelf = [one for one in every if (one.kind, one.scope) == (kind.name, new.scope)]
    shelf.sort(key=newness, reverse=True)
    kept = {new.id, *_deciding(shelf, lambda _: True, 0)}
    for required in [one for tier in spec.tiers for one in tier.requirements]:
        for leaf in leaves(required.rule):
            if not isinstance(leaf, Join) and leaf.source.kind == kind.name:
                kept.update(_deciding(shelf, partial(reads, leaf), leaf.source.rank))
        for leaf in required.contradicted_by:
            if leaf.source.kind == kind.name:
                fresh = (one for one in shelf if one.dated + leaf.source.max_age > now)
                kept.update(one.id for one in fresh if reads(leaf, one))
    return [
        one for one in every if one.id in kept or (one.kind, one.scope) != (kind.name, new.scope)
    ]


def _deciding(
    shelf: Sequence[Item], says: Callable[[Item], bool | None], least: int
) -> Iterator[str]:
    """The ids of those that can decide a leaf which asks for the rung `least`, the newest first.

    A pass gives way to what is newer, as independent, and says anything: what mends that, if it is
    a failure, mends all that the pass did. A failure gives way to what is newer, as independent,
    and a failure or a pass that counts. What they give way to gives way to what they would.
    """
    told = firm = -1
    for item in shelf:
        passes, rank = says(item), RANK[item.independence]
        if passes is None:
            continue
        if rank > (told if passes else firm):
            yield item.id
        told = max(told, rank)
        if not passes or rank >= least:
            firm = max(firm, rank)
