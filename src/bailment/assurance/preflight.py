"""What evidence would do before anybody sends it: file by file, and requirement by requirement.

Made on the recipient's own machine from what the issuer would make of the same files. What the
issuer must collect itself is taken as given, so that what is left is what the recipient can mend;
and whose the accounts of a directory are, only the issuer can decide, who knows all the people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from bailment.assurance.adapters import drill, observation
from bailment.assurance.adapters.report import Report
from bailment.assurance.evaluation import Verdict, evaluate
from bailment.assurance.intake import ACCOUNTS, UNMATCHED
from bailment.assurance.item import Item
from bailment.assurance.proof_tree import Proof, needed, reads
from bailment.assurance.wording import label, span
from bailment.spec.compiled import (
    AtLeast,
    Check,
    Claim,
    CompiledSpec,
    Join,
    Kind,
    Leaf,
    Node,
    Source,
    TierOf,
    leaves,
)
from bailment.spec.terms import LADDER, RANK

#: Only these makes somebody else than the issuer: the recipient, its tools, its assessor.
_SENT = frozenset({RANK["self"], RANK["self-tool"], RANK["third-party"]})
#: Nobody but the issuer makes these.
_ISSUERS = frozenset({observation.ADAPTER, drill.ADAPTER})

_DECIDE: Literal["for the issuer to decide"] = "for the issuer to decide"

Says = Literal[
    "proves", "fails", "says nothing", "too weak", "too old", "covers", "for the issuer to decide"
]
State = Literal[
    "contradicted", "failed", "missing", "for the issuer", "for the issuer to decide", "proven"
]


class Said(msgspec.Struct, frozen=True):
    """What one item says to one leaf of a requirement; `needs` is what would count, if it does not.

    A roster or an attestation `covers` people, whose names are matched where the register is; how
    many accounts are nobody's is for the issuer to decide, too.
    """

    requirement: str
    evidence: str
    says: Says
    needs: str = ""


class Outlook(msgspec.Struct, frozen=True):
    """How a requirement would stand; `missing` is what it still needs.

    `for the issuer`: nothing that the recipient could send is missing, and the issuer has to
    collect something; `for the issuer to decide`: it has but to match the people that were sent.
    """

    requirement: str
    title: str
    state: State
    missing: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def ready(self) -> bool:
        return self.state in ("proven", "for the issuer", _DECIDE)


def kind_for(report: Report, spec: CompiledSpec, tier: TierOf) -> Kind | None:
    """The kind that a report is best handed in as: that which it names, else that to which it says
    most of what the tier asks; None if the spec has none for it."""
    fitting = [
        kind
        for kind in spec.kinds.values()
        if kind.adapter == report.adapter and report.kind in ("", kind.name)
    ]
    names = {name for checks in report.checks.values() for name in checks} | report.claims.keys()
    wanted = [
        (source.kind, name)
        for required in tier.requirements
        for leaf in leaves(required.rule)
        for source, name in _asked(leaf)
    ]
    return max(
        fitting,
        key=lambda kind: sum(one == kind.name and name in names for one, name in wanted),
        default=None,
    )


def sayings(tier: TierOf, item: Item, now: int) -> Iterator[Said]:
    """What an item says to each leaf of the tier that asks for its kind."""
    for required in tier.requirements:
        for leaf in leaves(required.rule):
            for source, _ in _asked(leaf):
                if source.kind == item.kind:
                    says = _says(leaf, source, item, now)
                    needs: str = LADDER[source.rank] if says == "too weak" else ""
                    if says == "too old":
                        needs = f"less than {span(source.max_age)}"
                    yield Said(required.id, label(leaf), says, needs)


def too_old(spec: CompiledSpec, tier: TierOf, item: Item, now: int) -> str:
    """How old the item is and may be, where all that the tier asks of its kind is less; else
    empty."""
    asked = [
        source.max_age
        for required in tier.requirements
        for leaf in leaves(required.rule)
        for source, _ in _asked(leaf)
        if source.kind == item.kind
    ]
    most = max(asked, default=spec.kinds[item.kind].max_age)
    if now < item.dated + most:
        return ""
    return f"collected {span(now - item.dated)} ago, at most {span(most)}"


def outlook(spec: CompiledSpec, tier: TierOf, items: Sequence[Item], now: int) -> list[Outlook]:
    """How each requirement of the tier would stand with these items alone."""
    found = evaluate(spec, items, (), now)
    verdicts = (one for of in found.tiers if of.rank == tier.rank for one in of.verdicts)
    gap = _Gap(spec, items, now)
    return [
        Outlook(
            required.id,
            required.title,
            gap.state(required.rule, verdict),
            tuple(gap.lines(required.rule, verdict.proof)),
            required.remedy,
        )
        for required, verdict in zip(tier.requirements, verdicts, strict=True)
    ]


def _asked(leaf: Leaf) -> Iterator[tuple[Source, str]]:
    """Each source that a leaf asks, with the check or claim that it asks for."""
    match leaf:
        case Check():
            yield leaf.source, leaf.check
        case Claim():
            yield leaf.source, leaf.claim
        case Join():
            for source in (leaf.seen, *leaf.covered_by):
                yield source, ""


def _says(leaf: Leaf, source: Source, item: Item, now: int) -> Says:
    unmatched = _lists(leaf, item)
    found = True if isinstance(leaf, Join) or unmatched else reads(leaf, item)
    if not found:
        return "says nothing" if found is None else "fails"
    if RANK[item.independence] < source.rank:
        return "too weak"
    if item.dated + source.max_age <= now:
        return "too old"
    if unmatched:
        return _DECIDE
    return "covers" if isinstance(leaf, Join) else "proves"


def _lists(leaf: Leaf, item: Item) -> bool:
    """Whether the leaf asks how many accounts are nobody's, and the item lists accounts that the
    issuer has not matched."""
    asks = isinstance(leaf, Claim) and leaf.claim == UNMATCHED
    return asks and ACCOUNTS in item.claims and UNMATCHED not in item.claims


#: What is left to be done for a rule, from nothing to something that the recipient can do.
_NOTHING, _MATCH, _COLLECT, _SEND = range(4)
_STATES: dict[int, State] = {
    _NOTHING: "proven",
    _MATCH: _DECIDE,
    _COLLECT: "for the issuer",
    _SEND: "missing",
}


class _Gap:
    """What is still missing from rules, given the recipient's items."""

    def __init__(self, spec: CompiledSpec, items: Sequence[Item], now: int) -> None:
        self._kinds = spec.kinds
        self._items = items
        self._now = now

    def state(self, rule: Node, verdict: Verdict) -> State:
        if verdict.status == "satisfied":
            return "proven"
        if verdict.status in ("contradicted", "failed"):
            return "contradicted" if verdict.status == "contradicted" else "failed"
        return _STATES[self._left(rule, verdict.proof)]

    def lines(self, node: Node, proof: Proof) -> Iterator[str]:
        """A line for each thing that is missing, alternatives on one."""
        if proof.outcome == "satisfied":
            return
        if isinstance(node, AtLeast):
            below = [list(self.lines(one, its)) for one, its in zip(node.of, proof.of, strict=True)]
            if node.count == len(node.of):
                yield from (line for lines in below for line in lines)
            else:
                held = sum(one.outcome == "satisfied" for one in proof.of)
                choices = "; ".join(" and ".join(lines) for lines in below if lines)
                yield f"{node.count - held} of: {choices}"
            return
        left = self._of_leaf(node)
        if left != _SEND:
            yield f"{label(node)} (for the issuer to {'decide' if left == _MATCH else 'collect'})"
        else:
            signed = RANK["third-party"] in self._rungs(node, proof)
            yield label(node) + (" (signed by an assessor)" if signed else "")

    def _rungs(self, leaf: Leaf, proof: Proof) -> set[int]:
        """From which rungs on evidence of what a leaf asks for would satisfy it."""
        if isinstance(leaf, Join):
            return {source.rank for source, _ in _asked(leaf)}
        items = {item.id: item for item in self._items}
        return {needed(leaf, proof, items, self._kinds[leaf.source.kind].cap)}

    def _left(self, node: Node, proof: Proof) -> int:
        """What is left to be done, where nothing failed: for as many parts as are needed, those
        that want least."""
        if proof.outcome == "satisfied":
            return _NOTHING
        if isinstance(node, AtLeast):
            below = zip(node.of, proof.of, strict=True)
            return sorted(self._left(one, its) for one, its in below)[node.count - 1]
        return self._of_leaf(node)

    def _of_leaf(self, leaf: Leaf) -> int:
        """The same of a leaf that does not hold. The people of a join are matched by the issuer,
        once they and what must cover them have been sent."""
        if not isinstance(leaf, Join):
            if any(_says(leaf, leaf.source, one, self._now) == _DECIDE for one in self._of(leaf)):
                return _MATCH
            return _COLLECT if self._collects(leaf.source) else _SEND
        covered = any(map(self._sent, leaf.covered_by))
        if not covered and not all(map(self._collects, leaf.covered_by)):
            return _SEND
        if not self._sent(leaf.seen) and not self._collects(leaf.seen):
            return _SEND
        return _MATCH if covered else _COLLECT

    def _of(self, leaf: Check | Claim) -> Iterator[Item]:
        return (item for item in self._items if item.kind == leaf.source.kind)

    def _sent(self, source: Source) -> bool:
        """Whether something was sent that counts for a source."""
        return any(
            item.kind == source.kind
            and RANK[item.independence] >= source.rank
            and self._now < item.dated + source.max_age
            for item in self._items
        )

    def _collects(self, source: Source) -> bool:
        kind = self._kinds.get(source.kind)
        return source.rank not in _SENT or (kind is not None and kind.adapter in _ISSUERS)
