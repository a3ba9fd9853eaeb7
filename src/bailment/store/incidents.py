"""Incidents and the custody map as the log has them, and the extent of a subject: the register, the
index of accesses and the graph put together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET

from bailment.access.state import Indexed
from bailment.detect.consequence import named_in
from bailment.errors import BailmentError
from bailment.incident.blast_radius import Extent, Radius, Use
from bailment.incident.graph import Graph
from bailment.incident.subjects import OUTSIDE
from bailment.incident.window import Cluster, Window, first_exposure
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import (
    ContainmentExecuted,
    CustodyDeclared,
    IncidentClosed,
    IncidentNoted,
    IncidentOpened,
    NoticeSent,
    RotationDemanded,
)
from bailment.ledger.records import AccessOpened, AccessRefused, HoldAdded
from bailment.store.exposure import Entry, Exposure, Read
from bailment.store.folder import Folder
from bailment.store.reader import LogReader

F = TypeVar("F", bound=Facts)
_DECLARE = "say what it runs, reaches or keeps: bailment custody declare SYSTEM"
#: The records of a finding that are looked at for where it was seen.
_MOST = 64


class Incident(msgspec.Struct, frozen=True):
    """An incident: how it was opened, what was added since, and whether it is closed. `index` and
    `time` (ms) are those of its first record."""

    index: int
    time: int
    opened: IncidentOpened
    subjects: tuple[str, ...]
    findings: tuple[str, ...]
    closed: IncidentClosed | None


class Extended(msgspec.Struct, frozen=True):
    """The extent of something, and from when on to look."""

    radius: Radius
    window: Window
    clusters: tuple[Cluster, ...]

    @property
    def misused(self) -> list[Use]:
        """What was done from where findings were seen; empty where none says."""
        return [one for one in self.radius.uses if (one.network, one.client) in self.clusters]


class Incidents:
    """Over one log, beside the process that writes it or within."""

    def __init__(
        self,
        folder: Folder,
        reader: LogReader,
        register: Indexed,
        warn: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._reader = reader
        self._register = register
        self.index = Exposure(folder.exposure, warn)

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    def follow(
        self, tell: Callable[[int], None] = lambda done: None, most: int | None = None
    ) -> int:
        """Bring the index up to date, by `most` records at most; how many records that took. `tell`
        is told how far it is."""

        def entries(start: int) -> Iterator[Read]:
            stop = None if most is None else start + 1 + most
            for record in self._reader.records(start, stop):
                if record.index % 1000 == 0:
                    tell(record.index)
                yield record.index, record.leaf.time, record.facts, record.entry

        return self.index.follow(entries, most)

    # What the log has

    def custody(self) -> list[CustodyDeclared]:
        """The systems of the custody map, as they were declared last; without those that ended."""
        found = {one.system: one for one in self._of(CustodyDeclared)}
        return [one for one in found.values() if not one.ended]

    def incidents(self) -> list[Incident]:
        """All incidents, the oldest first."""
        ids = [one.incident for one in self._of(IncidentOpened)]
        return [self.incident(name) for name in ids]

    def incident(self, name: str) -> Incident:
        """The incident with this id, or with the only one that begins so; BailmentError if there is
        none."""
        if len(name) < 32:
            ids = [one.incident for one in self._of(IncidentOpened)]
            near = [one for one in ids if name and one.startswith(name)]
            name = near[0] if len(near) == 1 else ""
        found = None
        for index, time, facts in self.index.told(name) if name else []:
            if isinstance(facts, IncidentOpened):
                found = Incident(index, time, facts, facts.subjects, facts.findings, None)
            elif found is not None and isinstance(facts, IncidentNoted):
                found = msgspec.structs.replace(
                    found,
                    subjects=_once((*found.subjects, *facts.subjects)),
                    findings=_once((*found.findings, *facts.findings)),
                )
            elif found is not None and isinstance(facts, IncidentClosed):
                found = msgspec.structs.replace(found, closed=facts)
        if found is None:
            raise BailmentError("there is no such incident", hint="bailment incident list")
        return found

    def told_of(self, incident: Incident) -> list[Entry]:
        """The records of an incident, of its findings, notices and rotations, and of its holds."""
        found = self.index.told(incident.opened.incident)
        later = [facts.notice for _, _, facts in found if isinstance(facts, NoticeSent)]
        later += [facts.rotation for _, _, facts in found if isinstance(facts, RotationDemanded)]
        for name in (*incident.findings, *later, *self._holds_of(incident)):
            found += self.index.told(name)
        return found

    def contained_by(self, hold: str) -> Incident | None:
        """The incident that is open and has this hold."""
        for one in self.incidents():
            if one.closed is None and hold in self._holds_of(one):
                return one
        return None

    def _holds_of(self, incident: Incident) -> list[str]:
        """The holds that its containment made, and those because of its findings."""
        found = [
            one.made
            for _, _, facts in self.index.told(incident.opened.incident)
            if isinstance(facts, ContainmentExecuted)
            for one in facts.acts
            if one.act == "hold" and one.made
        ]
        if incident.findings:
            added = self._of(HoldAdded)
            found += (one.hold for one in added if named_in(one.reason) in incident.findings)
        return list(dict.fromkeys(found))

    def finding(self, name: str) -> tuple[int, int, FindingRaised]:
        """A finding with its entry and time (ms), by its id or how that begins; BailmentError if
        there is none."""
        told = self.index.told(name) if len(name) == 32 else self.index.told("", "finding.raised")
        found = [
            (index, time, facts)
            for index, time, facts in told
            if isinstance(facts, FindingRaised) and name and facts.finding.startswith(name)
        ]
        if len(found) != 1:
            many = "several findings begin with" if found else "there is no finding"
            raise BailmentError(f"{many} `{name}`", hint="bailment finding list --since 90d")
        return found[0]

    def _of(self, kind: type[F]) -> list[F]:
        found = (facts for _, _, facts in self.index.told("", kind.TYPE))
        return [facts for facts in found if isinstance(facts, kind)]

    # What it comes to

    def extent(self, subjects: Sequence[str], since: int = 0) -> Extended:
        """How far something reaches, as `graph_of` says."""
        return self.graph_of(subjects, since)[1]

    def graph_of(self, subjects: Sequence[str], since: int = 0) -> tuple[Graph, Extended]:
        """The graph, and how far something reaches; `finding:<id>` and `incident:<id>` stand for
        what they are about. `since` (ms) is the beginning that somebody asks for."""
        starts, clusters, seen = self._starts(subjects)
        custody = self.custody()
        graph = self._graph(starts, custody, seen)
        extent = Extent(graph, self._register, starts)
        uses = self.index.uses(extent.callers)
        for kind, _, name in (start.partition(":") for start in starts):
            if kind in ("model", "purpose"):
                uses += self.index.of(kind, name)
        radius = extent.with_uses(uses)
        window = first_exposure(self._register, radius, custody, clusters)
        if since:
            missed = (
                self.index.before(radius.callers, window.since, since, set(clusters))
                if since > window.since
                else 0
            )
            window = msgspec.structs.replace(window, asked=since, before=missed)
        return graph, Extended(radius, window, tuple(dict.fromkeys(clusters)))

    def require(self, subjects: Sequence[str]) -> None:
        """BailmentError if nothing is known of one of these."""
        starts, _, seen = self._starts(subjects)
        self._graph(starts, self.custody(), seen)

    def _graph(
        self, starts: Sequence[str], custody: list[CustodyDeclared], seen: dict[str, list[str]]
    ) -> Graph:
        graph = Graph(self._register, custody, seen)
        unknown = next((one for one in starts if not graph.known(one)), "")
        if unknown:
            kind = unknown.partition(":")[0]
            raise BailmentError(
                f"nothing is known of `{unknown}`",
                hint=_DECLARE
                if kind in OUTSIDE
                else "a subject is written kind:id, like person:maria@acme.example, "
                "system:ci-vault or finding:ID",
            )
        return graph

    def _starts(
        self, subjects: Sequence[str]
    ) -> tuple[list[str], list[Cluster], dict[str, list[str]]]:
        """The nodes that subjects stand for, the clusters that findings were seen in, and the
        devices that were used from networks."""
        starts: list[str] = []
        clusters: list[Cluster] = []
        seen: dict[str, list[str]] = {}
        left, known = list(subjects), set()
        while left:
            subject = left.pop(0)
            kind, _, name = subject.partition(":")
            if subject in known:
                continue
            known.add(subject)
            if kind == "incident":
                incident = self.incident(name)
                left += incident.subjects
                left += (f"finding:{one}" for one in incident.findings)
            elif kind == "finding":
                finding = self.finding(name)[2]
                told = () if finding.subject is UNSET else (finding.subject,)
                left += (one for one in (*told, *finding.others) if one)
                clusters += self._clusters(finding.records)
            else:
                starts.append(subject)
                if kind == "network":
                    seen[name] = self.index.seen_from(name)
        return starts, clusters, seen

    def _clusters(self, records: Collection[int]) -> Iterator[Cluster]:
        """Where accesses in these entries came from."""
        for index in sorted(records)[:_MOST]:
            for record in self._reader.records(index, index + 1):
                facts = record.facts
                if isinstance(facts, AccessOpened | AccessRefused) and facts.context is not UNSET:
                    yield facts.context.network, facts.context.client


def _once(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
