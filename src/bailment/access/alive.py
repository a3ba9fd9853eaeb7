"""Whether a chain of delegation stands: nobody on it is on hold, and no link of it is over."""

from __future__ import annotations

from bailment.access.chain import Link
from bailment.access.holds import EVERYTHING, held, subjects_along
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed


def alive(register: Indexed, link_id: str, now: int) -> Refused | None:
    """Whether the chain down to this link stands now, with nobody in it on hold."""
    path = register.path(link_id)
    subject = held(register, [EVERYTHING, *subjects_along(path)], now)
    if subject:
        return Refused(Reason.HELD, subject=subject)
    return next(filter(None, (over(register, link, now) for link in path)), None)


def over(register: Indexed, link: Link, now: int) -> Refused | None:
    """Whether this link, whatever stands above it, has come to its end."""
    if register.state.links[link.id].ended:
        return Refused(Reason.LINK_ENDED, f"the {link.kind}'s link was ended", f"link:{link.id}")
    if now >= link.until:
        return Refused(
            Reason.LINK_EXPIRED, f"the {link.kind}'s link has expired", f"link:{link.id}"
        )
    return None
