"""Many people's credentials used by the same stranger: a proxy, or one prompt from everywhere.

Each may be used so seldom that nothing about it alone stands out. A request is strange where two of
network, client and workspace are new to its person; what strange requests of `threshold` people
within `window_ms` have in common, an address range or a workspace, is found. An address range that
colleagues have used, as those behind an office's gateway do, makes nothing strange; what strange
requests came from is none of theirs within the window, however often it is used.
"""

from __future__ import annotations

import msgspec

from bailment.detect.event import Event, Finding
from bailment.detect.memory import entry, touch
from bailment.spec.detection import RuleTerms

KIND = "many-credentials"
#: A person is learnt, not judged, for so long and so many requests.
YOUNG_MS, YOUNG_REQUESTS = 86_400_000, 10
_PEOPLE, _KNOWN, _ORGANISATIONS, _RANGES = 10_000, 48, 1_000, 512
#: What strangers have in common: how many such things, and people and organisations of each.
_COMMON, _STRANGERS = 20_000, 64


class Person(msgspec.Struct):
    """Since when, how often, and with what a person was seen."""

    first: int = 0
    count: int = 0
    known: dict[str, int] = {}


class Stranger(msgspec.Struct, frozen=True):
    """A person's credential in strange use: when, in which entry, and whose it is."""

    time: int
    index: int
    organisation: str


class State(msgspec.Struct):
    """Of all; `common` by what strange requests have in common, then by person."""

    people: dict[str, Person] = {}
    organisations: dict[str, dict[str, int]] = {}
    common: dict[str, dict[str, Stranger]] = {}


def begin(terms: RuleTerms) -> State:
    return State()


def step(state: State, event: Event, now: int, terms: RuleTerms) -> tuple[State, list[Finding]]:
    context, who = event.context, event.person or event.credential
    prefix = context.prefix or context.network
    if event.what != "opened" or not prefix:
        return state, []
    person = entry(state.people, who, _PEOPLE, Person)
    ranges = entry(state.organisations, event.organisation, _ORGANISATIONS, dict[str, int])
    person.first = person.first or now
    person.count += 1
    young = now - person.first < YOUNG_MS or person.count <= YOUNG_REQUESTS
    traits = (
        f"network {context.network}",
        f"client {context.client} {context.system}",
        f"workspace {context.workspace}",
    )
    new = [trait not in person.known for trait in traits]
    for trait in traits:
        touch(person.known, trait, now, _KNOWN)
    colleagues, common = prefix in ranges, f"address range {prefix}"
    if sum(new) < 2 or young or event.networks or colleagues:
        once = state.common.get(common, {}).get(who)
        strange = once is not None and now - once.time <= terms.window_ms
        if not new[0] and not strange:
            touch(ranges, prefix, now, _RANGES)
        return state, []
    found: list[Finding] = []
    shared = (common, new[0]), (f"workspace {context.workspace}", new[2])
    for name, is_new in shared:
        if is_new and not name.endswith(" "):
            found += _strange(state, name, who, event, now, terms)
    return state, found


def _strange(
    state: State, name: str, who: str, event: Event, now: int, terms: RuleTerms
) -> list[Finding]:
    strangers = entry(state.common, name, _COMMON, dict[str, Stranger])
    for old in [one for one, it in strangers.items() if now - it.time > terms.window_ms]:
        del strangers[old]
    strangers.pop(who, None)
    entry(strangers, who, _STRANGERS, lambda: Stranger(now, event.index, event.organisation))
    if len(strangers) < terms.threshold:
        return []
    organisations = len({one.organisation for one in strangers.values()})
    hours = terms.window_ms // 3_600_000
    sentence = (
        f"{len(strangers)} people's credentials, of {organisations} organisations, were used in a "
        f"way new to each within {hours} hours, and with one {name[:40]} in common: whoever is "
        "behind it has them all; look at every one of them"
    )
    return [
        Finding(
            KIND,
            f"person:{who}",
            sentence,
            min(one.time for one in strangers.values()),
            event.time,
            tuple(sorted(one.index for one in strangers.values())),
            "high",
            {"people": len(strangers), "organisations": organisations},
            event.model,
            tuple(f"person:{one}" for one in strangers if one != who),
            name,
        )
    ]
