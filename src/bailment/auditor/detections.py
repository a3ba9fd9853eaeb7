"""Checks what the log says was noticed: findings rest on what it holds, and what is said of a
finding, or done because of one, on a finding that there is."""

from __future__ import annotations

from msgspec import UNSET

from bailment.auditor.findings import Findings, Kind
from bailment.detect.consequence import author_of, by_itself, cited
from bailment.ledger.detection_records import (
    FindingGrouped,
    FindingJudged,
    FindingRaised,
    StepUpAsked,
)
from bailment.ledger.facts import Facts
from bailment.ledger.records import HoldAdded


class Detections:
    """Remembers the findings of a log: who is held because of which, and by which detector."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._raised: dict[str, tuple[str, str]] = {}  # by id: kind and subject

    def follow(self, index: int, facts: Facts) -> None:
        """Check the entry at `index`, if it is about findings."""
        match facts:
            case FindingRaised():
                self._cites(index, facts.records)
                subject = "" if facts.subject is UNSET else facts.subject
                self._raised[facts.finding] = facts.kind, subject
            case FindingGrouped():
                self._cites(index, facts.records)
                if facts.finding:
                    self._known(index, facts.finding, "what is said to go on")
            case FindingJudged():
                self._known(index, facts.finding, "what is judged")
            case StepUpAsked() if by_itself(facts.author):
                self._known(index, facts.finding, "why a person is to sign in again")
            case HoldAdded() if by_itself(facts.author):
                self._held(index, facts)

    def _cites(self, index: int, records: tuple[int, ...]) -> None:
        """A finding is recorded after what it was seen in."""
        wrong = [one for one in records if not 0 <= one < index]
        if wrong:
            sentence = f"the finding cites entry {wrong[0]}, which is not before it"
            self._findings.add(index, Kind.UNFOUNDED, sentence)

    def _known(self, index: int, finding: str, what: str) -> bool:
        if finding in self._raised:
            return True
        sentence = f"{what} is finding `{finding[:40]}`, and there is none before it"
        self._findings.add(index, Kind.UNFOUNDED, sentence)
        return False

    def _held(self, index: int, hold: HoldAdded) -> None:
        """A hold that no person decided on names the finding, of that detector and subject."""
        finding = cited(hold)
        if not self._known(index, finding, "why the subject is held"):
            return
        kind, subject = self._raised[finding]
        if (hold.author, hold.subject) != (author_of(kind), subject):
            sentence = f"the hold is not of the detector, or not on the subject, of `{finding}`"
            self._findings.add(index, Kind.UNFOUNDED, sentence)
