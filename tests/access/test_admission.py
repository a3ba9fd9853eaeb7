"""Admission: what only the append can know, whatever comes in between."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bailment.access.admission import Admission, Counted, Stale
from bailment.access.proof import check_time, make_proof, read_proof, replay_key
from bailment.access.reasons import Reason, Refused
from bailment.errors import VerificationError
from bailment.ledger.records import AccessClosed, AccessOpened, Budget, Policy, TokenIssued

from .book import START, Book, Party

POLICY = Policy()
TOKEN = TokenIssued(
    "token", "device", "person", (), (), "p", "software", "t", START, START + 10**9, START, "", ""
)


def access(name: str, ceiling: int, decided: int, token: str = "token") -> AccessOpened:
    return AccessOpened(
        name, "generate", "dpop-body", token, "", "POST", "/", "", "m", False, ceiling, (), decided
    )


def closed(name: str, used: int | None) -> AccessClosed:
    return AccessClosed(name, "complete", 200, used or 0, 0, used is not None)


def fresh() -> Admission:
    return Admission(Counted(tokens={"token": TOKEN}))


def test_a_decision_is_good_for_a_moment() -> None:
    admission = fresh()
    for late, good in ((0, True), (2_000, True), (2_001, False), (-5_000, True), (-5_001, False)):
        answer = admission.admit(access("a", 1, START), b"r", (), START + late, POLICY)
        assert (answer is None) == good
        assert good or isinstance(answer, Stale)


def test_a_token_without_a_record_opens_nothing() -> None:
    answer = fresh().admit(access("a", 1, START, "other"), b"r", (), START, POLICY)
    assert isinstance(answer, Refused)
    assert answer.reason is Reason.TOKEN_UNRECORDED


def test_an_access_is_opened_once_and_closed_once_where_it_was_opened() -> None:
    admission = fresh()
    admission.apply(access("a", 5, START), b"r", (), START, POLICY, "acme")
    with pytest.raises(VerificationError, match="opened twice"):
        admission.apply(access("a", 5, START), b"s", (), START, POLICY, "acme")
    with pytest.raises(VerificationError, match="another slot"):
        admission.apply(closed("a", 1), b"", (), START, POLICY, "other")
    assert list(admission.open) == ["a"]
    admission.apply(closed("a", 1), b"", (), START, POLICY, "acme")
    with pytest.raises(VerificationError, match="not open"):
        admission.apply(closed("a", 1), b"", (), START, POLICY, "acme")


def test_a_refused_opening_counts_nothing() -> None:
    admission = fresh()
    budgets = (("link", Budget(10, 60)),)
    admission.apply(access("a", 5, START), b"r", budgets, START, POLICY, "acme")
    with pytest.raises(VerificationError):
        admission.apply(access("a", 5, START), b"s", budgets, START, POLICY, "acme")
    assert admission.counted.budgets["link"].used == 5
    assert admission.admit(access("b", 5, START), b"s", budgets, START, POLICY) is None


def test_a_budget_is_filled_to_the_last_token_and_no_further() -> None:
    admission = fresh()
    budgets = (("link", Budget(10, 60)),)
    admission.apply(access("a", 4, START), b"r", budgets, START, POLICY, "acme")
    assert admission.admit(access("b", 6, START), b"s", budgets, START, POLICY) is None
    answer = admission.admit(access("b", 7, START), b"s", budgets, START, POLICY)
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.subject) == (Reason.BUDGET_SPENT, "link:link")


def test_the_tightest_budget_above_decides() -> None:
    admission = fresh()
    budgets = (("wide", Budget(100, 60)), ("tight", Budget(10, 60)))
    answer = admission.admit(access("a", 11, START), b"r", budgets, START, POLICY)
    assert isinstance(answer, Refused)
    assert answer.subject == "link:tight"


def test_what_is_settled_late_does_not_change_the_next_window() -> None:
    admission = fresh()
    budgets = (("link", Budget(10, 60)),)
    admission.apply(access("a", 10, START), b"r", budgets, START, POLICY, "acme")
    later = START + 60_000
    admission.apply(access("b", 10, later), b"s", budgets, later, POLICY, "acme")
    admission.apply(closed("a", 0), b"", (), later, POLICY, "acme")
    answer = admission.admit(access("c", 1, later), b"t", budgets, later, POLICY)
    assert isinstance(answer, Refused)
    assert admission.counted.budgets["link"].used == 10


def test_dead_tokens_are_forgotten() -> None:
    book = Book()
    recipient = book.recipient()
    device = book.device(recipient, book.person(recipient))
    for _ in range(100):
        book.time += 60_000
        book.token(device)
    assert len(book.fold.admission.counted.tokens) <= 7


def test_job_tokens_are_forgotten_long_after_none_of_them_is_taken_any_more() -> None:
    admission = fresh()
    for minute in range(300):
        time = START + minute * 60_000
        token = msgspec.structs.replace(TOKEN, token=f"t{minute}", job=f"job{minute}", decided=time)
        assert admission.admit(token, b"", (), time, POLICY) is None
        admission.apply(token, b"", (), time, POLICY, "acme")
        again = admission.admit(token, b"", (), time, POLICY)
        assert isinstance(again, Refused)
    assert set(admission.jobs) == {f"job{minute}" for minute in range(180, 300)}


# Replays


@example(-5_000, [70_000], [-5_000, 2_000])  # as early, and then as late, as can be
@settings(max_examples=300)
@given(
    st.integers(-5_000, 65_000),
    st.lists(st.integers(0, 80_000), min_size=1, max_size=6),
    st.lists(st.integers(-5_000, 2_000), min_size=7, max_size=7),
)
def test_a_proof_opens_one_access_however_often_it_comes(
    age: int, waits: list[int], lags: list[int]
) -> None:
    """`age` is the proof's at its first use; each use is decided, and enters the log a lag later,
    as far as the conditions of time allow."""
    party = Party()
    compact = make_proof(
        party.key,
        party.public,
        method="POST",
        target="https://x",
        body_sha256=bytes(32),
        token=None,
        nonce=None,
        jti="a" * 16,
        now_s=START // 1000,
    )
    proof = read_proof(compact)
    assert not isinstance(proof, Refused)
    key = replay_key(proof.thumbprint, proof.claims.jti)
    admission, admitted, log_time = fresh(), 0, 0
    decided = START + age
    for number, (wait, lag) in enumerate(zip([0, *waits], lags, strict=False)):
        decided += wait
        time = log_time = max(log_time, decided + lag)
        # Others come and go, and let what is over be forgotten.
        other = access(f"other {number}", 1, time)
        admission.apply(other, b"%d" % number, (), time, POLICY, "acme")
        times = {"lifetime_ms": POLICY.proof_ms, "skew_ms": POLICY.skew_ms}
        if check_time(proof, now_ms=decided, **times) is not None:
            continue
        facts = access(str(number), 1, decided)
        if admission.admit(facts, key, (), time, POLICY) is None:
            admission.apply(facts, key, (), time, POLICY, "acme")
            admitted += 1
    assert admitted <= 1


def test_a_replay_is_remembered_among_many() -> None:
    admission = fresh()
    for number in range(1000):
        time = START + number
        facts = access(str(number), 0, time)
        admission.apply(facts, b"%d" % number, (), time, POLICY, "acme")
    for number in range(1000):
        facts = access("again", 0, START + 1000)
        answer = admission.admit(facts, b"%d" % number, (), START + 1000, POLICY)
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.PROOF_REPLAYED


def test_what_was_used_unmeasured_is_charged_where_it_is_more_than_was_reserved() -> None:
    for used, charged in ((0, 10), (9, 10), (1_000, 1_000)):
        admission, budgets = fresh(), (("top", Budget(5_000, 60)),)
        admission.apply(access("a", 10, START), b"r", budgets, START, POLICY, "acme")
        unmeasured = AccessClosed("a", "complete", 200, 0, used, measured=False)
        admission.apply(unmeasured, b"", (), START, POLICY, "acme")
        assert admission.counted.budgets["top"].used == charged


# Budgets under any interleaving

LIMITS = {"top": Budget(100, 60), "middle": Budget(70, 7), "other": Budget(50, 60)}
CHAINS = (("top",), ("top", "middle"), ("top", "other"), ("middle",), ())


class Spending(RuleBasedStateMachine):
    """Accesses open and close in any order; a plain list of them says what may be spent."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = fresh()
        self.time = START
        self.count = 0
        #: name, links, ceiling, time when opened, and what is charged: the ceiling until closed.
        self.accesses: dict[str, tuple[tuple[str, ...], int, int]] = {}
        self.open: list[tuple[str, int]] = []

    @rule(chain=st.sampled_from(CHAINS), ceiling=st.integers(0, 60))
    def opens(self, chain: tuple[str, ...], ceiling: int) -> None:
        self.count += 1
        name = str(self.count)
        facts = access(name, ceiling, self.time)
        budgets = tuple((link, LIMITS[link]) for link in chain) if ceiling else ()
        answer = self.admission.admit(facts, name.encode(), budgets, self.time, POLICY)
        fits = all(self.spent(link) + ceiling <= LIMITS[link].tokens for link, _ in budgets)
        assert (answer is None) == fits
        if answer is None:
            self.admission.apply(facts, name.encode(), budgets, self.time, POLICY, "acme")
            self.accesses[name] = (tuple(link for link, _ in budgets), ceiling, self.time)
            self.open.append((name, ceiling))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def closes(self, data: st.DataObject) -> None:
        name, ceiling = data.draw(st.sampled_from(self.open))
        used = data.draw(st.none() | st.integers(0, ceiling))
        self.open.remove((name, ceiling))
        self.admission.apply(closed(name, used), b"", (), self.time, POLICY, "acme")
        links, _, time = self.accesses[name]
        self.accesses[name] = (links, ceiling if used is None else used, time)

    @rule(ms=st.integers(0, 20_000))
    def waits(self, ms: int) -> None:
        self.time += ms

    @rule()
    def restarts(self) -> None:
        """From a snapshot."""
        kept = msgspec.json.encode(self.admission.at(self.time, POLICY))
        self.admission = Admission(msgspec.json.decode(kept, type=Counted))

    def spent(self, link: str) -> int:
        span = LIMITS[link].seconds * 1000
        return sum(
            charged
            for links, charged, time in self.accesses.values()
            if link in links and time // span == self.time // span
        )

    @invariant()
    def no_budget_is_overspent(self) -> None:
        for link, budget in LIMITS.items():
            assert self.spent(link) <= budget.tokens

    @invariant()
    def what_is_open_is_known(self) -> None:
        assert sorted(self.admission.open) == sorted(name for name, _ in self.open)


Spending.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestSpending: Any = Spending.TestCase
