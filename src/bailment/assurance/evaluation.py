"""What a recipient holds at one instant, why, and when that changes: the verdict on each tier.

`evaluate` is a pure function of the spec, the recipient's evidence, its exceptions and `at`. It
raises on no combination of them. Whoever has the same three, an auditor for example, gets the same
bytes (`encode`) and the same digest.

A verdict's status is the first of these that is true:

    contradicted   evidence shows what must not be, whatever else is proven, excepted or not
    satisfied      the rule holds
    excepted       the rule does not hold, and a grant excuses the recipient
    failed         tested, and bad
    expired        held once, by evidence that has become too old
    partial        a part of the rule holds
    missing        nothing that counts was shown

A tier is held while every requirement of it, those of the tiers below included, is satisfied or
excepted. Intervals are half-open: what has an `until` holds at `at` <= t < `until`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from bailment import canonical
from bailment.assurance.grant import Grant, allowed
from bailment.assurance.item import Item
from bailment.assurance.proof_tree import NEVER, Moment, Proof, Shelves, lifetime
from bailment.spec.compiled import CompiledSpec, Required, TierOf

Status = Literal["contradicted", "satisfied", "excepted", "failed", "expired", "partial", "missing"]
#: From the one that prevails to the one that yields.
PRECEDENCE: tuple[Status, ...] = (
    "contradicted",
    "satisfied",
    "excepted",
    "failed",
    "expired",
    "partial",
    "missing",
)
HELD: frozenset[Status] = frozenset({"satisfied", "excepted"})


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How one requirement fares at one tier.

    `until` is when the status becomes another if nothing new arrives (ms; None: never), `lapses`
    when it ceases to be satisfied or excepted, where it is. `proof` is that of the rule, whatever
    the status; `against` are the proofs of what contradicts, `exception` the grant that excuses.
    """

    requirement: str
    status: Status
    proof: Proof
    until: int | None = None
    lapses: int | None = None
    against: tuple[Proof, ...] = ()
    exception: str = ""

    @property
    def held(self) -> bool:
        return self.status in HELD


class TierVerdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the tier of this rank is held, and when it lapses if nothing new arrives."""

    rank: int
    held: bool
    verdicts: tuple[Verdict, ...]
    lapses: int | None = None

    @property
    def blocking(self) -> tuple[Verdict, ...]:
        """Those that keep the tier from being held."""
        return tuple(verdict for verdict in self.verdicts if not verdict.held)


class Evaluation(msgspec.Struct, frozen=True, omit_defaults=True):
    """All tiers at `at`, lowest first, with the digests of everything that was used.

    `spec` is the spec's digest. `inputs` commits to everything that was there to be used
    (`digest_of_inputs`); `items` are the ids and digests of those that decided something,
    `exceptions` the ids of the grants that the policy allows.
    """

    spec: str
    at: int
    inputs: str
    tiers: tuple[TierVerdict, ...]
    items: tuple[tuple[str, str], ...] = ()
    exceptions: tuple[str, ...] = ()

    @property
    def earned(self) -> int:
        """The rank of the highest tier held; 0 if none."""
        return max((tier.rank for tier in self.tiers if tier.held), default=0)

    @property
    def until(self) -> int | None:
        """The first instant at which any verdict changes if nothing new arrives: evaluate then."""
        ends = (v.until for tier in self.tiers for v in tier.verdicts if v.until is not None)
        return min(ends, default=None)

    def tier(self, rank: int) -> TierVerdict | None:
        """The verdict on the tier of this rank; None if the spec has none."""
        return next((tier for tier in self.tiers if tier.rank == rank), None)


def evaluate(
    spec: CompiledSpec, items: Sequence[Item], exceptions: Sequence[Grant], at: int
) -> Evaluation:
    """The verdicts at `at`, ms since the epoch.

    `items` and `exceptions` are the recipient's, in any order; the caller has left out items about
    a scope that is not, or no longer, the recipient's.
    """
    court = _Court(spec, items, exceptions, at)
    tiers = tuple(map(court.tier, spec.tiers))
    return Evaluation(
        spec=spec.digest,
        at=at,
        inputs=digest_of_inputs(items, exceptions),
        tiers=tiers,
        items=tuple((id_, court.shelves.items[id_].digest) for id_ in sorted(court.used)),
        exceptions=tuple(sorted(one.id for some in court.grants.values() for one in some)),
    )


def encode(evaluation: Evaluation) -> bytes:
    """Its canonical JSON."""
    return canonical.encode(evaluation)


def evaluation_digest(evaluation: Evaluation) -> str:
    """SHA-256 of the canonical JSON, hex."""
    return canonical.digest(encode(evaluation))


def digest_of_inputs(items: Sequence[Item], exceptions: Sequence[Grant]) -> str:
    """SHA-256 over one line for each item (`item`, id, digest) and grant (`grant`, id, SHA-256 of
    its canonical JSON), sorted and each ended by a line feed; hex."""
    lines = [f"item {item.id} {item.digest}\n" for item in items]
    lines += [f"grant {one.id} {canonical.digest(canonical.encode(one))}\n" for one in exceptions]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


class _Court:
    """One evaluation at work. `used` collects the ids of the items that decide something."""

    def __init__(
        self, spec: CompiledSpec, items: Sequence[Item], exceptions: Sequence[Grant], at: int
    ) -> None:
        self.shelves = Shelves(items, spec.kinds)
        self.grants = allowed(exceptions, spec.exceptions)
        self.at = at
        self.used: set[str] = set()
        self._done: dict[str, tuple[Required, Verdict]] = {}

    def tier(self, tier: TierOf) -> TierVerdict:
        verdicts = tuple(map(self._judge, tier.requirements))
        held = all(verdict.held for verdict in verdicts)
        ends = (verdict.lapses for verdict in verdicts if held and verdict.lapses is not None)
        return TierVerdict(tier.rank, held, verdicts, min(ends, default=None))

    def _judge(self, required: Required) -> Verdict:
        """The verdict; that of the tier below where this tier asks for exactly the same."""
        before, verdict = self._done.get(required.id, (None, None))
        if verdict is None or before != required:
            verdict = self._verdict(required)
            self._done[required.id] = (required, verdict)
        return verdict

    def _verdict(self, required: Required) -> Verdict:
        status, moment, proof, against, exception = self._look(required, self.at)
        for one in (proof, *against):
            _collect(one, self.used)
        until = lapses = None
        if status == "satisfied" and self._only_ages(required):
            until = lapses = lifetime(required.rule, proof)
        if until is None:
            until, lapses = self._changes(required, status, moment.next)
        return Verdict(required.id, status, proof, until, lapses, against, exception)

    def _only_ages(self, required: Required) -> bool:
        """Whether nothing but the age of evidence can change the requirement's status."""
        return self.shelves.latest <= self.at and required.id not in self.grants

    def _changes(
        self, required: Required, status: Status, instant: int
    ) -> tuple[int | None, int | None]:
        """When the status becomes another, and when it ceases to hold if it does, by looking at
        every instant, this one first, at which it could."""
        until = None
        while instant < NEVER:
            later, moment, *_ = self._look(required, instant)
            if later != status:
                until = instant if until is None else until
                if status not in HELD:
                    return until, None
                if later not in HELD:
                    return until, instant
            instant = moment.next
        return until, None

    def _look(
        self, required: Required, at: int
    ) -> tuple[Status, Moment, Proof, tuple[Proof, ...], str]:
        """The status at `at`, and all that it rests on."""
        moment = Moment(self.shelves, at)
        proof = moment.prove(required.rule)
        found = map(moment.contradicts, required.contradicted_by)
        against = tuple([one for one in found if one is not None])
        exception = self._excused(required.id, moment)
        if against:
            return "contradicted", moment, proof, against, ""
        if exception and proof.outcome != "satisfied":
            return "excepted", moment, proof, against, exception
        return proof.outcome, moment, proof, against, ""

    def _excused(self, requirement: str, moment: Moment) -> str:
        """The id of a grant that excuses from the requirement now."""
        found = ""
        for grant in self.grants.get(requirement, ()):
            moment.turns(grant.from_)
            moment.turns(grant.until)
            if not found and grant.from_ <= moment.at < grant.until:
                found = grant.id
        return found


def _collect(proof: Proof, ids: set[str]) -> None:
    """Add the ids that a proof cites, at every depth."""
    ids.update(proof.items)
    for below in proof.of:
        _collect(below, ids)
