"""What evidence would do before anybody sends it: file by file, and requirement by requirement.

Made on the recipient's own machine from what the issuer would make of the same files. What the
issuer must collect itself is taken as given, so that what is left is what the recipient can mend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from bailment.assurance.adapters import drill, observation
from bailment.assurance.adapters.report import Report
from bailment.assurance.evaluation import Verdict, evaluate
from bailment.assurance.item import Item
from bailment.assurance.proof_tree import Proof, reads
from bailment.assurance.wording import label
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
)
from bailment.spec.terms import LADDER, RANK

#: Only these makes somebody else than the issuer: the recipient, its tools, its assessor.
_SENT = frozenset({RANK["self"], RANK["self-tool"], RANK["third-party"]})
#: Nobody but the issuer makes these.
_ISSUERS = frozenset({observation.ADAPTER, drill.ADAPTER})

Says = Literal["proves", "fails", "says nothing", "too weak", "too old", "covers"]
State = Literal["contradicted", "failed", "missing", "for the issuer", "proven"]


class Said(msgspec.Struct, frozen=True):
    """What one item says to one leaf of a requirement; `needs` is what would count, if it does not.

    A roster or an attestation `covers` people, whose names are matched where the register is.
    """

    requirement: str
    evidence: str
    says: Says
    needs: str = ""


class Outlook(msgspec.Struct, frozen=True):
    """How a requirement would stand; `missing` is what it still needs.

    `for the issuer`: nothing that the recipient could send is missing.
    """

    requirement: str
    title: str
    state: State
    missing: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def ready(self) -> bool:
        return self.state in ("proven", "for the issuer")


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
                    needs = LADDER[source.rank] if says == "too weak" else ""
                    yield Said(required.id, label(leaf), says, needs)


def outlook(spec: CompiledSpec, tier: TierOf, items: Sequence[Item], now: int) -> list[Outlook]:
    """How each requirement of the tier would stand with these items alone."""
    found = evaluate(spec, items, (), now)
    verdicts = (one for of in found.tiers if of.rank == tier.rank for one in of.verdicts)
    gap = _Gap(spec, items)
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


def leaves(node: Node) -> Iterator[Leaf]:
    """The leaves of a rule, in its order."""
    if isinstance(node, AtLeast):
        for below in node.of:
            yield from leaves(below)
    else:
        yield node


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
    found = True if isinstance(leaf, Join) else reads(leaf, item)
    if not found:
        return "says nothing" if found is None else "fails"
    if RANK[item.independence] < source.rank:
        return "too weak"
    if item.dated + source.max_age <= now:
        return "too old"
    return "covers" if isinstance(leaf, Join) else "proves"


class _Gap:
    """What is still missing from rules, given the recipient's items."""

    def __init__(self, spec: CompiledSpec, items: Sequence[Item]) -> None:
        self._kinds = spec.kinds
        self._sent = {(item.kind, RANK[item.independence]) for item in items}

    def state(self, rule: Node, verdict: Verdict) -> State:
        if verdict.status == "satisfied":
            return "proven"
        if verdict.status in ("contradicted", "failed"):
            return "contradicted" if verdict.status == "contradicted" else "failed"
        return "for the issuer" if self._settled(rule, verdict.proof) else "missing"

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
        elif self._is_issuers(node):
            yield f"{label(node)} (for the issuer to collect)"
        else:
            signed = any(source.rank == RANK["third-party"] for source, _ in _asked(node))
            yield label(node) + (" (signed by an assessor)" if signed else "")

    def _settled(self, node: Node, proof: Proof) -> bool:
        """Whether nothing that the recipient could send is missing, where nothing failed."""
        if isinstance(node, AtLeast):
            below = zip(node.of, proof.of, strict=True)
            return sum(self._settled(one, its) for one, its in below) >= node.count
        return proof.outcome == "satisfied" or self._is_issuers(node)

    def _is_issuers(self, leaf: Leaf) -> bool:
        """Whether only the issuer can still do something for a leaf: a join, whose people are
        matched there, once what must cover them has been sent."""
        if isinstance(leaf, Join):
            return all(map(self._collects, leaf.covered_by)) or any(
                kind == one.kind and rank >= one.rank
                for one in leaf.covered_by
                for kind, rank in self._sent
            )
        return self._collects(leaf.source)

    def _collects(self, source: Source) -> bool:
        kind = self._kinds.get(source.kind)
        return source.rank not in _SENT or (kind is not None and kind.adapter in _ISSUERS)
