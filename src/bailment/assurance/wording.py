"""Rules and proofs in words: what a leaf asks for, what was found, what would mend it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from bailment.assurance.item import Item
from bailment.assurance.proof_tree import NEVER, Proof, needed, newness, reads
from bailment.spec.compiled import Check, Claim, CompiledSpec, Join, Leaf, Required, Source
from bailment.spec.terms import LADDER, RANK, Independence

#: How evidence comes to be as independent as a leaf asks for.
_HOW: dict[Independence, str] = {
    "self": "hand in",
    "self-tool": "run and hand in",
    "peer": "have a peer hand in",
    "pulled": "let the issuer fetch",
    "third-party": "have an assessor sign",
    "observed": "have observed, in a rehearsal if need be",
}


def label(leaf: Leaf) -> str:
    """What a leaf asks for: `scuba.entra MS.AAD.3.1v1`, `drill.revoke p99_ms <= 1000`."""
    if isinstance(leaf, Join):
        return f"people in {leaf.seen.kind} by {', '.join(one.kind for one in leaf.covered_by)}"
    return f"{leaf.source.kind} {_asked(leaf)}"


def span(ms: int) -> str:
    """A length of time in its largest whole unit: `95 d`, `3 h`, `12 min`, `5 s`."""
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if ms >= length:
            return f"{ms // length} {unit}"
    return f"{ms // 1_000} s"


def day(ms: int) -> str:
    """The day of an instant, in UTC: `2026-05-03`."""
    return f"{datetime.fromtimestamp(ms // 1_000, UTC):%Y-%m-%d}"


def source_of(leaf: Leaf, proof: Proof) -> Source:
    """Where the evidence would come from that a leaf lacks."""
    if not isinstance(leaf, Join):
        return leaf.source
    return leaf.seen if proof.why in ("absent", "nobody-seen") else leaf.covered_by[0]


class Wording:
    """Words about one recipient's proofs, as of `at`.

    `items` are by id; `names` are of people, by id: of others the beginning of the id is shown.
    """

    def __init__(
        self, spec: CompiledSpec, items: Mapping[str, Item], names: Mapping[str, str], at: int
    ) -> None:
        self._spec, self._items, self._names, self._at = spec, items, names, at

    def fact(self, leaf: Leaf, proof: Proof) -> str:
        """What was found."""
        if proof.why == "uncovered":
            names = ", ".join(self._names.get(person, person[:8]) for person in proof.people)
            return f"{len(proof.people)} not covered: {names}"
        what = label(leaf)
        match proof.why or proof.outcome:
            case "absent":
                return f"{what}: never shown"
            case "inconclusive":
                return f"{what}: not told by {self._cited(proof)}"
            case "too-weak":
                least = LADDER[source_of(leaf, proof).rank]
                return f"{what}: passes, {self._cited(proof)}; needs {least}"
            case "unmended" if not isinstance(leaf, Join):
                return f"{self._unmended(leaf, proof)}: {what}"
            case "nobody-seen":
                return f"{what}: nobody was seen"
            case "expired":
                ends = [self._items[id_].expires or NEVER for id_ in proof.items]
                why = "ended or marked stale" if min(ends) <= self._at else "too old"
                return f"{what}: {why}, {self._cited(proof)}"
            case "failed":
                return f"{what}: fails{self._number(leaf, proof)}, {self._cited(proof)}"
        return f"{what}: holds, {self._cited(proof)}"

    def against(self, required: Required, proof: Proof) -> str:
        """What contradicts."""
        item = self._items[proof.items[0]]
        leaf = next(
            leaf
            for leaf in required.contradicted_by
            if leaf.source.kind == item.kind and reads(leaf, item)
        )
        return f"{label(leaf)}: contradicts{self._number(leaf, proof)}, {self._cited(proof)}"

    def action(self, leaf: Leaf, proof: Proof) -> str:
        """What would mend it."""
        source = source_of(leaf, proof)
        kind = self._spec.kinds[source.kind]
        rung = source.rank if isinstance(leaf, Join) else needed(leaf, proof, self._items, kind.cap)
        name = kind.name if kind.title == kind.name else f"{kind.title} ({kind.name})"
        get = f"{_HOW[LADDER[rung]]}: {name}"
        if proof.why == "uncovered":
            return f"cover these people, then {get}"
        if proof.outcome == "failed":
            return f"mend {label(leaf)}, then {get}"
        if proof.outcome == "expired":
            return f"{get}, less than {span(source.max_age)} old"
        return get if isinstance(leaf, Join) else f"{get}, with {_asked(leaf)}"

    def _unmended(self, leaf: Check | Claim, proof: Proof) -> str:
        """Which pass does not mend which failure: of several the most independent, then newest."""
        cited = [self._items[id_] for id_ in proof.items]
        passes = {item.scope: item for item in cited if reads(leaf, item)}
        failures = [item for item in cited if item.scope in passes and not reads(leaf, item)]
        bad = max(failures, key=lambda item: (RANK[item.independence], newness(item)))
        good = passes[bad.scope]
        enough = RANK[good.independence] >= RANK[bad.independence]
        return (
            f"a {good.independence} pass of {day(good.dated)}"
            f" does not mend {bad.independence} failure of {day(bad.dated)}"
            + (f"; needs {LADDER[leaf.source.rank]}" if enough else "")
        )

    def _number(self, leaf: Leaf, proof: Proof) -> str:
        if not isinstance(leaf, Claim):
            return ""
        return f" at {self._items[proof.items[0]].claims[leaf.claim]}"

    def _cited(self, proof: Proof) -> str:
        """The class of the items that a leaf cites, their age, and the first's id."""
        oldest = min(self._items[id_].dated for id_ in proof.items)
        simulated = ", simulated" if proof.simulated else ""
        more = f" and {len(proof.items) - 1} more" if len(proof.items) > 1 else ""
        age = span(self._at - oldest)
        return f"{proof.independence}{simulated}, {age} old [{proof.items[0][:8]}]{more}"


def _asked(leaf: Check | Claim) -> str:
    if isinstance(leaf, Check):
        return leaf.check
    if leaf.least == leaf.most:
        return f"{leaf.claim} = {leaf.least}"
    low = "" if leaf.least is None else f" >= {leaf.least}"
    high = "" if leaf.most is None else f" <= {leaf.most}"
    return f"{leaf.claim}{low}{high}"
