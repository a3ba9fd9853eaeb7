"""How a delegation stands, in a word, for people to read."""

from __future__ import annotations

from bailment.access.holds import held, subjects_of
from bailment.access.state import Indexed


def state_of(register: Indexed, link_id: str, now: int) -> str:
    """How a delegation stands now: `active`, `on hold`, `early`, `expired` or `ended`."""
    path = register.path(link_id)
    if any(register.state.links[link.id].ended for link in path):
        return "ended"
    if any(now >= link.until for link in path):
        return "expired"
    if any(now < link.start for link in path):
        return "early"
    return "on hold" if held(register, subjects_of(path, "", "", ()), now) else "active"
