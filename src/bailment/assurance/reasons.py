"""The closed list of reasons for which evidence is refused (`docs/evidence.md` explains each).

Refused evidence changes nothing that was accepted before. What is merely worth less than the
submitter hoped is accepted with a note instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EvidenceReason(StrEnum):
    """Why not. A slug never changes its meaning once released."""

    # The file itself.
    TOO_LARGE = "evidence-too-large"
    BYTE_ORDER_MARK = "evidence-byte-order-mark"
    MALFORMED = "evidence-malformed"
    TRUNCATED = "evidence-truncated"
    TOO_DEEP = "evidence-too-deep"
    DUPLICATE_KEY = "evidence-duplicate-key"
    UNRECOGNISED = "evidence-unrecognised"
    SHAPE = "evidence-shape"

    # What it says.
    INCOMPLETE = "evidence-incomplete"
    CONTRADICTORY = "evidence-contradictory"
    EMPTY = "evidence-empty"
    SCOPE_MISSING = "evidence-scope-missing"
    UNSIGNED = "evidence-unsigned"
    SIGNATURE = "evidence-signature"
    SIGNER_UNKNOWN = "evidence-signer-unknown"

    # What it is handed in as.
    KIND = "evidence-kind"
    NOT_OBSERVED = "evidence-not-observed"
    SCOPE = "evidence-scope"
    REUSED = "evidence-reused"
    FUTURE = "evidence-future"
    EXPIRED = "evidence-expired"


@dataclass(frozen=True, slots=True)
class EvidenceRefused:
    """`where` is a place in the file (`$.MetaData.TenantId`, `line 3 column 9`) or empty.

    `detail` may quote the file, and so may name people: it is for the submitter, not for the log.
    """

    reason: EvidenceReason
    detail: str
    where: str = ""
