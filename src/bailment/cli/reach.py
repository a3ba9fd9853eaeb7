"""How far something reaches, in the names and times that people read: made by the worker, which
has the register in memory, or by the command itself where nothing runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from bailment.access.register import Register
from bailment.cli.subjects import find_network, find_person, find_recipient, handle_of, name_of
from bailment.cli.times import show_time
from bailment.clock import steady_ms
from bailment.errors import BailmentError
from bailment.incident.blast_radius import CALLERS, Node, Use, totals
from bailment.incident.graph import Step
from bailment.incident.window import Window
from bailment.store.incidents import Extended, Incidents
from bailment.store.people import People
from bailment.store.reader import LogReader
from bailment.store.view import Known


class Question(msgspec.Struct, frozen=True):
    """What is asked of a subject. `since` (ms) is where somebody would begin to look, 0 if nobody
    says; `most` how many subjects of each list are wanted, those used most first; all if 0."""

    subject: str
    since: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class _Standing:
    register: Register
    people: People


def answer(register: Register, reader: LogReader, incidents: Incidents, asked: bytes) -> bytes:
    """The answer to a question, both as JSON; BailmentError if there is none."""
    question = msgspec.json.decode(asked, type=Question)
    known = _Standing(register, People(register, reader))
    return msgspec.json.encode(extent(known, incidents, question))


def extent(known: Known, incidents: Incidents, question: Question) -> dict[str, Any]:
    """The answer, and how long it took."""
    began = steady_ms()
    subject = find_any(known, question.subject)
    told = tell(known, incidents.extent([subject], question.since), question.most)
    return told | {"subject": subject, "milliseconds": round(steady_ms() - began, 1)}


def find_any(known: Known, subject: str) -> str:
    """A subject with names replaced by the ids that the log knows."""
    kind, _, name = subject.partition(":")
    if not name:
        raise BailmentError(
            f"`{subject}` is no subject",
            hint="write kind:id, like person:maria@acme.example, vendor:NAME or finding:ID",
        )
    if kind == "person" and name not in known.register.link_of:  # to find a name takes them all
        return f"person:{find_person(known, name)}"
    if kind in ("recipient", "subcontractor"):
        found = find_recipient(known, name)
        top = known.register.organisations[found].recipient == found
        return f"{'recipient' if top else 'subcontractor'}:{found}"
    if kind == "network" and "/" in name:
        return f"network:{find_network(known, name)}"
    return subject


def named(known: Known, node: str) -> str:
    """A node as people call it."""
    kind, _, name = node.partition(":")
    if kind == "link":
        link = known.register.links.get(name)
        return f"the delegation of {named(known, f'{link.kind}:{link.subject}')}" if link else node
    return f"{kind} {name_of(known, kind, name)}"


def tell(known: Known, extended: Extended, most: int = 0) -> dict[str, Any]:
    """The extent of something as JSON has it. With `most`, only so many subjects of each list, and
    no delegations: names are read one by one."""
    radius, window = extended.radius, extended.window
    by_model = _by_model(radius.uses)
    lists = {"reached": radius.reached, "through": radius.through, "beside": radius.beside}
    if not most:
        known.people.prefetch(*_called(lists.values()))
    return {
        "starts": radius.starts,
        "names": [named(known, one) for one in radius.starts],
        "window": _window(window),
        "counts": {name: _counts(nodes) for name, nodes in lists.items()},
        **{
            name: [_node(known, one, by_model) for one in (_most(nodes, most) if most else nodes)]
            for name, nodes in lists.items()
        },
        "used": _totals(radius.uses),
        "clusters": [
            {"network": network, "client": client} for network, client in extended.clusters
        ],
        "misused": _totals(extended.misused) if extended.clusters else None,
    }


def _counts(nodes: Iterable[Node]) -> dict[str, int]:
    return dict(Counter(one.node.partition(":")[0] for one in nodes))


def _most(nodes: Iterable[Node], most: int) -> list[Node]:
    found = [one for one in nodes if not one.node.startswith("link:")]
    return sorted(found, key=lambda one: -sum(use.count for use in one.uses))[:most]


def _window(window: Window) -> dict[str, Any]:
    return {
        "since": show_time(window.since) if window.since else None,
        "since_ms": window.since,
        "record": window.entry if window.entry >= 0 else None,
        "why": window.why,
        "asked": show_time(window.asked) if window.asked else None,
        "misses_exposure": window.misses,
        "accesses_before": window.before,
    }


def _called(lists: Iterable[Iterable[Node]]) -> Iterator[set[str]]:
    """The people and the devices whose names these nodes and their paths need."""
    nodes = {step.node for nodes in lists for one in nodes for step in one.path}
    nodes |= {one.node for nodes in lists for one in nodes}
    for wanted in ("person", "device"):
        yield {node.partition(":")[2] for node in nodes if node.startswith(f"{wanted}:")}


def _by_model(uses: Iterable[Use]) -> dict[str, list[Use]]:
    found: dict[str, list[Use]] = {}
    for use in uses:
        found.setdefault(f"model:{use.model}", []).append(use)
    return found


def _node(known: Known, one: Node, by_model: dict[str, list[Use]]) -> dict[str, Any]:
    """A node as JSON has it. Only of what calls models, and of models, are there accesses."""
    kind = one.node.partition(":")[0]
    counts = kind in (*CALLERS, "model")
    uses = one.uses if kind in CALLERS else by_model.get(one.node, ())
    return {
        "node": one.node,
        "kind": kind,
        "name": named(known, one.node),
        "recipient": handle_of(known, one.recipient) if one.recipient else "",
        "why": _why(known, one.path),
        "accesses": sum(use.count for use in uses) if counts else None,
        "tokens": sum(use.tokens for use in uses) if counts else None,
        "first": show_time(min(use.began for use in uses)) if uses else None,
        "last": show_time(max(use.ended for use in uses)) if uses else None,
        "records": [min(use.first for use in uses), max(use.last for use in uses)]
        if uses
        else None,
    }


def _why(known: Known, path: Iterable[Step]) -> list[str]:
    return [
        f"{named(known, step.node)}: {step.why}" if step.why else named(known, step.node)
        for step in path
    ]


def _totals(uses: Iterable[Any]) -> dict[str, Any]:
    found = totals(uses)
    for name in ("began", "ended"):
        found[name] = show_time(found[name]) if found[name] else None
    return found
