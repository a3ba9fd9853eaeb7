"""Many recipients falling at once: more likely our collector's outage than theirs.

If one run of evaluations would change more recipients than the spec's share, and more than one,
their expiries are held until a later run changes fewer, and a person is paged; but no longer than
the spec says, which stands in the schedule itself: no outage keeps anybody in for ever. What
evidence shows to have failed is not held, and contradictions never are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from bailment.assurance.standing import Footing, Standing, scheduled, tier_at
from bailment.spec.compiled import Lapsing
from bailment.spec.quantity import MILLION


class Change(NamedTuple):
    """A recipient's standing before and after one run; `since` is when its expiries began to be
    held, in this outage or now."""

    before: Standing | None
    after: Standing
    since: int = 0

    def until(self, lapse: Lapsing) -> int:
        """When what is held lapses all the same."""
        return (self.since or self.after.at) + lapse.hold_at_most


def hold_mass_change(
    changes: Mapping[str, Change], total: int, lapse: Lapsing
) -> dict[str, Standing]:
    """The standings to put in force instead, by recipient; empty unless the share is exceeded.

    `changes` are all that one run led to, `total` the number of all recipients. A recipient
    changes if a tier of it has lapsed and the step down is new or still to come, or if a
    contradiction came up: an outage that strikes one recipient after another is seen as well.
    """
    changed = [name for name, change in changes.items() if falls(change, lapse)]
    if not many(len(changed), total, lapse):
        return {}
    return {
        name: held
        for name in changed
        for held in [held_standing(changes[name], lapse)]
        if held != changes[name].after
    }


def many(changed: int, total: int, lapse: Lapsing) -> bool:
    """Whether so many changing are held. One alone never is: that something expires is ordinary."""
    return changed > 1 and changed * MILLION > lapse.mass_change_hold * total


def falls(change: Change, lapse: Lapsing) -> bool:
    """Whether the recipient changes, as `hold_mass_change` counts it."""
    old = change.before.contradictions if change.before else ()
    if {one.requirement for one in change.after.contradictions} - {one.requirement for one in old}:
        return True
    return any(_falling(footing, change, lapse) for footing in change.after.footings)


def graced(standing: Standing, lapse: Lapsing, at: int) -> bool:
    """Whether at `at` a tier has lapsed that its grace still keeps."""
    ends = (one.lapses for one in standing.footings if one.lapses is not None)
    return any(lapses <= at < lapses + lapse.grace for lapses in ends)


def held_back(standing: Standing) -> bool:
    """Whether anything that expired is held in it."""
    return any(footing.held for footing in standing.footings)


def held_standing(change: Change, lapse: Lapsing) -> Standing:
    """As if what expired had not: it lapses when a later evaluation is put in force, or at the end
    of the hold."""
    until = change.until(lapse)
    if until <= change.after.at:
        return change.after
    footings = tuple(
        replace(footing, lapses=until, held=True)
        if _falling(footing, change, lapse) and not footing.failed
        else footing
        for footing in change.after.footings
    )
    standing = replace(change.after, footings=footings)
    return scheduled(standing, lapse, tier_at(change.before, standing.at))


def _falling(footing: Footing, change: Change, lapse: Lapsing) -> bool:
    """Whether the tier has lapsed, and either since before or with its step down still to come."""
    at = change.after.at
    if footing.lapses is None or footing.lapses > at:
        return False
    if at < footing.lapses + lapse.grace:
        return True
    before = change.before
    return before is not None and not any(
        old.rank == footing.rank and old.lapses is not None and old.lapses <= before.at
        for old in before.footings
    )
