"""Turns what detectors saw into records: the first of its kind at once, the rest counted.

Nothing is dropped: each finding is a `finding.raised`, or counted in a `finding.grouped`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec
from msgspec import UNSET

from bailment import canonical
from bailment.detect.event import Finding
from bailment.ledger.detection_records import FindingGrouped, FindingRaised
from bailment.ledger.records import decode_facts
from bailment.spec.detection import DetectionTerms

Recorded = FindingRaised | FindingGrouped

FLOOD, FAILED = "findings-flood", "detector-failed"
#: What is told whatever else there is to tell.
_OF_THE_SYSTEM = (FLOOD, FAILED)
#: What anybody can bring about who has read a secret of another, without any key: it must not cut
#: the other off, so that it leads to no more than signing in again.
BY_ANYBODY = frozenset(("wrong-key", "tripwire", "honey-credential"))
_MINUTE_MS = 60_000
#: What goes on is told anew after so long at the latest, and what it leads to is done anew.
LONGEST_MS = 86_400_000
#: How many that go on are known at once, subjects of one kind are told apart, and entries named.
MOST_GROUPS, MOST_SUBJECTS, MOST_RECORDS = 10_000, 20_000, 32
#: Of each kind the first of a minute are told, however many there are of others: this part of all.
_SHARE = 8
#: Of each kind that leads to something by itself so many times as many are told as of all others.
_ACTING = 8


def group_of(kind: str, subject: str, key: str) -> str:
    """What begins the ids of all findings that are one that goes on, 16 hex digits."""
    return sha256(f"{kind}\0{subject}\0{key}".encode()).hexdigest()[:16]


def finding_of(found: Finding) -> str:
    """The id that a finding has when it is raised: of its group, and of the last entry it cites."""
    name = group_of(found.kind, found.subject, found.key)
    at = found.records[-1] if found.records else found.until
    return name + sha256(f"{name}\0{at}".encode()).hexdigest()[:16]


def response_of(kind: str, terms: DetectionTerms) -> str:
    """What a finding of this kind leads to by itself."""
    said = terms.rule(kind).response
    return "step-up" if said == "hold" and kind in BY_ANYBODY else said


def pack(records: Iterable[Recorded]) -> list[tuple[str, bytes]]:
    """Records as they are kept until the log has them: type and facts."""
    return [(one.TYPE, canonical.encode(one)) for one in records]


def unpack(packed: Iterable[tuple[str, bytes]]) -> list[Recorded]:
    """The records again; FormatError if they are none."""
    found = (decode_facts(name, facts) for name, facts in packed)
    return [one for one in found if isinstance(one, FindingRaised | FindingGrouped)]


class Group(msgspec.Struct):
    """A finding that goes on; `count`, `first`, `last` and `records` are what is not told yet."""

    finding: str
    began: int
    due: int
    count: int = 0
    first: int = 0
    last: int = 0
    records: list[int] = []


class Rest(msgspec.Struct):
    """What is counted of one kind because there was too much to tell in this minute."""

    count: int = 0
    first: int = 0
    last: int = 0
    subjects: set[str] = set()
    records: list[int] = []


class Counts(msgspec.Struct):
    """All of it, so that it can be kept."""

    groups: dict[str, Group] = {}
    minute: int = 0
    told: dict[str, int] = {}  # in this minute, by kind
    rest: dict[str, Rest] = {}


class Grouping:
    """Of one engine."""

    def __init__(self, terms: DetectionTerms, counts: Counts | None = None) -> None:
        self.terms = terms
        self.counts = counts or Counts()
        self._due = [(one.due, name) for name, one in self.counts.groups.items() if one.count]
        heapq.heapify(self._due)

    def add(self, found: Finding, now: int) -> Iterator[Recorded]:
        """What is to be recorded because of a finding."""
        yield from self.tick(now)
        name = group_of(found.kind, found.subject, found.key)
        group = self.counts.groups.get(name)
        window = min(self.terms.rule(found.kind).window_ms, LONGEST_MS)
        if group is not None and now < group.began + window:
            if not group.count:
                group.first = found.since
                # The longer it goes on, the seldomer it is told.
                group.due = now + max(_MINUTE_MS, now - group.began)
                heapq.heappush(self._due, (group.due, name))
            _count(group, found)
            return
        if not self._room(found.kind):
            yield from self._flood(found, now)
            return
        yield from self._end(name)
        if len(self.counts.groups) >= MOST_GROUPS:
            yield from self._end(next(iter(self.counts.groups)))
        yield self._raised(found, name, now)

    def tick(self, now: int) -> Iterator[Recorded]:
        """What is due by the time."""
        if now // _MINUTE_MS != self.counts.minute:
            yield from self._next_minute(now)
        while self._due and self._due[0][0] <= now:
            due, name = heapq.heappop(self._due)
            group = self.counts.groups.get(name)
            if group is not None and group.due == due:
                yield from _told(group)

    def end(self) -> Iterator[Recorded]:
        """All that was counted and not told yet."""
        yield from self._next_minute(0)
        for group in self.counts.groups.values():
            yield from _told(group)
        self._due.clear()

    def known(self, finding: str, now: int) -> None:
        """A finding is in the log: what is the same goes on from it."""
        if finding[:16] not in self.counts.groups and len(self.counts.groups) < MOST_GROUPS:
            self.counts.groups[finding[:16]] = Group(finding, now, 0)

    def _raised(self, found: Finding, name: str, now: int) -> FindingRaised:
        counts = self.counts
        finding = finding_of(found)
        counts.groups[name] = Group(finding, now, 0)
        if found.kind not in _OF_THE_SYSTEM:
            counts.told[found.kind] = counts.told.get(found.kind, 0) + 1
        return FindingRaised(
            finding,
            found.kind,
            found.sentence,
            found.since,
            found.until,
            numbers=found.numbers,
            model=found.model,
            subject=found.subject or UNSET,
            others=found.others[:MOST_RECORDS],
            severity=found.severity,
            records=found.records[-MOST_RECORDS:],
            count=max(1, len(found.records)),
            response=response_of(found.kind, self.terms),
        )

    def _room(self, kind: str) -> bool:
        """Whether another finding of a kind is told in this minute. A flood of one kind does not
        hide the first ones of another, and takes nothing from one that leads to something."""
        if kind in _OF_THE_SYSTEM:
            return True
        told, most = self.counts.told, self.terms.per_minute
        if self._acts(kind):
            return told.get(kind, 0) < most * _ACTING
        others = sum(count for one, count in told.items() if not self._acts(one))
        return others < most or told.get(kind, 0) < max(1, most // _SHARE)

    def _acts(self, kind: str) -> bool:
        """Whether a finding of this kind leads to something by itself."""
        return response_of(kind, self.terms) in ("hold", "step-up")

    def _flood(self, found: Finding, now: int) -> Iterator[Recorded]:
        begins = not self.counts.rest
        rest = self.counts.rest.setdefault(found.kind, Rest())
        rest.first = rest.first or found.since
        if len(rest.subjects) < MOST_SUBJECTS:
            rest.subjects.add(found.subject)
        _count(rest, found)
        if begins:
            sentence = (
                f"more findings of `{found.kind}` came within a minute than are told one by one: "
                "what is too much is counted by kind, and nothing is done about it by itself; look "
                "for one cause"
            )
            flood = Finding(FLOOD, "", sentence, found.since, found.until, found.records, "high")
            yield from self.add(flood, now)

    def _next_minute(self, now: int) -> Iterator[Recorded]:
        counts, rests = self.counts, self.counts.rest
        counts.minute, counts.told, counts.rest = now // _MINUTE_MS, {}, {}
        for kind, rest in rests.items():
            yield FindingGrouped(
                "",
                rest.count,
                rest.first,
                rest.last,
                kind=kind,
                subjects=len(rest.subjects),
                records=tuple(rest.records),
            )

    def _end(self, name: str) -> Iterator[Recorded]:
        group = self.counts.groups.pop(name, None)
        if group is not None:
            yield from _told(group)


def _count(counted: Group | Rest, found: Finding) -> None:
    counted.count += 1
    counted.last = max(counted.last, found.until)
    counted.records = [*counted.records, *found.records[-1:]][-MOST_RECORDS:]


def _told(group: Group) -> Iterator[FindingGrouped]:
    """What was counted of a group since it was told last."""
    if group.count:
        records, group.records = tuple(group.records), []
        yield FindingGrouped(group.finding, group.count, group.first, group.last, records=records)
        group.count = 0
