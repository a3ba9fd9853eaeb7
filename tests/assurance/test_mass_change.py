"""Many recipients falling at once: expiries are held, failures and contradictions never.

Five recipients, and a policy that holds above 20%: one of them may fall, two may not.
"""

from __future__ import annotations

from itertools import pairwise

from msgspec.structs import replace

from bailment.assurance.evaluation import evaluate
from bailment.assurance.item import Item
from bailment.assurance.mass_change import Change, graced, held_back, hold_mass_change
from bailment.assurance.standing import Footing, Standing, advance, tier_at
from bailment.spec.compiled import Lapsing
from tests.assurance.cases import LAPSE, check, claim, failed, item, passed, required, spec

SPEC = spec(required(check(), "R", claim("shared", least=1, kind="log")))
FRESH = [passed(0), passed(90)]
STALE = [passed(0)]
BAD = [passed(0), failed(101)]
SHARED = [passed(0), passed(90), item("log", 101, claims={"shared": 1})]


def change(items: list[Item], *instants: int, lapse: Lapsing = LAPSE) -> Change:
    """From the last evaluation but one to the last."""
    before: Standing | None = None
    after: Standing | None = None
    for at in instants or (50, 101):
        known = [one for one in items if one.received <= at]
        before, after = after, advance(after, evaluate(SPEC, known, [], at), lapse, at)
    assert after is not None
    return Change(before, after)


def held(*changes: Change, total: int = 5, lapse: Lapsing = LAPSE) -> list[int]:
    """The recipients whose expiry is held."""
    named = {str(number): one for number, one in enumerate(changes)}
    return [int(name) for name in hold_mass_change(named, total, lapse)]


def path(found: Standing) -> list[tuple[int, int, str]]:
    return [(step.at, step.tier, step.phase) for step in found.steps]


def test_as_many_as_the_share_may_lapse() -> None:
    assert held(change(STALE), change(FRESH)) == []
    assert held(change(STALE), change(STALE), total=10) == []


def test_more_than_the_share_are_held() -> None:
    assert held(change(STALE), change(FRESH), change(STALE)) == [0, 2]
    assert held(change(STALE), change(STALE), total=9) == [0, 1]


def test_a_held_standing_keeps_its_tier_until_a_later_evaluation() -> None:
    changes = {"a": change(STALE), "b": change(STALE)}
    kept = hold_mass_change(changes, 5, LAPSE)["a"]
    assert path(kept) == [(101, 1, "earned"), (1101, 1, "grace"), (1108, 0, "none")]
    assert held_back(kept)
    released = advance(kept, evaluate(SPEC, STALE, [], 200), LAPSE, 200)
    assert [(step.at, step.tier) for step in released.steps] == [(200, 1), (207, 0)]
    assert not held_back(released)


def test_a_hold_ends_by_the_schedule_alone_and_is_announced() -> None:
    """Nobody has to evaluate for it, and nothing that does prolongs it."""
    changes = {"a": change(STALE), "b": change(STALE)}
    kept = hold_mass_change(changes, 5, LAPSE)["a"]
    ends = 101 + LAPSE.hold_at_most
    assert [tier_at(kept, at) for at in (ends, ends + 6, ends + 7)] == [1, 1, 0]
    assert [(one.at, one.step, one.tier) for one in kept.notices] == [
        (at, ends + 7, 0) for at in (ends - 14, ends - 3, ends - 1, ends, ends + 4, ends + 6)
    ]
    again = Change(kept, advance(kept, evaluate(SPEC, STALE, [], 500), LAPSE, 500), 101)
    renewed = hold_mass_change({"a": again, "b": again}, 5, LAPSE)["a"]
    assert path(renewed)[1:] == path(kept)[1:]
    late = advance(kept, evaluate(SPEC, STALE, [], ends), LAPSE, ends)
    assert path(late) == [(ends, 1, "grace"), (ends + 7, 0, "none")]
    over = Change(kept, late, 101)
    assert hold_mass_change({"a": over, "b": over}, 5, LAPSE) == {}


def test_a_tier_may_be_held_beside_one_that_needs_no_hold() -> None:
    tiers = spec(required(check("a", age=900), "A"), (required(check()),))
    items = [passed(0, "a"), passed(0)]
    before = advance(None, evaluate(tiers, items, [], 50), LAPSE, 50)
    after = advance(before, evaluate(tiers, items, [], 101), LAPSE, 101)
    kept = hold_mass_change({"a": Change(before, after), "b": change(STALE)}, 5, LAPSE)["a"]
    assert [(one.rank, one.lapses, one.held) for one in kept.footings] == [
        (1, 900, False),
        (2, 1101, True),
    ]
    assert held_back(kept)


def test_evidence_that_comes_again_during_a_hold_counts_from_its_own_date() -> None:
    kept = hold_mass_change({"a": change(STALE), "b": change(STALE)}, 5, LAPSE)["a"]
    fresh = advance(kept, evaluate(SPEC, [*STALE, passed(300)], [], 300), LAPSE, 300)
    assert path(fresh)[:2] == [(300, 1, "earned"), (400, 1, "grace")]
    assert not held_back(fresh)


def test_it_is_held_again_while_the_outage_lasts() -> None:
    kept = hold_mass_change({"a": change(STALE), "b": change(STALE)}, 5, LAPSE)["a"]
    again = advance(kept, evaluate(SPEC, STALE, [], 200), LAPSE, 200)
    changes = {name: Change(kept, again) for name in "ab"}
    assert hold_mass_change(changes, 5, LAPSE)["a"].tier == 1


def test_those_still_in_grace_count_and_are_held_with_the_others() -> None:
    """The outage strikes one recipient after another."""
    early, late = change(STALE, 50, 100, 103), change(STALE, 50, 103)
    assert held(early, late) == [0, 1]


def test_those_whose_step_down_is_over_do_not_count() -> None:
    steps = replace(LAPSE, then=1)
    two = spec(required(check()), required(check("b"), "B"))
    items = [passed(0), passed(60), passed(0, "b")]
    first = advance(None, evaluate(two, items, [], 60), steps, 60)
    down = advance(first, evaluate(two, items, [], 108), steps, 108)
    again = advance(down, evaluate(two, items, [], 109), steps, 109)
    assert (first.tier, down.tier) == (2, 1)
    assert held(Change(first, down), Change(first, down), lapse=steps) == [0, 1]
    assert held(Change(down, again), Change(down, again), lapse=steps) == []


def test_whose_grace_is_over_at_the_very_instant_does_not_count() -> None:
    steps = replace(LAPSE, then=1)
    two = spec(required(check()), required(check("b"), "B"))
    items = [passed(0), passed(60), passed(0, "b")]
    found = [advance(None, evaluate(two, items, [], 60), steps, 60)]
    for at in (101, 107):
        found.append(advance(found[-1], evaluate(two, items, [], at), steps, at))
    assert [one.tier for one in found] == [2, 2, 1]
    over = Change(found[1], found[2])
    assert held(over, over, lapse=steps) == []


def test_without_grace_a_tier_that_lapsed_hides_no_other_that_does() -> None:
    """T2 lapses at 90 and is evaluated at that instant, T1 at 100."""
    at_once = replace(LAPSE, grace=0, then=1)
    two = spec(required(check()), required(check("b", age=90), "B"))
    items = [passed(0), passed(0, "b")]
    found = [advance(None, evaluate(two, items, [], 60), at_once, 60)]
    for at in (90, 91, 101):
        found.append(advance(found[-1], evaluate(two, items, [], at), at_once, at))
    once, again, other = (Change(*pair) for pair in pairwise(found))
    assert held(once, once, lapse=at_once) == [0, 1]
    assert held(again, again, lapse=at_once) == []
    assert held(other, other, lapse=at_once) == [0, 1]


def test_what_has_no_end_has_not_lapsed_and_may_yet() -> None:
    at_once = replace(LAPSE, grace=0)
    lapsed = change(STALE, 50, 100, lapse=at_once)
    assert lapsed.before is not None
    endless = replace(lapsed.before, footings=(Footing(1),))
    stays = Change(endless, replace(lapsed.after, footings=(Footing(1),)))
    assert held(stays, stays, lapse=at_once) == []
    falls = Change(endless, lapsed.after)
    assert held(falls, falls, lapse=at_once) == [0, 1]


def test_grace_is_from_the_lapse_on_and_of_any_tier() -> None:
    found = Standing(0, (), footings=(Footing(1, 100), Footing(2, 50), Footing(3)))
    assert [at for at in range(120) if graced(found, LAPSE, at)] == [
        *range(50, 50 + LAPSE.grace),
        *range(100, 100 + LAPSE.grace),
    ]


def test_failures_count_and_are_not_held() -> None:
    assert held(change(BAD), change(BAD)) == []
    assert held(change(BAD), change(STALE)) == [1]


def test_what_failed_in_part_is_not_held() -> None:
    two = spec((required(check(), "R"), required(check("old"), "S")))
    items = [passed(0), passed(0, "old"), failed(60)]
    before = advance(None, evaluate(two, items[:2], [], 50), LAPSE, 50)
    after = advance(before, evaluate(two, items, [], 101), LAPSE, 101)
    assert held(Change(before, after), change(STALE)) == [1]


def test_contradictions_count_once_and_are_not_held() -> None:
    assert held(change(SHARED), change(STALE)) == [1]
    assert held(change(SHARED, 50, 101, 102), change(STALE)) == []
    kept = change(SHARED)
    assert held(kept, kept) == []


def test_what_is_held_and_contradicted_stays_contradicted() -> None:
    tiers = spec(required(check("a"), "A"), required(check(), "R", claim("shared", 1, kind="log")))
    items = [passed(0, "a"), passed(0), item("log", 101, claims={"shared": 1})]
    before = advance(None, evaluate(tiers, items[:2], [], 50), LAPSE, 50)
    after = advance(before, evaluate(tiers, items, [], 101), LAPSE, 101)
    kept = hold_mass_change({"a": Change(before, after), "b": change(STALE)}, 5, LAPSE)["a"]
    assert kept.tier == 1
    assert path(kept) == [(101, 1, "contradicted"), (1108, 0, "contradicted")]
    assert (kept.notices[0].at, kept.notices[0].tier) == (101, 1)


def test_without_grace_a_new_expiry_is_held_at_the_instant() -> None:
    lapse = replace(LAPSE, grace=0, suspend_after=0)
    one = change(STALE, 50, 100, lapse=lapse)
    assert (tier_at(one.before, 99), tier_at(one.before, 100), one.after.tier) == (1, 0, 0)
    kept = hold_mass_change({"a": one, "b": one}, 5, lapse)["a"]
    assert path(kept) == [(100, 1, "earned"), (1100, 0, "none")]
    over = change(STALE, 50, 100, 101, lapse=lapse)
    assert held(over, over, lapse=lapse) == []


def test_a_first_evaluation_is_no_change() -> None:
    assert held(change(STALE, 101), change(STALE, 101)) == []


def test_one_alone_is_never_many() -> None:
    assert held(change(STALE), total=1) == []
    assert held(change(STALE), change(FRESH), total=2) == []
    assert held(change(STALE), change(STALE), total=2) == [0, 1]
