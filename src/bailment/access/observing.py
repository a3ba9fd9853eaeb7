"""What the issuer's own log shows of a recipient, as evidence: the kinds whose adapter is
`gateway/1`.

An observation is a pure function of the log: its report names the recipient, the entries and the
window, and whoever has the log makes the same bytes of them (`observe`), and so the same item.
What the log cannot show is left out, and so is whatever is said of requests, tokens, devices or
collectors where there were none. `docs/rehearsal.md` has each claim, and which are not made yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from bailment import canonical
from bailment.access.chain import Link, narrows
from bailment.access.sightings import Sightings, last
from bailment.access.tracks import MARKS, UNBOUND, Kept
from bailment.assurance.adapters import observation, recognition
from bailment.assurance.adapters.report import Report
from bailment.assurance.intake import Submission, receive
from bailment.assurance.item import Item
from bailment.assurance.proof_tree import reads
from bailment.assurance.standing import tier_at
from bailment.errors import VerificationError
from bailment.spec.compiled import AtLeast, Claim, CompiledSpec, Join, Kind, Leaf, Node
from bailment.spec.quantity import DAY, MILLION

#: Who collects observations.
COLLECTOR = "gateway"
REQUESTS, BOUND_SHARE = "requests", "bound_ppm"
RESISTANT_SHARE = "phishing_resistant_ppm"
#: Of the window's requests.
USE = frozenset({*MARKS, REQUESTS, BOUND_SHARE, RESISTANT_SHARE})
UNDECLARED, LONG_LIVED = "undeclared_parties", "long_lived_credentials"
HARDWARE, SILENT = "hardware_bound_ppm", "silent_collectors"
DEPTH, WIDENING, BELOW, LONGEST = (
    "delegation_depth",
    "widening_links",
    "delegates_below_tier",
    "longest_contractor_days",
)
ALONE, OWNERLESS = "grants_by_one", "workloads_without_owner"
UNSIGNED, EXCEPTED = "unsigned_exceptions", "longest_exception_days"
#: Of what the register holds, and of the window's tokens.
REGISTER = frozenset(
    {
        *(UNDECLARED, LONG_LIVED, HARDWARE, SILENT),
        *(DEPTH, WIDENING, BELOW, LONGEST, UNSIGNED, EXCEPTED, ALONE, OWNERLESS),
    }
)
#: Stands for what a rule reads, where that is the people.
_PEOPLE = ""

_NUMBER = "(0|[1-9][0-9]{0,15})"
_REPORT = re.compile(
    rf"([a-z][a-z0-9._-]{{0,63}}):([0-9a-f]{{32}}):{_NUMBER}-{_NUMBER}:{_NUMBER}-{_NUMBER}"
)


class Question(NamedTuple):
    """What an observation is of: a recipient, by the entries before `stop`, from the time `since`
    until `until` (ms)."""

    kind: str
    recipient: str
    stop: int
    since: int
    until: int


def question_of(report: str) -> Question | None:
    """What a report of this id is of; None if it is no id of an observation."""
    found = _REPORT.fullmatch(report)
    if found is None:
        return None
    kind, recipient, _, *numbers = found.groups()
    return Question(kind, recipient, *map(int, numbers))


def windows(spec: CompiledSpec, recipient: str, stop: int, until: int) -> list[Question]:
    """What the spec's rules would be told of a recipient now: one question for each kind."""
    return [
        Question(kind.name, recipient, stop, max(0, until - kind.max_age), until)
        for kind in kinds_of(spec)
    ]


def kinds_of(spec: CompiledSpec) -> list[Kind]:
    """The kinds that the gateway collects and that some rule reads."""
    read = {name for name, _ in _read(spec)}
    return [
        kind
        for kind in spec.kinds.values()
        if kind.adapter == observation.ADAPTER and kind.name in read
    ]


def observe(sightings: Sightings, asked: Question, scope: str, item: str) -> Item | None:
    """The item with this id, about `scope` of the recipient's enclave; None if there was nothing
    to see, or if no rule reads the kind."""
    spec = sightings.in_force(asked.stop).spec
    kind = spec.kinds.get(asked.kind) if spec is not None else None
    if spec is None or kind is None or kind not in kinds_of(spec):
        return None
    seen = _seen(sightings, asked, spec)
    if not seen.observed and not seen.people:
        return None
    first = min(_first(sightings.of(asked.recipient), asked), asked.stop)
    name = f"{asked.kind}:{asked.recipient}:{first}-{asked.stop}:{asked.since}-{asked.until}"
    told = {
        "format": "bailment-observation/v1",
        "id": name,
        "kind": asked.kind,
        "scope": scope,
        "from": asked.since,
        "until": asked.until,
        "observed": seen.observed,
        "counts": seen.counts,
        "people": seen.people,
    }
    report = recognition.read(canonical.encode(told))
    if not isinstance(report, Report):
        raise VerificationError(f"an observation is no evidence: {report.detail}")
    handed = Submission(kind, (scope,), "gateway", COLLECTOR, skew=0)
    items = receive(report, handed, item=item, now=asked.until)
    return items[0] if isinstance(items, tuple) else None  # more people than an item holds


def differs(spec: CompiledSpec, before: Item, after: Item) -> bool:
    """Whether a later item of the same kind says anything else to any rule."""
    if (before.people, before.claims.keys()) != (after.people, after.claims.keys()):
        return True
    return any(
        reads(node, before) != reads(node, after)
        for node in _leaves(spec)
        if isinstance(node, Claim) and node.source.kind == after.kind
    )


class _Seen(NamedTuple):
    observed: int
    counts: dict[str, int]
    people: list[str]


def _seen(sightings: Sightings, asked: Question, spec: CompiledSpec) -> _Seen:
    """All that is said to the kinds of rules that read this kind; of use, where none says more, or
    where one reads the people."""
    claims = {claim for name, claim in _read(spec) if name == asked.kind}
    kept = sightings.of(asked.recipient)
    observed, counts, people = 0, dict[str, int](), list[str]()
    if claims & REGISTER:
        links = sightings.links(asked.recipient, asked.stop, asked.until)
        observed += len(links)
        counts |= _of_links(links, sightings, asked)
        counts |= _of_exceptions(sightings, asked) if links else {}
        counts |= _of_tokens(kept, sightings, asked)
        counts |= _of_collectors(sightings, asked)
    if claims & USE or _PEOPLE in claims or not claims & REGISTER:
        observed += kept.requests.count(asked.since, asked.stop)
        counts |= _of_requests(kept, asked)
        people = sorted(
            name for name, track in kept.people.items() if track.count(asked.since, asked.stop)
        )
    return _Seen(observed, counts, people)


def _of_requests(kept: Kept, asked: Question) -> dict[str, int]:
    requests = kept.requests.count(asked.since, asked.stop)
    if not requests:
        return {}
    counts = {mark: track.count(asked.since, asked.stop) for mark, track in kept.marks.items()}
    bound = requests - counts[UNBOUND]
    counts |= {REQUESTS: requests, BOUND_SHARE: _ppm(bound, requests)}
    if kept.signed_in.count(asked.since, asked.stop):  # else nobody signs in where we would see it
        people = requests - kept.jobs.count(asked.since, asked.stop)
        resistant = kept.resistant.count(asked.since, asked.stop)
        counts[RESISTANT_SHARE] = _ppm(resistant, people)
    return counts


def _of_tokens(kept: Kept, sightings: Sightings, asked: Question) -> dict[str, int]:
    """Of who came, by which links, and of how long what they were given works."""
    if not kept.tokens.count(asked.since, asked.stop) + kept.requests.count(
        asked.since, asked.stop
    ):
        return {}
    most = sightings.in_force(asked.stop).policy.token_ms
    counted = {life: track.count(asked.since, asked.stop) for life, track in kept.lives.items()}
    strangers = [track.count(asked.since, asked.stop) for track in kept.strangers.values()]
    return {
        UNDECLARED: sum(map(bool, strangers)),
        LONG_LIVED: sum(count for life, count in counted.items() if life > most),
    }


def _of_links(links: list[Link], sightings: Sightings, asked: Question) -> dict[str, int]:
    """Of the links in force. A delegate is below its tier if it does not hold the highest one of
    the models that its chain reaches."""
    if not links:
        return {}
    register = sightings.register
    delegates = [
        link for link in links if link.kind == "subcontractor" and link.subject != asked.recipient
    ]
    depths = [
        sum(above.kind == "subcontractor" for above in register.path(link.id)) for link in links
    ]
    wider = [link for link in links if narrows(link, register.links.get(link.parent)) is not None]
    days = [-(-(link.until - link.start) // DAY) for link in delegates]
    counts = {
        DEPTH: max(depths),
        WIDENING: len(wider),
        BELOW: sum(_below_tier(link, sightings, asked) for link in delegates),
        LONGEST: max(days, default=0),
        ALONE: sum(_by_one(link, sightings) for link in links),
        OWNERLESS: sum(_ownerless(link, links) for link in links),
    }
    devices = [register.state.devices.get(link.subject) for link in links if link.kind == "device"]
    held = sum(one is not None and one.key_class == "hw-attested" for one in devices)
    return counts | ({HARDWARE: _ppm(held, len(devices))} if devices else {})


def _by_one(link: Link, sightings: Sightings) -> bool:
    """Whether one person alone passed access on: nobody else approved of the link."""
    return link.kind != "recipient" and not sightings.register.state.links[link.id].paired


def _ownerless(link: Link, links: list[Link]) -> bool:
    """Whether nobody with a link in force, of the same organisation, answers for a workload."""
    if link.kind != "workload":
        return False
    mine = ("person", link.owner, link.parent)
    return not any((one.kind, one.subject, one.parent) == mine for one in links)


def _below_tier(delegate: Link, sightings: Sightings, asked: Question) -> bool:
    """Whether a subcontractor's standing does not reach a model that it was passed."""
    passed = [set(link.models) for link in sightings.register.path(delegate.id) if link.models]
    models = set.intersection(*passed) if passed else set()
    needed = max((sightings.tier(model, asked.stop) for model in models), default=0)
    return tier_at(sightings.standing(delegate.subject, asked.stop), asked.until) < needed


def _of_exceptions(sightings: Sightings, asked: Question) -> dict[str, int]:
    """Of the exceptions that are not over: how long the longest is, and how many lack somebody's
    signature by today's policy."""
    spec = sightings.in_force(asked.stop).spec
    needed = spec.exceptions.approvers if spec is not None else 0
    grants = [
        grant
        for grant in sightings.register.proven(asked.recipient).grants
        if grant.until > asked.until and sightings.there(grant.id, asked.stop)
    ]
    return {
        UNSIGNED: sum(len(set(grant.approvers)) < needed for grant in grants),
        EXCEPTED: max((-(-(one.until - one.from_) // DAY) for one in grants), default=0),
    }


def _of_collectors(sightings: Sightings, asked: Question) -> dict[str, int]:
    """How many kinds that a machine collects of the enclave have nothing fresh any more."""
    spec = sightings.in_force(asked.stop).spec
    ours = sightings.enclave(asked.recipient, asked.stop)
    fresh: dict[str, int] = {}
    for (name, scope), history in sightings.of(asked.recipient).collected.items():
        kind = spec.kinds.get(name) if spec is not None else None
        dated = last(history, asked.stop, 0)
        if kind is None or kind.class_ != "machine" or kind.adapter == observation.ADAPTER:
            continue
        if dated and scope in ours:
            fresh[name] = max(fresh.get(name, 0), dated + kind.max_age)
    return {SILENT: sum(end <= asked.until for end in fresh.values())} if fresh else {}


def _first(kept: Kept, asked: Question) -> int:
    """The entry of the first request or token in the window."""
    spans = ((track, track.span(asked.since, asked.stop)) for track in (kept.requests, kept.tokens))
    return min((track.indices[span.start] for track, span in spans if span), default=asked.stop)


def _ppm(part: int, whole: int) -> int:
    return part * MILLION // whole


def _read(spec: CompiledSpec) -> Iterator[tuple[str, str]]:
    """Kind and claim of everything that a rule reads."""
    for leaf in _leaves(spec):
        if isinstance(leaf, Claim):
            yield leaf.source.kind, leaf.claim
        elif isinstance(leaf, Join):
            yield from ((source.kind, _PEOPLE) for source in (leaf.seen, *leaf.covered_by))


def _leaves(spec: CompiledSpec) -> Iterator[Leaf]:
    for tier in spec.tiers:
        for required in tier.requirements:
            for node in (required.rule, *required.contradicted_by):
                yield from _below(node)


def _below(node: Node) -> Iterator[Leaf]:
    if isinstance(node, AtLeast):
        for below in node.of:
            yield from _below(below)
    else:
        yield node
