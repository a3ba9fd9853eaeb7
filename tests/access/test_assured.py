"""What recipients prove, as records; and the decision that obeys it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bailment.access.assured import standing_record
from bailment.access.decision import Allowed, decide, models_of
from bailment.access.fold import Fold
from bailment.access.reasons import Reason, Refused
from bailment.errors import VerificationError
from bailment.ledger.evidence_records import (
    ApproverRegistered,
    EnclaveDeclared,
    EvidenceReceived,
)
from bailment.ledger.facts import Facts
from bailment.ledger.records import ModelRegistered, Policy, SpecApplied

from .book import Book, Party
from .small_spec import HOUR, SPEC, Specified

#: With a kind of a tool's word at most, and one of the gateway's.
WIDER = SPEC.replace(
    b"tiers:\n",
    b"""  word: {adapter: scim/1, class: machine, max_age: P7D, scope: tenant, caps_at: self-tool}
  gw.use: {adapter: gateway/1, class: machine, max_age: P1D, scope: tenant}
tiers:
""",
    1,
)


@pytest.fixture
def book() -> Specified:
    return Specified()


class Acme:
    """A recipient with a person's device and a good token."""

    def __init__(self, book: Specified, tenant: str = "tenant-a") -> None:
        self.book = book
        self.party = book.recipient()
        self.name = self.party.its.subject
        self.laptop = book.device(self.party, book.person(self.party))
        book.enclave(self.name, tenant)

    def passes(self, **given: Any) -> None:
        book = self.book
        book.show(self.name, book.item("roster", claims={"unmatched_accounts": 0}))
        book.show(self.name, book.item("scan", checks={"MFA": "pass"}, **given))

    def asks(self, model: str = "small") -> Allowed | Refused:
        book = self.book
        request = book.ask(book.make_token(self.laptop), model=model)
        return decide(request, book.register, book.time)


@pytest.fixture
def acme(book: Specified) -> Acme:
    return Acme(book)


def reason(answer: Allowed | Refused) -> Reason | None:
    return answer.reason if isinstance(answer, Refused) else None


def refusal(book: Book, facts: Any) -> str:
    refused = book.register.check(facts, book.time)
    return refused.detail if refused else ""


def test_under_a_spec_a_model_of_no_tier_is_nobodys(acme: Acme) -> None:
    assert reason(acme.asks()) is Reason.MODEL_UNTIERED


def test_a_canary_asks_for_no_standing(book: Specified, acme: Acme) -> None:
    book.add(ModelRegistered("small", 4096, 512, book.time, "tests", canary=True))
    assert isinstance(acme.asks(), Allowed)


def test_no_model_of_a_tier_passes_for_a_canary(book: Specified) -> None:
    canary = ModelRegistered("small", 4096, 512, book.time, "tests", canary=True)
    book.add(book.tiered("small", "T1", "ada"))
    assert "no canary" in refusal(book, canary)
    book.add(msgspec.structs.replace(canary, model="large"))
    assert "no tier" in refusal(book, book.tiered("large", "T1", "ada"))


def test_standing_decides_and_says_what_is_lacking(book: Specified, acme: Acme) -> None:
    book.add(book.tiered("small", "T2", "ada"))
    assert reason(acme.asks()) is Reason.STANDING_TOO_LOW
    book.judge(acme.name)
    answer = acme.asks()
    assert isinstance(answer, Refused)
    assert (
        "`small` is T2, and standing is none now: ID-1 missing (Nobody unknown; by roster); ID-2"
        in (answer.detail)
    )
    acme.passes()
    assert reason(acme.asks()) is Reason.STANDING_TOO_LOW, "evidence alone is no standing"
    book.judge(acme.name)
    assert isinstance(acme.asks(), Allowed)
    assert models_of(book.make_token(acme.laptop), book.register, (), book.time) == ["small"]


def test_what_expires_refuses_at_that_very_millisecond(book: Specified, acme: Acme) -> None:
    book.add(book.tiered("small", "T2", "ada"))
    acme.passes()
    book.judge(acme.name)
    expires = book.time + 2 * HOUR + HOUR  # its age, and the grace
    book.time = expires - 1
    assert isinstance(acme.asks(), Allowed)
    book.time = expires
    answer = acme.asks()
    assert isinstance(answer, Refused)
    assert "standing is T1 now: ID-2 expired (Strong sign-in; by scan)" in answer.detail


def test_a_contradiction_acts_at_once(book: Specified, acme: Acme) -> None:
    book.add(book.tiered("small", "T2", "ada"))
    acme.passes()
    book.judge(acme.name)
    book.time += 1
    book.show(acme.name, book.item("scan", claims={"shared": 1}))
    book.judge(acme.name)
    assert reason(acme.asks()) is Reason.STANDING_TOO_LOW


def test_a_raised_tier_gates_everybody_anew(book: Specified, acme: Acme) -> None:
    book.add(book.tiered("small", "T1", "ada"))
    book.show(acme.name, book.item("roster", claims={"unmatched_accounts": 0}))
    book.judge(acme.name)
    assert isinstance(acme.asks(), Allowed)
    book.add(book.tiered("small", "T2", "bo"))
    assert reason(acme.asks()) is Reason.STANDING_TOO_LOW


def test_a_standing_that_does_not_follow_enters_no_log(book: Specified, acme: Acme) -> None:
    acme.passes()
    good = standing_record(book.register, acme.name, book.time)
    book.enclave(acme.name, "tenant-b")  # their evidence is about somewhere else now
    with pytest.raises(VerificationError, match="does not follow"):
        book.fold.register.apply(book.fold.size, good, book.time)
    changes: list[dict[str, Any]] = [{"unmet": {}}, {"inputs": "0" * 64}, {"at": book.time + 1}]
    for change in changes:
        honest = standing_record(book.register, acme.name, book.time)
        assert refusal(book, honest) == ""
        assert refusal(book, msgspec.structs.replace(honest, **change))


def test_an_evaluation_is_of_its_moment(book: Specified, acme: Acme) -> None:
    record = standing_record(book.register, acme.name, book.time)
    book.time += book.register.policy.decision_ms
    assert refusal(book, record) == ""
    book.time += 1
    assert refusal(book, record) == "the evaluation is not of this moment"


def test_a_snapshot_keeps_what_was_proven(book: Specified, acme: Acme) -> None:
    book.add(book.tiered("small", "T2", "ada"))
    acme.passes()
    book.judge(acme.name)
    data = book.fold.encode()
    again = Fold.decode(data)
    assert again.encode() == data
    request = book.ask(book.make_token(acme.laptop))
    assert decide(request, again.register, book.time) == decide(request, book.register, book.time)
    assert book.replay(Fold(), 0).encode() == data


# The records' own rules


def test_a_spec_is_the_issuers_and_says_its_own_policy(book: Specified) -> None:
    good = book.spec(SPEC.replace(b"1.0.0", b"1.0.1"))
    assert refusal(book, good) == ""
    assert "did not sign" in refusal(book, book.spec(key=Party().key))
    assert "malformed" in refusal(book, msgspec.structs.replace(good, signature=msgspec.UNSET))
    other = msgspec.structs.replace(good, policy=Policy(token_ms=1000))
    assert "not the one that the spec says" in refusal(book, other)
    assert good.document is not msgspec.UNSET
    wrong = msgspec.structs.replace(good, document={**good.document, "tiers": {}})
    assert refusal(book, wrong)
    assert "replaces it" in refusal(book, SpecApplied(Policy(), "tests"))


def test_two_recipients_share_no_enclave(book: Specified, acme: Acme) -> None:
    other = book.recipient().its.subject
    facts = EnclaveDeclared(other, {"account": ("tenant-a",)}, "tests")
    assert refusal(book, facts) == "`tenant-a` is another recipient's"
    assert refusal(book, EnclaveDeclared(other, {"galaxy": ("x",)}, "tests"))
    for odd in ("", "a b", "t\u00e9nant", "a\x1b[2J", "a\u202eb", "x" * 201):
        assert "printable ASCII" in refusal(
            book, EnclaveDeclared(other, {"tenant": (odd,)}, "tests")
        )
    guid = "0A1B2C3D-0000-4000-8000-00000000000F"
    shouted = EnclaveDeclared(other, {"tenant": (guid,)}, "tests")
    assert refusal(book, shouted) == f"`{guid}` is written `{guid.lower()}`"
    assert refusal(book, EnclaveDeclared("nobody", {}, "tests")) == "there is no such recipient"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "astrology"}, "the spec has no evidence `astrology`"),
        ({"scope": "tenant-c"}, "another enclave"),
        ({"scope": "tenant-a tenant-b"}, "another enclave"),
        ({"scope": "account-a"}, "another enclave"),
        ({"adapter": "scim/1"}, "`scan` is of `scubagear/1`, and not of `scim/1`"),
        ({"kind": "word", "independence": "peer"}, "never worth more than `self-tool`"),
        ({"kind": "gw.use", "independence": "third-party"}, "the gateway did not see this"),
        ({"kind": "gw.use", "independence": "observed", "claims": {"n": 2**53}}, "2^53 - 1"),
        ({"received": 2**53 - 1}, "from the future"),
        ({"report": "known"}, "submitted before"),
        ({"digest": "ab" * 32}, "submitted before"),
    ],
)
def test_an_item_that_is_no_evidence_enters_no_log(
    book: Specified, acme: Acme, change: dict[str, Any], said: str
) -> None:
    book.add(book.spec(WIDER))
    scopes = {"tenant": ("tenant-a", "tenant-b"), "account": ("account-a",)}
    book.add(EnclaveDeclared(acme.name, scopes, "tests"), acme.name)
    book.show(acme.name, book.item("word", independence="self-tool"))
    book.show(acme.name, book.item("gw.use", independence="observed"))
    book.show(acme.name, book.item("scan", report="known", digest="ab" * 32))
    assert refusal(book, book.evidence(acme.name, book.item("scan"))) == ""
    assert said in refusal(book, book.evidence(acme.name, book.item(**{"kind": "scan", **change})))


def test_a_report_is_known_again_when_its_item_is_gone(book: Specified, acme: Acme) -> None:
    old = book.item("scan", checks={"MFA": "pass"})
    book.show(acme.name, old)
    book.time += 1
    book.show(acme.name, book.item("scan", checks={"MFA": "pass"}))
    assert len(book.register.proven(acme.name).items) == 1, "the newer one says as much"
    again = msgspec.structs.replace(old, id=book.new_id(), received=book.time)
    assert refusal(book, book.evidence(acme.name, again)) == "the report was submitted before"


def test_nobody_uses_up_the_id_of_anothers_report_and_bytes_are_known_again_anywhere(
    book: Specified, acme: Acme
) -> None:
    other = Acme(book, "tenant-b")
    book.show(other.name, book.item("scan", scope="tenant-b", report="theirs", digest="ab" * 32))
    assert refusal(book, book.evidence(acme.name, book.item("scan", report="theirs"))) == ""
    again = book.item("scan", report="other", digest="ab" * 32)
    assert refusal(book, book.evidence(acme.name, again)) == "the report was submitted before"


def test_one_report_may_be_about_several_scopes(book: Specified, acme: Acme) -> None:
    book.enclave(acme.name, "tenant-a", "tenant-b")
    first = book.item("scan", checks={"MFA": "pass"})
    book.show(acme.name, first)
    second = msgspec.structs.replace(first, id=book.new_id(), scope="tenant-b")
    assert refusal(book, book.evidence(acme.name, second)) == ""


def test_only_the_items_of_one_submission_go_in_together(book: Specified, acme: Acme) -> None:
    book.enclave(acme.name, "tenant-a", "tenant-b")
    one = book.item("scan", checks={"MFA": "pass"})
    two = msgspec.structs.replace(one, id=book.new_id(), scope="tenant-b")
    facts = [book.evidence(acme.name, item) for item in (one, two)]

    def refused(*records: Facts) -> str:
        found = book.register.check_all(records, book.time)
        return found.detail if found else ""

    assert refused(*facts) == ""
    for facts_of_two in facts:
        book.add(facts_of_two, acme.name)
    assert "submitted before" in refused(*facts)
    alone = book.evidence(acme.name, book.item("roster"))
    assert refused(alone) == ""
    for other in (
        alone,  # twice the same item
        book.evidence(acme.name, book.item("roster")),  # twice the same scope
        book.evidence(acme.name, book.item("roster", scope="tenant-b", received=book.time - 1)),
        book.evidence("somebody", book.item("roster", scope="tenant-b")),
        EvidenceReceived(acme.name, {"id": "?"}, "tests"),
        ApproverRegistered("cy", Party().public.jwk, "tests"),
    ):
        assert refused(alone, other) != "", other


def test_an_item_that_is_none_is_refused(book: Specified, acme: Acme) -> None:
    assert "item is wrong" in refusal(book, EvidenceReceived(acme.name, {"id": 1}, "tests"))


def test_a_tier_is_signed_by_an_approver(book: Specified) -> None:
    good = book.tiered("small", "T2", "ada")
    assert refusal(book, good) == ""
    assert "it takes 1 approvers" in refusal(book, book.tiered("small", "T2"))
    assert "another model" in refusal(book, msgspec.structs.replace(good, model="large"))
    told = msgspec.structs.replace(good, decision={**good.decision, "reasons": "others"})
    assert refusal(book, told) == "`ada` did not sign this"
    assert "no tier" in refusal(book, book.tiered("small", "T4", "ada"))
    assert "no model" in refusal(book, book.tiered("gone", "T1", "ada"))
    book.approvers["cy"] = Party()
    assert "no approver's" in refusal(book, book.tiered("small", "T2", "cy"))


def test_an_earlier_decision_does_not_count_again(book: Specified) -> None:
    lower = book.tiered("small", "T1", "ada")
    book.add(lower)
    book.time += 10
    book.add(book.tiered("small", "T2", "ada"))
    book.time += 10
    assert "another tier than the decision says" in refusal(book, lower)
    book.add(book.tiered("small", "T1", "ada"))
    book.time += 10
    once = book.tiered("small", "T2", "bo")
    book.add(once)
    book.time += 10
    book.add(book.tiered("small", "T1", "bo"))
    assert "older than the last" in refusal(book, once)


def test_who_else_approves_is_approved(book: Specified) -> None:
    """One person with the run of the issuer's machine is not two approvers."""
    new = Party().public.jwk
    told = {"approver": "cy", "key": new}
    alone = ApproverRegistered("cy", new, "tests")
    assert "it takes 2 approvers" in refusal(book, alone)
    both = book.sign("approver", told, "ada", "bo")
    assert refusal(book, msgspec.structs.replace(alone, approvals=both)) == ""
    assert "did not sign this" in refusal(book, ApproverRegistered("dee", new, "tests", both))
    gone = ApproverRegistered("ada", {}, "tests")
    assert "it takes 2 approvers" in refusal(book, gone)
    again = {**book.approvers["ada"].public.jwk, "kid": "another"}
    theirs = ApproverRegistered("dee", book.recipient().public.jwk, "tests")
    assert "the key is a recipient's" in refusal(book, theirs)
    assert "an approver's already" in refusal(book, ApproverRegistered("eve", again, "tests"))


def test_an_exception_takes_two_people_and_never_what_the_spec_forbids(
    book: Specified, acme: Acme
) -> None:
    book.add(book.tiered("small", "T2", "ada"))
    book.show(acme.name, book.item("roster", claims={"unmatched_accounts": 0}))
    assert "approvers" in refusal(book, book.grant_exception(acme.name, "ID-2", "ada"))
    assert "forbids" in refusal(book, book.grant_exception(acme.name, "ID-1", "ada", "bo"))
    good = book.grant_exception(acme.name, "ID-2", "ada", "bo")
    once = msgspec.structs.replace(good, approvals=good.approvals[:1])
    assert "not those who signed" in refusal(book, once)
    for member in ("from", "until", "renewals"):
        for number in (-1, 2**53):
            odd = msgspec.structs.replace(good, grant={**good.grant, member: number})
            assert "the grant is wrong" in refusal(book, odd)
    unwritten = msgspec.structs.replace(good, text=" ")
    assert "in writing" in refusal(book, unwritten)
    book.add(good, acme.name)
    book.judge(acme.name)
    assert isinstance(acme.asks(), Allowed)
    book.time += 2 * HOUR
    assert reason(acme.asks()) is Reason.STANDING_TOO_LOW
