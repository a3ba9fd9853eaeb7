"""The line of a device's tokens: what is taken, and what is one holder too many."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from bailment.access import ratchet
from bailment.access.admission import Admission, Counted
from bailment.access.ratchet import Line
from bailment.access.reasons import Reason, Refused
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.records import AccessOpened, Policy, TokenIssued

POLICY = Policy()
DEVICE = "d" * 32


def token(name: str, shown: str = "", handle: str = "") -> TokenIssued:
    """A token record; `handle` empty: it comes with the handle of its own name."""
    return TokenIssued(
        name, DEVICE, "p" * 32, (), (), "research", "software", "t", 0, 300_000, 0, "", "",
        ratchet=handle or f"handle-{name}", previous=f"handle-{shown}" if shown else UNSET,
    )  # fmt: skip


def opened(name: str, access: str = "a") -> AccessOpened:
    return AccessOpened(
        access, "list-models", "dpop-body", name, "", "GET", "/v1/models", "", "", False, 0, (), 0
    )


class Log:
    """An admission that gets records as the sequencer gives them."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.count = 0

    def issue(self, facts: TokenIssued) -> Refused | None:
        self.count += 1
        replay = b"%d" % self.count
        answer = self.admission.admit(facts, replay, (), 0, POLICY)
        if answer is None:
            self.admission.apply(facts, replay, (), 0, POLICY, "r")
            return None
        assert isinstance(answer, Refused)
        assert answer.reason is Reason.RATCHET_FORKED
        return answer

    def use(self, name: str) -> None:
        self.count += 1
        facts = opened(name, str(self.count))
        self.admission.apply(facts, b"%d" % self.count, (), 0, POLICY, "r")

    def fork(self) -> None:
        facts = FindingRaised("f", ratchet.FORKED, "s", 0, 0, subject=f"device:{DEVICE}")
        self.admission.apply(facts, b"", (), 0, POLICY, "r")


def test_each_handle_leads_to_the_next_token() -> None:
    log = Log()
    assert log.issue(token("1")) is None
    assert log.issue(token("2", shown="1")) is None
    assert log.issue(token("3", shown="2")) is None


def test_a_handle_that_was_used_is_a_fork() -> None:
    log = Log()
    log.issue(token("1"))
    log.issue(token("2", shown="1"))
    log.use("2")
    refused = log.issue(token("3", shown="1"))
    assert refused is not None
    assert "used before" in refused.detail


def test_a_request_without_a_handle_is_a_fork() -> None:
    log = Log()
    log.issue(token("1"))
    log.use("1")
    refused = log.issue(token("2"))
    assert refused is not None
    assert "no handle" in refused.detail


def test_the_answer_that_was_lost_is_asked_for_again_once() -> None:
    log = Log()
    log.issue(token("1"))
    log.issue(token("2", shown="1"))
    assert log.issue(token("3", shown="1")) is None
    assert log.issue(token("4", shown="1")) is not None
    assert log.issue(token("4", shown="3")) is None


def test_the_first_answer_may_be_lost_too() -> None:
    log = Log()
    log.issue(token("1"))
    assert log.issue(token("2")) is None
    assert log.issue(token("3")) is not None


def test_who_got_the_answer_that_was_asked_for_again_is_the_second_holder() -> None:
    log = Log()
    log.issue(token("1"))
    log.issue(token("2", shown="1"))  # to the owner
    log.issue(token("3", shown="1"))  # to who copied the handle before
    assert log.issue(token("4", shown="2")) is not None


def test_a_token_that_was_used_was_not_lost() -> None:
    log = Log()
    log.issue(token("1"))
    log.issue(token("2", shown="1"))
    log.use("1")
    assert ratchet.admit(log.admission.lines[DEVICE], token("3", shown="1")) is None
    log.use("2")
    assert log.issue(token("3", shown="1")) is not None


def test_a_handle_that_was_never_given_is_refused() -> None:
    assert Log().issue(token("1", shown="0")) is not None


def test_a_forked_line_is_over_for_both() -> None:
    log = Log()
    log.issue(token("1"))
    log.fork()
    assert log.issue(token("2", shown="1")) is not None
    assert log.issue(token("2")) is not None


def test_a_token_without_a_handle_cannot_end_a_line() -> None:
    log = Log()
    log.issue(token("1"))
    bare = msgspec.structs.replace(token("2", shown="1"), ratchet=UNSET)
    assert log.issue(bare) is not None


def test_a_snapshot_goes_on_with_the_line() -> None:
    log = Log()
    log.issue(token("1"))
    log.issue(token("2", shown="1"))
    log.use("2")
    counted = log.admission.at(0, POLICY)
    data = msgspec.json.encode(counted)
    log.admission = Admission(msgspec.json.decode(data, type=Counted))
    assert log.admission.lines == {DEVICE: Line("handle-2", "2")}
    assert log.issue(token("3", shown="1")) is not None
    assert log.issue(token("3", shown="2")) is None


def test_a_snapshot_without_lines_is_what_it_was() -> None:
    kept = msgspec.to_builtins(Admission().at(0, POLICY))
    assert kept.keys() == {"budgets", "open", "tokens"}


@given(st.lists(st.sampled_from(["owner", "owner's answer is lost", "clone"]), max_size=12))
def test_two_that_use_their_tokens_are_never_both_served(turns: list[str]) -> None:
    """Somebody copied key and handle at the start."""
    log, names = Log(), iter(range(1, 100))
    log.issue(token("0"))
    log.use("0")
    holds = {"owner": "0", "clone": "0"}
    served: set[str] = set()
    for turn in turns:
        who = turn.partition("'")[0]
        name = str(next(names))
        if log.issue(token(name, shown=holds[who])) is not None:
            return
        if "lost" not in turn:
            holds[who] = name
            log.use(name)
            served.add(who)
        assert served != {"owner", "clone"}
