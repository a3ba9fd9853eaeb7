"""A second opinion on evaluation, written from the rules' words and without any care for speed.

It knows nothing of `until`: it says what is true at one instant, and at which instants something
could become otherwise. The evaluator must agree at all of them.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from bailment.assurance.grant import Grant, objection
from bailment.assurance.item import Item
from bailment.spec.compiled import AtLeast, Check, Claim, Exceptions, Join, Node, Required, Source
from bailment.spec.terms import LADDER
from tests.assurance.cases import CLASSES


def status_at(
    asked: Required, items: list[Item], grants: tuple[Grant, ...], policy: Exceptions, at: int
) -> str:
    """The status of a requirement at one instant."""
    known = [item for item in items if item.dated <= at and item.received <= at]
    if any(_contradicted(leaf, known, at) for leaf in asked.contradicted_by):
        return "contradicted"
    outcome = _outcome(asked.rule, known, at)[0]
    excused = any(
        grant.requirement == asked.id
        and grant.from_ <= at < grant.until
        and not objection(grant, policy, grants)
        for grant in grants
    )
    return "excepted" if excused and outcome != "satisfied" else outcome


def instants(asked: Required, items: list[Item], grants: tuple[Grant, ...]) -> list[int]:
    """All instants at which the status could become another, in order."""
    ages = {leaf.max_age for leaf in _sources(asked.rule)}
    ages |= {leaf.source.max_age for leaf in asked.contradicted_by}
    found = {point for item in items for point in (item.dated, item.received, item.expires)}
    found |= {item.dated + age for item in items for age in ages}
    found |= {point for grant in grants for point in (grant.from_, grant.until)}
    return sorted(found)


def _sources(node: Node) -> list[Source]:
    if isinstance(node, AtLeast):
        return [source for below in node.of for source in _sources(below)]
    return [node.seen, *node.covered_by] if isinstance(node, Join) else [node.source]


def _outcome(node: Node, known: list[Item], at: int) -> tuple[str, set[str]]:
    """The outcome, and who collected what it rests on."""
    if isinstance(node, AtLeast):
        return _threshold(node, [_outcome(below, known, at) for below in node.of])
    if isinstance(node, Join):
        return _join(node, known, at)
    return _per_scope([_decide(node, items, at) for items in _scopes(node.source.kind, known)])


def _per_scope(decided: list[tuple[str, Item] | None]) -> tuple[str, set[str]]:
    found = [one for one in decided if one is not None]
    outcomes = {outcome for outcome, _ in found}
    for outcome in ("failed", "expired", "satisfied"):
        if outcome in outcomes:
            return outcome, {item.collector for _, item in found}
    return "missing", set()


def _decide(leaf: Check | Claim, items: list[Item], at: int) -> tuple[str, Item] | None:
    passes = [item for item in items if _says(leaf, item) is True and _strong(leaf.source, item)]
    for failure in (item for item in items if _says(leaf, item) is False):
        if not any(_mends(one, failure) for one in passes):
            return "failed", failure
    if not passes:
        return None
    newest = max(passes, key=_age)
    return ("satisfied" if _fresh(leaf.source, newest, at) else "expired"), newest


def _mends(one: Item, failure: Item) -> bool:
    as_independent = LADDER.index(one.independence) >= LADDER.index(failure.independence)
    return as_independent and _age(one) > _age(failure)


def _age(item: Item) -> tuple[int, int, str]:
    return item.dated, item.received, item.id


def _join(join: Join, known: list[Item], at: int) -> tuple[str, set[str]]:
    seen = _newest(join.seen, known)
    covers = [
        (source, item)
        for source in join.covered_by
        for item in (known if CLASSES[source.kind] == "process" else _newest(source, known))
        if item.kind == source.kind and _strong(source, item)
    ]
    people = {person for item in seen for person in item.people}
    if not people:
        return "missing", set()
    if people - {person for _, item in covers for person in item.people}:
        return ("failed" if covers else "missing"), set()
    if not all(_fresh(join.seen, item, at) for item in seen):
        return "expired", set()
    fresh = [(source, item) for source, item in covers if _fresh(source, item, at)]
    if people - {person for _, item in fresh for person in item.people}:
        return "expired", set()
    covering = [
        item for _, item in covers if CLASSES[item.kind] == "machine" or people & set(item.people)
    ]
    return "satisfied", {item.collector for item in [*seen, *covering]}


def _threshold(node: AtLeast, of: list[tuple[str, set[str]]]) -> tuple[str, set[str]]:
    held = [collectors for outcome, collectors in of if outcome == "satisfied"]
    enough = len(held) >= node.count
    if node.distinct:
        enough = any(
            all(a.isdisjoint(b) for a, b in combinations(some, 2))
            for some in combinations(held, node.count)
        )
    if enough:
        return "satisfied", set().union(*held)
    outcomes = {outcome for outcome, _ in of}
    for outcome in ("failed", "expired"):
        if outcome in outcomes:
            return outcome, set()
    return ("partial" if outcomes & {"partial", "satisfied"} else "missing"), set()


def _contradicted(leaf: Check | Claim, known: list[Item], at: int) -> bool:
    return any(
        item.kind == leaf.source.kind
        and _strong(leaf.source, item)
        and at - item.dated < leaf.source.max_age
        and _says(leaf, item) is True
        for item in known
    )


def _says(leaf: Check | Claim, item: Item) -> bool | None:
    value: Any
    if isinstance(leaf, Check):
        value = item.checks.get(leaf.check)
        return None if value in (None, "inconclusive") else bool(value == leaf.result)
    value = item.claims.get(leaf.claim)
    if value is None:
        return None
    return not (
        (leaf.least is not None and value < leaf.least)
        or (leaf.most is not None and value > leaf.most)
    )


def _strong(source: Source, item: Item) -> bool:
    return LADDER.index(item.independence) >= source.rank


def _end(source: Source, item: Item) -> int:
    return min(item.dated + source.max_age, item.expires or 10**9)


def _fresh(source: Source, item: Item, at: int) -> bool:
    return at < _end(source, item)


def _scopes(kind: str, known: list[Item]) -> list[list[Item]]:
    scopes = {item.scope for item in known}
    return [[i for i in known if i.kind == kind and i.scope == scope] for scope in sorted(scopes)]


def _newest(source: Source, known: list[Item]) -> list[Item]:
    found = []
    for items in _scopes(source.kind, [item for item in known if _strong(source, item)]):
        if items:
            found.append(max(items, key=_age))
    return found
