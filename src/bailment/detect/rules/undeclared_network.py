"""A proven device that is refused again and again for the network it comes from.

Once or twice is a person whose VPN was off. `threshold` is how many refusals of a device within
`window_ms`.
"""

from __future__ import annotations

from bailment.detect.event import Event, Finding
from bailment.detect.memory import Tallies
from bailment.detect.rules.wording import where
from bailment.spec.detection import RuleTerms

KIND = "undeclared-network"


def begin(terms: RuleTerms) -> Tallies:
    return Tallies()


def step(state: Tallies, event: Event, now: int, terms: RuleTerms) -> tuple[Tallies, list[Finding]]:
    if event.what != "refused" or event.reason != "network-outside-chain":
        return state, []
    tally, times = state.add(event, now, terms.window_ms)
    if times < terms.threshold:
        return state, []
    sentence = (
        f"device:{event.device} was refused {times} times in {terms.window_ms // 60_000} minutes "
        f"for coming from outside the declared networks, last from "
        f"{where(event.context)}; its key was proven: it was taken along, or the chain's networks "
        "are not all declared"
    )
    return state, [
        Finding(
            KIND,
            f"device:{event.device}",
            sentence,
            tally.since,
            event.time,
            tally.records,
            numbers={"refusals": times},
            others=(f"person:{event.person}",) if event.person else (),
        )
    ]
