"""What is no longer kept decided nothing."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from msgspec.structs import replace

from bailment.assurance.evaluation import evaluate
from bailment.assurance.item import Item
from bailment.assurance.retention import retained
from bailment.spec.compiled import Join
from bailment.spec.terms import LADDER

from . import cases
from .cases import HORIZON, SEEDS, case_of, failed, item, passed, required, spec


def known(items: list[Item], at: int) -> list[Item]:
    """As a log has them: received, in this order, and not before they are dated."""
    seen = [replace(one, received=min(max(one.received, one.dated), at)) for one in items]
    return [replace(one, dated=min(one.dated, one.received)) for one in seen]


@settings(max_examples=1500)
@given(SEEDS)
def test_what_is_held_and_contradicted_is_the_same_without_what_was_dropped(seed: int) -> None:
    case = case_of(seed)
    rules = spec(case.asked)
    now = Random(seed).randint(0, HORIZON)
    every = sorted(known(case.items, now), key=lambda one: one.received)
    kept: list[Item] = []
    for one in every:
        kept = retained(kept, one, rules, one.received)
    for at in range(now, now + HORIZON, 7):
        full = evaluate(rules, every, case.grants, at).tiers[0]
        less = evaluate(rules, kept, case.grants, at).tiers[0]
        assert full.held == less.held
        assert (full.verdicts[0].status == "contradicted") == (
            less.verdicts[0].status == "contradicted"
        )
        assert full.verdicts[0].lapses == less.verdicts[0].lapses


def test_a_newer_report_that_says_as_much_takes_its_place() -> None:
    rules = spec(required(cases.check()))
    assert retained([passed(1)], passed(2), rules, 2) == [passed(2)]


def test_what_only_the_older_one_says_keeps_it() -> None:
    old = item(dated=1, checks={"mfa": "pass", "legacy": "pass"})
    asked = cases.all_of(cases.check(), cases.check("legacy"))
    assert retained([old], passed(2), spec(required(asked)), 2) == [old, passed(2)]
    newer = [passed(2), passed(3, "legacy")]
    assert retained([old, newer[0]], newer[1], spec(required(asked)), 3) == newer
    rules = spec(required(cases.check()))
    assert retained([old], passed(2), rules, 2) == [passed(2)]
    elsewhere = passed(2, scope="other")
    assert retained([passed(1)], elsewhere, rules, 2) == [passed(1), elsewhere]


def test_a_report_too_weak_for_some_rule_takes_nobodys_place() -> None:
    """Else handing in a weak pass would rid a recipient of a failure."""
    rules = spec(required(cases.check(least="pulled")))
    bad, weak = cases.failed(1, independence="self"), passed(2, independence="self")
    assert retained([bad], weak, rules, 2) == [bad, weak]
    assert retained([bad, weak], passed(3), rules, 3) == [passed(3)]


def test_what_was_found_more_independently_keeps_its_place() -> None:
    rules = spec(required(cases.check()))
    audited, own = failed(1, independence="third-party"), passed(2, independence="self")
    assert retained([audited], own, rules, 2) == [audited, own]
    mended = passed(3, independence="third-party")
    assert retained([audited, own], mended, rules, 3) == [mended]
    again = failed(4, independence="self")
    assert retained([mended], again, rules, 4) == [mended, again]


def test_what_joins_look_at_is_the_newest_that_is_so_independent() -> None:
    rules = spec(required(Join(cases.source("seen"), (cases.source("roster", "pulled"),))))
    lists = [
        item("roster", dated, independence=rung, people=("ann",))
        for dated, rung in enumerate(("pulled", "pulled", "self-tool", "self", "self-tool"))
    ]
    kept: list[Item] = []
    for one in lists:
        kept = retained(kept, one, rules, one.dated)
    assert kept == [lists[1], lists[4]]


@given(SEEDS)
def test_however_many_reports_come_few_are_kept(seed: int) -> None:
    """Of one scope, by a rule with so many leaves; none of them can contradict."""
    chance = Random(seed)
    leaves = [
        cases.check(name, least=chance.choice(("self", "self-tool"))) for name in ("mfa", "legacy")
    ]
    rules = spec(required(cases.all_of(*leaves)))
    kept: list[Item] = []
    for dated in range(400):
        results = {name: chance.choice(("pass", "fail")) for name in ("mfa", "legacy", f"{dated}")}
        results.pop(chance.choice(("mfa", "legacy", "x")), None)
        one = item(dated=dated, checks=results, independence=chance.choice(LADDER[:3]))
        kept = retained(kept, one, rules, dated)
        assert len(kept) <= 1 + 3 + 2 * 3 * len(leaves)


def test_what_contradicts_is_kept_until_its_window_is_over() -> None:
    rules = spec(required(cases.check(), "R", cases.claim("shared", least=1, age=10)))
    old = item(dated=1, checks={"mfa": "pass"}, claims={"shared": 1})
    new = item(dated=5, checks={"mfa": "pass"}, claims={"shared": 0})
    assert retained([old], new, rules, 5) == [old, new]
    later = item(dated=11, checks={"mfa": "pass"}, claims={"shared": 0})
    assert retained([old, new], later, rules, 11) == [later]


def test_what_people_state_adds_up() -> None:
    rules = spec(required(cases.check(kind="terms")))
    first, second = item("terms", 1, people=("ann",)), item("terms", 2, people=("bob",))
    assert retained([first], second, rules, 2) == [first, second]
