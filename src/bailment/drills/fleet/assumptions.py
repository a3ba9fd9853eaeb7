"""What the simulator takes for granted of recipients that mean no harm: nobody has measured it.

Every number below is an assumption. Measured are only the networks and their countries and kinds,
the time between two turns, and tokens (`data/NOTICE.txt`).
"""

from __future__ import annotations

import msgspec


class Assumption(msgspec.Struct, frozen=True):
    """One number, and what it says."""

    value: float
    says: str


ASSUMED: dict[str, Assumption] = {
    "people": Assumption(18.9, "people of a recipient on average, log-normal, 4 to 70"),
    "contractors": Assumption(
        0.18, "of the people are a subcontractor's, with networks of its own"
    ),
    "agentic": Assumption(0.40, "of the people work with a coding agent"),
    "ci": Assumption(0.12, "of the people have jobs in a cloud's CI under their own credential"),
    "second-device": Assumption(0.20, "of the people have two devices"),
    "active-weekday": Assumption(0.75, "of the people ask anything on a weekday"),
    "active-weekend": Assumption(0.08, "of the people ask anything on a day of their weekend"),
    "chat-asks": Assumption(14, "requests of an active day without an agent, median, log-normal"),
    "agent-asks": Assumption(45, "requests of an active day with an agent, median, log-normal"),
    "office": Assumption(0.60, "of the days are spent in the office"),
    "corporate-vpn": Assumption(0.30, "of the recipients lead people at home through the office"),
    "mobile": Assumption(0.04, "of the sessions come from a mobile network"),
    "cafe": Assumption(
        0.015, "of the sessions come from a network never seen before, same country"
    ),
    "vpn-people": Assumption(0.06, "of the people use a commercial VPN"),
    "vpn-sessions": Assumption(0.25, "of their sessions come through it, exits of any country"),
    "trip": Assumption(0.03, "trips a person begins in a week, of 1 to 5 days, own device"),
    "abroad": Assumption(0.40, "of the trips lead to another country"),
    "home-moves": Assumption(0.01, "changes of the provider at home a person and month"),
    "office-moves": Assumption(0.02, "changes of the office's network a recipient and month"),
    "swaps": Assumption(0.04, "new or newly installed devices a person and month"),
    "joiners": Assumption(0.03, "people who join, a person and month"),
    "leavers": Assumption(0.02, "people who leave, a person and month"),
    "releases": Assumption(12, "days between two releases of an SDK or agent, on average"),
    "agent-update": Assumption(1.5, "days until an agent's release is taken, exponential"),
    "sdk-update": Assumption(40, "days until an SDK's release is taken, exponential"),
    "runtime-update": Assumption(0.10, "updates of the runtime a device and month"),
    "other-client": Assumption(0.03, "of the sessions use another client than the usual one"),
    "shared-projects": Assumption(0.50, "of the workspaces are their team's"),
    "chat-projects": Assumption(0.03, "workspaces begun on an active day without an agent"),
    "agent-projects": Assumption(0.10, "workspaces begun on an active day with an agent"),
    "parallel": Assumption(0.25, "of an agent's sessions have two or three conversations at once"),
    "evening": Assumption(0.10, "of the sessions lie outside of office hours"),
    "agent-gap": Assumption(14, "seconds between an agent's turns, median, log-normal"),
}


def assumed(name: str) -> float:
    """The number called `name`."""
    return ASSUMED[name].value


def table() -> str:
    """All of them as a table in Markdown."""
    lines = (f"| {name} | {it.value:g} | {it.says} |" for name, it in ASSUMED.items())
    return "\n".join(("| assumption | value | of |", "|---|---|---|", *lines))
