"""What an audit can find, each by a name that never changes its meaning once released."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

#: Findings kept in full; the rest is only counted.
MAX_FINDINGS = 1000


class Kind(StrEnum):
    """What is wrong. `formats/log.md`, sections 9 and 10, has the sentences."""

    # The log as a structure.
    BAD_SIGNATURE = "bad-signature"
    WRONG_ROOT = "wrong-root"
    WRONG_TILE = "wrong-tile"
    REMOVED_RECORD = "removed-record"
    MALFORMED_RECORD = "malformed-record"
    ALTERED_FACTS = "altered-facts"
    WITHHELD_FACTS = "withheld-facts"
    TIME_BACKWARDS = "time-backwards"
    SLOT_BROKEN = "slot-broken"
    WRONG_SLOT = "wrong-slot"
    WRONG_HEADS = "wrong-heads"
    LATE_HEADS = "late-heads"
    WRONG_SNAPSHOT = "wrong-snapshot"

    # The register.
    REGISTER_MISMATCH = "register-mismatch"
    BAD_LINK = "bad-link"
    BAD_RECORD = "bad-record"

    # Tokens and accesses.
    ILLEGAL_TOKEN = "illegal-token"
    UNLOGGED_TOKEN = "unlogged-token"
    BAD_PROOF = "bad-proof"
    STALE_PROOF = "stale-proof"
    ALTERED_BODY = "altered-body"
    REUSED_PROOF = "reused-proof"
    STALE_DECISION = "stale-decision"
    ILLEGAL_ACCESS = "illegal-access"
    HOLD_IGNORED = "hold-ignored"
    OVERSPENT_BUDGET = "overspent-budget"
    REPEATED_OPEN = "repeated-open"
    UNPAIRED_CLOSE = "unpaired-close"
    IMPLAUSIBLE_CLOSE = "implausible-close"
    LATE_CUT = "late-cut"
    LEFT_OPEN = "left-open"

    # Evidence.
    FALSE_OBSERVATION = "false-observation"
    UNEVALUATED = "unevaluated"

    # Detection.
    UNFOUNDED = "unfounded"

    # A recipient's view.
    ALTERED_PERSONAL = "altered-personal"
    BAD_ATTESTATION = "bad-attestation"
    UNPROVEN_COMPLETE = "unproven-complete"


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation. `index` is the entry's, or None for the log as a whole."""

    index: int | None
    kind: Kind
    sentence: str


@dataclass(slots=True)
class Findings:
    """The first `MAX_FINDINGS` in full, and how many there are of each kind."""

    kept: list[Finding] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def add(self, index: int | None, kind: Kind, sentence: str) -> None:
        """Name a violation."""
        self.counts[kind] += 1
        if len(self.kept) < MAX_FINDINGS:
            self.kept.append(Finding(index, kind, sentence))

    def explain(self, index: int, kind: Kind, consequence: str) -> None:
        """Say what followed from a violation that was named."""
        for at, finding in enumerate(self.kept):
            if (finding.index, finding.kind) == (index, kind):
                told = f"{finding.sentence}; {consequence}"
                self.kept[at] = Finding(index, kind, told)

    def ordered(self) -> tuple[Finding, ...]:
        """Those kept, in log order, what concerns the whole log first."""
        return tuple(sorted(self.kept, key=lambda f: -1 if f.index is None else f.index))
