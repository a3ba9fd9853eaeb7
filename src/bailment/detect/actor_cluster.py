"""Requests that look like somebody else's: scored by network, client and workspace together, never
by the credential as a whole, whose holder's own work would hide them.

Looked at are requests whose network or client a person has had for less than a week; boosted
trees score them (docs/model-card.md). `threshold` is the score, in millionths, from which on it
counts; `window_ms` is not used. Whoever is known for less than `YOUNG_MS` is learnt, not judged.
"""

from __future__ import annotations

from bailment.detect import habits
from bailment.detect.event import Event, Finding
from bailment.detect.habits import AT, DAY, FEATURES, State
from bailment.detect.model import shipped
from bailment.spec.detection import RuleTerms

KIND = "actor-cluster"
#: Nobody is judged in the first days, or before so many requests.
YOUNG_MS, YOUNG_REQUESTS = 3 * DAY, 20
#: A network or client is new for so many days.
NEW_DAYS = 7
_MODEL = shipped("actor_cluster", FEATURES)


def begin(terms: RuleTerms) -> State:
    return State()


def looked_at(numbers: list[float]) -> bool:
    """Whether a model is asked at all."""
    known = numbers[AT["age"]] * DAY >= YOUNG_MS and numbers[AT["count"]] >= YOUNG_REQUESTS
    new = min(numbers[AT["network_age"]], numbers[AT["client_age"]]) < NEW_DAYS
    return known and new


def step(state: State, event: Event, now: int, terms: RuleTerms) -> tuple[State, list[Finding]]:
    if event.what != "opened" or not event.context.network:
        return state, []
    person, shared = habits.of(state, event)
    numbers = habits.look(person, shared, event, now)
    habits.learn(person, shared, event, now)
    if event.networks or not looked_at(numbers):
        return state, []
    score = _MODEL.score(numbers)
    if score < terms.threshold:
        return state, []
    return state, [_found(event, numbers, score)]


def _found(event: Event, numbers: list[float], score: int) -> Finding:
    context = event.context
    where = " ".join(filter(None, (context.network, context.country, context.address)))
    told = {name: int(numbers[AT[name]]) for name in _TOLD}
    of_fifty = ", ".join(
        f"{told[name]} {way}"
        for name, way in (
            ("network_count", "came from there"),
            ("client_count", "were by that client"),
            ("workspace_count", "had that prompt and tools"),
        )
    )
    sentence = (
        f"device:{event.device} was used from {where} by `{habits.client_of(event)}` like somebody "
        f"else's: of its holder's requests, counted up to 50 each, {of_fifty}; score "
        f"{score / 10_000:.1f} of 100; ask the holder whether it was them"
    )
    return Finding(
        KIND,
        f"device:{event.device}",
        sentence,
        event.time,
        event.time,
        (event.index,),
        "high",
        told | {"score": score},
        event.model,
        (f"person:{event.person}",) if event.person else (),
    )


_TOLD = ("network_count", "client_count", "workspace_count", "network_peers", "switches")
