"""A proven device that is refused again and again for the network it comes from.

Once or twice is a person whose VPN was off. `threshold` is how many refusals of a device within
`window_ms`.
"""

from __future__ import annotations

import msgspec

from bailment.detect.event import Event, Finding
from bailment.detect.memory import Tally, entry
from bailment.detect.rules.wording import where
from bailment.spec.detection import RuleTerms

KIND = "undeclared-network"
_DEVICES = 10_000


class State(msgspec.Struct):
    """Refusals of each device."""

    devices: dict[str, Tally] = {}


def begin(terms: RuleTerms) -> State:
    return State()


def step(state: State, event: Event, now: int, terms: RuleTerms) -> tuple[State, list[Finding]]:
    if event.what != "refused" or event.reason != "network-outside-chain":
        return state, []
    tally = entry(state.devices, event.device, _DEVICES, Tally)
    times = tally.add(event, now, terms.window_ms)
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
