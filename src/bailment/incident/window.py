"""From when on to look: from the first exposure, never from when somebody heard of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from bailment.access.state import Indexed
from bailment.incident.blast_radius import Radius
from bailment.ledger.incident_records import CustodyDeclared

#: A network and a client that a finding was seen with.
Cluster = tuple[str, str]


class Window(msgspec.Struct, frozen=True):
    """When exposure began (ms) and why then; `entry` is its record, -1 where it is a declaration.

    `asked` is the beginning that somebody asked for, 0 if nobody did; `before` how many accesses
    lie between the two, at least: days are counted whole.
    """

    since: int
    entry: int
    why: str
    asked: int = 0
    before: int = 0

    @property
    def misses(self) -> bool:
        """Whether what was asked for begins too late."""
        return bool(self.since) and self.asked > self.since


def first_exposure(
    register: Indexed,
    radius: Radius,
    custody: Iterable[CustodyDeclared] = (),
    clusters: Sequence[Cluster] = (),
) -> Window:
    """The earliest time at which the subject could have been misused: since when a shared system
    keeps it, or the first access of `clusters`, known to be others' than the holder's. Where there
    is neither, its delegation's beginning."""
    found = [Window(since, -1, why) for since, why in _declared(radius, custody)]
    known = set(clusters)
    bad = [use for use in radius.uses if (use.network, use.client) in known]
    if bad:
        first = min(bad, key=lambda use: use.first)
        place = " with ".join(filter(None, (first.network, first.client)))
        found.append(Window(first.began, first.first, f"first access from {place or 'there'}"))
    if not found:
        found = list(_begun(register, radius))
    if not found and radius.uses:
        first = min(radius.uses, key=lambda use: use.first)
        found = [Window(first.began, first.first, "first access")]
    return min(found, key=lambda one: one.since, default=Window(0, -1, "nothing was exposed"))


def _declared(radius: Radius, custody: Iterable[CustodyDeclared]) -> Iterable[tuple[int, str]]:
    """Since when a shared system that it is about, or came to, keeps what it keeps."""
    nodes = {*radius.starts, *(one.node for one in radius.reached)}
    for one in custody:
        if one.since and f"system:{one.system}" in nodes:
            yield one.since, f"credentials are kept in {one.system} since then"


def _begun(register: Indexed, radius: Radius) -> Iterable[Window]:
    """When the delegations of what it is about were signed."""
    for start in radius.starts:
        kind, _, name = start.partition(":")
        links = [register.links[name]] if kind == "link" and name in register.links else []
        links += [one for one in register.links_of(name) if one.kind == kind]
        for link in links:
            granted = register.state.links[link.id]
            yield Window(link.start, granted.index, f"the {link.kind}'s delegation began")
