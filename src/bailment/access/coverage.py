"""Whom a hold would cover, and why: what is shown before it is made, and what it is near to.

The decision never asks this. It looks at the handful of subjects of one access; here everybody is
gone through once, for a person to read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

import msgspec

from bailment import canonical
from bailment.access.chain import Link
from bailment.access.holds import EVERYTHING, held, owners, subjects_along, subjects_of
from bailment.access.state import Indexed

KINDS = (
    *("person", "device", "key", "link", "recipient", "subcontractor", "workload"),
    *("model", "purpose", "network", "attribute", EVERYTHING),
)
_WHY = {
    "recipient": "of this recipient",
    "subcontractor": "of this subcontractor, or below it",
    "person": "the person",
    "workload": "the workload",
    "link": "at or below this delegation",
    "model": "may use the model",
    "purpose": "may act for the purpose",
    "network": "may call from the network",
    EVERYTHING: "everybody",
}
_ORPHAN = "only who is covered answers for it"


class Covered(msgspec.Struct, frozen=True):
    """One delegation to a person or a workload that a hold covers.

    `subject` is the person or workload, `devices` are those covered (of a person all, or the one
    that is held); `held` is the subject of a hold that covers all of it already, or empty.
    """

    subject: str
    link: str
    recipient: str
    devices: tuple[str, ...]
    why: str
    held: str = ""


def covered(register: Indexed, subject: str, now: int) -> list[Covered]:
    """Everybody whom a hold on this subject would cut off, in the order of their links."""
    devices, orphans = defaultdict(list), _orphans(register, subject, now)
    for link in register.links.values():
        if link.kind == "device":
            devices[link.parent].append(link)
    found = []
    for link in register.links.values():
        if link.kind not in ("person", "workload"):
            continue
        path = register.path(link.id)
        if not path or path[0].parent or not _living(register, path, now):
            continue
        below = [one for one in devices[link.id] if _living(register, [one], now)]
        told = _covers(register, subject, path, below)
        if told is None and link.id in orphans:
            told = _ORPHAN, []
        if told is not None:
            why, theirs = told
            by = held(register, subjects_of(path, "", "", ()), now)
            ids = tuple(one.subject for one in theirs)
            about = f"{link.kind}:{link.subject}"
            found.append(Covered(about, link.id, path[0].subject, ids, why, by))
    return found


def _orphans(register: Indexed, subject: str, now: int) -> set[str]:
    """The links of workloads for which nobody would answer any more, though somebody does now."""
    found = set()
    for link in register.links.values():
        if link.kind == "workload":
            chains = list(owners(register, link, now))
            if chains and all(subject in subjects_along(chain) for chain in chains):
                found.add(link.id)
    return found


def digest(people: Iterable[Covered]) -> str:
    """What names this group: SHA-256 over the delegations and devices, hex."""
    named = sorted([one.link, *sorted(one.devices)] for one in people)
    return canonical.digest(canonical.encode(named))


def dead(register: Indexed, subject: str, now: int) -> bool:
    """Whether the subject exists, and nothing can ever match it again."""
    kind, _, name = subject.partition(":")
    if kind == "attribute":
        return not covered(register, subject, now)
    link_id = register.link_of.get(name, "") if kind in ("device", "workload") else name
    if kind not in ("device", "workload", "link") or link_id not in register.links:
        return False
    return not _living(register, register.path(link_id), now)


def near(register: Indexed, subject: str) -> list[str]:
    """Subjects that exist and are written much like this one; for an attribute, its values."""
    kind, _, name = subject.partition(":")
    if kind not in KINDS:
        return [f"{one}:…" for one in get_close_matches(kind, KINDS, 2)]
    known = sorted(set(_known(register, kind)))
    if kind == "attribute":
        same = [one for one in known if one.partition("=")[0] == name.partition("=")[0]]
        return [f"{kind}:{one}" for one in (same or known)[:8]]
    return [f"{kind}:{one}" for one in get_close_matches(name, known, 3)]


def _known(register: Indexed, kind: str) -> Iterator[str]:
    state, links = register.state, register.links.values()
    tables: Mapping[str, Iterable[str]] = {
        "model": state.models,
        "recipient": state.recipients,
        "device": state.devices,
        "network": register.networks,
        "link": register.links,
    }
    if kind in tables:
        yield from tables[kind]
    elif kind == "purpose":
        yield from (purpose for link in links for purpose in link.purposes)
    elif kind == "attribute":
        yield from (f"{key}={value}" for link in links for key, value in link.attributes.items())
    elif kind == "key":
        yield from (register.key(one.key).thumbprint for one in state.devices.values())
    else:
        yield from (link.subject for link in links if link.kind == kind)


def _covers(
    register: Indexed, subject: str, path: list[Link], devices: list[Link]
) -> tuple[str, list[Link]] | None:
    """Why the hold covers whom the path ends in, and with which devices; None if it does not."""
    kind, _, name = subject.partition(":")
    if subject in (EVERYTHING, *subjects_along(path)):
        why = f"{name}, as the employer signed" if kind == "attribute" else _WHY[kind]
        return why, devices
    if kind in ("model", "purpose", "network"):
        member = {"model": "models", "purpose": "purposes", "network": "networks"}[kind]
        named = [getattr(link, member) for link in path if getattr(link, member)]
        # Who is bound to no network may call from any.
        return (_WHY[kind], devices) if all(name in one for one in named) else None
    if kind == "key":
        theirs = [one for one in devices if one.key and register.key(one.key).thumbprint == name]
        return ("a device with the key", theirs) if theirs else None
    theirs = [one for one in devices if subject in (f"device:{one.subject}", f"link:{one.id}")]
    return ("the device", theirs) if theirs else None


def _living(register: Indexed, path: list[Link], now: int) -> bool:
    """Whether the links have not come to their end; one that has not begun will."""
    return all(not register.state.links[one.id].ended and now < one.until for one in path)
