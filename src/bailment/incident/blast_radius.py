"""What a subject gives, through whom it may have been lost, and what was done with it.

All that *could* be reached follows from the graph, and *was* from the index of accesses
(`store/exposure.py`), of which the uses of these devices are passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bailment.access.state import Indexed
from bailment.incident.graph import Graph, Step, path_to, walk

#: Whatever may hold a key that calls models.
CALLERS = ("device", "workload")
#: Beyond these upstream, everything else that they keep or reach is exposed as well.
_SHARED = ("system", "vendor")


class Use(msgspec.Struct, frozen=True):
    """Accesses of one device with one model, purpose, network and client.

    `network` is the autonomous system or hashed prefix, `declared` the networks of delegations
    that it lies in. `first` and `last` are entries of the log, `began` and `ended` their times
    (ms); `tokens` are those of input and output.
    """

    device: str
    model: str
    purpose: str
    network: str
    declared: str
    client: str
    count: int
    tokens: int
    first: int
    last: int
    began: int
    ended: int


class Node(msgspec.Struct, frozen=True):
    """A subject of the graph, with the path that leads there and the recipient that it is of."""

    node: str
    path: tuple[Step, ...]
    recipient: str = ""
    uses: tuple[Use, ...] = ()


class Radius(msgspec.Struct, frozen=True):
    """The extent of something.

    starts    what it is about
    reached   all that could be reached with it, the nearest first
    through   all through whom it may have been lost itself
    beside    what else would be exposed, if it was lost through a shared system or a vendor
    uses      what was done by the devices and workloads among `starts` and `reached`
    """

    starts: tuple[str, ...]
    reached: tuple[Node, ...]
    through: tuple[Node, ...]
    beside: tuple[Node, ...]
    uses: tuple[Use, ...]

    @property
    def callers(self) -> set[str]:
        """The ids of all devices and workloads that could be used."""
        return callers_of([*self.starts, *(one.node for one in self.reached)])


class Extent:
    """A walk from some subjects; `with_uses` makes the answer, once the uses were looked up."""

    def __init__(self, graph: Graph, register: Indexed, starts: Sequence[str]) -> None:
        self._register = register
        self.starts = tuple(dict.fromkeys(starts))
        self._down = walk(graph.after, self.starts)
        self._up = walk(graph.before, self.starts)
        shared = [node for node in self._up if node.partition(":")[0] in _SHARED]
        self._aside = walk(graph.after, shared)

    @property
    def callers(self) -> set[str]:
        """The ids of the devices and workloads whose uses count."""
        return callers_of(self._down)

    def with_uses(self, uses: Iterable[Use]) -> Radius:
        """The answer."""
        found = tuple(uses)
        by_device: dict[str, list[Use]] = {}
        for use in found:
            by_device.setdefault(use.device, []).append(use)
        known = set(self.starts) | set(self._down)
        return Radius(
            self.starts,
            self._nodes(self._down, set(self.starts), by_device),
            self._nodes(self._up, set(self.starts), {}),
            self._nodes(self._aside, known | set(self._up), {}),
            found,
        )

    def _nodes(
        self, found: dict[str, Step], without: set[str], uses: dict[str, list[Use]]
    ) -> tuple[Node, ...]:
        nodes = []
        for node in found:
            if node in without:
                continue
            kind, _, name = node.partition(":")
            mine = tuple(uses.get(name, ())) if kind in CALLERS else ()
            nodes.append(Node(node, path_to(found, node), top_of(self._register, node), mine))
        return tuple(nodes)


def callers_of(nodes: Iterable[str]) -> set[str]:
    """The ids of the devices and workloads among these nodes."""
    parts = (node.partition(":") for node in nodes)
    return {name for kind, _, name in parts if kind in CALLERS}


def top_of(register: Indexed, node: str) -> str:
    """The recipient at the top of a node's chain; empty for what is nobody's own."""
    kind, _, name = node.partition(":")
    link = name if kind == "link" else register.link_of.get(name, "")
    return register.recipient_of(link)


def totals(uses: Iterable[Use]) -> dict[str, Any]:
    """What uses come to: how many, by model, purpose, network and client, and from when to when."""
    found: dict[str, Any] = {"accesses": 0, "tokens": 0, "began": 0, "ended": 0}
    tables: dict[str, dict[str, int]] = {
        name: {} for name in ("model", "purpose", "network", "client")
    }
    devices = set()
    for use in uses:
        found["accesses"] += use.count
        found["tokens"] += use.tokens
        found["began"] = min(found["began"] or use.began, use.began)
        found["ended"] = max(found["ended"], use.ended)
        devices.add(use.device)
        for name, table in tables.items():
            value = getattr(use, name)
            table[value] = table.get(value, 0) + use.count
    found |= {f"{name}s": _sorted(table) for name, table in tables.items()}
    return found | {"devices": len(devices)}


def _sorted(table: dict[str, int]) -> dict[str, int]:
    return dict(sorted(table.items(), key=lambda one: (-one[1], one[0])))
