"""What evidence says to a rule at one instant, and until when nothing can be otherwise.

A rule is a tree (`bailment.spec.compiled.Node`); its proof is a tree of the same shape. A leaf is
decided by the newest item of its kind that counts, scope by scope, once what failed is mended:

- *Newest* is by `dated`, then `received`, then `id`. An item is unknown before it is both dated
  and received, so evidence from the future proves nothing yet.
- What is absent or inconclusive says nothing: it never counts, and hides neither pass nor fail.
- A pass counts only if it was collected independently enough. A fail counts whoever collected it,
  since nobody reports a failure in order to be let in. Only a newer pass mends it that counts and
  was collected as independently as the fail: what an assessor found, no word of one's own undoes.
- A pass lasts until it is `max_age` old, or until the item's own `expires`. A fail does not age.
- A recipient with several tenants or accounts must pass in each that it has evidence about: the
  newest pass of one says nothing about another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from bailment.assurance.item import Item
from bailment.canonical import MAX_INTEGER
from bailment.spec.compiled import AtLeast, Check, Claim, Join, Kind, Node, Source
from bailment.spec.terms import LADDER, RANK, Independence

#: Later than every instant that a record can hold.
NEVER = MAX_INTEGER

Outcome = Literal["satisfied", "failed", "expired", "partial", "missing"]
#: What a leaf rests on, or why on nothing: no item of the kind; none that says anything; passes
#: that were not collected independently enough, to count or to mend a failure; people seen whom
#: nothing covers; nobody seen.
Why = Literal["", "absent", "inconclusive", "too-weak", "unmended", "uncovered", "nobody-seen"]


class Proof(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How one node of a rule fares.

    A leaf names the `items` that decide it, the lowest `independence` among them, whether any is
    `simulated`, until when they satisfy it (`until`, ms; None where they do not, or no longer), and
    the `people` whom a join left over. `of` are the proofs of the nodes below, in the rule's order.
    """

    outcome: Outcome
    why: Why = ""
    items: tuple[str, ...] = ()
    independence: Independence | None = None
    simulated: bool = False
    until: int | None = None
    people: tuple[str, ...] = ()
    of: tuple[Proof, ...] = ()


class Shelves:
    """A recipient's items by kind and scope, the newest first."""

    def __init__(self, items: Iterable[Item], kinds: Mapping[str, Kind]) -> None:
        #: The kinds of which each item counts beside those before it.
        self.adds_up = {name for name, kind in kinds.items() if kind.class_ == "process"}
        self.kinds = kinds
        self.items: dict[str, Item] = {}
        #: By the `id()` of a leaf: from when, until when and how it was last proven.
        self.proven: dict[int, tuple[int, int, Proof]] = {}
        #: The last instant at which an item becomes known.
        self.latest = -NEVER
        self._of: dict[str, dict[str, list[Item]]] = {}
        for item in sorted(items, key=newness, reverse=True):
            self.items[item.id] = item
            self.latest = max(self.latest, item.dated, item.received)
            self._of.setdefault(item.kind, {}).setdefault(item.scope, []).append(item)

    def of(self, kind: str) -> Iterable[list[Item]]:
        """A list for each scope that there are items of the kind about."""
        return self._of.get(kind, {}).values()


class Moment:
    """Proofs as of the instant `at`.

    `next` is the first later instant at which anything that was looked at may be otherwise if
    nothing new arrives (`NEVER` if none); until then every proof stays as it is.
    """

    def __init__(self, shelves: Shelves, at: int) -> None:
        self._shelves = shelves
        self.at = at
        self.next = NEVER

    def turns(self, instant: int) -> None:
        """Something that was looked at changes at this instant."""
        if self.at < instant < self.next:
            self.next = instant

    def prove(self, node: Node) -> Proof:
        """The proof of a rule or of a part of it."""
        if isinstance(node, AtLeast):
            return self._at_least(node)
        proven = self._shelves.proven.get(id(node))
        if proven is None or not proven[0] <= self.at < proven[1]:
            before, self.next = self.next, NEVER
            proof = self._join(node) if isinstance(node, Join) else self._leaf(node)
            proven = self._shelves.proven[id(node)] = self.at, self.next, proof
            self.next = before
        if proven[1] < self.next:
            self.next = proven[1]
        return proven[2]

    def contradicts(self, leaf: Check | Claim) -> Proof | None:
        """The proof that evidence shows what a leaf of `contradicted_by` looks for, or None.

        Any item within the leaf's window shows it, not the newest alone: what was seen was seen,
        and no later report takes it back before the window is over.
        """
        found = []
        for items in self._shelves.of(leaf.source.kind):
            for item in self._known(items):
                if item.dated + leaf.source.max_age <= self.at:
                    break  # and so are all that are older
                if RANK[item.independence] >= leaf.source.rank and reads(leaf, item):
                    found.append(item)
        if not found:
            return None
        until = max(item.dated for item in found) + leaf.source.max_age
        self.turns(until)
        return _cite("satisfied", found, until=until)

    def _known(self, items: list[Item]) -> Iterator[Item]:
        """Those that have been dated and received by now; the others change something later."""
        for item in items:
            start = item.received if item.received > item.dated else item.dated
            if start > self.at:
                self.turns(start)
            else:
                yield item

    def _leaf(self, leaf: Check | Claim) -> Proof:
        passed: list[Item] = []
        failed: list[Item] = []
        vain: list[Item] = []
        weak: list[Item] = []
        silent: list[Item] = []
        for items in self._shelves.of(leaf.source.kind):
            ahead, good, bad = self._told(leaf, items, silent)
            if bad:
                failed += bad
                vain += ahead[:1]
            elif good:
                passed.append(good[0])
            else:
                weak += ahead
        if failed:
            return _cite("failed", failed + vain, "unmended" if vain else "")
        if passed:
            return self._aged(passed, min([_end(item, leaf.source) for item in passed]))
        if weak:
            return _cite("missing", [max(weak, key=newness)], "too-weak")
        if silent:
            return _cite("missing", [max(silent, key=newness)], "inconclusive")
        return _cite("missing", [], "absent")

    def _told(
        self, leaf: Check | Claim, items: list[Item], silent: list[Item]
    ) -> tuple[list[Item], list[Item], list[Item]]:
        """What a leaf is told about one scope, the newest first: the passes before any failure that
        stands; those passes that count; the failures that stand, each more independent than all
        that counts and is newer. What says nothing goes to the `silent`.

        An item is worth no more than its kind is by now, whatever it was at receipt: else a spec
        with a lower cap would leave failures that nothing can mend.
        """
        ahead: list[Item] = []
        good: list[Item] = []
        bad: list[Item] = []
        cap, bar = self._shelves.kinds[leaf.source.kind].cap, -1
        for item in self._known(items):
            says, rank = reads(leaf, item), min(RANK[item.independence], cap)
            if says is None:
                silent.append(item)
                continue
            if says and not bad:
                ahead.append(item)
            if says and rank < leaf.source.rank:
                continue
            if says:
                good.append(item)
            elif rank > bar:
                bad.append(item)
            bar = max(bar, rank)
            if bar == cap:
                break  # no failure that is older stands
        return ahead, good, bad

    def _aged(self, items: list[Item], until: int) -> Proof:
        if until <= self.at:
            return _cite("expired", items)
        self.turns(until)
        return _cite("satisfied", items, until=until)

    def _join(self, join: Join) -> Proof:
        """Nobody may be left whom the one kind saw and no evidence of the others covers.

        Of what a machine lists, the newest list of each scope covers: whoever is no longer on it is
        not covered. What people state (`class: process`) adds up: each statement covers those whom
        it names. People are left over for good, until somebody covers them; people whom only old
        evidence covers are an expiry. Seeing nobody proves nothing.
        """
        adds_up = self._shelves.adds_up
        seen = list(self._counting(join.seen, newest=True))
        people = {person for item in seen for person in item.people}
        if not people:
            return _cite("missing", seen, "nobody-seen" if seen else "absent")
        covers = [
            (_end(item, source), item)
            for source in join.covered_by
            for item in self._counting(source, newest=source.kind not in adds_up)
        ]
        cited = seen + [
            item
            for _, item in covers
            if item.kind not in adds_up or not people.isdisjoint(item.people)
        ]
        until = min([_end(item, join.seen) for item in seen])
        for end, item in sorted(covers, key=lambda cover: cover[0], reverse=True):
            before = len(people)
            people.difference_update(item.people)
            if len(people) < before:
                until = min(until, end)
        if people:
            outcome: Outcome = "failed" if covers else "missing"
            cited = cited if len(cited) > len(seen) else cited + [item for _, item in covers[:1]]
            return _cite(outcome, cited, "uncovered", people=tuple(sorted(people)))
        return self._aged(cited, until)

    def _counting(self, source: Source, *, newest: bool) -> Iterator[Item]:
        """What was collected independently enough: all of it, or the newest of each scope."""
        for items in self._shelves.of(source.kind):
            for item in self._known(items):
                if RANK[item.independence] >= source.rank:
                    yield item
                    if newest:
                        break

    def _at_least(self, node: AtLeast) -> Proof:
        of = tuple(map(self.prove, node.of))
        held = [proof for proof in of if proof.outcome == "satisfied"]
        if (self._apart(held) if node.distinct else len(held)) >= node.count:
            return Proof("satisfied", of=of)
        outcomes = {proof.outcome for proof in of}
        if "failed" in outcomes:
            return Proof("failed", of=of)
        if "expired" in outcomes:
            return Proof("expired", of=of)
        return Proof("partial" if held or "partial" in outcomes else "missing", of=of)

    def _apart(self, proofs: list[Proof]) -> int:
        """How many of the proofs share no collector with one counted before."""
        counted: set[str] = set()
        count = 0
        for collectors in sorted(map(self._collectors, proofs), key=len):
            if counted.isdisjoint(collectors):
                counted |= collectors
                count += 1
        return count

    def _collectors(self, proof: Proof) -> set[str]:
        items = self._shelves.items
        return {items[id_].collector for leaf in satisfied_leaves(proof) for id_ in leaf.items}


def needed(leaf: Check | Claim, proof: Proof, items: Mapping[str, Item], cap: int) -> int:
    """The rung from which on a pass satisfies a leaf that its proof does not: it must also mend the
    failures that the proof cites. `items` are by id, `cap` is that of the leaf's kind."""
    cited = (items[id_] for id_ in proof.items)
    failures = [RANK[item.independence] for item in cited if reads(leaf, item) is False]
    return max(leaf.source.rank, min(max(failures, default=0), cap))


def lifetime(rule: Node, proof: Proof) -> int | None:
    """Until when a satisfied rule stays so if evidence only ages: of k of n, as long as the k-th
    longest-lived part; None if that is for ever or, with `distinct`, takes another look."""
    if not isinstance(rule, AtLeast):
        return proof.until if proof.until is not None and proof.until < NEVER else None
    if rule.distinct:
        return None
    lives = []
    for part, below in zip(rule.of, proof.of, strict=True):
        if below.outcome == "satisfied":
            life = lifetime(part, below)
            if life is None:
                return None
            lives.append(life)
    return sorted(lives, reverse=True)[rule.count - 1]


def satisfied_leaves(proof: Proof) -> Iterator[Proof]:
    """The leaves that hold below nodes that hold: what a satisfied rule rests on."""
    if proof.outcome == "satisfied":
        if not proof.of:
            yield proof
        for below in proof.of:
            yield from satisfied_leaves(below)


def expired_leaves(proof: Proof) -> Iterator[Proof]:
    """The leaves that have expired, at every depth."""
    if proof.outcome == "expired" and not proof.of:
        yield proof
    for below in proof.of:
        yield from expired_leaves(below)


def newness(item: Item) -> tuple[int, int, str]:
    """By what of two items the newer is greater."""
    return item.dated, item.received, item.id


def _end(item: Item, source: Source) -> int:
    """When an item that counts no longer does."""
    return min(item.dated + source.max_age, item.expires or NEVER)


def reads(leaf: Check | Claim, item: Item) -> bool | None:
    """Whether the item says what the leaf looks for; None if it says nothing about it."""
    if isinstance(leaf, Check):
        result = item.checks.get(leaf.check, "inconclusive")
        return None if result == "inconclusive" else result == leaf.result
    number = item.claims.get(leaf.claim)
    if number is None:
        return None
    return (leaf.least is None or leaf.least <= number) and (
        leaf.most is None or number <= leaf.most
    )


def _cite(
    outcome: Outcome,
    items: list[Item],
    why: Why = "",
    *,
    until: int | None = None,
    people: tuple[str, ...] = (),
) -> Proof:
    if len(items) == 1:  # as nearly always
        [item] = items
        found = (item.id,), item.independence, item.simulated
        return Proof(outcome, why, *found, until, people)
    ids = tuple(sorted({item.id for item in items}))
    lowest: Independence | None = None
    if items:
        lowest = LADDER[min(RANK[item.independence] for item in items)]
    simulated = any(item.simulated for item in items)
    return Proof(outcome, why, ids, lowest, simulated, until, people)
