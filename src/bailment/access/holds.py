"""Holds: which subjects there are, and which of them cover an access.

A subject is written `kind:id`, or `everything`. One record locks it; lifting or the hold's own
end unlocks it. A hold on a person covers every device of theirs, one on a link all below it.
"""

from __future__ import annotations

from collections.abc import Iterable

from bailment.access.chain import Link
from bailment.access.state import Indexed

EVERYTHING = "everything"


def subject_exists(register: Indexed, subject: str) -> bool:
    """Whether a hold on this subject could ever cover something."""
    if subject == EVERYTHING:
        return True
    kind, _, name = subject.partition(":")
    match kind:
        case "recipient":
            return name in register.state.recipients
        case "person" | "subcontractor":
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


def subjects_of(
    path: Iterable[Link], model: str, purpose: str, networks: Iterable[str]
) -> list[str]:
    """Every subject whose hold covers an access along this chain."""
    subjects = [EVERYTHING, f"model:{model}", f"purpose:{purpose}"]
    subjects += (f"network:{block}" for block in networks)
    return subjects + subjects_along(path)


def subjects_along(path: Iterable[Link]) -> list[str]:
    """The parties of a chain and its links, as subjects."""
    return [s for link in path for s in (f"{link.kind}:{link.subject}", f"link:{link.id}")]


def held(register: Indexed, subjects: Iterable[str], now: int) -> str:
    """The first subject that is on hold now, or empty."""
    if not register.holds_on:
        return ""
    for subject in subjects:
        for hold in register.holds_on.get(subject, ()):
            if not hold.until or now < hold.until:
                return subject
    return ""
