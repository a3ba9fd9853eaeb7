"""Each tier's own copy of what it asks for, with its own ages and limits."""

from __future__ import annotations

from typing import Any

import pytest

from bailment.spec.compiled import AtLeast, Check, Claim, CompiledSpec, Join, Source, compile_spec
from bailment.spec.document import digest
from bailment.spec.quantity import DAY
from bailment.spec.terms import RANK
from bailment.spec.validation import load

from .example import EXAMPLE, edited

AM_05 = (
    "    satisfied_by: {kind: drill.revoke, claim: cut_after_ms, max: 1000,"
    " min_independence: observed}\n"
)
EVERYWHERE = (("require: [AM-01]", "require: [AM-01, AM-05]"), ("[AM-03, AM-05]", "[AM-03]"))


def compiled(*edits: tuple[str, str]) -> CompiledSpec:
    return compile_spec(load(edited(*edits).encode()))


def rule(spec: CompiledSpec, tier: int, requirement: str) -> Any:
    found = spec.tier(tier)
    assert found is not None
    return next(one for one in found.requirements if one.id == requirement).rule


def test_a_tier_asks_first_for_what_the_tiers_below_ask_for() -> None:
    asked = [[one.id for one in tier.requirements] for tier in compiled().tiers]
    assert asked == [
        ["AM-01"],
        ["AM-01", "AM-02", "AM-04"],
        ["AM-01", "AM-02", "AM-04", "AM-03", "AM-05"],
    ]
    assert [(tier.name, tier.rank) for tier in compiled().tiers] == [
        ("T1", 1),
        ("T2", 2),
        ("T3", 3),
    ]


def test_what_a_lower_tier_asks_for_is_asked_for_once() -> None:
    spec = compiled(("[AM-03, AM-05]", "[AM-03, AM-02, AM-05]"))
    assert [one.id for one in spec.tiers[2].requirements].count("AM-02") == 1


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_without_other_words_the_shorter_of_kind_and_freshness_holds(tier: int) -> None:
    # The kind says P180D; the tiers P365D, P180D and P90D.
    source = rule(compiled(*EVERYWHERE), tier, "AM-05").source
    assert source == Source("drill.revoke", RANK["observed"], [180, 180, 90][tier - 1] * DAY)


@pytest.mark.parametrize(
    ("said", "days"),
    [
        ("    max_age: P400D\n", [400, 400, 400]),
        ("    by_tier: {T2: {max_age: P40D}}\n", [180, 40, 40]),
        ("    max_age: P50D\n    by_tier: {T2: {max_age: P40D}}\n", [50, 40, 40]),
        ("    by_tier: {T1: {max_age: P50D}, T3: {max_age: P40D}}\n", [50, 50, 40]),
        ("    max_age: P5D\n    by_tier: {T3: {limits: {cut_after_ms: 1}}}\n", [5, 5, 5]),
    ],
)
def test_the_nearest_word_on_age_holds(said: str, days: list[int]) -> None:
    spec = compiled(*EVERYWHERE, (AM_05, AM_05 + said))
    assert [rule(spec, tier, "AM-05").source.max_age // DAY for tier in (1, 2, 3)] == days


def test_a_leafs_own_age_prevails() -> None:
    leaf = AM_05.replace("max: 1000", "max: 1000, max_age: P500D")
    spec = compiled(*EVERYWHERE, (AM_05, leaf + "    by_tier: {T1: {max_age: P1D}}\n"))
    assert [rule(spec, tier, "AM-05").source.max_age // DAY for tier in (1, 2, 3)] == [500] * 3


def test_limits_hold_from_their_tier_on() -> None:
    more = "    by_tier: {T2: {limits: {cut_after_ms: 900}}, T3: {max_age: P1D}}\n"
    spec = compiled(*EVERYWHERE, (AM_05, AM_05 + more))
    assert [rule(spec, tier, "AM-05").most for tier in (1, 2, 3)] == [1000, 900, 900]
    assert [rule(spec, tier, "AM-05").least for tier in (1, 2, 3)] == [None] * 3


def test_a_limit_replaces_a_minimum_where_there_is_one() -> None:
    leaf = AM_05.replace("max: 1000", "min: 5")
    more = "    by_tier: {T3: {limits: {cut_after_ms: 9}}}\n"
    spec = compiled(*EVERYWHERE, (AM_05, leaf + more))
    assert [rule(spec, tier, "AM-05").least for tier in (2, 3)] == [5, 9]
    assert rule(spec, 3, "AM-05").most is None


def test_limits_do_not_touch_what_contradicts() -> None:
    more = (
        "    contradicted_by: [{kind: drill.revoke, claim: cut_after_ms, min: 5000, within: P2D}]\n"
        "    by_tier: {T3: {limits: {cut_after_ms: 9}}}\n"
    )
    spec = compiled((AM_05, AM_05 + more))
    (against,) = spec.tiers[2].requirements[-1].contradicted_by
    assert against == Claim(Source("drill.revoke", 0, 2 * DAY), "cut_after_ms", 5000, None)


def test_a_check_is_passed_in_a_rule_and_failed_in_a_contradiction() -> None:
    more = "    contradicted_by: [{kind: drill.revoke, check: cut, within: P2D}]\n"
    required = compiled((AM_05, AM_05 + more)).tiers[2].requirements
    assert required[-1].contradicted_by == (
        Check(Source("drill.revoke", 0, 2 * DAY), "cut", "fail"),
    )
    first = next(one for one in required if one.id == "AM-03").rule
    assert isinstance(first, AtLeast) and isinstance(first.of[0], Check)
    assert first.of[0].result == "pass"


def test_all_is_as_many_as_there_are() -> None:
    found = rule(compiled(), 3, "AM-04")
    assert (found.count, len(found.of), found.distinct) == (2, 2, False)
    assert (found.of[1].count, len(found.of[1].of)) == (1, 2)


def test_distinct_is_kept() -> None:
    spec = compiled(("      at_least: 2\n", "      at_least: 2\n      distinct: collector\n"))
    assert rule(spec, 3, "AM-02").distinct


def test_both_sides_of_a_join_are_narrowed_and_who_was_seen_is_always_observed() -> None:
    plain = "{join: {seen: gw.people, covered_by: [idp.roster]}}"
    assert rule(compiled(), 3, "AM-01").seen.rank == RANK["observed"]
    spec = compiled((plain, plain[:-1] + ", min_independence: pulled}"))
    assert rule(spec, 3, "AM-01") == Join(
        Source("gw.people", RANK["observed"], DAY), (Source("idp.roster", RANK["pulled"], DAY),)
    )


def test_the_rest_is_in_numbers() -> None:
    spec = compiled(("contradicted: {step_down: T1,", "contradicted: {step_down: suspended,"))
    assert spec.kinds["soc2.type2"].cap == RANK["third-party"]
    assert spec.kinds["scuba.entra"].cap == RANK["observed"]
    assert spec.lapse.notice == (14 * DAY, 3 * DAY, DAY)
    assert (spec.lapse.then, spec.lapse.contradicted, spec.lapse.contradicted_after) == (2, 0, 0)
    assert (spec.lapse.mass_change_hold, spec.lapse.hold_at_most) == (200_000, 3 * DAY)
    assert compiled(("  hold_at_most: P3D\n", "")).lapse.hold_at_most == 3 * DAY
    assert compiled(("hold_at_most: P3D", "hold_at_most: PT12H")).lapse.hold_at_most == DAY // 2
    assert spec.exceptions.never_for == {"AM-01", "AM-03"} and spec.exceptions.compensating
    assert [one.excusable for one in spec.tiers[1].requirements] == [False, True, True]
    assert [(one.weight, one.remedy[:3]) for one in spec.tiers[2].requirements[-2:]] == [
        (5, ""),
        (3, "Run"),
    ]
    (capability,) = spec.capabilities
    assert [(one.tier, one.scorer, one.least, one.most) for one in capability.thresholds] == [
        (2, "", 400_000, None),
        (3, "", 700_000, None),
        (3, "steps", 22_000_000, None),
    ]
    assert spec.tiers[1].requirements[1].weight == 1
    assert spec.digest == digest(
        load(
            edited(
                ("contradicted: {step_down: T1,", "contradicted: {step_down: suspended,")
            ).encode()
        )
    )
    assert compile_spec(load(EXAMPLE.encode())).tier(4) is None


def test_a_kind_without_a_title_is_called_by_its_name() -> None:
    kinds = compiled(("    title: Measured revocation drill\n", "")).kinds
    assert kinds["drill.revoke"].title == "drill.revoke"
    assert kinds["idp.roster"].title == "Roster of the identity provider"


def test_a_spec_may_say_nothing_of_capabilities() -> None:
    start, end = EXAMPLE.index("capabilities:\n"), EXAMPLE.index("# What counts as evidence")
    text = EXAMPLE[:start] + EXAMPLE[end:]
    assert compile_spec(load(text.encode())).capabilities == ()


def test_a_threshold_may_be_reached_from_above() -> None:
    spec = compiled(('metric: mean, min: "22"', 'metric: mean, max: "22"'))
    last = spec.capabilities[0].thresholds[-1]
    assert (last.least, last.most) == (None, 22_000_000)
