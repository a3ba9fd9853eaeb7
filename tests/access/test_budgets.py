"""A token's own budget: beside those of its chain, and for as long as the token lives."""

from __future__ import annotations

import msgspec

from bailment.access.admission import Admission, Counted
from bailment.access.budgets import budgets_of, kept_under, subject_of
from bailment.access.chain import Link
from bailment.access.reasons import Reason, Refused
from bailment.ledger.records import AccessClosed, AccessOpened, Budget, Policy, TokenIssued

POLICY = Policy()
OWN = Budget(100, 60)
TOKEN = TokenIssued(
    "t1", "d" * 32, "p" * 32, (), (), "research", "software", "t", 0, 300_000, 0, "", "",
    budget=OWN,
)  # fmt: skip
LINK = Link("a" * 32, "", "recipient", "b" * 32, 0, 10**6, budget=Budget(1_000, 60))


def opened(name: str, ceiling: int) -> AccessOpened:
    return AccessOpened(
        name, "generate", "dpop-body", "t1", "", "POST", "/", "", "m", False, ceiling, (), 0
    )


def test_a_token_has_the_budgets_of_its_chain_and_its_own() -> None:
    assert budgets_of(TOKEN, [LINK]) == ((LINK.id, LINK.budget), (kept_under("t1"), OWN))
    plain = msgspec.structs.replace(TOKEN, budget=msgspec.UNSET)
    assert budgets_of(plain, [LINK]) == ((LINK.id, LINK.budget),)
    assert subject_of(kept_under("t1")) == "token:t1"
    assert subject_of(LINK.id) == f"link:{LINK.id}"


def test_what_is_spent_of_it_is_spent_of_the_chains_too() -> None:
    admission, budgets = Admission(Counted(tokens={"t1": TOKEN})), budgets_of(TOKEN, [LINK])
    admission.apply(opened("a", 80), b"a", budgets, 0, POLICY, "r")
    refused = admission.admit(opened("b", 21), b"b", budgets, 0, POLICY)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.subject) == (Reason.BUDGET_SPENT, "token:t1")
    assert admission.admit(opened("b", 20), b"b", budgets, 0, POLICY) is None
    assert admission.counted.budgets[LINK.id].used == 80


def test_a_dead_tokens_budget_is_forgotten_and_a_snapshot_says_so_before() -> None:
    admission, budgets = Admission(Counted(tokens={"t1": TOKEN})), budgets_of(TOKEN, [LINK])
    admission.apply(opened("a", 80), b"a", budgets, 0, POLICY, "r")
    assert admission.at(0, POLICY).budgets.keys() == {LINK.id, kept_under("t1")}
    late = TOKEN.until + POLICY.decision_ms
    assert admission.at(late, POLICY).budgets.keys() == {LINK.id}
    newer = msgspec.structs.replace(TOKEN, token="t2", until=late + 300_000)
    admission.apply(newer, b"n", (), late, POLICY, "r")
    assert admission.counted.budgets.keys() == {LINK.id}
    closed = AccessClosed("a", "complete", 200, 10, 10, True)  # which outlived its token
    admission.apply(closed, b"", (), late, POLICY, "r")
    assert admission.counted.budgets.keys() == {LINK.id}
