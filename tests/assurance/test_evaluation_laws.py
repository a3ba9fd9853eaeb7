"""Laws of evaluation over random specs, evidence, exceptions and instants."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bailment.assurance.evaluation import (
    HELD,
    PRECEDENCE,
    Evaluation,
    encode,
    evaluate,
    evaluation_digest,
)
from bailment.assurance.grant import Grant
from bailment.assurance.item import Item
from bailment.canonical import decode
from bailment.spec.compiled import AtLeast, Check, CompiledSpec, Join, Node, Required
from bailment.spec.terms import LADDER, RANK
from tests.assurance import naive
from tests.assurance.cases import (
    EXCEPTIONS,
    HORIZON,
    SEEDS,
    case_of,
    check,
    judge,
    passed,
    required,
    spec,
)

INSTANTS = st.integers(-5, HORIZON)
ODD = st.integers(-(2**53), 2**53)


def test_a_verdict_changes_at_its_predicted_time_and_never_before() -> None:
    for seed in range(2_000):
        changes_when_it_says(seed, seed % 65 - 5)


@settings(max_examples=300)
@given(SEEDS, INSTANTS)
def test_so_does_a_verdict_that_nobody_has_seen_yet(seed: int, at: int) -> None:
    changes_when_it_says(seed, at)


def changes_when_it_says(seed: int, at: int) -> None:
    """Every other case holds nothing from the future, as when evidence is evaluated on receipt."""
    asked, items, grants = case_of(seed)
    if seed % 2:
        items = [item for item in items if max(item.dated, item.received) <= at]
    verdict = judge(asked, items, at, grants)

    def status(instant: int) -> str:
        return naive.status_at(asked, items, grants, EXCEPTIONS, instant)

    assert verdict.status == status(at)
    later = [t for t in naive.instants(asked, items, grants) if t > at]
    assert verdict.until == next((t for t in later if status(t) != verdict.status), None)
    lapses = next((t for t in later if status(t) not in HELD), None) if verdict.held else None
    assert verdict.lapses == lapses
    if verdict.until is not None:
        between = random.Random(seed).randrange(at, verdict.until)
        for instant in (between, verdict.until - 1):
            assert judge(asked, items, instant, grants).status == verdict.status
        assert judge(asked, items, verdict.until, grants).status != verdict.status


def test_the_random_cases_are_of_every_status() -> None:
    found = Counter(
        judge(*case_of(seed)[:2], 20, case_of(seed).grants).status for seed in range(500)
    )
    assert set(found) == set(PRECEDENCE)
    assert min(found.values()) >= 20


@settings(max_examples=300)
@given(
    SEEDS,
    st.lists(
        st.builds(
            Item,
            *[st.text(max_size=3)] * 3,
            st.sampled_from(["self", "observed"]),
            *[st.text(max_size=3)] * 3,
            ODD,
            ODD,
            st.text(max_size=3),
            ODD,
            st.dictionaries(st.text(max_size=3), st.sampled_from(["pass", "fail", "inconclusive"])),
            st.dictionaries(st.sampled_from(["count", "share"]), ODD),
            st.lists(st.text(max_size=3)).map(tuple),
        )
        | st.builds(passed, ODD, received=ODD, expires=ODD, kind=st.just("scan")),
        max_size=5,
    ),
    st.lists(
        st.builds(Grant, st.text(max_size=3), st.just("R"), ODD, ODD, st.just(("a", "b"))),
        max_size=3,
    ),
    ODD,
)
def test_no_evidence_and_no_exception_makes_evaluation_raise(
    seed: int, items: list[Item], grants: list[Grant], at: int
) -> None:
    evaluation = evaluate(spec(case_of(seed).asked), items, grants, at)
    assert len(evaluation_digest(evaluation)) == 64


@given(SEEDS, INSTANTS)
def test_the_order_in_which_evidence_is_given_changes_no_byte(seed: int, at: int) -> None:
    asked, items, grants = case_of(seed)
    ours = encode(evaluate(spec(asked), items, grants, at))
    chance = random.Random(seed)
    shuffled, others = chance.sample(items, len(items)), chance.sample(grants, len(grants))
    assert ours == encode(evaluate(spec(asked), shuffled, others, at))
    assert decode(ours)["at"] == at


@given(SEEDS, INSTANTS)
def test_what_was_not_used_could_be_left_out(seed: int, at: int) -> None:
    """What an evaluation cites is enough to reach each of its verdicts again."""
    asked, items, grants = case_of(seed)
    items = [item for item in items if item.received <= at and item.dated <= at]
    whole = evaluate(spec(asked), items, grants, at)
    cited = {id_ for id_, _ in whole.items}
    again = evaluate(spec(asked), [item for item in items if item.id in cited], grants, at)
    for ours, theirs in zip(whole.tiers[0].verdicts, again.tiers[0].verdicts, strict=True):
        assert (ours.status, ours.until) == (theirs.status, theirs.until)
        assert ours.lapses == theirs.lapses


@given(SEEDS, INSTANTS)
def test_evidence_of_an_unknown_kind_changes_no_verdict(seed: int, at: int) -> None:
    asked, items, grants = case_of(seed)
    before = evaluate(spec(asked), items, grants, at)
    after = evaluate(spec(asked), [*items, passed(at + 1, kind="rumour")], grants, at)
    assert after.tiers == before.tiers
    assert after.inputs != before.inputs


@given(SEEDS, INSTANTS)
def test_waiting_earns_nothing(seed: int, at: int) -> None:
    """But for contradictions, whose time ends: time alone only takes away what was proven."""
    asked, items, _ = case_of(seed)
    asked = required(asked.rule)
    known = [item for item in items if item.dated <= at and item.received <= at]
    held = [judge(asked, known, t).held for t in range(at, HORIZON + 60, 5)]
    assert held == sorted(held, reverse=True)


@given(SEEDS, INSTANTS, st.sampled_from(LADDER))
def test_more_independence_never_makes_a_verdict_worse(seed: int, at: int, rung: str) -> None:
    asked, items = _simple(seed)
    raised = [
        replace(one, independence=max(one.independence, rung, key=RANK.__getitem__))
        for one in items
    ]
    if judge(asked, items, at).held:
        assert judge(asked, raised, at).held


@given(SEEDS, INSTANTS)
def test_another_pass_never_makes_a_verdict_worse(seed: int, at: int) -> None:
    asked, items = _simple(seed)
    new = [
        replace(one, id=f"{number}", dated=at, received=at, independence="observed", claims={})
        for number, one in enumerate(items)
    ]
    better = [replace(one, checks=dict.fromkeys(one.checks, "pass")) for one in new]
    if judge(asked, items, at).held:
        assert judge(asked, items + better, at).held


@given(SEEDS, INSTANTS)
def test_no_less_independent_evidence_takes_back_what_failed(seed: int, at: int) -> None:
    """What stands as failed by all that was found from a rung on stays so whatever those below it
    show: their passes mend none of it."""
    leaf, items = _leaf(seed)
    for rung in range(1, len(LADDER)):
        strong = [one for one in items if RANK[one.independence] >= rung]
        if judge(leaf, strong, at).status == "failed":
            assert judge(leaf, items, at).status == "failed"


@given(SEEDS, INSTANTS)
def test_a_pass_that_is_as_independent_as_every_failure_mends_them_all(seed: int, at: int) -> None:
    """Where it is shown for every scope, the leaf lasts as if nothing had ever failed."""
    leaf, items = _leaf(seed)
    found = [one for one in items if one.dated < at and one.received <= at]
    rung = max([leaf.source.rank, *(RANK[one.independence] for one in found)])
    passes = [
        passed(at, leaf.check, kind=leaf.source.kind, scope=scope, independence=LADDER[rung])
        for scope in ("tenant", "other")
    ]
    verdict = judge(leaf, [*found, *passes], at)
    assert (verdict.status, verdict.until) == ("satisfied", at + leaf.source.max_age)


@given(SEEDS, INSTANTS)
def test_nothing_is_satisfied_by_nothing(seed: int, at: int) -> None:
    assert judge(case_of(seed).asked, [], at).status == "missing"


@given(SEEDS, INSTANTS)
def test_a_tier_is_held_while_all_that_it_asks_for_is(seed: int, at: int) -> None:
    asked, items, grants = case_of(seed)
    other = required(check(), "S")
    both = spec((asked, other))
    evaluation = evaluate(both, items, grants, at)
    tier = evaluation.tiers[0]
    assert tier.held == all(verdict.status in HELD for verdict in tier.verdicts)
    if tier.held and tier.lapses is not None:
        assert _held(both, items, grants, tier.lapses - 1)
        assert not _held(both, items, grants, tier.lapses)
    if evaluation.until is not None:
        assert _statuses(both, items, grants, evaluation.until - 1) == _all(evaluation)
        assert _statuses(both, items, grants, evaluation.until) != _all(evaluation)


def _held(asked: CompiledSpec, items: list[Item], grants: tuple[Grant, ...], at: int) -> bool:
    return evaluate(asked, items, grants, at).tiers[0].held


def _all(evaluation: Evaluation) -> list[str]:
    return [verdict.status for tier in evaluation.tiers for verdict in tier.verdicts]


def _statuses(
    asked: CompiledSpec, items: list[Item], grants: tuple[Grant, ...], at: int
) -> list[str]:
    return _all(evaluate(asked, items, grants, at))


def _simple(seed: int) -> tuple[Required, list[Item]]:
    """Without what lets a better item take the place of one that was worth more: contradictions,
    joins, `distinct`, and an end of its own."""
    asked, items, _ = case_of(seed)
    return required(_plain(asked.rule)), [replace(one, expires=0) for one in items]


def _leaf(seed: int) -> tuple[Check, list[Item]]:
    """A leaf and evidence of its kind, in several scopes and from every rung."""
    chance = random.Random(seed)
    kind = chance.choice(("scan", "terms"))
    leaf = check(
        kind=kind, least=chance.choice(("self", "self", "peer")), age=chance.randint(1, 50)
    )
    return leaf, [replace(one, kind=kind, expires=0) for one in case_of(seed).items]


def _plain(node: Node) -> Node:
    if isinstance(node, AtLeast):
        return AtLeast(node.count, tuple(map(_plain, node.of)), distinct=False)
    return Check(node.seen, "mfa", "pass") if isinstance(node, Join) else node
