"""The audit of an export: from its files and pinned keys alone.

First the tree: signature, root, tiles, and whatever the auditor kept from before. Then every
record is folded and every decision made again. What an operator can do to a log and sign is
found in one of the two, or it is not in the log at all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bailment.auditor.export import Export
from bailment.auditor.findings import Finding, Findings, Kind
from bailment.auditor.performance import Performance
from bailment.auditor.signatures import Signatures
from bailment.auditor.structure import Progress, check_tree, read_kept
from bailment.errors import VerificationError
from bailment.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from bailment.ledger.note import Verifier, parse_note
from bailment.ledger.records import AccessOpened
from bailment.ledger.tiles import WIDTH, new_bundles


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found. Equal for equal logs, however long it took.

    checkpoint  the head that was audited
    types       how many records there are of each type
    decisions   tokens and accesses decided again; `agreed` of them as the log has it
    standings   how many were derived again: one that does not follow is a finding
    unjudged    how many decisions, standings and other records were not, since the spec that they
                follow from is not known, which is a finding
    findings    the first violations in log order; `counts` has all of them by kind
    open        accesses that are not closed at the end of the log, which is no violation
    """

    checkpoint: Checkpoint
    types: dict[str, int]
    decisions: int
    agreed: int
    standings: int
    unjudged: dict[str, int]
    findings: tuple[Finding, ...]
    counts: dict[Kind, int]
    open: tuple[str, ...]
    seconds: float = field(compare=False)

    @property
    def entries(self) -> int:
        return self.checkpoint.size

    @property
    def accesses(self) -> int:
        return self.types.get(AccessOpened.TYPE, 0)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.counts


def audit_export(
    path: Path,
    log_key: Verifier,
    *,
    since: Sequence[bytes] = (),
    receipts: Sequence[bytes] = (),
    progress: Progress = lambda step, done, total: None,
) -> AuditReport:
    """Audit the export in a folder against the log's pinned key.

    `since` are signed checkpoints and `receipts` tlog-proofs that the auditor kept from before.
    FormatError if the export is incomplete or one of these is malformed; VerificationError if the
    log did not sign one of these. All else is a finding.
    """
    started = time.perf_counter()
    kept = read_kept(since, receipts, log_key)
    findings = Findings()
    export = Export(path)
    checkpoint = _head(export.checkpoint(), log_key, findings)
    snapshots = check_tree(export, checkpoint, kept, findings, progress)
    with Signatures(checkpoint.size) as signatures:
        performance = Performance(checkpoint.origin, snapshots, findings, signatures)
        for bundle in new_bundles(0, checkpoint.size):
            for entry, body in zip(export.entries(bundle), export.bodies(bundle), strict=True):
                performance.entry(entry, body)
            progress("decisions", bundle.index * WIDTH + bundle.width, checkpoint.size)
        performance.decisions.conclude(signatures.finish())
    decisions, lost = performance.decisions, performance.lost
    made = decisions.made - len(lost.decisions)
    unjudged = {
        "decisions": len(lost.decisions),
        "standings": lost.standings,
        "records": lost.records,
    }
    return AuditReport(
        checkpoint,
        dict(performance.types),
        made,
        made - len(decisions.disputed),
        performance.standings,
        {what: number for what, number in unjudged.items() if number},
        findings.ordered(),
        dict(findings.counts),
        tuple(performance.fold.admission.open),
        time.perf_counter() - started,
    )


def _head(note: bytes, log_key: Verifier, findings: Findings) -> Checkpoint:
    try:
        return open_checkpoint(note, log_key)
    except VerificationError as error:
        findings.add(None, Kind.BAD_SIGNATURE, f"the checkpoint: {error}")
        return parse_checkpoint(parse_note(note).text)
