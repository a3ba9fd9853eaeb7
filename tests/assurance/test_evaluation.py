"""The rules of evaluation, each by what would go wrong without it. AGE is 100 ms."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from msgspec.structs import replace

from bailment.assurance.evaluation import (
    PRECEDENCE,
    digest_of_inputs,
    encode,
    evaluate,
    evaluation_digest,
)
from bailment.assurance.item import Item
from bailment.assurance.proof_tree import NEVER, Proof
from bailment.spec.compiled import Join, Node
from bailment.spec.terms import LADDER, RANK
from tests.assurance.cases import (
    AGE,
    all_of,
    at_least,
    check,
    claim,
    failed,
    fails,
    grant,
    item,
    judge,
    passed,
    required,
    source,
    spec,
    verdict_of,
)

EITHER = at_least(1, check("mfa"), check("legacy"))
BOTH = all_of(check("mfa"), check("legacy"))


def status(rule: Node, *items: Item, at: int = 0) -> str:
    return judge(rule, list(items), at).status


# Precedence


@pytest.mark.parametrize("prevails", PRECEDENCE)
def test_each_status_prevails_over_those_after_it(prevails: str) -> None:
    """Every state of affairs from here on down is true at once; only the first is told."""
    below = PRECEDENCE[PRECEDENCE.index(prevails) :]
    rule = at_least(
        2, check("a", "scan"), check("b", "log"), check("c", "seen"), check("d", "roster")
    )
    items = []
    if "partial" in below:
        items.append(passed(200, "a", kind="scan"))
    if "expired" in below:
        items.append(passed(50, "b", kind="log"))
    if "failed" in below:
        items.append(failed(200, "c", kind="seen"))
    if "satisfied" in below:
        items.append(passed(200, "d", kind="roster"))
    if "contradicted" in below:
        items.append(item("spy", 200, claims={"shared": 1}))
    excused = (grant(from_=180, until=220),) if "excepted" in below else ()
    asked = required(rule, "R", claim("shared", 1, kind="spy"))
    assert judge(asked, items, 200, excused).status == prevails


# The newest item decides


def test_a_newer_pass_mends_a_failure() -> None:
    assert status(check(), failed(1), passed(2), at=2) == "satisfied"


def test_a_newer_failure_undoes_a_pass() -> None:
    assert status(check(), passed(1), failed(2), at=2) == "failed"


@pytest.mark.parametrize("found", LADDER)
@pytest.mark.parametrize("shown", LADDER)
def test_a_pass_mends_no_failure_that_was_found_more_independently(found: str, shown: str) -> None:
    bad, good = failed(1, independence=found), passed(2, independence=shown)
    verdict = judge(check(), [bad, good], 2)
    if RANK[shown] >= RANK[found]:
        assert (verdict.status, verdict.proof.items) == ("satisfied", (good.id,))
    else:
        assert (verdict.status, verdict.proof.why) == ("failed", "unmended")
        assert set(verdict.proof.items) == {bad.id, good.id}


def test_what_was_mended_stays_mended_by_whatever_comes_after() -> None:
    """Also once the pass that mended it is too old."""
    audited = [failed(1, independence="third-party"), passed(2, independence="third-party")]
    own = passed(2 + AGE, independence="self")
    verdict = judge(check(), [*audited, own], 2 + AGE)
    assert (verdict.status, verdict.proof.items) == ("satisfied", (own.id,))
    assert judge(check(), [audited[0], own], 2 + AGE).status == "failed"


def test_a_failure_stands_beside_newer_ones_that_are_less_independent() -> None:
    found = [failed(1, independence="third-party"), failed(2, independence="self")]
    verdict = judge(check(), found, 2)
    assert (verdict.proof.why, set(verdict.proof.items)) == ("", {one.id for one in found})
    assert status(check(), *found, passed(3, independence="self"), at=3) == "failed"
    assert status(check(), *found, passed(3, independence="third-party"), at=3) == "satisfied"


def test_a_failure_is_not_told_of_beside_a_newer_one_that_is_as_independent() -> None:
    found = [failed(1, independence="self"), failed(2, independence="peer"), failed(3)]
    assert judge(check(), found, 3).proof.items == (found[2].id,)


def test_only_a_pass_that_is_newer_than_every_failure_that_stands_is_told_of() -> None:
    worst, own = failed(1, independence="third-party"), passed(2, independence="self")
    again = failed(3, independence="self")
    assert set(judge(check(), [worst, own, again], 3).proof.items) == {worst.id, again.id}
    last = passed(4, independence="self")
    verdict = judge(check(), [worst, own, again, last], 4)
    assert (verdict.proof.why, set(verdict.proof.items)) == ("unmended", {worst.id, last.id})


def test_a_pass_about_one_tenant_is_not_told_of_beside_the_failure_of_another() -> None:
    bad, good = failed(1, scope="b"), passed(2, scope="a", independence="self")
    verdict = judge(check(), [bad, good], 2)
    assert (verdict.proof.why, verdict.proof.items) == ("", (bad.id,))


def test_a_failure_that_arrives_late_ends_what_a_weaker_pass_holds() -> None:
    late = failed(1, received=5, independence="third-party")
    own = passed(2, independence="self")
    assert judge(check(), [late, own], 4).until == 5
    assert status(check(), late, own, at=5) == "failed"
    assert judge(check(), [late, passed(2, independence="third-party")], 4).until == 2 + AGE


def test_a_kind_that_counts_for_less_by_now_leaves_no_failure_that_nothing_mends() -> None:
    rules = spec(required(check()))
    lower = replace(rules, kinds={"scan": replace(rules.kinds["scan"], cap=RANK["pulled"])})
    audited = failed(1, independence="third-party")
    for shown, outcome in (("peer", "failed"), ("pulled", "satisfied")):
        found = evaluate(lower, [audited, passed(2, independence=shown)], (), 2)
        assert verdict_of(found, 1, "R").status == outcome


def test_what_was_received_later_does_not_count_as_newer() -> None:
    assert status(check(), failed(2, received=2), passed(1, received=3), at=3) == "failed"


def test_of_items_of_one_date_the_last_received_decides() -> None:
    assert status(check(), passed(1, received=2), failed(1, received=3), at=3) == "failed"
    assert status(check(), passed(1, received=3), failed(1, received=2), at=3) == "satisfied"


def test_of_items_received_at_once_the_highest_id_decides() -> None:
    low, high = "1" * 32, "2" * 32
    assert status(check(), passed(id=low), failed(id=high)) == "failed"
    assert status(check(), passed(id=high), failed(id=low)) == "satisfied"


def test_an_inconclusive_result_hides_neither_a_failure_nor_a_pass() -> None:
    unclear = item(dated=2, checks={"mfa": "inconclusive"})
    assert status(check(), failed(1), unclear, at=2) == "failed"
    assert status(check(), passed(1), unclear, at=2) == "satisfied"


def test_a_report_that_leaves_the_check_out_does_not_hide_its_failure() -> None:
    assert status(check(), failed(1), passed(2, "other"), at=2) == "failed"


def test_the_newest_of_one_tenant_says_nothing_about_another() -> None:
    bad, good = failed(1, scope="b"), passed(2, scope="a")
    assert status(check(), bad, good, at=2) == "failed"
    assert judge(check(), [passed(1, scope="b"), good], 2).until == 1 + AGE


# What counts


def test_nothing_satisfies_nothing() -> None:
    assert status(check()) == "missing"
    assert status(claim("count", 0, 0)) == "missing"
    assert status(all_of(check())) == "missing"


def test_a_failure_cites_the_newest_of_each_scope_that_fails() -> None:
    items = [failed(0), failed(1), passed(1, scope="b"), failed(1, scope="c"), passed(0, scope="c")]
    assert set(judge(check(), items, 1).proof.items) == {items[1].id, items[3].id}


def test_what_does_not_count_cites_the_newest_of_it() -> None:
    weak = [passed(dated, scope=f"{dated}", independence="self") for dated in (0, 2, 1)]
    assert judge(check(least="pulled"), weak, 2).proof.items == (weak[1].id,)
    silent = [item(dated=dated, scope=f"{dated}") for dated in (0, 2, 1)]
    assert judge(check(), silent, 2).proof.items == (silent[1].id,)


def test_a_leaf_that_two_requirements_share_is_proven_for_each_instant() -> None:
    """The first is looked at in the future too, because something else is still to come."""
    leaf = check()
    shared = spec((required(leaf, "R"), required(leaf, "S")))
    found = evaluate(shared, [passed(), passed(9, kind="log")], [], 0)
    assert [verdict.status for verdict in found.tiers[0].verdicts] == ["satisfied", "satisfied"]


def test_inconclusive_never_counts() -> None:
    verdict = judge(check(), [item(checks={"mfa": "inconclusive"})])
    assert (verdict.status, verdict.proof.why) == ("missing", "inconclusive")


def test_only_the_named_kind_counts() -> None:
    assert status(check(kind="scan"), passed(kind="log")) == "missing"


def test_a_pass_collected_by_the_recipient_does_not_count_as_fetched() -> None:
    own = passed(independence="self-tool")
    verdict = judge(check(least="pulled"), [own])
    assert (verdict.status, verdict.proof.why) == ("missing", "too-weak")
    assert verdict.proof.items == (own.id,)
    assert status(check(least="pulled"), passed(independence="pulled")) == "satisfied"


def test_a_weak_pass_takes_nothing_from_a_strong_one() -> None:
    assert status(check(least="pulled"), passed(1), passed(2, independence="self"), at=2) == (
        "satisfied"
    )


def test_a_failure_counts_whoever_admits_it() -> None:
    admitted = failed(2, independence="self")
    assert status(check(least="pulled"), passed(1), admitted, at=2) == "failed"
    mended = passed(3, independence="self")
    assert status(check(least="pulled"), passed(1), admitted, mended, at=3) == "failed"
    assert status(check(least="pulled"), admitted, passed(3), at=3) == "satisfied"


def test_a_weak_pass_is_named_before_what_says_nothing() -> None:
    items = [item(dated=1, checks={"mfa": "inconclusive"}), passed(independence="self")]
    verdict = judge(check(least="pulled"), items, 1)
    assert (verdict.proof.why, verdict.proof.items) == ("too-weak", (items[1].id,))


@pytest.mark.parametrize(
    ("number", "outcome"), [(4, "failed"), (5, "satisfied"), (9, "satisfied"), (10, "failed")]
)
def test_the_bounds_of_a_claim_are_within(number: int, outcome: str) -> None:
    assert status(claim("count", 5, 9), item(claims={"count": number})) == outcome


def test_a_claim_with_one_bound_is_open_on_the_other_side() -> None:
    assert status(claim("count", least=5), item(claims={"count": 10**9})) == "satisfied"
    assert status(claim("count", most=5), item(claims={"count": -(10**9)})) == "satisfied"
    assert status(claim("count", most=0), item(claims={"count": 0})) == "satisfied"


def test_a_claim_that_is_not_made_is_not_zero() -> None:
    assert status(claim("count", most=0), item(claims={"other": 0})) == "missing"


def test_simulated_evidence_counts_and_is_shown() -> None:
    verdict = judge(check(), [passed(simulated=True)])
    assert verdict.status == "satisfied"
    assert verdict.proof.simulated
    assert not judge(check(), [passed()]).proof.simulated


def test_the_class_shown_is_the_lowest_of_what_is_relied_on() -> None:
    items = [passed(scope="a", independence="observed"), passed(scope="b", independence="peer")]
    assert judge(check(), items).proof.independence == "peer"


# Time


def test_a_pass_lasts_until_it_is_of_age() -> None:
    verdict = judge(check(), [passed()])
    assert (verdict.until, verdict.lapses) == (AGE, AGE)
    assert status(check(), passed(), at=AGE - 1) == "satisfied"
    assert status(check(), passed(), at=AGE) == "expired"


def test_a_pass_ends_by_its_own_word_where_that_is_sooner() -> None:
    assert judge(check(), [passed(expires=9)]).until == 9
    assert judge(check(), [passed(expires=AGE + 9)]).until == AGE


@pytest.mark.parametrize("rule", [check, lambda age: all_of(check(age=age))])
def test_what_ends_later_than_a_record_can_say_has_no_end(rule: Callable[..., Node]) -> None:
    ends = [judge(rule(age=age), [passed()]).until for age in (NEVER - 1, NEVER, NEVER + 1)]
    assert ends == [NEVER - 1, None, None]


def test_a_failure_does_not_age() -> None:
    verdict = judge(check(), [failed()], at=10 * AGE)
    assert (verdict.status, verdict.until) == ("failed", None)


def test_evidence_from_the_future_proves_nothing_yet() -> None:
    future = passed(10)
    verdict = judge(check(), [future], at=9)
    assert (verdict.status, verdict.until, verdict.proof.items) == ("missing", 10, ())
    assert status(check(), future, at=10) == "satisfied"


def test_evidence_counts_from_its_receipt_and_ages_from_its_date() -> None:
    late = passed(0, received=30)
    assert judge(check(), [late], at=29).until == 30
    assert judge(check(), [late], at=30).until == AGE


def test_a_failure_that_is_to_come_ends_a_pass() -> None:
    assert judge(check(), [passed(), failed(40)]).until == 40


def test_a_pass_that_is_to_come_leaves_a_pass_as_it_is() -> None:
    assert judge(check(), [passed(), passed(40)]).until == 40 + AGE


def test_what_never_changes_has_no_end() -> None:
    verdict = judge(check(), [])
    assert (verdict.until, verdict.lapses) == (None, None)


# Thresholds


def test_at_least_k_of_n_must_hold() -> None:
    three = (check("a"), check("b"), check("c"))
    two = item(checks={"a": "pass", "c": "pass"})
    assert status(at_least(2, *three), two) == "satisfied"
    assert status(at_least(3, *three), two) == "partial"


def test_a_threshold_lasts_as_long_as_its_kth_longest_lived_part() -> None:
    parts = [check(kind=kind) for kind in ("scan", "log", "seen")]
    items = [passed(date, kind=kind) for date, kind in ((30, "scan"), (10, "log"), (20, "seen"))]
    untils = [judge(at_least(k, *parts), items, at=30).until for k in (1, 2, 3)]
    assert untils == [30 + AGE, 20 + AGE, 10 + AGE]


@pytest.mark.parametrize(
    ("items", "outcome"),
    [
        ([failed(90), passed(90, "legacy", kind="log")], "failed"),
        ([passed(0), passed(90, "legacy", kind="log")], "expired"),
        ([passed(90)], "partial"),
        ([], "missing"),
        ([failed(90), passed(0, "legacy", kind="log")], "failed"),
    ],
)
def test_what_keeps_a_threshold_from_holding_is_named_by_the_worst_part(
    items: list[Item], outcome: str
) -> None:
    assert status(all_of(check(), check("legacy", "log")), *items, at=AGE) == outcome


def test_a_part_that_holds_in_part_makes_the_whole_partial() -> None:
    half = item(checks={"a": "pass"})
    assert status(at_least(2, all_of(check("a"), check("b")), check("c")), half) == "partial"


def test_a_failed_alternative_does_not_spoil_what_another_proves() -> None:
    assert status(EITHER, item(checks={"mfa": "fail", "legacy": "pass"})) == "satisfied"


def test_with_distinct_one_collector_counts_once() -> None:
    rule = at_least(2, check("mfa", "scan"), check("mfa", "log"), distinct=True)
    same = [passed(kind="scan", collector="ann"), passed(kind="log", collector="ann")]
    other = passed(1, kind="log", collector="bob")
    assert judge(rule, same).status == "partial"
    assert judge(rule, [*same, other], 1).status == "satisfied"
    assert judge(at_least(2, *rule.of), same).status == "satisfied"


@pytest.mark.parametrize(("dates", "until"), [((0, 20, 30), 20), ((30, 20, 0), 0)])
def test_with_distinct_the_longest_lived_of_each_collector_count(
    dates: tuple[int, ...], until: int
) -> None:
    kinds, collectors = ("scan", "log", "seen"), ("ann", "ann", "bob")
    rule = at_least(2, *(check(kind=kind) for kind in kinds), distinct=True)
    items = [
        passed(dated, kind=kind, collector=who)
        for dated, kind, who in zip(dates, kinds, collectors, strict=True)
    ]
    assert judge(rule, items, at=30).until == until + AGE


def test_with_distinct_parts_that_share_a_collector_count_once() -> None:
    """Two reports about two tenants make one part, which rests on two collectors."""
    rule = at_least(2, check("mfa", "scan"), check("mfa", "log"), distinct=True)
    items = [passed(scope=scope, collector=scope) for scope in ("ann", "bob")]
    assert judge(rule, [*items, passed(kind="log", collector="ann")]).status == "partial"
    assert judge(rule, [*items, passed(kind="log", collector="eve")]).status == "satisfied"


def test_with_distinct_fewer_collectors_are_counted_first() -> None:
    kinds = ("scan", "log", "seen")
    rule = at_least(2, *(check(kind=kind) for kind in kinds), distinct=True)
    items = [passed(kind="scan", scope=name, collector=name) for name in ("ann", "bob")]
    items += [passed(kind="log", collector="ann"), passed(kind="seen", collector="bob")]
    assert judge(rule, items).status == "satisfied"


def test_only_what_a_part_rests_on_counts_for_its_collectors() -> None:
    """A part that holds by one of its parts is not also by the collector of another that fails."""
    rule = at_least(
        2, at_least(1, check("a"), check("b", "log")), check("a", "seen"), distinct=True
    )
    items = [
        passed(check="a", collector="ann"),
        failed(check="b", kind="log", collector="bob"),
        passed(check="a", kind="seen", collector="bob"),
    ]
    assert judge(rule, items).status == "satisfied"


# Joins


JOIN = Join(source("seen"), (source("roster"), source("log")))


def people(kind: str, *names: str, dated: int = 0, **over: object) -> Item:
    return item(kind, dated, people=names, **over)


def test_everybody_seen_must_be_covered() -> None:
    seen = people("seen", "ann", "bob")
    assert judge(JOIN, [seen, people("roster", "ann", "bob", "eve")]).status == "satisfied"
    assert judge(JOIN, [seen, people("roster", "ann"), people("log", "bob")]).status == "satisfied"


def test_the_remainder_is_listed_by_name() -> None:
    verdict = judge(JOIN, [people("seen", "eve", "ann", "dan"), people("roster", "ann")])
    assert verdict.status == "failed"
    assert (verdict.proof.why, verdict.proof.people) == ("uncovered", ("dan", "eve"))


def test_people_whom_nothing_could_cover_are_named_too() -> None:
    verdict = judge(JOIN, [people("seen", "ann")])
    assert (verdict.status, verdict.proof.people) == ("missing", ("ann",))


def test_seeing_nobody_proves_nothing() -> None:
    verdict = judge(JOIN, [people("seen"), people("roster", "ann")])
    assert (verdict.status, verdict.proof.why) == ("missing", "nobody-seen")
    verdict = judge(JOIN, [people("roster", "ann")])
    assert (verdict.status, verdict.proof.why) == ("missing", "absent")


def test_the_newest_roster_covers_and_no_older_one() -> None:
    items = [people("seen", "ann"), people("roster", "ann"), people("roster", "bob", dated=1)]
    assert judge(JOIN, items, 1).status == "failed"


def test_the_newest_sighting_decides() -> None:
    items = [people("seen", "ann", "eve"), people("seen", "ann", dated=1), people("roster", "ann")]
    assert judge(JOIN, items, 1).status == "satisfied"


def test_rosters_of_several_tenants_cover_together() -> None:
    items = [people("seen", "ann", "bob"), people("roster", "ann", scope="a")]
    assert judge(JOIN, items).status == "failed"
    assert judge(JOIN, [*items, people("roster", "bob", scope="b")]).status == "satisfied"


def test_sightings_in_several_places_must_all_be_covered() -> None:
    items = [people("seen", "ann", scope="a"), people("seen", "eve", scope="b")]
    assert judge(JOIN, [*items, people("roster", "ann")]).status == "failed"


def test_a_roster_that_is_too_weak_covers_nobody() -> None:
    join = Join(source("seen"), (source("roster", "pulled"),))
    items = [people("seen", "ann"), people("roster", "ann", independence="self")]
    assert judge(join, items).status == "missing"
    strong = people("roster", "ann", "bob")
    newer = people("roster", "bob", dated=1, independence="self")
    assert judge(join, [items[0], strong, newer], 1).status == "satisfied"


def test_statements_add_up_where_lists_replace_each_other() -> None:
    """`terms` are of class process: each covers those whom it names."""
    signed = Join(source("seen"), (source("terms"),))
    items = [people("seen", "ann", "bob", dated=50), people("terms", "ann"), people("terms", "bob")]
    later = people("terms", "eve", dated=50)
    verdict = judge(signed, [*items, later], 50)
    assert (verdict.status, verdict.until) == ("satisfied", AGE)
    assert set(verdict.proof.items) == {item.id for item in items}
    assert judge(signed, [items[0], items[1], later], 50).proof.people == ("bob",)
    assert set(judge(signed, [items[0], later], 50).proof.items) == {items[0].id, later.id}
    others = [people("terms", "dan", dated=dated) for dated in (50, 49)]
    assert set(judge(signed, [items[0], *others], 50).proof.items) == {items[0].id, others[0].id}
    known = [items[0], people("terms", "dan", dated=50), items[1]]
    assert set(judge(signed, known, 50).proof.items) == {items[0].id, items[1].id}


def test_every_list_that_was_looked_at_is_cited() -> None:
    items = [people("seen", "ann"), people("roster", "ann"), people("log", "bob")]
    assert set(judge(JOIN, items).proof.items) == {item.id for item in items}


def test_a_join_lasts_as_long_as_everybody_is_covered() -> None:
    seen = people("seen", "ann", "bob", dated=50)
    both = people("roster", "ann", "bob", dated=10)
    assert judge(JOIN, [seen, both], 50).until == 10 + AGE
    assert judge(JOIN, [seen, both, people("log", "ann", dated=40)], 50).until == 10 + AGE
    assert judge(JOIN, [seen, both, people("log", "ann", "bob", dated=40)], 50).until == 40 + AGE
    newest = people("log", "ann", "bob", dated=60)
    assert judge(JOIN, [seen, newest], 60).until == 50 + AGE


def test_people_whom_an_old_roster_covered_are_an_expiry_and_no_failure() -> None:
    items = [people("seen", "ann", dated=50), people("roster", "ann")]
    assert judge(JOIN, items, AGE).status == "expired"
    assert judge(JOIN, [people("seen", "eve", dated=50), items[1]], AGE).status == "failed"


def test_an_uncovered_person_does_not_age() -> None:
    assert (
        judge(JOIN, [people("seen", "eve"), people("roster", "ann")], 10 * AGE).status == "failed"
    )


# Contradictions


SHARED = claim("shared", least=1, kind="log", age=7)


def test_a_contradiction_prevails_over_what_is_proven() -> None:
    asked = required(check(), "R", SHARED)
    alert = item("log", 0, claims={"shared": 1})
    verdict = judge(asked, [passed(), alert])
    assert verdict.status == "contradicted"
    assert verdict.proof.outcome == "satisfied"
    assert [proof.items for proof in verdict.against] == [(alert.id,)]


def test_a_contradiction_ends_with_its_window() -> None:
    asked = required(check(), "R", SHARED)
    items = [passed(), item("log", 0, claims={"shared": 1})]
    assert judge(asked, items, 6).until == 7
    assert judge(asked, items, 6).lapses is None
    assert judge(asked, items, 7).status == "satisfied"


def test_a_later_report_does_not_take_a_contradiction_back() -> None:
    asked = required(check(), "R", SHARED)
    items = [passed(), item("log", 0, claims={"shared": 1}), item("log", 1, claims={"shared": 0})]
    assert judge(asked, items, 1).status == "contradicted"


def test_the_last_sighting_ends_a_contradiction() -> None:
    asked = required(check(), "R", SHARED)
    items = [passed(), *(item("log", date, claims={"shared": 1}) for date in (0, 3))]
    assert judge(asked, items, 3).until == 10
    [seen] = judge(asked, items, 3).against
    assert (seen.outcome, seen.until, len(seen.items)) == ("satisfied", 10, 2)


def test_any_of_several_contradictions_is_enough() -> None:
    asked = required(check(), "R", SHARED, fails("drill", "seen"))
    assert judge(asked, [passed(), failed(check="drill", kind="seen")]).status == "contradicted"
    assert judge(asked, [passed(), passed(check="drill", kind="seen")]).status == "satisfied"


def test_a_contradiction_needs_its_independence() -> None:
    asked = required(check(), "R", fails("drill", "seen", least="observed"))
    weak, strong = (
        failed(check="drill", kind="seen", independence=who) for who in ("peer", "observed")
    )
    assert judge(asked, [passed(), weak]).status == "satisfied"
    assert judge(asked, [passed(), strong]).status == "contradicted"


def test_a_contradiction_to_come_ends_a_pass() -> None:
    asked = required(check(), "R", SHARED)
    verdict = judge(asked, [passed(), item("log", 40, claims={"shared": 1})])
    assert (verdict.until, verdict.lapses) == (40, 40)


def test_no_exception_excuses_a_contradiction() -> None:
    asked = required(check(), "R", SHARED)
    alert = item("log", 0, claims={"shared": 1})
    verdict = judge(asked, [alert], 0, (grant(),))
    assert (verdict.status, verdict.exception) == ("contradicted", "")


# Tiers


T2, T3 = (required(check(age=age), "R") for age in (70, 30))


def test_a_requirement_may_hold_for_one_tier_and_be_expired_for_the_next() -> None:
    evaluation = evaluate(spec(T2, T3), [passed()], [], 30)
    assert [verdict_of(evaluation, rank, "R").status for rank in (1, 2)] == ["satisfied", "expired"]
    assert evaluation.earned == 1


def test_a_tier_is_held_by_all_of_its_requirements() -> None:
    two = (required(check("a"), "A"), required(check("b"), "B"))
    half = evaluate(spec(two), [passed(check="a")], [], 0)
    assert (half.earned, half.tiers[0].lapses) == (0, None)
    assert [verdict.requirement for verdict in half.tiers[0].blocking] == ["B"]
    whole = evaluate(spec(two), [passed(0, "a"), passed(9, "b")], [], 9)
    assert (whole.earned, whole.tiers[0].lapses, whole.until) == (1, AGE, AGE)


def test_a_tier_lapses_with_the_first_of_those_that_lapse() -> None:
    asked = (required(check(age=NEVER), "A"), required(check(), "B"))
    assert evaluate(spec(asked), [passed()], [], 0).tiers[0].lapses == AGE


def test_the_highest_tier_held_is_earned() -> None:
    tiers = (required(check("a"), "A"), required(check("b"), "B"), required(check("c"), "C"))
    assert evaluate(spec(*tiers), [passed(check="a"), passed(check="c")], [], 0).earned == 3
    assert evaluate(spec(*tiers), [], [], 0).earned == 0


def test_a_tier_that_the_spec_does_not_have_has_no_verdict() -> None:
    assert evaluate(spec(T2), [], [], 0).tier(2) is None


def test_an_excepted_requirement_holds_its_tier_until_neither_holds() -> None:
    """At 50 the exception takes over from the scan; at 60 the scan's tier lapses."""
    asked = required(check(age=50))
    evaluation = evaluate(spec(asked), [passed()], [grant(from_=20, until=60)], 0)
    verdict = evaluation.tiers[0].verdicts[0]
    assert (verdict.status, verdict.until, verdict.lapses) == ("satisfied", 50, 60)
    assert (evaluation.until, evaluation.tiers[0].lapses) == (50, 60)


# The record


def test_what_decided_is_in_the_record_and_nothing_else() -> None:
    old, new, other = passed(1), passed(2), passed(2, kind="log")
    evaluation = evaluate(spec(required(check())), [old, new, other], [grant(requirement="R")], 2)
    assert evaluation.items == ((new.id, new.digest),)
    assert evaluation.exceptions == ("g",)
    assert evaluation.spec == "d" * 64


def test_what_contradicts_is_in_the_record() -> None:
    alert = item("log", 0, claims={"shared": 1})
    evaluation = evaluate(spec(required(check(), "R", SHARED)), [alert], [], 0)
    assert evaluation.items == ((alert.id, alert.digest),)


def test_an_exception_that_the_policy_does_not_allow_is_not_in_the_record() -> None:
    alone = grant(approvers=("ann", "ann"))
    assert evaluate(spec(required(check())), [], [alone], 0).exceptions == ()


def test_what_a_record_cites_is_in_order() -> None:
    items = [passed(scope=str(number), id=f"{99 - number:032}") for number in range(40)]
    grants = [grant("g2", "R2"), grant("g3", "R1"), grant("g1", "R1")]
    rule = all_of(check(), check("other"))
    found = evaluate(spec(tuple(required(rule, f"R{n}") for n in range(4))), items, grants, 0)
    ids = sorted(item.id for item in items)
    assert list(found.tiers[0].verdicts[0].proof.of[0].items) == ids
    assert [id_ for id_, _ in found.items] == ids
    assert found.exceptions == ("g1", "g2", "g3")


def test_inputs_commit_to_all_that_was_there() -> None:
    """Worked by hand: the lines are sorted, `grant` before `item`."""
    import hashlib

    one, two = item(id="a" * 32, digest="b" * 64), item(id="c" * 32, digest="d" * 64)
    excuse = grant()
    of_grant = hashlib.sha256(
        b'{"approvers":["ann","bob"],"compensating":["a guard at the door"],"from":0,'
        b'"id":"g","requirement":"R","until":50}'
    ).hexdigest()
    lines = f"grant g {of_grant}\nitem {'a' * 32} {'b' * 64}\nitem {'c' * 32} {'d' * 64}\n"
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert digest_of_inputs([two, one], [excuse]) == expected
    evaluation = evaluate(spec(required(check())), [two, one], [excuse], 0)
    assert evaluation.inputs == expected


def test_an_evaluation_is_read_back_from_its_bytes() -> None:
    evaluation = evaluate(spec(T2, T3), [passed()], [grant()], 30)
    assert msgspec.json.decode(encode(evaluation), type=type(evaluation)) == evaluation
    other = evaluate(spec(T2, T3), [passed()], [grant()], 31)
    assert evaluation_digest(evaluation) != evaluation_digest(other)


def test_the_bytes_of_an_evaluation_are_canonical_and_leave_out_what_is_empty() -> None:
    held, missing = passed(id="a" * 32, digest="b" * 64), check("other", "log")
    found = evaluate(spec((required(all_of(check())), required(missing, "S"))), [held], [], 0)
    assert encode(found).decode() == (
        '{"at":0,"inputs":"' + digest_of_inputs([held], []) + '",'
        f'"items":[["{"a" * 32}","{"b" * 64}"]],"spec":"{"d" * 64}",'
        '"tiers":[{"held":false,"rank":1,"verdicts":['
        '{"lapses":100,"proof":{"of":[{"independence":"pulled",'
        f'"items":["{"a" * 32}"],"outcome":"satisfied","until":100}}],"outcome":"satisfied"}},'
        '"requirement":"R","status":"satisfied","until":100},'
        '{"proof":{"outcome":"missing","why":"absent"},"requirement":"S","status":"missing"}]}]}'
    )


def test_an_evaluation_cannot_be_changed_afterwards() -> None:
    found = evaluate(spec(T2), [passed()], [], 0)
    tier = found.tiers[0]
    for part in (found, tier, tier.verdicts[0], tier.verdicts[0].proof):
        with pytest.raises(AttributeError):
            setattr(part, part.__struct_fields__[0], "other")


def test_a_proof_has_the_shape_of_its_rule() -> None:
    rule = all_of(check("a"), at_least(1, check("b"), check("c")))
    proof = judge(rule, [item(checks={"a": "pass", "c": "pass"})]).proof
    assert [p.outcome for p in proof.of] == ["satisfied", "satisfied"]
    assert [p.outcome for p in proof.of[1].of] == ["missing", "satisfied"]
    assert proof.of[0].until == AGE
    assert isinstance(proof.of[0], Proof)
