"""Why: every requirement with the class of its evidence, and what to do next."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bailment.assurance.evaluation import evaluate
from bailment.assurance.explanation import Explanation, Row, explain
from bailment.assurance.grant import Grant
from bailment.assurance.item import Item
from bailment.assurance.wording import label, span
from bailment.spec.compiled import CompiledSpec, Join, Leaf, Node, Required
from bailment.spec.terms import RANK
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
    passed,
    required,
    source,
    spec,
)

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
MAY_2 = 20_575 * DAY  # 2026-05-02


def why(
    asked: CompiledSpec | Required | Node,
    *items: Item,
    at: int = 0,
    excused: tuple[Grant, ...] = (),
    rank: int = 1,
) -> Explanation:
    if not isinstance(asked, CompiledSpec):
        asked = spec(asked if isinstance(asked, Required) else required(asked))
    evaluation = evaluate(asked, items, excused, at)
    found = explain(
        "Acme", evaluation, asked, rank, {one.id: one for one in items}, {"p1": "Ann Lee"}
    )
    assert found is not None
    return found


def row(*arguments: object, **more: object) -> Row:
    found = why(*arguments, **more)  # type: ignore[arg-type]
    return (*found.gaps, *found.kept)[0]


def test_a_tier_that_the_spec_does_not_have_has_no_explanation() -> None:
    asked = spec(required(check()))
    assert explain("Acme", evaluate(asked, [], [], 0), asked, 2, {}, {}) is None


def test_an_explanation_says_of_whom_by_what_and_when() -> None:
    found = why(check(), passed(), at=5)
    assert (found.recipient, found.tier, found.title) == ("Acme", 1, "tier 1")
    assert (found.spec, found.evaluated) == ("test 1.0.0", 5)
    assert (found.held, found.lapses) == (True, AGE)


# Classes


def test_a_requirement_shows_the_class_that_it_rests_on() -> None:
    assert row(check(), passed(independence="peer")).independence == "peer"
    assert row(check()).independence is None
    assert row(check(), failed()).independence is None


@pytest.mark.parametrize(("count", "shown"), [(1, "observed"), (2, "pulled"), (3, "self")])
def test_of_k_of_n_the_class_is_that_of_the_kth_most_independent(count: int, shown: str) -> None:
    rule = at_least(count, *(check(kind=kind) for kind in ("scan", "log", "seen", "roster")))
    items = [
        passed(kind="scan", independence="self"),
        passed(kind="log", independence="observed"),
        passed(kind="seen", independence="pulled"),
    ]
    assert row(rule, *items).independence == shown


def test_with_distinct_the_class_is_the_weakest() -> None:
    rule = at_least(1, check(kind="scan"), check(kind="log"), distinct=True)
    items = [passed(kind="scan", independence="self"), passed(kind="log", independence="observed")]
    assert row(rule, *items).independence == "self"


def test_what_does_not_hold_lends_no_class() -> None:
    rule = at_least(1, all_of(check("a"), check("b")), check("c", "log"))
    items = [passed(check="a", independence="self"), passed(check="c", kind="log")]
    assert row(rule, *items).independence == "pulled"


def test_classes_are_counted_the_most_independent_first() -> None:
    asked = tuple(required(check(kind=kind), kind.upper()) for kind in ("scan", "log", "seen"))
    rungs = {"scan": "self", "log": "observed", "seen": "self"}
    items = [passed(kind=kind, independence=rung) for kind, rung in rungs.items()]
    assert list(why(spec(asked), *items).classes.items()) == [("observed", 1), ("self", 2)]


def test_an_excepted_requirement_shows_no_class_and_names_its_exception() -> None:
    found = why(check(), excused=(grant(),))
    assert found.classes == {}
    assert (found.kept[0].independence, found.kept[0].exception) == (None, "g")
    assert found.kept[0].actions == ()
    assert found.kept[0].facts == ("scan mfa: never shown",)


def test_simulated_evidence_is_shown_where_a_verdict_rests_on_it() -> None:
    assert row(check(), passed(simulated=True)).simulated
    assert row(all_of(check("a"), check("b")), passed(check="a", simulated=True)).simulated is False
    assert row(all_of(all_of(check())), passed(simulated=True)).simulated
    asked = required(check(), "R", fails())
    assert row(asked, failed(simulated=True)).simulated


def test_a_contradiction_shows_the_class_of_what_contradicts() -> None:
    asked = required(check(), "R", fails("drill"))
    found = row(asked, passed(independence="self"), failed(check="drill", independence="observed"))
    assert (found.status, found.independence) == ("contradicted", "observed")


# Facts and actions


@pytest.mark.parametrize(
    ("rule", "items", "at", "fact", "action"),
    [
        (check(), (), 0, "scan mfa: never shown", "hand in: scan, with mfa"),
        (
            check(),
            (item(checks={"mfa": "inconclusive"}, id="a" * 32),),
            0,
            "scan mfa: not told by pulled, 0 s old [aaaaaaaa]",
            "hand in: scan, with mfa",
        ),
        (
            check(least="third-party"),
            (passed(id="a" * 32, independence="self-tool"),),
            0,
            "scan mfa: passes, self-tool, 0 s old [aaaaaaaa]; needs third-party",
            "have an assessor sign: scan, with mfa",
        ),
        (
            check(age=2 * MINUTE),
            (passed(id="a" * 32),),
            3 * MINUTE,
            "scan mfa: too old, pulled, 3 min old [aaaaaaaa]",
            "hand in: scan, less than 2 min old",
        ),
        (
            check(least="pulled"),
            (failed(id="a" * 32),),
            0,
            "scan mfa: fails, pulled, 0 s old [aaaaaaaa]",
            "mend scan mfa, then let the issuer fetch: scan",
        ),
        (
            claim("p99_ms", most=1000),
            (item(claims={"p99_ms": 1200}, id="a" * 32, simulated=True),),
            0,
            "scan p99_ms <= 1000: fails at 1200, pulled, simulated, 0 s old [aaaaaaaa]",
            "mend scan p99_ms <= 1000, then let the issuer fetch: scan",
        ),
        (
            check(),
            (failed(id="a" * 32), failed(id="b" * 32, scope="b", independence="peer")),
            5_000,
            "scan mfa: fails, peer, 5 s old [aaaaaaaa] and 1 more",
            "mend scan mfa, then let the issuer fetch: scan",
        ),
        (
            check(),
            (
                failed(MAY_2, id="a" * 32, independence="third-party"),
                passed(MAY_2 + DAY, id="b" * 32, independence="self"),
            ),
            MAY_2 + 2 * DAY,
            "a self pass of 2026-05-03 does not mend third-party failure of 2026-05-02: scan mfa",
            "mend scan mfa, then have an assessor sign: scan",
        ),
        (
            check(least="pulled"),
            (
                failed(MAY_2, id="a" * 32, independence="self"),
                passed(MAY_2 + DAY, id="b" * 32, independence="self"),
            ),
            MAY_2 + 2 * DAY,
            "a self pass of 2026-05-03 does not mend self failure of 2026-05-02; needs pulled:"
            " scan mfa",
            "mend scan mfa, then let the issuer fetch: scan",
        ),
        (
            Join(source("seen", "observed"), (source("roster"),)),
            (),
            0,
            "people in seen by roster: never shown",
            "have observed, in a rehearsal if need be: seen",
        ),
        (
            Join(source("seen"), (source("roster"),)),
            (item("seen"),),
            0,
            "people in seen by roster: nobody was seen",
            "hand in: seen",
        ),
        (
            Join(source("seen"), (source("roster"),)),
            (item("seen", people=("p1", "f" * 32)), item("roster", people=("x",))),
            0,
            "2 not covered: ffffffff, Ann Lee",
            "cover these people, then hand in: roster",
        ),
        (
            Join(source("seen"), (source("roster", age=2 * MINUTE), source("log"))),
            (
                item("seen", 3 * MINUTE, people=("p1",), id="b" * 32),
                item("roster", people=("p1",), id="a" * 32),
            ),
            3 * MINUTE,
            "people in seen by roster, log: too old, pulled, 3 min old [aaaaaaaa] and 1 more",
            "hand in: roster, less than 2 min old",
        ),
    ],
)
def test_a_gap_says_what_was_found_and_what_would_close_it(
    rule: Leaf, items: tuple[Item, ...], at: int, fact: str, action: str
) -> None:
    found = row(rule, *items, at=at)
    assert (found.facts, found.actions) == ((fact,), (action,))


def test_of_several_failures_that_stand_the_most_independent_is_told() -> None:
    """Each beside the pass about its own scope, and only where there is one."""
    items = [
        failed(MAY_2, independence="observed", scope="d"),
        failed(MAY_2, independence="third-party", scope="b"),
        failed(MAY_2 + DAY, independence="peer", scope="b"),
        passed(MAY_2 + 2 * DAY, independence="self", scope="b"),
        failed(MAY_2 + DAY, independence="third-party", scope="a"),
        passed(MAY_2 + 3 * DAY, independence="pulled", scope="a"),
        failed(MAY_2, independence="pulled", scope="c"),
        passed(MAY_2 + 4 * DAY, independence="self-tool", scope="c"),
    ]
    found = row(check(), *items, at=MAY_2 + 5 * DAY)
    assert found.facts == (
        "a pulled pass of 2026-05-05 does not mend third-party failure of 2026-05-03: scan mfa",
    )
    assert found.actions == ("mend scan mfa, then have observed, in a rehearsal if need be: scan",)


def test_no_more_is_asked_than_the_kind_can_be_worth_by_now() -> None:
    asked = spec(required(check()))
    lower = replace(asked, kinds={"scan": replace(asked.kinds["scan"], cap=RANK["self-tool"])})
    found = row(lower, failed(independence="third-party"))
    assert found.actions == ("mend scan mfa, then run and hand in: scan",)


def test_what_holds_names_what_it_rests_on() -> None:
    rule = all_of(check("a"), at_least(1, check("b"), check("c", "log")))
    both = item(checks={"a": "pass", "b": "pass"}, id="a" * 32)
    found = row(rule, both)
    assert found.facts == (
        "scan a: holds, pulled, 0 s old [aaaaaaaa]",
        "scan b: holds, pulled, 0 s old [aaaaaaaa]",
    )
    assert (found.actions, found.effort) == ((), 0)


def test_a_contradiction_names_what_was_seen() -> None:
    asked = required(check(), "R", fails("drill"), claim("shared", 1))
    found = row(asked, passed(), item(claims={"shared": 3}, id="a" * 32))
    assert found.facts == ("scan shared >= 1: contradicts at 3, pulled, 0 s old [aaaaaaaa]",)
    assert found.actions == ("answer for what was seen; no evidence takes it back",)


def test_labels_say_what_a_leaf_asks_for() -> None:
    assert label(claim("count", 0, 0)) == "scan count = 0"
    assert label(claim("count", 1, 2)) == "scan count >= 1 <= 2"
    assert label(check("X.1")) == "scan X.1"


def test_spans_are_in_their_largest_unit() -> None:
    hour = 60 * MINUTE
    lengths = (0, 59_999, MINUTE, hour - 1, hour, 24 * hour - 1, 24 * hour, 95 * 24 * hour)
    shown = ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "95 d"]
    assert [span(length) for length in lengths] == shown


# The cheapest way, and the order


def cheapest(rule: Node, *items: Item, at: int = 0) -> tuple[tuple[str, ...], int]:
    found = row(rule, *items, at=at)
    return found.actions, found.effort


def test_of_several_ways_the_cheapest_is_named() -> None:
    either = at_least(1, check("a", "scan"), check("b", "log"), check("c", "seen"))
    old = passed(0, "b", kind="log")
    bad = failed(0, "c", kind="seen")
    assert cheapest(either, bad) == (("hand in: scan, with a",), 2)
    assert cheapest(either, bad, old, at=AGE) == (("hand in: log, less than 0 s old",), 1)
    assert cheapest(all_of(check("c", "seen")), bad)[1] == 4


def test_what_people_must_renew_is_three_times_the_work() -> None:
    assert cheapest(at_least(1, check("a", "terms"), check("b", "log")))[0] == (
        "hand in: log, with b",
    )
    assert cheapest(check("a", "terms"))[1] == 6


def test_as_many_parts_are_named_as_are_needed() -> None:
    rule = at_least(2, check("a"), check("b"), check("c"))
    assert cheapest(rule, passed(check="a")) == (("hand in: scan, with b",), 2)
    assert cheapest(rule) == (("hand in: scan, with a", "hand in: scan, with b"), 4)


def test_a_part_of_two_steps_is_dearer_than_one() -> None:
    rule = at_least(1, all_of(check("a"), check("b")), check("c"))
    assert cheapest(rule) == (("hand in: scan, with c",), 2)


def test_where_collectors_are_too_few_another_part_is_named() -> None:
    rule = at_least(2, check("a"), check("b", "log"), check("c", "seen"), distinct=True)
    items = [passed(check="a"), passed(check="b", kind="log")]
    assert cheapest(rule, *items) == (("hand in: seen, with c",), 2)


def test_the_fact_that_makes_the_status_comes_first() -> None:
    """And what holds is not told of a rule that does not."""
    rule = all_of(check("a"), check("b", "log"), check("c", "seen"), check("d", "roster"))
    items = [
        passed(0, "b", kind="log"),
        failed(0, "c", kind="seen"),
        passed(AGE, "d", kind="roster"),
    ]
    facts = row(rule, *items, at=AGE).facts
    assert [fact.partition(",")[0] for fact in facts] == [
        "seen c: fails",
        "log b: too old",
        "scan a: never shown",
    ]


def test_the_same_action_is_told_once() -> None:
    rule = all_of(check("a"), all_of(check("a")))
    assert row(rule).actions == ("hand in: scan, with a",)
    assert len(row(rule).facts) == 2


def test_gaps_are_ordered_by_contradiction_weight_and_effort() -> None:
    asked = (
        required(check("a"), "LIGHT"),
        required(check("b", "terms"), "DEAR", weight=5),
        required(check("c"), "CHEAP", weight=5),
        required(check("c"), "ALIKE", weight=5),
        required(check("d"), "AGAINST", fails("d")),
    )
    found = why(spec(asked), failed(check="d"))
    assert [gap.requirement for gap in found.gaps] == ["AGAINST", "ALIKE", "CHEAP", "DEAR", "LIGHT"]


def test_what_is_kept_is_ordered_by_when_it_lapses() -> None:
    asked = (
        required(check("a"), "LATE"),
        required(check("b"), "SOON"),
        required(check("c"), "ALSO"),
    )
    found = why(spec(asked), passed(9, "a"), passed(3, "b"), passed(3, "c"), at=9)
    assert [one.requirement for one in found.kept] == ["ALSO", "SOON", "LATE"]
    assert (found.gaps, found.held) == ((), True)
