"""Whether a standing's record has room for what it cites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bailment.assurance.item import Item
from bailment.assurance.retention import retained
from bailment.spec.compiled import CompiledSpec

#: Items of one kind and scope that count at a time, and of one recipient all that may be cited:
#: each takes some hundred bytes of a record, which has 256 KiB.
MAX_COUNTING, MAX_CITED = 256, 1_800


def is_crowded(kept: Sequence[Item], new: Sequence[Item], spec: CompiledSpec, now: int) -> bool:
    """Whether with the `new` items too many would count at once, or be cited together.

    An item counts for its kind's age or for as long as it may contradict, and is cited for as long
    as it is retained: as expired, or as a failure that nothing mends. Of what machines report that
    is little, so that reports that come for years leave no less room.
    """
    ages = {kind.name: kind.max_age for kind in spec.kinds.values()}
    for tier in spec.tiers:
        for required in tier.requirements:
            for leaf in required.contradicted_by:
                source = leaf.source
                ages[source.kind] = max(ages[source.kind], source.max_age)
    fresh = [one for one in kept if one.dated + ages.get(one.kind, 0) > now]
    shelves = Counter((one.kind, one.scope) for one in (*fresh, *new))
    fullest = max([shelves[one.kind, one.scope] for one in new], default=0)
    left = list(kept)
    for one in new:
        left = retained(left, one, spec, now)
    return fullest > MAX_COUNTING or sum(one.kind in spec.kinds for one in left) > MAX_CITED
