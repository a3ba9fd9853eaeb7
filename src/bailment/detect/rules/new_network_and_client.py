"""A credential used from a network and by a client that are both new, at once.

Either alone is everyday: people travel, and they update what they work with. `threshold` is how
many such requests there must be, `window_ms` for how long what was seen is remembered. A network
is not new that a colleague used, or that is declared. What a credential does in its first hour,
and its first few requests, is learnt and not judged.
"""

from __future__ import annotations

import msgspec

from bailment.detect.event import Event, Finding
from bailment.detect.grouping import group_of
from bailment.detect.memory import entry, expire, recent, touch
from bailment.detect.rules.wording import where_by
from bailment.spec.detection import RuleTerms

KIND = "new-network-and-client"
#: A credential is young for so long, and for so many requests.
YOUNG_MS, YOUNG_REQUESTS = 3_600_000, 5
_CREDENTIALS, _PEOPLE, _ORGANISATIONS = 20_000, 10_000, 1_000
_NETWORKS, _CLIENTS, _SUSPECTS, _OF_ORGANISATION = 32, 16, 8, 512
_DAY = 86_400_000
#: The client that says of itself nothing, which whoever would not be known could choose to do.
NOTHING = "a client that does not say which"


class Credential(msgspec.Struct):
    """When it was seen first, and how often since."""

    first: int = 0
    count: int = 0


class Person(msgspec.Struct):
    """What a person's credentials were seen with, and when last; `suspects` are pairs that were
    found, and how often each was seen."""

    networks: dict[str, int] = {}
    clients: dict[str, int] = {}
    suspects: dict[str, int] = {}


class State(msgspec.Struct):
    """Of all; organisations have the networks of their people. `found`: of a finding that goes on,
    whose it is."""

    credentials: dict[str, Credential] = {}
    people: dict[str, Person] = {}
    organisations: dict[str, dict[str, int]] = {}
    found: dict[str, list[str]] = {}


def begin(terms: RuleTerms) -> State:
    return State()


def client_of(event: Event) -> str:
    """What stands for the client: its name and system, and of its version what is before the first
    point, since smaller steps happen to everybody. To say nothing is a way of its own."""
    context = event.context
    if not context.client:
        return NOTHING
    return f"{context.client} {context.version.partition('.')[0]} {context.system}".strip()


def step(state: State, event: Event, now: int, terms: RuleTerms) -> tuple[State, list[Finding]]:
    if event.what == "judged":
        _judged(state, event, now)
        return state, []
    network, client = event.context.network, client_of(event)
    if event.what != "opened" or not network:
        return state, []
    who = event.person or event.credential
    person = entry(state.people, who, _PEOPLE, Person)
    shared = entry(state.organisations, event.organisation, _ORGANISATIONS, dict[str, int])
    credential = entry(state.credentials, event.credential, _CREDENTIALS, Credential)
    credential.first = credential.first or now
    credential.count += 1
    young = now - credential.first < YOUNG_MS or credential.count <= YOUNG_REQUESTS
    window = terms.window_ms
    # Whoever comes back after that long is learnt anew, like somebody who is new.
    for seen_with in (person.networks, person.clients, shared):
        expire(seen_with, now, window)
    known = (
        bool(event.networks)
        or recent(person.networks, network, now, window)
        or recent(shared, network, now, window)
        or recent(person.clients, client, now, window)
    )
    if young or known or not person.networks:
        _learn(person, shared, network, client, now)
        return state, []
    pair = f"{network}|{client}"
    seen = person.suspects.get(pair, 0) + 1
    touch(person.suspects, pair, seen, _SUSPECTS)
    if seen < terms.threshold:
        return state, []
    found = _found(event, person, shared, client, terms)
    state.found.pop(name := group_of(KIND, found.subject, found.key), None)
    entry(state.found, name, _PEOPLE, lambda: [who, event.organisation, network, client])
    return state, [found]


def _learn(person: Person, shared: dict[str, int], network: str, client: str, now: int) -> None:
    touch(person.networks, network, now, _NETWORKS)
    touch(person.clients, client, now, _CLIENTS)
    touch(shared, network, now, _OF_ORGANISATION)


def _judged(state: State, event: Event, now: int) -> None:
    """What a person found to be in order is known from then on."""
    found = state.found.pop(event.finding[:16], None)
    if found is None or event.reason == "misuse":
        return
    who, organisation, network, client = found
    person = entry(state.people, who, _PEOPLE, Person)
    shared = entry(state.organisations, organisation, _ORGANISATIONS, dict[str, int])
    person.suspects.pop(f"{network}|{client}", None)
    _learn(person, shared, network, client, now)


def _found(
    event: Event, person: Person, shared: dict[str, int], client: str, terms: RuleTerms
) -> Finding:
    context = event.context
    days = max(1, terms.window_ms // _DAY)
    numbers = {"networks": len(person.networks), "clients": len(person.clients)}
    sentence = (
        f"device:{event.device} was used from {where_by(context, client)}: in {days} days "
        f"neither was seen of its holder (of {numbers['networks']} networks and "
        f"{numbers['clients']} clients), nor the network of a colleague (of {len(shared)}); ask "
        "the holder whether it was them"
    )
    return Finding(
        KIND,
        f"device:{event.device}",
        sentence,
        event.time,
        event.time,
        (event.index,),
        "critical" if context.address else "high",
        numbers,
        event.model,
        (f"person:{event.person}",) if event.person else (),
        f"{context.network}|{client}",
    )
