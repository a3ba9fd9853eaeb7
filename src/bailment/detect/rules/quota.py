"""Much more is used than usual: nearly a link's whole budget, or many times what a person ever did.

`threshold` is the share of a budget, in percent. Against a person's own history it takes a day of
`TIMES` the most of at least `DAYS` days before, and no less than `FLOOR` tokens. What outsiders
use one by one stays below both; what takes all that it can get does not. A day is `window_ms`.
"""

from __future__ import annotations

import msgspec

from bailment.detect.event import Event, Finding
from bailment.detect.memory import entry
from bailment.spec.detection import RuleTerms

KIND = "quota"
TIMES, DAYS, FLOOR = 10, 5, 200_000
_LINKS, _PEOPLE = 10_000, 10_000
_KEPT_DAYS = 14


class Spent(msgspec.Struct):
    """Of a budget in its window."""

    window: int = 0
    tokens: int = 0
    told: bool = False


class Person(msgspec.Struct):
    """Of a person: today, and of days before on which anything was used."""

    day: int = 0
    tokens: int = 0
    told: bool = False
    before: list[int] = []


class State(msgspec.Struct):
    """Of all; by link, and by person or workload."""

    links: dict[str, Spent] = {}
    people: dict[str, Person] = {}


def begin(terms: RuleTerms) -> State:
    return State()


def step(state: State, event: Event, now: int, terms: RuleTerms) -> tuple[State, list[Finding]]:
    tokens = event.input + event.output
    if event.what != "closed" or not tokens:
        return state, []
    found = [
        _share(entry(state.links, link, _LINKS, Spent), event, now, terms, link, most, span)
        for link, most, span in event.budgets
    ]
    person = entry(state.people, event.person or event.credential, _PEOPLE, Person)
    found.append(_history(person, event, now, terms))
    return state, [one for one in found if one is not None]


def _share(
    spent: Spent, event: Event, now: int, terms: RuleTerms, link: str, most: int, span: int
) -> Finding | None:
    if spent.window != (window := now // max(1, span)):
        spent.window, spent.tokens, spent.told = window, 0, False
    spent.tokens += event.input + event.output
    if spent.told or spent.tokens * 100 < most * terms.threshold:
        return None
    spent.told = True
    sentence = (
        f"link:{link} has used {spent.tokens} of its budget of {most} tokens for "
        f"{_time(span)}, {terms.threshold} % of it or more, last by device:{event.device}; find "
        "out whether its work needs that"
    )
    return _finding(event, f"link:{link}", sentence, {"tokens": spent.tokens, "budget": most})


def _history(person: Person, event: Event, now: int, terms: RuleTerms) -> Finding | None:
    if person.day != (day := now // terms.window_ms):
        if person.tokens:
            person.before = [*person.before, person.tokens][-_KEPT_DAYS:]
        person.day, person.tokens, person.told = day, 0, False
    person.tokens += event.input + event.output
    usual = max(person.before, default=0)
    least = max(FLOOR, usual * TIMES)
    if person.told or len(person.before) < DAYS or person.tokens < least:
        return None
    person.told = True
    subject = f"person:{event.person}" if event.person else f"device:{event.device}"
    sentence = (
        f"{subject} has used {person.tokens} tokens in {_time(terms.window_ms)}, and never more "
        f"than {usual} in the {len(person.before)} before in which anything was used; ask what for"
    )
    return _finding(event, subject, sentence, {"tokens": person.tokens, "usual": usual})


def _finding(event: Event, subject: str, sentence: str, numbers: dict[str, int]) -> Finding:
    key = str(event.time // 86_400_000)
    times = (event.time, event.time, (event.index,))
    return Finding(KIND, subject, sentence, *times, "medium", numbers, key=key)


def _time(span: int) -> str:
    hours = span / 3_600_000
    return f"{hours / 24:.3g} d" if hours >= 24 else f"{hours:.3g} h"
