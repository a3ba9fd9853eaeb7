"""Standing: a step down is foreseen, announced, graced; a contradiction is none of these.

T1 needs `A`, T2 also `B`, T3 also `C`, each by a check of that name. Evidence lives 100 ms; the
policy is notices 14, 3 and 1 ms ahead, 7 ms of grace, then T2, after 14 ms suspension; a
contradiction leads to T1 at once.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bailment.assurance.evaluation import evaluate
from bailment.assurance.grant import Grant
from bailment.assurance.item import Item
from bailment.assurance.standing import Standing, advance, step_at, tier_at
from bailment.spec.compiled import Lapsing
from tests.assurance.cases import (
    LAPSE,
    SEEDS,
    check,
    claim,
    failed,
    grant,
    item,
    passed,
    required,
    spec,
)

SHARED = claim("shared", least=1, kind="log", age=30)
A, B, C = (required(check(name), name.upper()) for name in "abc")
SPEC = spec((A,), (A, B), (A, B, required(C.rule, "C", SHARED)))
ALERT = item("log", 50, claims={"shared": 1})


def prove(**dates: int) -> list[Item]:
    """Passes of the checks, each of its date."""
    return [passed(dated, name) for name, dated in dates.items()]


def standing(
    items: list[Item],
    *instants: int,
    lapse: Lapsing = LAPSE,
    previous: Standing | None = None,
    excused: tuple[Grant, ...] = (),
) -> Standing:
    """Evaluated at each instant with what had been received by then."""
    for at in instants:
        known = [one for one in items if one.received <= at]
        previous = advance(previous, evaluate(SPEC, known, excused, at), lapse, at)
    assert previous is not None
    return previous


def path(found: Standing) -> list[tuple[int, int, str]]:
    return [(step.at, step.tier, step.phase) for step in found.steps]


def notices(found: Standing) -> list[tuple[int, int, int]]:
    return [(one.at, one.step, one.tier) for one in found.notices]


# Expiry


def test_expiry_leads_by_grace_and_a_lower_tier_to_none() -> None:
    assert path(standing(prove(a=0, b=0, c=0), 50)) == [
        (50, 3, "earned"),
        (100, 3, "grace"),
        (107, 2, "stepped-down"),
        (121, 0, "none"),
    ]


def test_a_lower_tier_that_evidence_still_holds_is_earned() -> None:
    found = standing(prove(a=30, b=30, c=0), 50)
    assert path(found)[:4] == [
        (50, 3, "earned"),
        (100, 3, "grace"),
        (107, 2, "earned"),
        (130, 2, "grace"),
    ]


def test_of_two_footings_for_a_tier_its_own_is_named() -> None:
    """T2 lapses four ms after T3, and is in grace when T3 steps down to it."""
    assert path(standing(prove(a=4, b=4, c=0), 50))[1:5] == [
        (100, 3, "grace"),
        (107, 2, "grace"),
        (111, 2, "stepped-down"),
        (121, 1, "stepped-down"),
    ]


def test_each_step_names_what_lapsed() -> None:
    found = standing(prove(a=30, b=30, c=0), 50)
    assert [step.requirements for step in found.steps] == [
        (),
        ("C",),
        ("C",),
        ("A", "B"),
        ("A", "B"),
        ("A", "B"),
    ]


def test_a_step_down_never_leads_to_the_tier_that_was_lost_or_above() -> None:
    assert [tier for _, tier, _ in path(standing(prove(a=0, b=0), 50))] == [2, 2, 1, 0]
    assert [tier for _, tier, _ in path(standing(prove(a=0), 50))] == [1, 1, 0]


def test_a_policy_may_suspend_after_the_grace() -> None:
    assert path(standing(prove(a=0, b=0, c=0), 50, lapse=replace(LAPSE, then=0)))[-1] == (
        107,
        0,
        "none",
    )


def test_what_never_lapses_stays() -> None:
    """Nothing but an exception without end could do this; so the schedule has one step."""
    evaluation = evaluate(SPEC, [], [], 0)
    held = replace(evaluation.tiers[0], held=True)
    found = advance(None, replace(evaluation, tiers=(held,)), LAPSE, 0)
    assert path(found) == [(0, 1, "earned")]
    assert found.footings[0].requirements == ()
    assert (found.footings[0].failed, found.due(0)) == (False, None)
    assert path(advance(found, evaluation, LAPSE, 10)) == [(10, 1, "grace"), (17, 0, "none")]


def test_a_tier_that_was_never_held_has_no_grace() -> None:
    assert path(standing(prove(a=0, b=0, c=0), 100)) == [(100, 0, "none")]
    assert path(standing([], 0)) == [(0, 0, "none")]


def test_grace_runs_from_the_lapse_however_late_it_is_evaluated() -> None:
    found = standing(prove(a=0, b=0, c=0), 50, 104)
    assert path(found) == [(104, 3, "grace"), (107, 2, "stepped-down"), (121, 0, "none")]
    assert path(standing(prove(a=0, b=0, c=0), 50, 104, 106, 110)) == [
        (110, 2, "stepped-down"),
        (121, 0, "none"),
    ]


def test_nothing_is_left_after_the_suspension() -> None:
    found = standing(prove(a=0, b=0, c=0), 50, 101, 121)
    assert (path(found), found.footings) == ([(121, 0, "none")], ())


def test_without_grace_what_lapsed_is_kept_for_one_evaluation() -> None:
    """In which it may be held, if many lapse at once."""
    at_once = replace(LAPSE, grace=0, suspend_after=0)
    items = prove(a=0, b=0, c=0)
    assert len(standing(items, 50, 100, lapse=at_once).footings) == 3
    assert standing(items, 50, 100, 101, lapse=at_once).footings == ()


def test_what_lapsed_before_is_named_from_the_first_step_on() -> None:
    found = standing(prove(a=30, b=30, c=0), 50, 104)
    assert (found.steps[0].phase, found.steps[0].requirements) == ("grace", ("C",))


def test_new_evidence_in_time_keeps_the_tier() -> None:
    found = standing(prove(a=0, b=0, c=0) + prove(a=104, b=104, c=104), 50, 101, 104)
    assert path(found)[:2] == [(104, 3, "earned"), (204, 3, "grace")]


def test_new_evidence_after_a_step_down_earns_the_tier_again() -> None:
    found = standing(prove(a=0, b=0, c=0) + prove(a=110, b=110, c=110), 50, 109, 110)
    assert found.tier == 3


def test_a_failure_that_nobody_foresaw_has_grace_from_now() -> None:
    items = [*prove(a=0, b=0, c=0), failed(60, "c")]
    assert path(standing(items, 50, 61))[:3] == [
        (61, 3, "grace"),
        (68, 2, "earned"),
        (100, 2, "grace"),
    ]


def test_a_failure_that_is_evaluated_again_has_no_new_grace() -> None:
    items = [*prove(a=0, b=0, c=0), failed(60, "c")]
    assert path(standing(items, 50, 61, 65))[1] == (68, 2, "earned")


def test_an_exception_holds_a_tier_and_lapses_like_evidence() -> None:
    found = standing(prove(a=0, b=0), 50, excused=(grant(requirement="C", from_=40, until=80),))
    assert path(found)[:3] == [(50, 3, "earned"), (80, 3, "grace"), (87, 2, "earned")]


# Lookups


def test_the_tier_at_an_instant_is_that_of_the_last_step() -> None:
    found = standing(prove(a=0, b=0, c=0), 50)
    assert [tier_at(found, at) for at in (49, 50, 106, 107, 120, 121, 10**9)] == [
        *(0, 3, 3, 2, 2, 0, 0)
    ]
    assert tier_at(None, 0) == 0
    assert step_at(found, 49) is None
    assert step_at(found, 107) == found.steps[2]


def test_due_is_the_next_thing_to_do() -> None:
    found = standing(prove(a=0, b=0, c=0), 50)
    assert [found.due(at) for at in (50, 86, 99, 107, 121)] == [86, 97, 100, 118, None]


def test_a_standing_is_read_back_from_its_bytes() -> None:
    found = standing([*prove(a=0, b=0, c=0), ALERT], 40, 50)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Standing) == found


def test_due_is_also_when_to_evaluate_again() -> None:
    found = standing([*prove(a=40, b=40, c=40), ALERT], 40, 50)
    assert (found.until, found.due(50), found.due(79), found.due(80)) == (80, 80, 80, 147)


def test_a_standing_is_written_without_what_is_empty_and_cannot_be_changed() -> None:
    found = standing([], 0)
    assert msgspec.json.encode(found) == b'{"at":0,"steps":[{"at":0,"tier":0,"phase":"none"}]}'
    found = standing([*prove(a=0, b=0, c=0), ALERT], 40, 50)
    parts = [found, found.steps[0], found.notices[0], found.footings[0], found.contradictions[0]]
    for part in parts:
        with pytest.raises(AttributeError):
            setattr(part, part.__struct_fields__[0], 1)
    assert msgspec.to_builtins(found.footings[0]) == {
        "rank": 1,
        "lapses": 100,
        "requirements": ("A",),
    }


# Notices


def test_a_step_down_is_announced_before_the_lapse_at_it_and_before_the_step() -> None:
    found = standing(prove(a=0, b=0, c=0), 50)
    assert [at for at, step, _ in notices(found) if step == 107] == [86, 97, 99, 100, 104, 106]
    assert [at for at, step, _ in notices(found) if step == 121] == [107, 118, 120]
    assert {(step, tier) for _, step, tier in notices(found)} == {(107, 2), (121, 0)}


def test_notices_that_would_be_in_the_past_are_left_out() -> None:
    found = standing(prove(a=0, b=0, c=0), 98)
    assert [at for at, step, _ in notices(found) if step == 107] == [99, 100, 104, 106]


def test_a_notice_that_was_planned_stays_planned_until_its_step() -> None:
    """So that one which was due while nobody could send it is still sent."""
    found = standing(prove(a=0, b=0, c=0), 50, 98, 101)
    assert [at for at, step, _ in notices(found) if step == 107] == [86, 97, 99, 100, 104, 106]
    assert [at for at, step, _ in notices(standing(prove(a=0, b=0, c=0), 50, 107))] == [
        *(107, 118, 120)
    ]


def test_evidence_that_is_renewed_takes_its_notices_away() -> None:
    found = standing(prove(a=0, b=0, c=0) + prove(a=60, b=60, c=60), 50, 60)
    assert {step for _, step, _ in notices(found)} == {167, 181}


def test_where_all_notices_come_too_late_one_is_sent_at_once() -> None:
    lapse = replace(LAPSE, grace=1, notice=(14,))
    items = [*prove(a=0, b=0, c=0), failed(60, "c")]
    assert (60, 61, 2) in notices(standing(items, 50, 60, lapse=lapse))
    found = standing(items, 50, 60, lapse=replace(LAPSE, grace=0))
    assert (found.tier, notices(found)[0]) == (2, (60, 60, 2))


def test_a_step_that_another_policy_moves_is_announced_at_once_where_it_is_too_late() -> None:
    longer = replace(LAPSE, grace=9, notice=(14,))
    planned = standing(prove(a=0, b=0, c=0), 50)
    found = standing(prove(a=0, b=0, c=0), 105, lapse=longer, previous=planned)
    assert [at for at, step, _ in notices(found) if step == 109] == [105]


def test_a_notice_may_be_due_at_the_very_evaluation() -> None:
    found = standing(prove(a=0, b=0, c=0), 97)
    assert [at for at, step, _ in notices(found) if step == 107] == [97, 99, 100, 104, 106]


def test_without_grace_notices_still_come_before_the_step() -> None:
    found = standing(prove(a=0, b=0, c=0), 50, lapse=replace(LAPSE, grace=0))
    assert path(found)[:2] == [(50, 3, "earned"), (100, 2, "stepped-down")]
    assert [at for at, step, _ in notices(found) if step == 100] == [86, 97, 99]


# Contradictions


def test_a_contradiction_acts_at_once_and_says_so() -> None:
    found = standing([*prove(a=0, b=0, c=0), ALERT], 40, 50)
    assert path(found)[0] == (50, 1, "contradicted")
    assert found.steps[0].requirements == ("C",)
    assert notices(found)[0] == (50, 50, 1)


def test_a_contradiction_that_is_over_gives_the_tier_back_at_the_next_evaluation() -> None:
    items = [*prove(a=40, b=40, c=40), ALERT]
    found = standing(items, 40, 50)
    assert found.until == 80
    assert tier_at(found, 80) == 1
    assert standing(items, 40, 50, 80).tier == 3


def test_a_contradiction_lasts_as_long_as_evidence_contradicts() -> None:
    items = [*prove(a=40, b=40, c=40), ALERT]
    assert standing(items, 40, 50, 60, 79).tier == 1


def test_a_contradicted_tier_has_no_grace_afterwards() -> None:
    """The evidence for C lapses while it is contradicted."""
    items = [*prove(a=40, b=40), *prove(c=-40), ALERT]
    assert standing(items, 40, 50, 79).tier == 1
    assert standing(items, 40, 50, 80).tier == 2


@pytest.mark.parametrize("instants", [(40, 50, 80), (40, 50, 79, 80)])
def test_not_even_a_long_grace_outlives_a_contradiction(instants: tuple[int, ...]) -> None:
    items = [*prove(a=40, b=40), *prove(c=-40), ALERT]
    assert standing(items, *instants, lapse=replace(LAPSE, grace=100)).tier == 2


def test_a_contradiction_of_what_a_lower_tier_asks_for_counts_at_each() -> None:
    tiers = spec(
        *[(required(A.rule, "A", SHARED), one)[: rank + 1] for rank, one in enumerate((B, B))]
    )
    before = advance(None, evaluate(tiers, prove(a=0), [], 40), LAPSE, 40)
    after = advance(before, evaluate(tiers, [*prove(a=0), ALERT], [], 50), LAPSE, 50)
    assert (before.tier, path(after)) == (1, [(50, 0, "contradicted")])
    assert after.contradictions[0].ranks == (1, 2)


def test_a_contradiction_of_what_was_never_held_changes_nothing() -> None:
    tiers = spec(required(A.rule, "A", SHARED))
    found = advance(None, evaluate(tiers, [*prove(a=0), ALERT], [], 50), LAPSE, 50)
    assert (path(found), found.contradictions) == ([(50, 0, "none")], ())


def test_several_contradictions_are_named_in_the_order_of_their_ids() -> None:
    both = tuple(required(check("a"), name, SHARED) for name in ("Z", "A"))
    before = advance(None, evaluate(spec(both), prove(a=0), [], 40), LAPSE, 40)
    after = advance(before, evaluate(spec(both), [*prove(a=0), ALERT], [], 50), LAPSE, 50)
    assert after.steps[0].requirements == ("A", "Z")


def test_nobody_falls_over_what_only_a_higher_tier_asks_for() -> None:
    items = [*prove(a=0, b=0), ALERT]
    assert path(standing(items, 40, 50))[0] == (50, 2, "earned")
    assert path(standing(items, 50))[0] == (50, 2, "earned")
    assert path(standing(items, 50, 60))[0] == (60, 2, "earned")


def test_a_tier_that_the_contradicted_requirement_belongs_to_is_not_stepped_down_to() -> None:
    asked = required(A.rule, "A", SHARED)
    tiers = spec((asked,), (asked, B))
    items = prove(a=0, b=0)
    before = advance(None, evaluate(tiers, items, [], 40), LAPSE, 40)
    after = advance(before, evaluate(tiers, [*items, ALERT], [], 50), LAPSE, 50)
    assert (before.tier, path(after)) == (2, [(50, 0, "contradicted")])


def test_a_policy_may_suspend_at_a_contradiction() -> None:
    found = standing([*prove(a=0, b=0, c=0), ALERT], 40, 50, lapse=replace(LAPSE, contradicted=0))
    assert path(found) == [(50, 0, "contradicted")]


def test_a_contradiction_may_act_after_a_while_and_is_announced() -> None:
    lapse = replace(LAPSE, contradicted_after=5)
    items = [*prove(a=0, b=0, c=0), ALERT]
    found = standing(items, 40, 50, lapse=lapse)
    assert path(found)[:2] == [(50, 3, "grace"), (55, 1, "contradicted")]
    assert [at for at, step, _ in notices(found) if step == 55] == [52, 54]
    assert path(standing(items, 40, 50, 53, lapse=lapse))[1] == (55, 1, "contradicted")
    assert path(standing(items, 40, 50, 56, lapse=lapse))[0] == (56, 1, "contradicted")


def test_a_contradiction_that_acts_after_a_while_takes_every_tier_that_it_belongs_to() -> None:
    lapse = replace(LAPSE, contradicted_after=5)
    asked = required(A.rule, "A", SHARED)
    tiers = spec((asked,), (asked, B))
    items = prove(a=0, b=0)
    before = advance(None, evaluate(tiers, items, [], 40), lapse, 40)
    after = advance(before, evaluate(tiers, [*items, ALERT], [], 50), lapse, 50)
    assert path(after) == [(50, 2, "grace"), (55, 0, "contradicted")]


def test_of_two_contradictions_the_earlier_acts_first() -> None:
    lapse = replace(LAPSE, contradicted_after=20, contradicted=2)
    tiers = spec(
        (A,), (A, B), (A, B, required(C.rule, "C", SHARED)), (required(A.rule, "A", claim("x", 1)),)
    )
    items = [*prove(a=0, b=0, c=0), ALERT, item(dated=55, claims={"x": 1})]
    found = None
    for at in (40, 50, 55):
        known = [one for one in items if one.received <= at]
        found = advance(found, evaluate(tiers, known, [], at), lapse, at)
    assert found is not None
    assert path(found)[:3] == [(55, 4, "grace"), (62, 2, "earned"), (70, 2, "contradicted")]


def test_what_is_left_during_a_contradiction_still_lapses() -> None:
    found = standing([*prove(a=0, b=0, c=0), ALERT], 40, 50)
    assert path(found) == [(50, 1, "contradicted"), (121, 0, "contradicted")]


# Laws


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Item], list[int]]:
    """A recipient's life: reports that come in over time, and the instants of evaluation."""
    chance = Random(draw(SEEDS))
    items = []
    for _ in range(chance.randint(0, 14)):
        dated, name = chance.randint(0, 250), chance.choice("aaabbbccc")
        make = failed if chance.random() < 0.15 else passed
        items.append(make(dated, name, received=dated + chance.choice((0, 0, 20))))
    if chance.random() < 0.3:
        items.append(item("log", chance.randint(0, 250), claims={"shared": 1}))
    return items, sorted(chance.sample(range(300), chance.randint(1, 8)))


@given(histories())
def test_a_schedule_never_raises_anybody_and_ends_where_it_says(
    history: tuple[list[Item], list[int]],
) -> None:
    items, instants = history
    found = standing(items, *instants)
    assert found.steps[0].at == found.at == instants[-1]
    assert all(a.at < b.at and a.tier >= b.tier for a, b in pairwise(found.steps))
    if found.footings and not found.contradictions:
        latest = max(one.lapses for one in found.footings if one.lapses is not None)
        end = latest + LAPSE.grace + LAPSE.suspend_after
        assert found.steps[-1].at <= max(end, found.at)
    assert found.steps[-1].tier == 0


@given(histories())
def test_every_step_down_is_announced_before_it_comes(
    history: tuple[list[Item], list[int]],
) -> None:
    items, instants = history
    found = standing(items, *instants)
    for before, after in pairwise(found.steps):
        if after.tier < before.tier:
            announced = [one for one in found.notices if one.step == after.at]
            assert announced
            assert all(one.at < after.at and one.tier == after.tier for one in announced)
    assert list(found.notices) == sorted(set(found.notices), key=lambda n: (n.at, n.step, n.tier))


@given(histories(), st.integers(0, 299))
def test_an_evaluation_without_news_changes_no_tier_but_upwards(
    history: tuple[list[Item], list[int]], extra: int
) -> None:
    """Evaluating more often, with the same evidence, takes nothing from anybody; and only the end
    of a contradiction and what was received meanwhile give something."""
    items, instants = history
    items = [one for one in items if one.received <= instants[0]]
    once = standing(items, instants[0])
    later = instants[0] + extra
    again = standing(items, later, previous=once)
    for at in range(later, 420, 7):
        assert tier_at(again, at) >= tier_at(once, at)
        if not any(one.kind == "log" for one in items):
            assert tier_at(again, at) == tier_at(once, at)


@given(histories())
def test_what_evidence_holds_is_in_force_unless_contradicted(
    history: tuple[list[Item], list[int]],
) -> None:
    items, instants = history
    found = standing(items, *instants)
    known = [one for one in items if one.received <= found.at]
    earned = evaluate(SPEC, known, [], found.at).earned
    if not found.contradictions:
        assert found.tier >= earned
    else:
        assert found.tier <= LAPSE.contradicted
    assert (found.steps[0].phase == "earned") == (
        0 < earned == found.tier and not found.contradictions
    )
