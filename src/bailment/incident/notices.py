"""What each recipient is to be told of an incident: of its own, and of nobody else's."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bailment.access.state import Indexed
from bailment.incident.blast_radius import CALLERS, Radius, Use, top_of
from bailment.incident.window import Window

_TOLD = (*CALLERS, "person", "subcontractor", "recipient")
#: Subjects in one notice; more are told by their number.
_MOST = 200


class Draft(msgspec.Struct, frozen=True):
    """A notice for one recipient: which of its subjects are concerned, since when (ms), how many
    accesses were made from there, what to look at, and which credentials to replace."""

    organisation: str
    since: int
    subjects: tuple[str, ...]
    accesses: int
    check: tuple[str, ...]
    rotate: tuple[str, ...]


def drafts(
    register: Indexed, radius: Radius, window: Window, misused: Iterable[Use] = ()
) -> list[Draft]:
    """A notice for every recipient of whose something is concerned."""
    theirs: dict[str, list[str]] = {}
    for node in (*radius.starts, *(one.node for one in radius.reached)):
        top = top_of(register, node)
        if top and node.partition(":")[0] in _TOLD:
            theirs.setdefault(top, []).append(node)
    bad = list(misused)
    found = []
    for top, nodes in theirs.items():
        devices = {node.partition(":")[2] for node in nodes if node.partition(":")[0] in CALLERS}
        mine = [one for one in bad or radius.uses if one.device in devices]
        check = _check(mine, known=bool(bad))
        rotate = tuple(node for node in nodes if node.partition(":")[0] in CALLERS)[:_MOST]
        count = sum(one.count for one in mine)
        found.append(Draft(top, window.since, tuple(nodes[:_MOST]), count, check, rotate))
    return found


def _check(uses: list[Use], *, known: bool) -> tuple[str, ...]:
    """What to hold against the recipient's own records."""
    networks = sorted({one.network for one in uses} - {""})
    clients = sorted({one.client for one in uses} - {""})
    whose = "these were not yours" if known else "were these yours"
    told = [f"accesses from {one}: {whose}" for one in networks[:16]]
    told += [f"accesses with the client {one}: {whose}" for one in clients[:16]]
    return tuple(told) or ("no access was made; see who could get at these keys",)
