"""The second pass of an audit: every record opened, checked and folded, in log order.

Nothing stops at a violation. It is named, and the audit goes on from what the log says next, so
that one wrong record is one finding and does not taint those after it.
"""

from __future__ import annotations

from collections import Counter

from bailment import canonical
from bailment.access.fold import Fold
from bailment.access.slot import slot_of
from bailment.auditor.decisions import Decisions
from bailment.auditor.detections import Detections
from bailment.auditor.findings import Findings, Kind
from bailment.auditor.lost_spec import LostSpec
from bailment.auditor.observations import Observations
from bailment.auditor.requests import SignedRequests
from bailment.auditor.signatures import Signatures
from bailment.auditor.standings import Standings
from bailment.errors import FormatError, VerificationError
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.evidence_records import StandingEvaluated
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf, decode_leaf, open_body
from bailment.ledger.records import (
    TYPES,
    AccessClosed,
    AccessOpened,
    DelegationGranted,
    EnrolmentRequested,
    LogHeads,
    LogSnapshot,
    LogStarted,
    SpecApplied,
    TokenIssued,
    decode_facts,
    spec_digest,
)
from bailment.ledger.slots import Head
from bailment.ledger.tree import leaf_hash


class Performance:
    """Takes the entries of a log one by one. `types` counts them, `standings` those that were
    derived again; `decisions` has the decisions, `lost` what could not be judged.

    `snapshots` are the sizes at which a `log.snapshot` record will state the fold's digest.
    """

    def __init__(
        self, origin: str, snapshots: frozenset[int], findings: Findings, signatures: Signatures
    ) -> None:
        self.fold = Fold()
        self.types: Counter[str] = Counter()
        self.standings = 0
        self.lost = LostSpec()
        self.decisions = Decisions(self.fold, findings, signatures, self.lost)
        self._observations = Observations(self.fold, findings)
        self._detections = Detections(findings)
        self._requests = SignedRequests(self.fold.register, findings)
        self._standings = Standings(self.fold, findings)
        self._origin = origin
        self._findings = findings
        self._snapshots = snapshots
        self._digests: dict[int, str] = {}
        self._mismatch: tuple[int, str, str] | None = None
        self._uncovered: int | None = None  # the time of the first record after the last heads
        self._late = False

    def entry(self, entry: bytes, body: bytes) -> None:
        """Take the next entry, with what opens its facts."""
        fold = self.fold
        index = fold.size
        if index in self._snapshots:
            self._digests[index] = canonical.digest(fold.encode())
        try:
            leaf = decode_leaf(entry)
        except FormatError as error:
            self._findings.add(index, Kind.MALFORMED_RECORD, str(error))
            fold.size += 1
            return
        self.types[leaf.type] += 1
        if index == 0:
            fold.issuer_slot = leaf.recipient
        self._check_place(index, leaf)
        facts = self._open(index, leaf, body)
        if facts is not None:
            self._check_slot(index, leaf, facts)
        self._check_heads(index, leaf, facts)
        self._follow(index, leaf, leaf_hash(entry))
        if facts is not None:
            self._judge(index, leaf, facts)
        fold.time = max(fold.time, leaf.time)
        fold.size += 1

    # What the log's structure promises

    def _check_place(self, index: int, leaf: Leaf) -> None:
        fold, state = self.fold, self.fold.register.state
        state.spec = self.lost.digest(state.spec, leaf)
        if leaf.time < fold.time:
            self._findings.add(
                index, Kind.TIME_BACKWARDS, f"dated {leaf.time}, after one of {fold.time}"
            )
        if (leaf.register, leaf.spec) == (state.epoch, state.spec):
            return
        mismatch = (leaf.register - state.epoch, leaf.spec, state.spec)
        if mismatch != self._mismatch:  # one finding until it changes
            self._findings.add(
                index,
                Kind.REGISTER_MISMATCH,
                f"names register position {leaf.register} and spec `{leaf.spec[:8]}`; the log "
                f"before it gives {state.epoch} and `{state.spec[:8]}`",
            )
        self._mismatch = mismatch

    def _open(self, index: int, leaf: Leaf, body: bytes) -> Facts | None:
        if not body:
            sentence = f"the facts of this `{leaf.type}` are not in the export"
            self._unread(index, leaf, Kind.WITHHELD_FACTS, sentence)
            return None
        try:
            data = open_body(leaf.facts, body)
            facts = decode_facts(leaf.type, data)
        except VerificationError:
            sentence = f"the facts of this `{leaf.type}` are not those committed to"
            self._unread(index, leaf, Kind.ALTERED_FACTS, sentence)
            return None
        except FormatError as error:
            self._unread(index, leaf, Kind.MALFORMED_RECORD, str(error))
            return None
        if canonical.encode(facts) != data:
            self._findings.add(index, Kind.MALFORMED_RECORD, "the facts are not canonical JSON")
        return facts

    def _unread(self, index: int, leaf: Leaf, kind: Kind, sentence: str) -> None:
        self._findings.add(index, kind, sentence)
        self.decisions.unread(index, leaf, kind)
        cls = TYPES.get(leaf.type)
        if cls is not None and cls.REGISTERS:
            self.fold.register.state.epoch = index + 1  # as whoever wrote it counted
        if cls is SpecApplied:
            self.lost.lose(index, kind, unread=True)

    def _check_slot(self, index: int, leaf: Leaf, facts: Facts) -> None:
        if isinstance(facts, AccessOpened | AccessClosed):
            return  # the decision and its close tell
        try:
            slot = slot_of(facts, self.fold.register) or self.fold.issuer_slot
        except FormatError:
            return  # no link at all, which the register will say
        if leaf.recipient != slot:
            self._findings.add(
                index,
                Kind.WRONG_SLOT,
                f"this `{leaf.type}` is hidden from `{slot}`, whom it concerns",
            )

    def _check_heads(self, index: int, leaf: Leaf, facts: Facts | None) -> None:
        fold = self.fold
        if leaf.type != LogHeads.TYPE:
            if leaf.heads:
                self._findings.add(index, Kind.WRONG_HEADS, f"a `{leaf.type}` states heads")
            since = fold.heads[0]
            due = leaf.time - since >= fold.register.policy.heads_ms
            waiting = self._uncovered is not None and self._uncovered < leaf.time
            if due and waiting and not self._late:
                self._late = True
                self._findings.add(
                    index, Kind.LATE_HEADS, f"no `log.heads` record since the one of {since}"
                )
            if self._uncovered is None:
                self._uncovered = leaf.time
            return
        self._uncovered, self._late = None, False
        fold.heads = (leaf.time, index + 1)
        if (
            isinstance(facts, LogHeads)
            and fold.slots.root(_unhex(facts.secret)).hex() != leaf.heads
        ):
            self._findings.add(index, Kind.WRONG_HEADS, "states other heads than the slots have")

    def _follow(self, index: int, leaf: Leaf, hash_of_leaf: bytes) -> None:
        slots = self.fold.slots
        try:
            slots.follow(leaf, hash_of_leaf)
        except VerificationError as error:
            self._findings.add(index, Kind.SLOT_BROKEN, str(error))
            slots.heads[leaf.recipient] = Head(leaf.counter + 1, hash_of_leaf.hex())

    # What it says

    def _judge(self, index: int, leaf: Leaf, facts: Facts) -> None:
        if index == 0 and not (isinstance(facts, LogStarted) and facts.origin == self._origin):
            self._findings.add(
                index, Kind.BAD_RECORD, f"the log does not begin by starting `{self._origin}`"
            )
        match facts:
            case TokenIssued():
                self.decisions.token(index, leaf, facts)
            case AccessOpened():
                self.decisions.opened(index, leaf, facts)
            case AccessClosed():
                self.decisions.closed(index, leaf, facts)
            case FindingRaised():
                self.decisions.raised(leaf, facts)
            case EnrolmentRequested():
                self.decisions.enrolment(index, facts)
            case LogSnapshot():
                self._check_snapshot(index, facts)
        if self.lost.hides(facts):
            self.fold.register.state.epoch = index + 1
            return
        if facts.REGISTERS:
            self._register(index, leaf, facts)
        self._observations.follow(index, leaf, facts)
        self._detections.follow(index, facts)
        self._requests.follow(index, facts)
        if not self.lost:
            self._standings.follow(index, leaf, facts)

    def _register(self, index: int, leaf: Leaf, facts: Facts) -> None:
        register = self.fold.register
        self.decisions.before(facts, leaf.time)
        self.standings += isinstance(facts, StandingEvaluated)
        try:
            register.apply(index, facts, leaf.time)
            if isinstance(facts, SpecApplied):
                self.lost.find()
        except VerificationError as error:
            kind = Kind.BAD_LINK if isinstance(facts, DelegationGranted) else Kind.BAD_RECORD
            self._findings.add(index, kind, str(error))
            register.state.epoch = index + 1  # as whoever wrote it counted
            if isinstance(facts, SpecApplied):
                register.state.spec = spec_digest(facts)
                self.lost.lose(index, kind, unread=False)
        self.decisions.after(facts, leaf.time)

    def _check_snapshot(self, index: int, facts: LogSnapshot) -> None:
        if self._digests.get(facts.size) != facts.digest and not self.lost:
            self._findings.add(
                index,
                Kind.WRONG_SNAPSHOT,
                f"the state after {facts.size} entries has another digest",
            )


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
