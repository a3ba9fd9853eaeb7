"""Evidence, rules and specs in few words, and random ones."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any, Literal, NamedTuple

from hypothesis import strategies as st

from bailment.assurance.evaluation import Evaluation, Verdict, evaluate
from bailment.assurance.grant import Grant
from bailment.assurance.item import Item, Result
from bailment.spec.compiled import (
    AtLeast,
    Check,
    Claim,
    CompiledSpec,
    Exceptions,
    Join,
    Kind,
    Lapsing,
    Node,
    Required,
    Source,
    TierOf,
)
from bailment.spec.terms import LADDER, TIERS, Class

AGE = 100
CLASSES: dict[str, Class] = {
    "scan": "machine",
    "roster": "machine",
    "seen": "machine",
    "log": "machine",
    "terms": "process",
}
EXCEPTIONS = Exceptions(
    max_ttl=50, max_renewals=1, approvers=2, compensating=True, never_for=frozenset({"NO"})
)
LAPSE = Lapsing(
    notice=(14, 3, 1),
    grace=7,
    then=2,
    suspend_after=14,
    contradicted=1,
    contradicted_after=0,
    mass_change_hold=200_000,
    hold_at_most=1_000,
)


def item(kind: str = "scan", dated: int = 0, **over: Any) -> Item:
    """An item that was received when it was dated, by default fetched by the issuer."""
    seed = repr((kind, dated, sorted(over.items())))
    digest = hashlib.sha256(seed.encode()).hexdigest()
    fields: dict[str, Any] = {
        "id": digest[:32],
        "kind": kind,
        "adapter": "scan/1",
        "independence": "pulled",
        "collector": "lab",
        "report": digest[:8],
        "scope": "tenant",
        "dated": dated,
        "received": dated,
        "digest": digest,
    }
    return Item(**fields | over)


def passed(dated: int = 0, check: str = "mfa", **over: Any) -> Item:
    return item(dated=dated, checks={check: "pass"}, **over)


def failed(dated: int = 0, check: str = "mfa", **over: Any) -> Item:
    return item(dated=dated, checks={check: "fail"}, **over)


def source(kind: str = "scan", least: str = "self", age: int = AGE) -> Source:
    return Source(kind, LADDER.index(least), age)


def check(name: str = "mfa", kind: str = "scan", least: str = "self", age: int = AGE) -> Check:
    return Check(source(kind, least, age), name, "pass")


def fails(name: str = "mfa", kind: str = "scan", least: str = "self", age: int = AGE) -> Check:
    return Check(source(kind, least, age), name, "fail")


def claim(
    name: str, least: int | None = None, most: int | None = None, kind: str = "scan", age: int = AGE
) -> Claim:
    return Claim(source(kind, age=age), name, least, most)


def all_of(*nodes: Node) -> AtLeast:
    return AtLeast(len(nodes), nodes, distinct=False)


def at_least(count: int, *nodes: Node, distinct: bool = False) -> AtLeast:
    return AtLeast(count, nodes, distinct)


def required(rule: Node, id_: str = "R", *against: Check | Claim, **over: Any) -> Required:
    fields: dict[str, Any] = {
        "id": id_,
        "title": f"What {id_} asks for",
        "rule": rule,
        "contradicted_by": against,
        "weight": 1,
        "remedy": "",
        "excusable": id_ not in EXCEPTIONS.never_for,
    }
    return Required(**fields | over)


def spec(*tiers: tuple[Required, ...] | Required) -> CompiledSpec:
    """A spec with these requirements at T1, T2, …; nothing is included by itself."""
    asked = [tier if isinstance(tier, tuple) else (tier,) for tier in tiers]
    return CompiledSpec(
        digest="d" * 64,
        id="test",
        version="1.0.0",
        effective=0,
        kinds={
            name: Kind(name, name, f"{name}/1", class_, "tenant", AGE, 5)
            for name, class_ in CLASSES.items()
        },
        tiers=tuple(
            TierOf(TIERS[rank], f"tier {rank + 1}", rank + 1, requirements)
            for rank, requirements in enumerate(asked)
        ),
        exceptions=EXCEPTIONS,
        lapse=LAPSE,
        capabilities=(),
    )


def grant(id_: str = "g", requirement: str = "R", **over: Any) -> Grant:
    fields: dict[str, Any] = {
        "id": id_,
        "requirement": requirement,
        "from_": 0,
        "until": 50,
        "approvers": ("ann", "bob"),
        "compensating": ("a guard at the door",),
    }
    return Grant(**fields | over)


def judge(
    rule: Node | Required, items: list[Item], at: int = 0, exceptions: tuple[Grant, ...] = ()
) -> Verdict:
    """The verdict on the only requirement of the only tier."""
    asked = rule if isinstance(rule, Required) else required(rule)
    return evaluate(spec(asked), items, exceptions, at).tiers[0].verdicts[0]


def verdict_of(evaluation: Evaluation, rank: int, id_: str) -> Verdict:
    tier = evaluation.tier(rank)
    assert tier is not None
    return next(verdict for verdict in tier.verdicts if verdict.requirement == id_)


# Random cases. Numbers are small, so that instants meet and edges are hit; chances are such that
# every status is common. Drawing a seed is many times faster than drawing each number.

HORIZON = 60
SEEDS = st.integers(0, 2**48)

_KINDS = ("scan", "scan", "seen", "roster", "terms")
_CHECKS = ("mfa", "legacy")
_CLAIMS = ("count", "share")
_RESULTS: tuple[Result, ...] = ("pass", "pass", "pass", "fail", "inconclusive")


class Case(NamedTuple):
    """A requirement, and what a recipient shows for it."""

    asked: Required
    items: list[Item]
    grants: tuple[Grant, ...]


def case_of(seed: int) -> Case:
    chance = Random(seed)
    return Case(_required(chance), _evidence(chance), _grants(chance))


def _required(chance: Random) -> Required:
    against = [_leaf(chance, "fail") for _ in range(chance.choice((0, 0, 0, 1, 2)))]
    return required(_rule(chance, 2), "R", *against)


def _rule(chance: Random, depth: int) -> Node:
    if depth and chance.random() < 0.6:
        of = tuple(_rule(chance, depth - 1) for _ in range(chance.randint(1, 4)))
        return AtLeast(chance.randint(1, len(of)), of, chance.random() < 0.3)
    if chance.random() < 0.2:
        covers = tuple(_source(chance) for _ in range(chance.randint(1, 3)))
        return Join(_source(chance), covers)
    return _leaf(chance, "pass")


def _leaf(chance: Random, result: Literal["pass", "fail"]) -> Check | Claim:
    if chance.random() < 0.7:
        return Check(_source(chance), chance.choice(_CHECKS), result)
    # A leaf that contradicts looks for few things, one that satisfies allows many.
    bounds = (None, 0, 1) if result == "pass" else (2, 3)
    most = (None, 2, 3) if result == "pass" else (None, 3)
    return Claim(
        _source(chance), chance.choice(_CLAIMS), chance.choice(bounds), chance.choice(most)
    )


def _source(chance: Random) -> Source:
    return Source(chance.choice(_KINDS), chance.choice((0, 0, 0, 2, 5)), chance.randint(0, 50))


def _evidence(chance: Random) -> list[Item]:
    """Items of every oddity: from the future, weak, inconclusive, in several scopes."""
    return [_item(chance, number) for number in range(chance.randint(0, 12))]


def _item(chance: Random, number: int) -> Item:
    dated = chance.randint(-10, HORIZON if chance.random() < 0.2 else 25)
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    later = chance.randint(0, 20)
    return item(
        chance.choice(_KINDS),
        dated,
        id=digest[:32],
        digest=digest,
        received=dated + chance.choice((0, 0, 0, 1, later, -later)),
        expires=chance.choice((0, 0, 0, dated + later)),
        independence=chance.choice((*LADDER, "pulled", "observed")),
        collector=chance.choice(("lab", "audit", "self")),
        scope=chance.choice(("tenant", "tenant", "tenant", "other")),
        checks={name: chance.choice(_RESULTS) for name in _CHECKS if chance.random() < 0.8},
        claims={name: chance.randint(0, 3) for name in _CLAIMS if chance.random() < 0.8},
        people=tuple(name for name in ("p1", "p2", "p3") if chance.random() < 0.5),
        simulated=chance.random() < 0.2,
    )


def _grants(chance: Random) -> tuple[Grant, ...]:
    return tuple(_grant(chance, number) for number in range(chance.choice((0, 0, 0, 1, 2, 3))))


def _grant(chance: Random, number: int) -> Grant:
    start = chance.randint(-10, HORIZON)
    return grant(
        f"g{number}",
        chance.choice(("R", "R", "R", "NO")),
        from_=start,
        until=start + chance.randint(-1, 55),
        approvers=chance.choice((("ann", "bob"), ("ann", "bob"), ("ann", "ann"))),
        compensating=chance.choice((("a guard",), ("a guard",), (" ",))),
        renewals=chance.choice((0, 0, 1, 2)),
    )
