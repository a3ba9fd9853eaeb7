"""What each recipient is to be told of an incident: of its own, and of nobody else's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET

from bailment.access.coverage import dead
from bailment.access.state import Indexed
from bailment.incident.blast_radius import CALLERS, Radius, Use, top_of
from bailment.incident.window import Window
from bailment.ledger.records import AccessOpened

_TOLD = (*CALLERS, "source", "person", "subcontractor", "recipient")
_REPLACED = (*CALLERS, "source")
#: Subjects in one notice; more are told by their number.
_MOST = 200
#: Questions about accesses in one notice, those about what is used least: a thief's hide there.
_ASKED = 12


class Draft(msgspec.Struct, frozen=True):
    """A notice for one recipient: which of its subjects are concerned, since when (ms), how many
    accesses were made from there, what to look at, and which credentials to replace."""

    organisation: str
    since: int
    subjects: tuple[str, ...]
    accesses: int
    check: tuple[str, ...]
    rotate: tuple[str, ...]


class Concerned(msgspec.Struct, frozen=True):
    """A recipient, what of its own is concerned, and what was done with that: of what it is asked
    about, `asked`, the records of the first and last access are wanted."""

    organisation: str
    subjects: tuple[str, ...]
    accesses: int
    asked: tuple[Use, ...]

    @property
    def entries(self) -> set[int]:
        """The entries of those records."""
        return {entry for one in self.asked for entry in (one.first, one.last)}


def concerned(register: Indexed, radius: Radius, misused: Iterable[Use] = ()) -> list[Concerned]:
    """Every recipient of whose something is concerned. It is asked about the accesses that findings
    were seen in, `misused`, where some are its own, and else about all."""
    theirs: dict[str, list[str]] = {}
    for node in (*radius.starts, *(one.node for one in radius.reached)):
        top = _whose(register, node)
        if top and node.partition(":")[0] in _TOLD:
            theirs.setdefault(top, []).append(node)
    bad = list(misused)
    found = []
    for top, nodes in theirs.items():
        devices = {node.partition(":")[2] for node in nodes if node.partition(":")[0] in CALLERS}
        mine = [one for one in bad if one.device in devices]
        mine = mine or [one for one in radius.uses if one.device in devices]
        asked = sorted(mine, key=lambda one: (one.count, one.first))[:_ASKED]
        found.append(Concerned(top, tuple(nodes), sum(one.count for one in mine), tuple(asked)))
    return found


def drafts(
    register: Indexed,
    told: Iterable[Concerned],
    window: Window,
    accesses: Mapping[int, AccessOpened],
    now: int,
) -> list[Draft]:
    """A notice for each of them. `accesses` are those of their entries that could be read. What can
    never be used again need not be replaced."""
    found = []
    for one in told:
        keys = (node for node in one.subjects if node.partition(":")[0] in _REPLACED)
        replaced = [node for node in keys if not dead(register, node, now)]
        check, shown = _check(one, accesses), one.subjects[:_MOST]
        given = (shown, one.accesses, check, tuple(replaced[:_MOST]))
        found.append(Draft(one.organisation, window.since, *given))
    return found


def _whose(register: Indexed, node: str) -> str:
    """The recipient that a subject is of; a source's is that of its organisation."""
    kind, _, name = node.partition(":")
    source = register.state.sources.get(name) if kind == "source" else None
    if source is None:
        return top_of(register, node)
    organisation = register.organisations.get(source.organisation)
    return organisation.recipient if organisation is not None else ""


def _check(one: Concerned, accesses: Mapping[int, AccessOpened]) -> tuple[str, ...]:
    """What to hold against the recipient's own records. Only it can tell whose an access was."""
    names = {node.partition(":")[2]: node for node in one.subjects}
    told = [_question(use, names[use.device], accesses) for use in one.asked]
    rest = one.accesses - sum(use.count for use in one.asked)
    if rest:
        told.append(f"{rest} accesses besides, of the same devices: hold them against your records")
    more = len(one.subjects) - _MOST
    if more > 0:
        told.append(f"{more} subjects besides are concerned: ask us for all of them")
    return tuple(told) or ("no access was made; see who could get at these keys",)


def _question(use: Use, name: str, accesses: Mapping[int, AccessOpened]) -> str:
    """One question. No keyed hash is in it, since nobody else can look one up; an access is called
    what its answer's `x-request-id` was."""
    found = [accesses[entry] for entry in (use.first, use.last) if entry in accesses]
    places = [one.context for one in found if one.context is not UNSET]
    where = [use.network] if use.network.startswith("AS") else []
    where += sorted({f"country {one.country}" for one in places if one.country})
    where += sorted({one.address for one in places if one.address})
    where += [f"the declared network {use.declared}"] if use.declared else []
    ids = " to ".join(dict.fromkeys(one.access for one in found))
    began, ended = _at(use.began), _at(use.ended)
    told = f"{use.count} accesses between {began} and {ended}"
    if use.count == 1:
        told = f"an access at {began}"
    told += f" with {name}, to {use.model}"
    told += f", from {', '.join(where)}" if where else ""
    told += f", by {use.client}" if use.client else ""
    return told + (f" (x-request-id {ids})" if ids else "") + ": were these yours?"


def _at(time: int) -> str:
    """RFC 3339, UTC to the second."""
    return f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
