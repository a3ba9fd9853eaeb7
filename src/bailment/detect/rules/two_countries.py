"""One credential used in two countries within minutes.

`threshold` is how many countries within `window_ms`. Who switches a VPN on or off does the same
on one machine, and so counts only where the system is another too; between two VPNs or hosting
networks nothing counts, since neither is where anybody is.
"""

from __future__ import annotations

import msgspec

from bailment.detect.event import Event, Finding
from bailment.detect.memory import entry
from bailment.spec.detection import RuleTerms

KIND = "two-countries"
_CREDENTIALS, _COUNTRIES = 20_000, 8


class Sight(msgspec.Struct, frozen=True):
    """When a country was last seen, from what kind of address, by what system, in which entry."""

    time: int
    address: str
    system: str
    index: int


class State(msgspec.Struct):
    """Of each credential, by country."""

    credentials: dict[str, dict[str, Sight]] = {}


def begin(terms: RuleTerms) -> State:
    return State()


def step(state: State, event: Event, now: int, terms: RuleTerms) -> tuple[State, list[Finding]]:
    context = event.context
    if event.what != "opened" or not context.country:
        return state, []
    seen = entry(state.credentials, event.credential, _CREDENTIALS, dict[str, Sight])
    for country in [name for name, one in seen.items() if now - one.time > terms.window_ms]:
        del seen[country]
    here = Sight(now, context.address, context.system, event.index)
    others = {
        country: one
        for country, one in seen.items()
        if country != context.country and _apart(one, here)
    }
    seen.pop(context.country, None)
    if len(seen) >= _COUNTRIES:
        del seen[next(iter(seen))]
    seen[context.country] = here
    if len(others) + 1 < terms.threshold:
        return state, []
    countries = sorted([*others, context.country])
    since = min(one.time for one in others.values())
    minutes = max(1, (now - since) // 60_000)
    sentence = (
        f"device:{event.device} was used from {' and '.join(countries)} within {minutes} minutes, "
        "which nobody can be in; two use it at once, or a connection goes by way of another "
        "country: ask the holder"
    )
    return state, [
        Finding(
            KIND,
            f"device:{event.device}",
            sentence,
            since,
            event.time,
            tuple(sorted([*(one.index for one in others.values()), event.index])),
            "high",
            {"countries": len(countries), "minutes": minutes},
            event.model,
            (f"person:{event.person}",) if event.person else (),
            " ".join(countries),
        )
    ]


def _apart(one: Sight, other: Sight) -> bool:
    """Whether two sights in two countries are of two places where somebody is."""
    if one.address and other.address:
        return False
    if not (one.address or other.address):
        return True
    return bool(one.system and other.system) and one.system != other.system
