"""Why a recipient holds a tier or does not, and what to do next: as data.

Every requirement comes with the class of its evidence, from `self` to `observed`: that of the
weakest item which the verdict needs. `screen` makes a page of it.

Gaps are in the order in which to close them: contradictions, then by the requirement's weight, then
by effort. Where a rule leaves a choice, the cheapest way is named: what has expired is cheaper to
mend than what was never shown, that than what has failed, and what a machine renews than what
people must.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from bailment.assurance.evaluation import PRECEDENCE, Evaluation, Status, Verdict
from bailment.assurance.item import Item
from bailment.assurance.proof_tree import Proof, satisfied_leaves
from bailment.assurance.wording import Wording, source_of
from bailment.spec.compiled import AtLeast, CompiledSpec, Leaf, Node, Required
from bailment.spec.terms import LADDER, RANK, Independence

#: How much work a leaf is, by its outcome; three times that where people must renew the evidence.
_EFFORT = {"expired": 1, "missing": 2, "failed": 4}


class Row(msgspec.Struct, frozen=True):
    """One requirement. `independence` is the class of evidence that its status rests on (None: on
    none), `facts` what was found, what tells most first, `actions` what would close the gap at the
    least `effort`."""

    requirement: str
    title: str
    weight: int
    status: Status
    independence: Independence | None
    simulated: bool
    until: int | None
    lapses: int | None
    exception: str
    facts: tuple[str, ...]
    actions: tuple[str, ...]
    effort: int
    remedy: str


class Explanation(msgspec.Struct, frozen=True):
    """A tier, requirement by requirement: `gaps` keep it from being held, the first to close first;
    `kept` are satisfied or excepted, the first to lapse first. Times are ms."""

    recipient: str
    tier: int
    title: str
    held: bool
    lapses: int | None
    evaluated: int
    spec: str
    gaps: tuple[Row, ...]
    kept: tuple[Row, ...]

    @property
    def classes(self) -> dict[Independence, int]:
        """How many of the satisfied rest on which class, the most independent first."""
        found = [row.independence for row in self.kept if row.status == "satisfied"]
        return {name: found.count(name) for name in reversed(LADDER) if name in found}


def explain(
    recipient: str,
    evaluation: Evaluation,
    spec: CompiledSpec,
    rank: int,
    items: Mapping[str, Item],
    names: Mapping[str, str],
) -> Explanation | None:
    """Why `recipient` (its name) holds the tier of this rank, or does not; None if the spec, which
    must be the one that was evaluated, has no such tier.

    `items` are at least those that the evaluation cites, by id; `names` are of people, by id, as
    far as the reader may know them.
    """
    tier, found = spec.tier(rank), evaluation.tier(rank)
    if tier is None or found is None:
        return None
    wording = Wording(spec, items, names, evaluation.at)
    rows = [
        (verdict.held, _row(spec, wording, required, verdict))
        for required, verdict in zip(tier.requirements, found.verdicts, strict=True)
    ]
    return Explanation(
        recipient=recipient,
        tier=rank,
        title=tier.title,
        held=found.held,
        lapses=found.lapses,
        evaluated=evaluation.at,
        spec=f"{spec.id} {spec.version}",
        gaps=tuple(sorted((row for held, row in rows if not held), key=_urgency)),
        kept=tuple(sorted((row for held, row in rows if held), key=_first_to_lapse)),
    )


def strength(node: Node, proof: Proof) -> int:
    """The rung that a satisfied rule rests on: of k of n, that of the k-th most independent part;
    with `distinct`, where any part may be needed, that of the weakest."""
    if not isinstance(node, AtLeast):
        return RANK[proof.independence or "self"]
    pairs = zip(node.of, proof.of, strict=True)
    held = (strength(part, below) for part, below in pairs if below.outcome == "satisfied")
    rungs = sorted(held, reverse=True)
    return rungs[-1 if node.distinct else node.count - 1]


def _row(spec: CompiledSpec, wording: Wording, required: Required, verdict: Verdict) -> Row:
    proof = verdict.proof
    rung: int | None = None
    effort, gaps = _cheapest(spec, required.rule, proof)
    told = sorted(_leaves(required.rule, proof), key=lambda leaf: PRECEDENCE.index(leaf[1].outcome))
    facts = [wording.fact(leaf, below) for leaf, below in told]
    actions = [wording.action(leaf, below) for leaf, below in gaps]
    if verdict.status == "satisfied":
        rung = strength(required.rule, proof)
    if verdict.status == "contradicted":
        facts = [wording.against(required, below) for below in verdict.against]
        actions = ["answer for what was seen; no evidence takes it back"]
        rung = min(RANK[below.independence or "self"] for below in verdict.against)
    leaves = [leaf for below in (proof, *verdict.against) for leaf in satisfied_leaves(below)]
    return Row(
        requirement=required.id,
        title=required.title,
        weight=required.weight,
        status=verdict.status,
        independence=None if rung is None else LADDER[rung],
        simulated=any(leaf.simulated for leaf in leaves),
        until=verdict.until,
        lapses=verdict.lapses,
        exception=verdict.exception,
        facts=tuple(facts),
        actions=() if verdict.held else tuple(dict.fromkeys(actions)),
        effort=effort,
        remedy=required.remedy,
    )


def _cheapest(spec: CompiledSpec, node: Node, proof: Proof) -> tuple[int, list[tuple[Leaf, Proof]]]:
    """The leaves that would satisfy the rule with the least effort, and how much that is."""
    if proof.outcome == "satisfied":
        return 0, []
    if not isinstance(node, AtLeast):
        kind = spec.kinds.get(source_of(node, proof).kind)
        by_people = kind is not None and kind.class_ == "process"
        return _EFFORT[proof.outcome] * (3 if by_people else 1), [(node, proof)]
    parts = [
        _cheapest(spec, part, below)
        for part, below in zip(node.of, proof.of, strict=True)
        if below.outcome != "satisfied"
    ]
    # With `distinct`, enough parts may hold, and still too few collectors.
    needed = max(1, node.count - (len(node.of) - len(parts)))
    chosen = sorted(parts, key=lambda part: part[0])[:needed]
    return sum(effort for effort, _ in chosen), [leaf for _, some in chosen for leaf in some]


def _leaves(node: Node, proof: Proof) -> Iterator[tuple[Leaf, Proof]]:
    """The leaves that make the rule's outcome: those that hold, or those that do not."""
    if not isinstance(node, AtLeast):
        yield node, proof
        return
    held = proof.outcome == "satisfied"
    for part, below in zip(node.of, proof.of, strict=True):
        if (below.outcome == "satisfied") == held:
            yield from _leaves(part, below)


def _urgency(row: Row) -> tuple[bool, int, int, str]:
    return row.status != "contradicted", -row.weight, row.effort, row.requirement


def _first_to_lapse(row: Row) -> tuple[bool, int, str]:
    return row.lapses is None, row.lapses or 0, row.requirement
