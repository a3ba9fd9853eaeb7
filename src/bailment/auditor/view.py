"""A recipient checks its view: that what it is shown is in the log, unaltered, and is all of it.

All of it up to the last heads record, to be exact: the counter chain of its own records must lead
to the head that the log committed to there (`formats/log.md`, section 10).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bailment.access.jwk import PublicKey
from bailment.auditor.delegations import Delegations
from bailment.auditor.findings import Finding, Findings, Kind
from bailment.errors import FormatError, VerificationError
from bailment.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from bailment.ledger.export import (
    MAX_LINE,
    Shown,
    ShownHeads,
    ViewHead,
    decode_head,
    decode_shown,
)
from bailment.ledger.identity_records import PersonSignedIn
from bailment.ledger.leaf import Leaf, decode_leaf, open_body
from bailment.ledger.note import Verifier, parse_note
from bailment.ledger.records import (
    DelegationGranted,
    EnrolmentRequested,
    LogHeads,
    decode_facts,
)
from bailment.ledger.slots import Head, SlotProof, Slots
from bailment.ledger.tree import leaf_hash, verify_inclusion
from bailment.spec.policy import MAX_HEADS_MS


@dataclass(frozen=True, slots=True)
class ViewReport:
    """What a check of a view found.

    records  how many are shown; the first `covered` of them are all there were at `until` (ms),
             which is 0 if that is proven for no time. Of the others it is not known yet.
    named    how many people are shown by the name that was signed for them
    """

    checkpoint: Checkpoint
    recipient: str
    records: int
    covered: int
    until: int
    named: int
    findings: tuple[Finding, ...]
    counts: dict[Kind, int]

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.counts


def verify_view(
    path: Path, log_key: Verifier, *, recipient: str = "", admin: PublicKey | None = None
) -> ViewReport:
    """Check the view in a file against the log's pinned key, and the recipient's own pseudonym and
    its admin's key.

    FormatError if the file is not a view. All else is a finding.
    """
    lines = _lines(path)
    head = decode_head(next(lines, b""))
    findings = Findings()
    if recipient and head.recipient != recipient:
        findings.add(None, Kind.WRONG_SLOT, f"this is the view of `{head.recipient[:40]}`")
    check = _Check(head, _checkpoint(head, log_key, findings), findings, admin)
    for line in lines:
        check.shown(decode_shown(line))
    until = check.complete(head.heads)
    shown = check.slots.head(head.recipient).count
    if shown != head.records:
        findings.add(
            None, Kind.REMOVED_RECORD, f"{head.records} records are promised and {shown} shown"
        )
    return ViewReport(
        check.checkpoint,
        head.recipient,
        shown,
        check.covered.count if until else 0,
        until,
        check.delegations.named,
        findings.ordered(),
        dict(findings.counts),
    )


class _Check:
    """Follows the shown records; `covered` is the recipient's head just before the heads record."""

    def __init__(
        self,
        head: ViewHead,
        checkpoint: Checkpoint,
        findings: Findings,
        admin: PublicKey | None,
    ) -> None:
        self.checkpoint = checkpoint
        self.delegations = Delegations(findings, admin)
        self.slots = Slots()
        self.covered = Head(0, "")
        self._uncovered: int | None = None  # the time of the first record after the heads record
        self._recipient = head.recipient
        self._heads = head.heads.index if head.heads is not None else 0
        self._last = -1
        self._late = False
        self._findings = findings

    def shown(self, shown: Shown) -> None:
        """Check one record and count it."""
        found = self._findings.add
        if shown.index <= self._last:
            found(shown.index, Kind.SLOT_BROKEN, "the records are not in the order of the log")
        self._last = shown.index
        leaf = self._include(shown)
        if leaf is None:
            return
        if leaf.recipient != self._recipient:
            found(shown.index, Kind.WRONG_SLOT, f"this is a record of `{leaf.recipient[:40]}`")
            return
        hash_of_leaf = leaf_hash(shown.entry.encode())
        try:
            self.slots.follow(leaf, hash_of_leaf)
        except VerificationError as error:
            found(shown.index, Kind.SLOT_BROKEN, str(error))
            self.slots.heads[leaf.recipient] = Head(leaf.counter + 1, hash_of_leaf.hex())
        if shown.index < self._heads:
            self.covered = self.slots.head(leaf.recipient)
        elif self._uncovered is None:
            self._uncovered = leaf.time
        elif self._heads and leaf.time - self._uncovered > MAX_HEADS_MS and not self._late:
            self._late = True
            found(shown.index, Kind.LATE_HEADS, "the last heads record shown is long past")
        self._open(shown, leaf)

    def complete(self, heads: ShownHeads | None) -> int:
        """The time of the heads record, if it proves that the records before it are all; else 0,
        and a finding."""
        before = self._findings.counts.total()
        if heads is None:
            self._findings.add(
                None,
                Kind.UNPROVEN_COMPLETE,
                "no heads record is shown: whether these are all the records, nothing says",
            )
            return 0
        leaf = self._include(heads)
        if leaf is None or leaf.type != LogHeads.TYPE:
            self._findings.add(heads.index, Kind.WRONG_HEADS, "this is no heads record")
            return 0
        proof = SlotProof(heads.slot, heads.slots, heads.salt, heads.path)
        try:
            proof.verify(self._recipient, self.covered, bytes.fromhex(leaf.heads))
        except (VerificationError, ValueError):
            self._findings.add(
                heads.index,
                Kind.REMOVED_RECORD,
                f"the log does not say that the recipient had {self.covered.count} records up to "
                "here, or the last of them was another",
            )
        return leaf.time if self._findings.counts.total() == before else 0

    def _include(self, shown: Shown | ShownHeads) -> Leaf | None:
        """The leaf of an entry whose inclusion was checked."""
        entry, checkpoint = shown.entry.encode(), self.checkpoint
        try:
            verify_inclusion(
                leaf_hash(entry), shown.index, checkpoint.size, shown.proof, checkpoint.root
            )
        except VerificationError as error:
            self._findings.add(shown.index, Kind.WRONG_ROOT, str(error))
        try:
            return decode_leaf(entry)
        except FormatError as error:
            self._findings.add(shown.index, Kind.MALFORMED_RECORD, str(error))
            return None

    def _open(self, shown: Shown, leaf: Leaf) -> None:
        if not shown.facts:
            self._findings.add(shown.index, Kind.WITHHELD_FACTS, f"of this `{leaf.type}`")
            return
        try:
            facts = decode_facts(leaf.type, open_body(leaf.facts, shown.facts))
        except VerificationError as error:
            self._findings.add(shown.index, Kind.ALTERED_FACTS, str(error))
            return
        except FormatError as error:
            self._findings.add(shown.index, Kind.MALFORMED_RECORD, str(error))
            return
        personal = None
        try:
            if shown.personal:
                personal = open_body(leaf.personal, shown.personal, personal=True)
        except VerificationError as error:
            self._findings.add(shown.index, Kind.ALTERED_PERSONAL, str(error))
        if isinstance(facts, DelegationGranted):
            self.delegations.granted(shown.index, facts, personal)
        elif isinstance(facts, PersonSignedIn) and personal is not None:
            self.delegations.signed_in(shown.index, facts, personal)
        elif isinstance(facts, EnrolmentRequested):
            self.delegations.enrolled(shown.index, facts, personal, leaf.time)


def _checkpoint(head: ViewHead, log_key: Verifier, findings: Findings) -> Checkpoint:
    note = head.checkpoint.encode()
    try:
        return open_checkpoint(note, log_key)
    except VerificationError as error:
        findings.add(None, Kind.BAD_SIGNATURE, f"the checkpoint: {error}")
        return parse_checkpoint(parse_note(note).text)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while line := file.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE:
                    raise FormatError(f"a line of the view is longer than {MAX_LINE} bytes")
                yield line
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise FormatError(f"cannot read `{path}`: {reason}") from None
