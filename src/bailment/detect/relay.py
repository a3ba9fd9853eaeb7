"""Others who work through the holder's own device: network and client are as ever, but there are
prompts and tools never seen before, several conversations at once, other hours.

Looked at are requests of a known network and client; boosted trees score them (docs/model-card.md).
`threshold` is the score, in millionths, from which on it counts; `window_ms` is not used. Two who
stay within the holder's work and hours are not seen (docs/detection-evaluation.md).
"""

from __future__ import annotations

from bailment.detect import habits
from bailment.detect.event import Event, Finding
from bailment.detect.habits import AT, DAY, FEATURES, State
from bailment.detect.model import shipped
from bailment.spec.detection import RuleTerms

KIND = "relay"
YOUNG_MS, YOUNG_REQUESTS = 7 * DAY, 40
#: A workspace is new for so many days.
NEW_DAYS = 3
_MODEL = shipped("relay", FEATURES)


def begin(terms: RuleTerms) -> State:
    return State()


def looked_at(numbers: list[float]) -> bool:
    """Whether a model is asked at all."""
    known = numbers[AT["age"]] * DAY >= YOUNG_MS and numbers[AT["count"]] >= YOUNG_REQUESTS
    client = numbers[AT["client_count"]] > 0
    return known and client and numbers[AT["workspace_age"]] < NEW_DAYS


def step(state: State, event: Event, now: int, terms: RuleTerms) -> tuple[State, list[Finding]]:
    if event.what != "opened" or not event.context.workspace:
        return state, []
    person, shared = habits.of(state, event)
    numbers = habits.look(person, shared, event, now)
    habits.learn(person, shared, event, now)
    if not looked_at(numbers):
        return state, []
    score = _MODEL.score(numbers)
    if score < terms.threshold:
        return state, []
    return state, [_found(event, numbers, score)]


def _found(event: Event, numbers: list[float], score: int) -> Finding:
    told = {name: int(numbers[AT[name]]) for name in _TOLD}
    share = round(100 * numbers[AT["hour_share"]])
    sentence = (
        f"device:{event.device} may be used by others with its holder: "
        f"{told['new_workspaces']} prompts with tools not seen of its holder before within a day, "
        f"{told['conversations']} conversations within ten minutes, at an hour that has {share} % "
        f"of the holder's requests; score {score / 10_000:.1f} of 100; ask the holder who works "
        "through it"
    )
    return Finding(
        KIND,
        f"device:{event.device}",
        sentence,
        event.time,
        event.time,
        (event.index,),
        "medium",
        told | {"score": score},
        event.model,
        (f"person:{event.person}",) if event.person else (),
    )


_TOLD = ("new_workspaces", "conversations", "jumps", "networks_of_day")
