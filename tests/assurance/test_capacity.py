"""What a standing may have to cite fits into a record, and old reports take no room."""

from __future__ import annotations

from bailment.assurance.capacity import MAX_CITED, MAX_COUNTING, is_crowded
from bailment.assurance.evaluation import evaluate
from bailment.canonical import encode
from bailment.ledger.export import MAX_BODY

from . import cases
from .cases import item, passed, required, spec

AGE = cases.AGE


def test_so_many_of_one_kind_and_scope_and_no_more() -> None:
    rules = spec(required(cases.check()))
    kept = [passed(1, id=f"{at:032x}") for at in range(MAX_COUNTING - 1)]
    assert not is_crowded(kept, [passed(2)], rules, 2)
    assert is_crowded([*kept, passed(1)], [passed(2)], rules, 2)
    assert not is_crowded([*kept, passed(1)], [passed(2, scope="other")], rules, 2)
    assert not is_crowded([*kept, passed(1)], [passed(AGE + 1)], rules, AGE + 1)


def test_what_may_contradict_takes_room_for_as_long() -> None:
    longer = cases.fails(age=2 * AGE)
    rules = spec(required(cases.check(), "R", longer))
    kept = [passed(1)] * MAX_COUNTING
    assert is_crowded(kept, [passed(AGE + 1)], rules, AGE + 1)
    assert not is_crowded(kept, [passed(2 * AGE + 1)], rules, 2 * AGE + 1)


def test_what_is_cited_after_its_time_takes_room_until_it_is_superseded() -> None:
    """Of what machines report too: a failure that nothing mended, a pass that has expired."""
    names = [f"c{at}" for at in range(MAX_CITED)]
    rules = spec(required(cases.all_of(*map(cases.check, names))))
    kept = [item(dated=1, id=name, checks={name: "fail"}) for name in names]
    later = 2 * AGE
    assert len(evaluate(rules, kept, (), later).items) == MAX_CITED
    assert is_crowded(kept, [item(dated=later, checks={"x": "pass"})], rules, later)
    assert not is_crowded(kept, [item(dated=later, checks={"c0": "pass"})], rules, later)
    whole = item(dated=later, checks=dict.fromkeys(names, "pass"))
    assert not is_crowded(kept, [whole], rules, later)


def test_what_no_rule_reads_any_more_takes_no_room() -> None:
    rules = spec(required(cases.check()))
    gone = [item("gone", dated=1, id=f"{at}") for at in range(MAX_CITED)]
    assert not is_crowded(gone, [passed(1)], rules, 1)


def test_as_many_as_may_be_cited_fit_into_a_record() -> None:
    rules = spec(required(cases.check()))
    most = [
        passed(1, scope=f"{at:032x}", id=f"{at:032x}", digest="0" * 64) for at in range(MAX_CITED)
    ]
    assert not is_crowded(most[1:], most[:1], rules, 2)
    assert is_crowded(most, [item(dated=1)], rules, 2)
    cited = evaluate(rules, most, (), 2).items
    assert len(cited) == MAX_CITED
    assert len(encode(cited)) < MAX_BODY * 4 // 5
