"""What is done because of a finding names it: how that is written, and how it is read again."""

from __future__ import annotations

import re

from bailment.ledger.detection_records import FindingRaised, StepUpAsked
from bailment.ledger.facts import Facts
from bailment.ledger.records import HoldAdded

_DETECTOR = "detector:"
_NAMED = re.compile(r"finding ([0-9a-f]{32})(?![0-9a-f])")


def author_of(kind: str) -> str:
    """Who does what follows from a finding of this kind by itself."""
    return _DETECTOR + kind


def by_itself(author: str) -> bool:
    """Whether nobody decided on what this author did."""
    return author.startswith(_DETECTOR)


def reason_for(finding: FindingRaised) -> str:
    """Why somebody is held."""
    return f"finding {finding.finding}: {finding.kind}"


def named_in(reason: str) -> str:
    """The finding that the reason of a hold begins with, whoever wrote it; empty without one."""
    found = _NAMED.match(reason)
    return found[1] if found else ""


def cited(facts: Facts) -> str:
    """The finding because of which this was done by itself; empty where it was not."""
    match facts:
        case StepUpAsked() if by_itself(facts.author):
            return facts.finding
        case HoldAdded() if by_itself(facts.author):
            return named_in(facts.reason)
    return ""
