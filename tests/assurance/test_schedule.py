"""The heap of next changes agrees with a plain table, whatever is put and taken."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bailment.assurance.schedule import Schedule

NAMES = st.sampled_from([f"r{number}" for number in range(6)])


class Against(RuleBasedStateMachine):
    """A schedule beside a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.ours = Schedule()
        self.table: dict[str, int] = {}

    @rule(name=NAMES, at=st.none() | st.integers(0, 20))
    def put(self, name: str, at: int | None) -> None:
        self.ours.put(name, at)
        self.table.pop(name, None)
        if at is not None:
            self.table[name] = at

    @rule(now=st.integers(0, 20))
    def due(self, now: int) -> None:
        expected = sorted((at, name) for name, at in self.table.items() if at <= now)
        assert self.ours.due(now) == [name for _, name in expected]
        for _, name in expected:
            del self.table[name]

    @invariant()
    def next_is_the_earliest(self) -> None:
        assert self.ours.next() == min(self.table.values(), default=None)


TestAgainst = Against.TestCase


def test_what_is_replaced_over_and_over_takes_no_memory() -> None:
    schedule = Schedule()
    schedule.put("other", 10**9)
    for at in range(10_000):
        schedule.put("one", at)
    assert len(schedule._heap) <= 20
    assert schedule.due(10_000) == ["one"]
    assert schedule.next() == 10**9


def test_tidying_up_loses_no_order() -> None:
    """Names put in descending order, and then each an instant earlier; the last one tidies up."""
    schedule = Schedule()
    for earlier in range(3):
        for name in range(17, 0, -1):
            schedule.put(f"{name:02}", 10 * name - earlier)
    assert len(schedule._heap) == 17
    assert schedule.due(10**9) == [f"{name:02}" for name in range(1, 18)]


def test_a_name_put_twice_for_one_instant_is_due_once() -> None:
    schedule = Schedule()
    for at in (5, 7, 5):
        schedule.put("one", at)
    assert schedule.due(9) == ["one"]
    assert schedule.due(9) == []


def test_due_is_ordered_by_instant_then_by_name() -> None:
    schedule = Schedule()
    for name, at in (("b", 2), ("a", 2), ("c", 1), ("d", 3)):
        schedule.put(name, at)
    assert schedule.due(2) == ["c", "a", "b"]
    assert schedule.next() == 3
