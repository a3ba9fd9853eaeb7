"""Whether a chain of delegation stands: nobody on it is on hold, and no link of it is over."""

from __future__ import annotations

from bailment.access.holds import EVERYTHING, held, subjects_along
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed


def alive(register: Indexed, link_id: str, now: int) -> Refused | None:
    """Whether the chain down to this link stands now, with nobody in it on hold."""
    path = register.path(link_id)
    subject = held(register, [EVERYTHING, *subjects_along(path)], now)
    if subject:
        return Refused(Reason.HELD, subject=subject)
    for link in path:
        if register.state.links[link.id].ended:
            return Refused(
                Reason.LINK_ENDED, f"the {link.kind}'s link was ended", f"link:{link.id}"
            )
        if now >= link.until:
            return Refused(
                Reason.LINK_EXPIRED, f"the {link.kind}'s link has expired", f"link:{link.id}"
            )
    return None
