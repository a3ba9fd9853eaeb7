"""Holds: which subjects there are, and which of them cover an access.

A subject is written `kind:id`, or `everything`. One record locks it; lifting or the hold's own
end unlocks it. A hold on a person covers every device of theirs, one on a link all below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bailment.access.chain import Link
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed
from bailment.ledger.records import EnrolmentRequested

EVERYTHING = "everything"
#: What the kill switch is in the log: a hold on all, which no `hold` command adds or lifts.
KILL_SWITCH = "kill-switch"


def subject_exists(register: Indexed, subject: str) -> bool:
    """Whether a hold on this subject could ever cover something."""
    if subject in (EVERYTHING, KILL_SWITCH):
        return True
    kind, _, name = subject.partition(":")
    match kind:
        case "recipient":
            return name in register.state.recipients
        case "key":
            return any(register.key(one.key).thumbprint == name for one in _devices(register))
        case "attribute":
            told = (link.attributes.items() for link in register.links.values())
            return any(f"{key}={value}" == name for items in told for key, value in items)
        case "person" | "subcontractor" | "workload":
            link = register.links.get(register.link_of.get(name, ""))
            return link is not None and link.kind == kind
        case "device":
            return name in register.state.devices
        case "link":
            return name in register.links
        case "model":
            return name in register.state.models
        case "purpose":
            return any(name in link.purposes for link in register.links.values())
        case "network":
            return name in register.networks
    return False


def _devices(register: Indexed) -> Iterable[EnrolmentRequested]:
    return register.state.devices.values()


def subjects_of(
    path: Iterable[Link], model: str, purpose: str, networks: Iterable[str], key: str = ""
) -> list[str]:
    """Every subject whose hold covers an access along this chain."""
    subjects = [EVERYTHING, KILL_SWITCH, f"model:{model}", f"purpose:{purpose}", f"key:{key}"]
    subjects += (f"network:{block}" for block in networks)
    return subjects + subjects_along(path)


def subjects_along(path: Iterable[Link]) -> list[str]:
    """The parties of a chain, what is vouched for of them, and its links, as subjects."""
    return [
        subject
        for link in path
        for subject in (
            f"{link.kind}:{link.subject}",
            f"link:{link.id}",
            *(f"attribute:{name}={value}" for name, value in link.attributes.items()),
        )
    ]


def owned(register: Indexed, workload: Link, now: int) -> Refused | None:
    """Why nobody answers for a workload: its owner must have a living link of the organisation that
    runs it, and not be on hold."""
    if any(owners(register, workload, now)):
        return None
    return Refused(
        Reason.OWNER_GONE,
        "who answered for this workload has no access any more; have somebody else answer for it",
        f"workload:{workload.subject}",
    )


def owners(register: Indexed, workload: Link, now: int) -> Iterator[list[Link]]:
    """The chains by which a workload's owner answers for it now."""
    for link in register.links_of(workload.owner):
        path = register.path(link.id)
        if link.kind != "person" or link.parent != workload.parent:
            continue
        alive = all(
            not register.state.links[one.id].ended and one.start <= now < one.until for one in path
        )
        if alive and not held(register, subjects_along(path), now):
            yield path


def held(register: Indexed, subjects: Iterable[str], now: int) -> str:
    """The first subject that is on hold now, or empty."""
    if not register.holds_on:
        return ""
    for subject in subjects:
        for hold in register.holds_on.get(subject, ()):
            if not hold.until or now < hold.until:
                return subject
    return ""
