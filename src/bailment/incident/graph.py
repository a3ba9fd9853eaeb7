"""Who can get at what: the supply chain as a graph, from the register and the custody map.

A node is a subject (`person:<id>`, `link:<id>`, `system:<handle>`, …). An edge goes from who holds
something to what that gives. Links that ended are in it, since they gave something once. Edges are
made as they are walked: of a thousand organisations an incident touches a few.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from bailment.access.chain import Link
from bailment.access.state import Indexed
from bailment.ledger.incident_records import CustodyDeclared

#: What an edge says: which node, and why it follows.
Edge = tuple[str, str]
Edges = Callable[[str], Iterator[Edge]]


class Step(msgspec.Struct, frozen=True):
    """One step of a path: the node, and why it follows from the one before; of the first, empty."""

    node: str
    why: str


class Graph:
    """The edges of a register and of the custody map in force, both ways.

    `seen` has for a network the devices that accesses came from it with.
    """

    def __init__(
        self,
        register: Indexed,
        custody: Iterable[CustodyDeclared] = (),
        seen: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self._register = register
        self._seen = seen or {}
        self._allowed: dict[tuple[str, str], tuple[str, ...]] = {}
        self._links = list(register.links.values())
        self._below: dict[str, list[Link]] = defaultdict(list)
        self._owned: dict[str, list[Link]] = defaultdict(list)
        for link in self._links:
            self._below[link.parent].append(link)
            if link.owner:
                self._owned[link.owner].append(link)
        self.custody = {one.system: one for one in custody if not one.ended}
        self._reaches: dict[str, list[Edge]] = defaultdict(list)
        self._stored: dict[str, list[Edge]] = defaultdict(list)
        for one in self.custody.values():
            node = f"system:{one.system}"
            self._reaches[one.runs].append((node, "runs it"))
            for subject in one.reached:
                self._reaches[subject].append((node, "can get into it"))
            for subject in one.stored:
                self._stored[subject].append((node, "keeps its key or credential"))

    def known(self, node: str) -> bool:
        """Whether the graph has this node."""
        return any(True for _ in self.after(node)) or any(True for _ in self.before(node))

    def after(self, node: str) -> Iterator[Edge]:
        """What whoever holds this can get at next."""
        kind, _, name = node.partition(":")
        yield from self._reaches.get(node, ())
        if kind == "link" and name in self._register.links:
            yield from self._given(self._register.links[name])
        elif kind == "system" and name in self.custody:
            for subject in self.custody[name].stored:
                yield subject, "its key or credential is kept there"
        elif kind == "key":
            yield from ((device, "has the key") for device in self._with_key(name))
        elif kind == "network":
            yield from ((f"device:{one}", "was used from it") for one in self._seen.get(name, ()))
        else:
            for link in self._own_links(kind, name):
                yield f"link:{link.id}", "acts by this delegation"
            if kind == "person":
                for link in self._owned.get(name, ()):
                    yield _node(link), "answers for the workload"

    def before(self, node: str) -> Iterator[Edge]:
        """Who can get at this: through whom it may have been lost."""
        kind, _, name = node.partition(":")
        yield from self._stored.get(node, ())
        if kind == "link" and name in self._register.links:
            link = self._register.links[name]
            yield _node(link), "acts by this delegation"
            yield from self._stored.get(_node(link), ())
        elif kind == "system" and name in self.custody:
            one = self.custody[name]
            yield one.runs, "runs it"
            yield from ((subject, "can get into it") for subject in one.reached)
        elif kind == "key":
            yield from ((device, "has the key") for device in self._with_key(name))
        elif kind in ("model", "purpose"):
            member = f"{kind}s"
            for link in self._links:
                if link.kind in ("device", "workload") and name in self._effective(link, member):
                    yield _node(link), f"may use the {kind}"
        else:
            for link in self._own_links(kind, name):
                if link.parent in self._register.links:
                    yield _node(self._register.links[link.parent]), "delegated to it"
                if link.owner:
                    yield f"person:{link.owner}", "answers for the workload"

    def _given(self, link: Link) -> Iterator[Edge]:
        for child in self._below.get(link.id, ()):
            yield _node(child), "delegated to it"
        for model in self._effective(link, "models"):
            yield f"model:{model}", "may use the model"
        for purpose in self._effective(link, "purposes"):
            yield f"purpose:{purpose}", "may act for the purpose"

    def _effective(self, link: Link, member: str) -> tuple[str, ...]:
        """What a link allows: the narrowest that stands above it, since each link only narrows."""
        key = (link.parent, member)
        named: tuple[str, ...] = getattr(link, member)
        if named or not link.parent:
            return named
        if key not in self._allowed:  # the same for all below one parent
            above = self._register.links.get(link.parent)
            self._allowed[key] = self._effective(above, member) if above is not None else ()
        return self._allowed[key]

    def _own_links(self, kind: str, name: str) -> Iterator[Link]:
        return (link for link in self._register.links_of(name) if link.kind == kind)

    def _with_key(self, thumbprint: str) -> Iterator[str]:
        register = self._register
        for name, device in register.state.devices.items():
            if register.key(device.key).thumbprint == thumbprint:
                yield f"device:{name}"


def walk(edges: Edges, starts: Iterable[str]) -> dict[str, Step]:
    """Every node that can be come to, the starts among them, each with where it was come from (in
    the step's `node`, empty for a start) and why. Breadth first, so that paths are the shortest."""
    found = {start: Step("", "") for start in starts}
    left = deque(found)
    while left:
        node = left.popleft()
        for to, why in edges(node):
            if to not in found:
                found[to] = Step(node, why)
                left.append(to)
    return found


def path_to(found: Mapping[str, Step], node: str) -> tuple[Step, ...]:
    """The steps from a start to a node that was found."""
    steps = []
    while node:
        before = found[node]
        steps.append(Step(node, before.why))
        node = before.node
    return tuple(reversed(steps))


def _node(link: Link) -> str:
    return f"{link.kind}:{link.subject}"
