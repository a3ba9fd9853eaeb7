"""How fast a hold on a person took effect, by the log's own records and times.

A revocation drill is a hold like any other, and nothing in the log says otherwise until it is over
and its result is evidence. So the result can be made again from the records of that hold.
"""

from __future__ import annotations

from bailment import canonical
from bailment.access.chain import GRANTORS
from bailment.access.fold import Fold
from bailment.access.observing import COLLECTOR
from bailment.access.reasons import Reason
from bailment.assurance.adapters import recognition
from bailment.assurance.adapters.report import Report
from bailment.assurance.intake import Submission, receive
from bailment.assurance.item import Item
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    AccessRefused,
    HoldAdded,
    HoldLifted,
)
from bailment.spec.compiled import Kind

CUT, REFUSED_MS, REFUSED_S = "cut_after_ms", "refused_after_ms", "refused_after_s"
#: Accesses that were opened although the hold stood; the law is that there are none.
OPENED = "opened_after_hold"
CLAIMS = frozenset({CUT, REFUSED_MS, REFUSED_S, OPENED})
#: A hold that is not lifted by then is no drill, ms.
LONGEST = 60_000
_REPORT = "drill:"


class Revocation:
    """What followed one hold on a person, up to its lifting.

    `cut` has each access of theirs that was open, and when it was cut (ms; None: it was not);
    `refused` is when they were first refused, `opened` how often they were not, `lifted` the end.
    """

    def __init__(self, hold: HoldAdded, leaf: Leaf, fold: Fold) -> None:
        self.hold = hold.hold
        self.held = leaf.time
        self.person = hold.subject.removeprefix("person:")
        #: The organisations above the person, each of which the drill says something of.
        self.organisations = {
            link.subject
            for own in fold.register.links_of(self.person)
            for link in fold.register.path(own.id)
            if link.kind in GRANTORS
        }
        self.cut: dict[str, int | None] = {
            access: None
            for access, opened in fold.admission.open.items()
            if opened.person == self.person
        }
        self.refused: int | None = None
        self.opened = 0
        self.lifted: int | None = None
        self._fold = fold

    def follow(self, leaf: Leaf, facts: Facts) -> None:
        """Take the next record."""
        if self.over(leaf.time):
            return
        match facts:
            case AccessClosed() if facts.access in self.cut and facts.outcome == "cut":
                self.cut[facts.access] = leaf.time
            case AccessRefused() if (facts.person, facts.reason) == (self.person, Reason.HELD):
                if self.refused is None and self.held <= facts.since <= leaf.time:
                    self.refused = facts.since
            case AccessOpened():
                token = self._fold.admission.token(facts.token)
                self.opened += token is not None and token.person == self.person
            case HoldLifted() if facts.hold == self.hold:
                self.lifted = leaf.time

    def over(self, time: int) -> bool:
        """Whether nothing that comes at this time or later belongs to it."""
        return self.lifted is not None or time > self.held + LONGEST

    @property
    def took_effect(self) -> bool:
        """Whether everything that was open was cut, and a request refused."""
        return None not in self.cut.values() and self.refused is not None


def hold_of(report: str) -> str:
    """The hold whose drill a report of this id is of; empty if it is none."""
    return report.removeprefix(_REPORT) if report.startswith(_REPORT) else ""


def report_of(seen: Revocation, kind: str, scope: str) -> bytes:
    """The drill's report, as `formats/evidence.md` has it; the hold must have been lifted."""
    if seen.lifted is None:
        raise ValueError("the drill is not over")
    cuts = [{"from": seen.held, "until": at} for at in seen.cut.values()]
    refused = [{"from": seen.held, "until": seen.refused}]
    told = {
        "format": "bailment-drill/v1",
        "id": _REPORT + seen.hold,
        "kind": kind,
        "scope": scope,
        "started": seen.held,
        "ended": seen.lifted,
        "timed": {CUT: cuts, REFUSED_MS: refused, REFUSED_S: refused},
        "observed": len(cuts) + 1,
        "counts": {OPENED: seen.opened},
    }
    return canonical.encode(told)


def measured(seen: Revocation, kind: Kind, scope: str, item: str, received: int) -> Item | None:
    """The item that the drill's report gives, as one that the gateway collected."""
    report = recognition.read(report_of(seen, kind.name, scope))
    if not isinstance(report, Report):
        return None
    handed = Submission(kind, (scope,), "gateway", COLLECTOR, skew=0)
    items = receive(report, handed, item=item, now=received)
    return items[0] if isinstance(items, tuple) else None
