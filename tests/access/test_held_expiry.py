"""A hold of what expired is right only if too many fall; and a release is not undone."""

from __future__ import annotations

import msgspec
import pytest

from bailment.access.assured import standing_record
from bailment.access.fold import Fold
from bailment.assurance.standing import tier_at
from bailment.cli.assurance_checks import examine_assurance
from bailment.ledger.evidence_records import StandingHeld, StandingReleased
from bailment.ledger.facts import Facts

from .small_spec import HOUR, Specified

TOO_OLD = 2 * HOUR + 1000


class Fleet(Specified):
    """Five recipients at T2, of whom the spec lets one fall: some have scans of two hours ago."""

    def __init__(self, *, stale: int) -> None:
        super().__init__()
        self.names = sorted(self.recipient().its.subject for _ in range(5))
        for name in self.names:
            self.enclave(name, f"tenant-{name}")
            roster = self.item("roster", scope=f"tenant-{name}", claims={"unmatched_accounts": 0})
            self.show(name, roster)
            self.scan(name)
            self.judge(name)
        self.time += HOUR
        for name in self.names[stale:]:
            self.scan(name)
            self.judge(name)
        self.time += TOO_OLD - HOUR

    def scan(self, name: str) -> None:
        self.show(name, self.item("scan", scope=f"tenant-{name}", checks={"MFA": "pass"}))

    def refusal(self, facts: Facts) -> str:
        refused = self.register.check(facts, self.time)
        return refused.detail if refused is not None else ""

    def holding(self, *names: str) -> StandingHeld:
        return StandingHeld(self.time, names)

    def evaluate(self, name: str, *, held: bool) -> None:
        self.add(standing_record(self.register, name, self.time, held=held), name)

    def state(self, name: str) -> str:
        hold: str = self.register.proven(name).hold
        return hold


def test_a_hold_is_refused_while_no_more_fall_than_the_spec_lets() -> None:
    fleet = Fleet(stale=1)
    assert "than the spec lets" in fleet.refusal(fleet.holding(fleet.names[0]))


def test_a_hold_counts_all_who_fall_and_names_only_those_it_holds() -> None:
    fleet = Fleet(stale=2)
    assert fleet.refusal(fleet.holding(*fleet.names[:2])) == ""
    assert fleet.refusal(fleet.holding(fleet.names[1])) == ""
    assert "nothing of" in fleet.refusal(fleet.holding(fleet.names[2]))
    assert "nothing of" in fleet.refusal(fleet.holding(*fleet.names[:3]))


def test_a_hold_names_recipients_once_and_in_order_at_its_moment() -> None:
    fleet = Fleet(stale=2)
    one, other = fleet.names[:2]
    for names in ((), (other, one), (one, one), ("0" * 32, one)):
        assert fleet.refusal(fleet.holding(*names))
    good, late = fleet.holding(one, other), fleet.register.policy.decision_ms + 1
    assert "moment" in fleet.refusal(msgspec.structs.replace(good, at=good.at + 1))
    assert "moment" in fleet.refusal(msgspec.structs.replace(good, at=good.at - late))


def test_nobody_is_held_without_a_hold() -> None:
    fleet = Fleet(stale=2)
    record = standing_record(fleet.register, fleet.names[0], fleet.time, held=True)
    assert record.held is True
    assert fleet.refusal(record) == "nothing that expired is held for the recipient"
    fleet.add(fleet.holding(*fleet.names[:2]))
    assert fleet.refusal(record) == ""


@pytest.fixture
def outage() -> Fleet:
    """Two of five are held."""
    fleet = Fleet(stale=2)
    fleet.add(fleet.holding(*fleet.names[:2]))
    for name in fleet.names[:2]:
        fleet.evaluate(name, held=True)
    return fleet


def test_who_is_held_still_counts_as_falling(outage: Fleet) -> None:
    late = outage.names[2]
    outage.time += HOUR  # the others' scans are too old as well
    assert outage.refusal(outage.holding(late)) == ""
    one = outage.names[0]
    assert outage.register.proven(one).standing.tier == 2


def test_a_hold_ends_with_the_evidence_and_does_not_wait_for_the_next_expiry(
    outage: Fleet,
) -> None:
    one = outage.names[0]
    outage.scan(one)
    honest = standing_record(outage.register, one, outage.time, held=True)
    assert honest.held is msgspec.UNSET
    assert "does not follow" in outage.refusal(msgspec.structs.replace(honest, held=True))
    outage.evaluate(one, held=True)
    assert outage.state(one) == ""


def test_a_release_takes_effect_and_lasts_through_the_grace(outage: Fleet) -> None:
    one, other = outage.names[:2]
    assert outage.refusal(StandingReleased((outage.names[2],), "theirs", "tests"))
    outage.add(StandingReleased((one, other), "theirs", "tests"))
    assert outage.refusal(standing_record(outage.register, one, outage.time, held=True))
    assert "nothing of" in outage.refusal(outage.holding(one))
    for name in (one, other):
        outage.evaluate(name, held=False)
        assert outage.state(name) == "released"
    again = Fold.decode(outage.fold.encode())
    assert again.register.proven(one).hold == "released"
    outage.time += HOUR - 1
    assert "nothing of" in outage.refusal(outage.holding(one, other))
    outage.scan(one)
    outage.evaluate(one, held=False)
    assert outage.state(one) == ""


def test_who_was_released_does_not_make_others_many(outage: Fleet) -> None:
    outage.add(StandingReleased(tuple(outage.names[:2]), "theirs", "tests"))
    for name in outage.names[:2]:
        outage.evaluate(name, held=False)
    for name in outage.names[3:]:
        outage.scan(name)
        outage.evaluate(name, held=False)
    outage.time += HOUR - 1
    assert "than the spec lets" in outage.refusal(outage.holding(outage.names[2]))


HOLD = 6 * HOUR  # what the spec says


def test_a_hold_ends_when_the_spec_says_whatever_is_evaluated_meanwhile(outage: Fleet) -> None:
    one = outage.names[0]
    ends = outage.time + HOLD
    outage.time = ends - 1
    assert outage.refusal(standing_record(outage.register, one, outage.time, held=True)) == ""
    outage.evaluate(one, held=True)
    standing = outage.register.proven(one).standing
    assert [(step.at, step.phase) for step in standing.steps[:2]] == [
        (outage.time, "earned"),
        (ends, "grace"),
    ]
    outage.time = ends
    late = standing_record(outage.register, one, outage.time, held=True)
    assert late.held is msgspec.UNSET
    assert "does not follow" in outage.refusal(msgspec.structs.replace(late, held=True))
    assert "nothing of" in outage.refusal(outage.holding(one))
    outage.evaluate(one, held=True)
    assert outage.state(one) == "over"
    assert outage.register.proven(one).standing.steps[0].phase == "grace"
    again = Fold.decode(outage.fold.encode())
    assert (again.register.proven(one).hold, again.register.proven(one).since) == (
        "over",
        ends - HOLD,
    )
    outage.time += HOUR - 1
    assert "nothing of" in outage.refusal(outage.holding(one))
    outage.time += 1
    outage.evaluate(one, held=False)
    assert (outage.state(one), outage.register.proven(one).since) == ("", 0)
    assert outage.register.proven(one).standing.steps[0].tier == 1


def test_a_hold_that_begins_again_in_the_same_outage_ends_no_later(outage: Fleet) -> None:
    one, other = outage.names[:2]
    began = outage.time
    outage.time += HOUR // 2
    outage.evaluate(one, held=False)
    assert (outage.state(one), outage.register.proven(one).since) == ("", began)
    outage.add(outage.holding(one))
    outage.evaluate(one, held=True)
    assert outage.register.proven(one).since == began
    standing = outage.register.proven(one).standing
    assert standing.steps[1].at == began + HOLD
    assert outage.register.proven(other).since == began


def test_a_hold_after_the_evidence_came_again_is_a_new_one(outage: Fleet) -> None:
    one, other = outage.names[:2]
    for name in (one, other):
        outage.scan(name)
        outage.evaluate(name, held=False)
        assert (outage.state(name), outage.register.proven(name).since) == ("", 0)
    outage.time += TOO_OLD
    outage.add(outage.holding(one, other))
    assert outage.register.proven(one).since == outage.time


def test_the_end_of_a_hold_needs_no_evaluation(outage: Fleet) -> None:
    standing = outage.register.proven(outage.names[0]).standing
    ends = outage.time + HOLD
    tiers = [tier_at(standing, at) for at in (ends - 1, ends + HOUR - 1, ends + HOUR)]
    assert tiers == [2, 2, 1]


def test_doctor_is_wrong_while_anything_is_held_and_until_its_grace_is_over(outage: Fleet) -> None:
    def wrong() -> list[str]:
        found = examine_assurance(outage.register, outage.time)
        return [one.check for one in found if not one.ok and one.check.startswith("mass")]

    assert wrong() == ["mass change"]
    outage.time += HOLD
    for name in outage.names[:2]:
        outage.evaluate(name, held=False)
    assert wrong() == ["mass change over"]
    for name in outage.names[:2]:
        outage.scan(name)
        outage.evaluate(name, held=False)
    assert wrong() == []
