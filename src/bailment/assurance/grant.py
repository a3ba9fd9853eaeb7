"""Exceptions: a recipient excused from one requirement, in writing, for a while.

A grant is data that two people approved. Whether it counts is decided here each time, by the same
function where it is accepted and where it is evaluated, so that a grant recorded under a laxer
policy, or by hand, excuses nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from bailment import canonical
from bailment.spec.compiled import Exceptions

_Natural = Annotated[int, Meta(ge=0, le=canonical.MAX_INTEGER)]


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`requirement` need not be met at `from_` <= t < `until`; ms since the epoch.

    `approvers` are stable ids of people, `compensating` the measures that stand in, in words;
    `renewals` is how many grants for the same requirement this one prolongs.
    """

    id: str
    requirement: str
    from_: _Natural = msgspec.field(name="from")
    until: _Natural
    approvers: tuple[str, ...]
    compensating: tuple[str, ...] = ()
    renewals: _Natural = 0


def objection(grant: Grant, policy: Exceptions, others: Iterable[Grant]) -> str:
    """Why the policy does not allow the grant, in words; empty if it does.

    `others` are the recipient's other grants. What is prolonged is counted here, whatever
    `renewals` says: a gap shorter than `max_ttl` makes no exception new.
    """
    if grant.requirement in policy.never_for:
        return f"the spec forbids exceptions from `{grant.requirement}`"
    if not 0 < grant.until - grant.from_ <= policy.max_ttl:
        return "it must end after it begins, and within the spec's `max_ttl`"
    if len(set(grant.approvers)) < policy.approvers:
        return f"it needs {policy.approvers} approvers"
    if policy.compensating and not any(map(str.strip, grant.compensating)):
        return "it needs a compensating measure"
    if max(grant.renewals, _prolonged(grant, others, policy.max_ttl)) > policy.max_renewals:
        return f"the spec allows {policy.max_renewals} renewals"
    return ""


def allowed(grants: Sequence[Grant], policy: Exceptions) -> dict[str, tuple[Grant, ...]]:
    """The grants that the policy allows, by requirement, in the order of their ids."""
    found: dict[str, tuple[Grant, ...]] = {}
    for grant in sorted(grants, key=lambda one: one.id):
        if not objection(grant, policy, grants):
            found[grant.requirement] = (*found.get(grant.requirement, ()), grant)
    return found


def _prolonged(grant: Grant, others: Iterable[Grant], gap: int) -> int:
    """How many earlier grants for the requirement lead up to this one without a gap so long."""
    earlier = [
        other
        for other in others
        if other.requirement == grant.requirement
        and (other.from_, other.id) < (grant.from_, grant.id)
    ]
    count, reached = 0, grant.from_
    for other in sorted(earlier, key=lambda one: one.until, reverse=True):
        if other.until > reached - gap:
            count += 1
            reached = min(reached, other.from_)
    return count
