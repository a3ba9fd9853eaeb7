"""A credential used in several ways at once that are new in all respects.

A way is a network, a client and a workspace (the system prompt and tools); it is new if none of
the three was seen of the person. One new way is a new laptop in a new place with a new task;
`threshold` of them within `window_ms` are several people.
"""

from __future__ import annotations

import msgspec

from bailment.detect.event import Event, Finding
from bailment.detect.grouping import group_of
from bailment.detect.memory import entry, touch
from bailment.detect.rules.new_network_and_client import (
    YOUNG_MS,
    YOUNG_REQUESTS,
    Credential,
    client_of,
)
from bailment.detect.rules.wording import where
from bailment.spec.detection import RuleTerms

KIND = "many-clusters"
_CREDENTIALS, _PEOPLE, _KNOWN, _NOVEL = 20_000, 10_000, 64, 16


class Way(msgspec.Struct):
    """A new way: when it was seen first and last, and in which entry last."""

    first: int
    last: int
    index: int


class Person(msgspec.Struct):
    """What was seen of a person; `novel` are ways that were new."""

    networks: dict[str, int] = {}
    clients: dict[str, int] = {}
    workspaces: dict[str, int] = {}
    novel: dict[str, Way] = {}


class State(msgspec.Struct):
    """Of all."""

    credentials: dict[str, Credential] = {}
    people: dict[str, Person] = {}
    found: dict[str, str] = {}  # of a finding that goes on, whose it is


def begin(terms: RuleTerms) -> State:
    return State()


def step(state: State, event: Event, now: int, terms: RuleTerms) -> tuple[State, list[Finding]]:
    if event.what == "judged":
        _judged(state, event, now)
        return state, []
    context, client = event.context, client_of(event)
    # A request without system prompt and tools is of a workspace too: of the one without.
    way = context.network, client, context.workspace or "-"
    if event.what != "opened" or not context.network:
        return state, []
    credential = entry(state.credentials, event.credential, _CREDENTIALS, Credential)
    credential.first = credential.first or now
    credential.count += 1
    young = now - credential.first < YOUNG_MS or credential.count <= YOUNG_REQUESTS
    person = entry(state.people, event.person or event.credential, _PEOPLE, Person)
    tables = person.networks, person.clients, person.workspaces
    known = any(name in table for name, table in zip(way, tables, strict=True))
    if young or known or event.networks:
        for name, table in zip(way, tables, strict=True):
            touch(table, name, now, _KNOWN)
        return state, []
    _note(person, "|".join(way), event, now, terms.window_ms)
    if len(person.novel) < terms.threshold:
        return state, []
    found, who = _found(event, person, terms), event.person or event.credential
    entry(state.found, group_of(KIND, found.subject, found.key), _PEOPLE, lambda: who)
    return state, [found]


def _judged(state: State, event: Event, now: int) -> None:
    """What a person found to be in order is known from then on."""
    person = state.people.get(state.found.pop(event.finding[:16], ""))
    if person is not None and event.reason != "misuse":
        for name in list(person.novel):
            _learn(person, name, now)


def _learn(person: Person, name: str, now: int) -> None:
    """A way is new no more."""
    del person.novel[name]
    tables = person.networks, person.clients, person.workspaces
    for part, table in zip(name.split("|"), tables, strict=True):
        touch(table, part, now, _KNOWN)


def _note(person: Person, name: str, event: Event, now: int, window: int) -> None:
    novel = person.novel
    for old in [one for one, way in novel.items() if now - way.first > window]:
        _learn(person, old, now)  # it went on, and no other came beside it
    way = entry(novel, name, _NOVEL, lambda: Way(now, now, event.index))
    way.last, way.index = now, event.index


def _found(event: Event, person: Person, terms: RuleTerms) -> Finding:
    ways, hours = len(person.novel), terms.window_ms // 3_600_000
    sentence = (
        f"device:{event.device} was used in {ways} ways within {hours} hours "
        "of which network, client and workspace were all new to its holder, last from "
        f"{where(event.context)}: several others use it"
    )
    return Finding(
        KIND,
        f"device:{event.device}",
        sentence,
        min(way.first for way in person.novel.values()),
        event.time,
        tuple(sorted(way.index for way in person.novel.values())),
        "critical",
        {"ways": ways},
        event.model,
        (f"person:{event.person}",) if event.person else (),
    )
