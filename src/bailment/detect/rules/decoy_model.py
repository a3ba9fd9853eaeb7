"""A model is asked for that no chain contains, and whose name the issuer laid out.

Nobody is told of it who should use it, so whoever asks read what they should not have. They had a
key of ours, for the model's name is read only after that is proven. `threshold` is how many times
within `window_ms`.
"""

from __future__ import annotations

from bailment.detect.event import Event, Finding
from bailment.detect.memory import Tallies
from bailment.spec.detection import RuleTerms

KIND = "decoy-model"


def begin(terms: RuleTerms) -> Tallies:
    return Tallies()


def step(state: Tallies, event: Event, now: int, terms: RuleTerms) -> tuple[Tallies, list[Finding]]:
    if event.what != "refused" or event.kind != "decoy":
        return state, []
    tally, times = state.add(event, now, terms.window_ms)
    if times < terms.threshold:
        return state, []
    sentence = (
        f"device:{event.device} asked for `{event.model}`, a model that does not exist and whose "
        "name was laid out for thieves; its key was proven: find out who used it, and how they "
        "came by the name"
    )
    return state, [
        Finding(
            KIND,
            f"device:{event.device}",
            sentence,
            tally.since,
            event.time,
            tally.records,
            "critical",
            {"requests": times},
            event.model,
            (f"person:{event.person}",) if event.person else (),
            event.model,
        )
    ]
