"""A spec that cannot be read, or could not be put in force: what follows from it cannot be judged.

That is one finding. Whatever comes after it and needs the spec is neither said to agree nor held
against the log; it is counted, and told with the finding as its consequence.
"""

from __future__ import annotations

from bailment.access.reasons import Reason, Refused
from bailment.auditor.findings import Findings, Kind
from bailment.ledger.evidence_records import (
    EvidenceReceived,
    EvidenceStaled,
    ExceptionGranted,
    ModelTiered,
    StandingEvaluated,
    StandingHeld,
    StandingReleased,
)
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.spec.prose import counted

#: The records whose rule asks the spec.
_OF_SPEC = (
    EvidenceReceived,
    EvidenceStaled,
    ExceptionGranted,
    ModelTiered,
    StandingEvaluated,
    StandingHeld,
    StandingReleased,
)
#: Why an access is refused whatever any spec says.
_CERTAIN = frozenset(
    {
        Reason.HELD,
        Reason.LINK_UNKNOWN,
        Reason.LINK_ENDED,
        Reason.LINK_EXPIRED,
        Reason.LINK_EARLY,
        Reason.MODEL_OUTSIDE_CHAIN,
        Reason.PURPOSE_OUTSIDE_CHAIN,
        Reason.NETWORK_OUTSIDE_CHAIN,
        Reason.TOKEN_EXPIRED,
        Reason.PROOF_KEY,
    }
)


class LostSpec:
    """Whether a spec was lost, and what could not be judged since."""

    def __init__(self) -> None:
        self.decisions: set[int] = set()
        self.standings = 0
        self.records = 0
        self._at: tuple[int, Kind] | None = None
        self._unnamed = False  # the digest of the spec in force is in the next leaf

    def __bool__(self) -> bool:
        return self._at is not None

    def lose(self, index: int, kind: Kind, *, unread: bool) -> None:
        """The spec at this entry is lost, which is named as of this kind."""
        self._unnamed = unread
        if self._at is None:
            self._at = index, kind

    def find(self) -> None:
        """A spec was put in force: nothing is lost any more if nothing depended on the lost one."""
        if not self.decisions and not self.standings and not self.records:
            self._at = None
        self._unnamed = False

    def digest(self, known: str, leaf: Leaf) -> str:
        """The digest of the spec in force before this leaf: of one that is not read, what the first
        leaf after it says, as whoever wrote it counted."""
        unnamed, self._unnamed = self._unnamed, False
        return leaf.spec if unnamed else known

    def hides(self, facts: Facts) -> bool:
        """Whether the record cannot be judged; if so, it is counted."""
        if self._at is None or not isinstance(facts, _OF_SPEC):
            return False
        if isinstance(facts, StandingEvaluated):
            self.standings += 1
        else:
            self.records += 1
        return True

    def leaves_open(self, decision: object) -> bool:
        """Whether the decision might have been another, had the spec been known."""
        certain = isinstance(decision, Refused) and decision.reason in _CERTAIN
        return self._at is not None and not certain

    def conclude(self, disputed: set[int], findings: Findings) -> None:
        """At the end of the log: say what could not be judged. What is `disputed` for other reasons
        was judged."""
        self.decisions -= disputed
        numbers = {
            "decision": len(self.decisions),
            "standing": self.standings,
            "other record": self.records,
        }
        told = ", ".join(counted(number, what) for what, number in numbers.items() if number)
        if self._at is not None and told:
            findings.explain(*self._at, f"what follows from it could not be judged: {told}")
