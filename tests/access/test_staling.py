"""Evidence that is marked stale counts no more, at once; only newer evidence does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bailment.access.account import account
from bailment.access.assured import evaluated, standing_record
from bailment.access.register import Register
from bailment.access.slot import slot_of
from bailment.access.staling import ended, marks
from bailment.access.state import State
from bailment.assurance.explanation import explain
from bailment.assurance.standing import tier_at
from bailment.errors import VerificationError
from bailment.ledger.evidence_records import EvidenceStaled, StandingHeld

from .small_spec import HOUR, SPEC, Specified

MINUTE = 60_000
SAID: dict[str, dict[str, Any]] = {
    "roster": {"claims": {"unmatched_accounts": 0}},
    "scan": {"checks": {"MFA": "pass"}},
}


class Acme:
    """A recipient that holds T2 by a roster and a scan."""

    def __init__(self, book: Specified, tenant: str = "tenant-a") -> None:
        self.book, self.tenant = book, tenant
        self.name = book.recipient().its.subject
        book.enclave(self.name, tenant)
        self.shows()
        book.judge(self.name)
        book.time += MINUTE

    def shows(self, *kinds: str) -> None:
        for kind in kinds or SAID:
            item = self.book.item(kind, scope=self.tenant, **SAID[kind])
            self.book.show(self.name, item)

    def stale(self, *kinds: str) -> EvidenceStaled:
        return EvidenceStaled(self.name, kinds, "its scanner was taken over", "ada", "1" * 32)

    def marks(self, *kinds: str) -> None:
        self.book.add(self.stale(*kinds), self.name)
        self.book.judge(self.name)

    @property
    def tier(self) -> int:
        return tier_at(self.book.register.proven(self.name).standing, self.book.time)


@pytest.fixture
def book() -> Specified:
    return Specified()


@pytest.fixture
def acme(book: Specified) -> Acme:
    found = Acme(book)
    assert found.tier == 2
    return found


def test_what_rests_on_it_is_lost_at_once_and_what_does_not_is_kept(acme: Acme) -> None:
    acme.marks("scan")
    standing = acme.book.register.proven(acme.name).standing
    assert standing is not None
    assert (standing.steps[0].tier, standing.steps[0].phase) == (1, "earned"), "no grace"
    assert [notice.tier for notice in standing.notices if notice.at == acme.book.time] == [1]
    assert acme.book.register.proven(acme.name).unmet == {"T2": {"ID-2": "expired"}}
    acme.marks("roster")
    assert acme.tier == 0, "no lower tier is left either"


def test_it_is_not_said_to_be_too_old(acme: Acme) -> None:
    acme.marks("scan")
    register, now, spec = acme.book.register, acme.book.time, acme.book.register.spec
    assert spec is not None
    proven = register.proven(acme.name)
    items = {item.id: ended(item, marks(proven)) for item in proven.items}
    found = explain(
        "acme", evaluated(register, acme.name, spec, now).evaluation, spec, 2, items, {}
    )
    assert found is not None
    assert "scan MFA: ended or marked stale" in found.gaps[0].facts[0]


def test_what_was_in_grace_is_lost_as_well(acme: Acme) -> None:
    acme.book.time += 2 * HOUR
    acme.book.judge(acme.name)
    assert acme.tier == 2, "it is in grace"
    acme.marks("scan")
    assert acme.tier == 1


def test_what_is_in_grace_for_another_reason_stays_so(acme: Acme) -> None:
    acme.book.time += 2 * HOUR
    acme.book.judge(acme.name)
    acme.book.add(acme.stale("roster"), acme.name)
    acme.shows("roster")
    acme.book.judge(acme.name)
    assert acme.tier == 2


def test_newer_evidence_counts_again_and_older_that_comes_later_does_not(acme: Acme) -> None:
    before = acme.book.time
    acme.book.time += MINUTE
    acme.marks("scan")
    acme.book.time += MINUTE
    late = acme.book.item("scan", checks={"MFA": "pass"}, dated=before)
    acme.book.show(acme.name, late)
    acme.book.judge(acme.name)
    assert acme.tier == 1
    acme.shows("scan")
    acme.book.judge(acme.name)
    assert acme.tier == 2


def test_nobody_gains_by_it(acme: Acme) -> None:
    acme.book.show(acme.name, acme.book.item("scan", claims={"shared": 1}))
    acme.book.judge(acme.name)
    assert acme.tier == 1, "contradicted"
    acme.book.time += MINUTE
    acme.marks("scan")
    assert acme.book.register.proven(acme.name).unmet["T2"] == {"ID-2": "contradicted"}
    acme.shows("scan")
    acme.book.judge(acme.name)
    assert acme.tier == 1


def test_it_is_no_outage_of_ours_and_never_held(book: Specified) -> None:
    found = {one.name: one for one in (Acme(book, "tenant-a"), Acme(book, "tenant-b"))}
    for one in found.values():
        book.add(one.stale("scan"), one.name)
    refused = book.register.check(StandingHeld(book.time, tuple(sorted(found))), book.time)
    assert refused is not None
    assert "has expired that could be held" in refused.detail


def test_a_standing_as_if_it_had_not_been_marked_cannot_enter(acme: Acme) -> None:
    book = acme.book
    kept = standing_record(book.register, acme.name, book.time)
    book.add(acme.stale("scan"), acme.name)
    with pytest.raises(VerificationError, match="does not follow"):
        book.add(msgspec.structs.replace(kept, at=book.time), acme.name)


def test_what_would_be_lost_can_be_asked_before_it_is(acme: Acme) -> None:
    register, spec = acme.book.register, acme.book.register.spec
    assert spec is not None
    found = evaluated(register, acme.name, spec, acme.book.time, stale={"scan": acme.book.time})
    assert (found.standing.tier, acme.tier) == (1, 2)


@pytest.mark.parametrize(
    ("kinds", "why"),
    [
        ((), "in order"),
        (("scan", "roster"), "in order"),
        (("scan", "scan"), "in order"),
        (("penetration",), "no evidence `penetration`"),
    ],
)
def test_it_is_about_kinds_of_the_spec(acme: Acme, kinds: tuple[str, ...], why: str) -> None:
    refused = acme.book.register.check(acme.stale(*kinds), acme.book.time)
    assert refused is not None
    assert why in refused.detail


def test_it_is_about_somebody_and_in_their_slot(acme: Acme) -> None:
    facts = acme.stale("scan")
    assert slot_of(facts, acme.book.register) == acme.name
    unknown = msgspec.structs.replace(facts, recipient="nobody")
    refused = acme.book.register.check(unknown, acme.book.time)
    assert refused is not None
    assert "no such recipient" in refused.detail


def test_it_takes_as_many_people_as_a_hold_on_the_recipient(acme: Acme) -> None:
    book = acme.book
    book.add(book.spec(SPEC.replace(b"two_person: []", b"two_person: [hold-recipient]")))
    refused = book.register.check(acme.stale("scan"), book.time)
    assert refused is not None
    assert "`hold-recipient` takes 2 people" in refused.detail


def test_a_snapshot_keeps_it_and_one_without_is_as_before(acme: Acme) -> None:
    book = acme.book
    assert "stale" not in msgspec.to_builtins(book.register.proven(acme.name))
    acme.marks("scan")
    again = Register(msgspec.json.decode(msgspec.json.encode(book.register.state), type=State))
    found = standing_record(again, acme.name, book.time)
    assert found == standing_record(book.register, acme.name, book.time)


def test_an_account_says_that_it_has_ended(acme: Acme) -> None:
    acme.marks("scan")
    told = account(acme.book.register, acme.name, acme.book.time)
    assert {one.kind: one.ends <= acme.book.time for one in told.evidence} == {
        "roster": False,
        "scan": True,
    }
