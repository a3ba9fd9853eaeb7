"""Whether what the gateway is said to have seen, and to have measured, follows from the log.

The report of an observation names the recipient, the entries and the window, that of a revocation
drill the hold. The same pure functions that made them make them again, and the item must be the
same to the last digit.
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

from bailment.access.fold import Fold
from bailment.access.observing import COLLECTOR, Question, observe, question_of, windows
from bailment.access.revoking import Revocation, hold_of, measured
from bailment.access.sightings import Sightings
from bailment.assurance.adapters import observation
from bailment.assurance.item import Item
from bailment.auditor.findings import Findings, Kind
from bailment.ledger.evidence_records import EvidenceReceived
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import HoldAdded


class Observations:
    """Follows the log and checks each observation and drill in it."""

    def __init__(self, fold: Fold, findings: Findings) -> None:
        self._fold = fold
        self._sightings = Sightings(fold.register)
        self._findings = findings
        self._drills: dict[str, Revocation] = {}  # what may have been one, by its hold
        self._under_way: list[Revocation] = []

    def follow(self, index: int, leaf: Leaf, facts: Facts) -> None:
        """Take the next record, after the register did."""
        if isinstance(facts, EvidenceReceived):
            self._check(index, facts)
        self._sightings.follow([(index, leaf, facts)])
        self._follow_drills(leaf, facts)

    def _follow_drills(self, leaf: Leaf, facts: Facts) -> None:
        for drill in self._under_way:
            drill.follow(leaf, facts)
        self._under_way = [one for one in self._under_way if not one.over(leaf.time)]
        if isinstance(facts, HoldAdded) and facts.subject.startswith("person:"):
            self._drills[facts.hold] = drill = Revocation(facts, leaf, self._fold)
            self._under_way.append(drill)

    def _check(self, index: int, facts: EvidenceReceived) -> None:
        try:
            item = msgspec.convert(facts.item, Item)
        except msgspec.ValidationError:
            return  # which the register says
        if item.independence != "observed":
            return  # somebody's word, and worth that
        if item.adapter == observation.ADAPTER:
            why = self._objection(index, facts.recipient, item)
        elif hold := hold_of(item.report):
            why = self._misses(hold, facts.recipient, item)
        else:
            why = "only revocation drills and what the gateway saw are"
        if why:
            sentence = f"the log does not show what item `{item.id}` says was observed: {why}"
            self._findings.add(index, Kind.FALSE_OBSERVATION, sentence)

    def _objection(self, index: int, recipient: str, item: Item) -> str:
        """Why the item does not follow from the log, or nothing."""
        asked = question_of(item.report)
        if asked is None or (asked.kind, asked.recipient) != (item.kind, recipient):
            return "its report is not about this recipient's use"
        spec = self._sightings.in_force(asked.stop).spec
        due = windows(spec, recipient, asked.stop, asked.until) if spec is not None else []
        if asked not in due or asked.stop > index:
            return "the spec asks for another window"
        if self._hides(asked):
            return f"it leaves out what was before {asked.until}"
        again = observe(self._sightings, asked, item.scope, item.id)
        if again is None:
            return "nothing was"
        return "" if again == item else _difference(again, item)

    def _misses(self, hold: str, recipient: str, item: Item) -> str:
        """Why a drill's item does not follow from the log, or nothing."""
        seen, spec = self._drills.get(hold), self._fold.register.spec
        kind = spec.kinds.get(item.kind) if spec is not None else None
        if seen is None or seen.lifted is None or kind is None:
            return "there was no such hold, or no end of it"
        if recipient not in seen.organisations:
            return "the hold was on nobody of this organisation's"
        again = measured(seen, kind, item.scope, item.id, item.received)
        if again is None:
            return "nothing was"
        return "" if again == item else _difference(again, item)

    def _hides(self, asked: Question) -> bool:
        """Whether something was in the window, and after the entries that were looked at."""
        kept = self._sightings.of(asked.recipient)
        return any(
            bisect_left(track.times, asked.until) > bisect_left(track.indices, asked.stop)
            for track in (kept.requests, kept.tokens)
        )


def _difference(again: Item, item: Item) -> str:
    for name in sorted(again.claims.keys() | item.claims.keys()):
        said, is_so = item.claims.get(name), again.claims.get(name)
        if said != is_so:
            return f"`{name}` is {is_so} and not {said}"
    if again.people != item.people:
        return f"it saw {len(again.people)} people, and these are not they"
    return f"it is no observation of `{COLLECTOR}`'s as the log has it"
