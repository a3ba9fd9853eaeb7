"""What a report is worth, and why it would be refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from bailment import canonical
from bailment.assurance.adapters.report import Report
from bailment.assurance.intake import MAX_ITEM, Collector, Submission, receive
from bailment.assurance.item import Item
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused
from bailment.assurance.signers import Signer
from bailment.spec.compiled import Kind
from bailment.spec.terms import LADDER, RANK

from .reports import (
    ACCOUNT,
    ALICE,
    ASSESSOR,
    BOB,
    ED25519,
    EVERY,
    EXECUTIVE,
    ORG,
    P256,
    TENANT,
    THEN,
    attestation,
    drill,
    envelope,
    finding,
    maester,
    manifest,
    observation,
    page,
    report,
    roster,
    scubagear,
    statement,
    user,
    without,
)

ITEM = "1" * 32
DAY = 86_400_000
SKEW = 5_000
#: Everything that any of the sample reports is about.
SCOPES = {TENANT, ACCOUNT, ORG, "C01abCd2e"}


def kind(found: Report, cap: str = "observed") -> Kind:
    name = found.kind or "any"
    return Kind(name, name, found.adapter, "machine", "tenant", DAY, RANK[cap])


def handed(found: Report, cap: str = "observed", **over: Any) -> Submission:
    fields: dict[str, Any] = {
        "kind": kind(found, cap),
        "scopes": SCOPES,
        "by": "gateway" if found.adapter == "gateway/1" else "recipient",
        "collector": "acme",
        "skew": SKEW,
    }
    return Submission(**fields | over)


def items(found: Report, now: int = THEN + DAY, cap: str = "observed", **over: Any) -> list[Item]:
    received = receive(found, handed(found, cap, **over), item=ITEM, now=now)
    assert isinstance(received, tuple), received
    return list(received)


def item(found: Report, now: int = THEN + DAY, cap: str = "observed", **over: Any) -> Item:
    (one,) = items(found, now, cap, **over)
    return one


def reason(found: Report, now: int = THEN + DAY, **over: Any) -> EvidenceReason:
    refused = receive(found, handed(found, **over), item=ITEM, now=now)
    assert isinstance(refused, EvidenceRefused), refused
    return refused.reason


def test_an_item_says_what_the_report_said_and_keeps_its_digest() -> None:
    found = report(scubagear())
    assert item(found) == Item(
        id=ITEM,
        kind="any",
        adapter="scubagear/1",
        independence="self-tool",
        collector="acme",
        report=found.report,
        scope=TENANT,
        dated=THEN,
        received=THEN + DAY,
        digest=found.digest,
        checks={"MS.AAD.3.1v1": "pass"},
    )


# ── Worth ─────────────────────────────────────────────────────────────────────────────────────────

TOOLS = {
    "scubagear/1", "scubagoggles/1", "prowler-ocsf/1", "maester/1", "scim/1",
    "in-toto-test-result/1",
}  # fmt: skip


@pytest.mark.parametrize("adapter", sorted(set(EVERY) - {"dsse-attestation/1", "gateway/1"}))
def test_what_the_recipient_hands_in_is_its_word_or_its_tools(adapter: str) -> None:
    expected = "self-tool" if adapter in TOOLS else "self"
    assert item(report(EVERY[adapter])).independence == expected


@pytest.mark.parametrize(
    ("by", "tools", "watched"),
    [
        ("peer", "peer", "peer"),
        ("issuer", "pulled", "pulled"),
        ("gateway", "pulled", "observed"),
    ],
)
def test_what_others_collect_is_worth_what_they_are(
    by: Collector, tools: str, watched: str
) -> None:
    for adapter in TOOLS:
        assert item(report(EVERY[adapter]), by=by).independence == tools
    assert item(report(drill()), by=by).independence == watched
    for adapter in ("document/1", "oscal-ar/1"):
        assert item(report(EVERY[adapter]), by=by).independence == "self"


@pytest.mark.parametrize("by", ["recipient", "peer", "issuer"])
def test_what_the_gateway_saw_is_nobody_elses_to_hand_in(by: Collector) -> None:
    for seen in (observation(), envelope(observation(), ED25519)):
        found = report(seen, ASSESSOR)
        assert reason(found, by=by) == EvidenceReason.NOT_OBSERVED
        assert item(found, by="gateway").independence == "observed"


@pytest.mark.parametrize("adapter", sorted(set(EVERY) - {"dsse-attestation/1", "gateway/1"}))
def test_an_assessor_s_signature_makes_it_a_third_partys(adapter: str) -> None:
    found = item(report(envelope(EVERY[adapter], ED25519), ASSESSOR))
    assert (found.independence, found.collector) == ("third-party", "assessor")


def test_a_signature_never_lowers_what_was_collected() -> None:
    sealed = report(envelope(observation(), P256), replace(EXECUTIVE, kinds=frozenset()))
    found = item(sealed, by="gateway", collector="gateway")
    assert (found.independence, found.collector) == ("observed", "gateway")


def test_of_several_signers_the_most_independent_is_the_collector() -> None:
    robot = Signer("robot", "self-tool", P256.public_key())
    for keys in ((ED25519, P256), (P256, ED25519)):
        sealed = report(envelope(manifest(), *keys), ASSESSOR, robot)
        assert (item(sealed).independence, item(sealed).collector) == ("third-party", "assessor")


def test_a_key_for_other_kinds_vouches_for_nothing_here() -> None:
    narrow = replace(ASSESSOR, kinds=frozenset({"attest.training"}))
    assert item(report(envelope(manifest(), ED25519), narrow)).independence == "self"


def test_a_signature_by_an_unknown_key_counts_for_nothing_and_is_noted() -> None:
    found = item(report(envelope(manifest(), ED25519)))
    assert (found.independence, found.collector) == ("self", "acme")
    assert "1 signature by unknown keys, not counted" in found.notes


@pytest.mark.parametrize("cap", LADDER)
def test_no_kind_counts_above_its_cap(cap: str) -> None:
    sealed = report(envelope(manifest(), ED25519), ASSESSOR)
    found = item(sealed, cap=cap)
    assert RANK[found.independence] == min(RANK[cap], RANK["third-party"])
    capped = f"collected as third-party; this kind counts as {cap} at most"
    assert (capped in found.notes) == (RANK[cap] < RANK["third-party"])


def test_when_an_undated_report_was_collected_is_the_submitters_word() -> None:
    undated = report(envelope(without(statement(), "predicate", "finishedOn"), ED25519), ASSESSOR)
    for by, independence in (
        ("recipient", "self-tool"),
        ("peer", "peer"),
        ("issuer", "third-party"),
    ):
        found = item(undated, by=by)
        assert found.independence == independence
        assert ("signed, but when is the submitter's word; counted as the submitter's"
                in found.notes) == (by != "issuer")  # fmt: skip


def test_who_signed_an_undated_report_that_is_worth_no_more_for_it_collected_it() -> None:
    robot = Signer("robot", "self-tool", ED25519.public_key())
    undated = without(statement(), "predicate", "finishedOn")
    found = item(report(envelope(undated, ED25519), robot))
    assert (found.independence, found.collector) == ("self-tool", "robot")
    assert len(found.notes) == 1


def test_simulated_evidence_says_so_whoever_simulates() -> None:
    assert not item(report(manifest())).simulated
    assert item(report(manifest(simulated=True))).simulated
    assert item(report(manifest()), simulated=True).simulated
    demo = replace(ASSESSOR, simulated=True)
    assert item(report(envelope(manifest(), ED25519), demo)).simulated


# ── Attestations ──────────────────────────────────────────────────────────────────────────────────


def test_an_attestation_needs_the_signature_of_somebody_known_for_its_kind() -> None:
    sealed = envelope(attestation(), P256)
    found = item(report(sealed, EXECUTIVE))
    assert (found.independence, found.collector) == ("self", "executive")
    assert found.checks == {"tier-attestation": "pass"}
    assert reason(report(attestation())) == EvidenceReason.UNSIGNED
    assert reason(report(sealed)) == EvidenceReason.SIGNER_UNKNOWN
    narrow = replace(EXECUTIVE, kinds=frozenset({"attest.training"}))
    assert reason(report(sealed, narrow)) == EvidenceReason.SIGNER_UNKNOWN


# ── Whose it is ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("adapter", sorted(EVERY))
def test_a_report_about_somebody_else_is_refused(adapter: str) -> None:
    found = report(envelope(EVERY[adapter], ED25519), ASSESSOR)
    for scopes in (set(), {"other"}):
        assert reason(found, scopes=scopes) == EvidenceReason.SCOPE


def test_whom_a_refused_report_is_about_is_said_of_three_at_most() -> None:
    found = report([finding(account=account) for account in "4213"])
    refusal = receive(found, handed(found, scopes={"other"}), item=ITEM, now=THEN)
    assert isinstance(refusal, EvidenceRefused)
    assert refusal.detail == "it is about `1`, `2`, `3`, which is not the recipient's enclave"


def test_a_tenant_s_id_is_the_same_in_upper_case() -> None:
    assert item(report(scubagear()), scopes={TENANT.upper()}).scope == TENANT


def test_each_of_the_recipients_accounts_has_an_item_and_others_are_left_out() -> None:
    found = report(
        [finding(account="2", status_code="FAIL"), finding(account="3"), finding(account="1")]
    )
    one, two = items(found, scopes={"2", "1"})
    assert (one.scope, two.scope) == ("1", "2")
    assert [only for each in (one, two) for only in each.checks.values()] == ["pass", "fail"]
    assert one.id == ITEM != two.id
    assert len(two.id) == 32
    assert "1 scope outside of the recipient's enclave left out" in one.notes
    assert (two.id, two.report) == (items(found, scopes={"2", "1"})[1].id, one.report)


def test_what_is_claimed_of_all_scopes_together_must_be_about_the_recipient_alone() -> None:
    both = replace(report(statement()), checks={ORG: {"a": "pass"}, "other": {"a": "pass"}})
    assert len(items(both)) == 1
    for whole in ({"claims": {"n": 0}}, {"people": (ALICE,)}, {"accounts": ()}):
        found = replace(both, **whole)
        assert reason(found) == EvidenceReason.SCOPE
        assert len(items(found, scopes={ORG, "other"})) == 2


def test_a_document_may_cover_more_than_the_recipients_enclave_and_must_cover_all_of_it() -> None:
    wide = report(manifest(scope=[ORG, "other"]))
    assert item(wide, scopes={ORG}).checks["scope-covers-access"] == "pass"
    for one in items(report(manifest(scope=[ORG])), scopes={ORG, "second"}):
        assert one.checks["scope-covers-access"] == "fail"
    assert "scope-covers-access" not in item(report(scubagear())).checks


# ── What it is handed in as, and when ─────────────────────────────────────────────────────────────


def test_a_report_is_of_the_kind_that_it_says_and_of_its_adapter() -> None:
    found = report(observation())
    other = structs.replace(kind(found), name="gw.register")
    assert reason(found, kind=other) == EvidenceReason.KIND
    scim = structs.replace(kind(found), adapter="scim/1")
    assert reason(found, kind=scim) == EvidenceReason.KIND
    plain = report(scubagear())
    refusal = receive(plain, handed(plain, kind=scim), item=ITEM, now=THEN)
    assert isinstance(refusal, EvidenceRefused)
    assert refusal.detail == "it is `scubagear/1` and not `gw.use`"
    refusal = receive(found, handed(found, kind=other), item=ITEM, now=THEN)
    assert isinstance(refusal, EvidenceRefused)
    assert refusal.detail == "it is `gw.use` and not `gw.register`"


def test_a_report_that_was_submitted_before_is_refused_by_its_id_or_its_bytes() -> None:
    found = report(scubagear())
    assert reason(found, reports={found.report}) == EvidenceReason.REUSED
    assert reason(found, digests={found.digest}) == EvidenceReason.REUSED
    respelled = report(maester(Account="another"))
    assert reason(respelled, reports={report(maester()).report}) == EvidenceReason.REUSED
    assert items(found, reports={"another"}, digests={"another"})


def test_a_report_from_the_future_is_refused_beyond_the_skew_of_clocks() -> None:
    found = report(scubagear())
    assert item(found, now=THEN - SKEW).dated == THEN - SKEW
    assert reason(found, now=THEN - SKEW - 1) == EvidenceReason.FUTURE


def test_an_item_is_dated_by_the_earlier_of_claimed_and_received() -> None:
    assert item(report(scubagear()), now=THEN + 1).dated == THEN
    undated = item(report(page(user())), scopes={"https://scim.acme.example/v2"})
    assert undated.dated == undated.received == THEN + DAY
    assert "it does not say when it was collected; dated as it was received" in undated.notes


def test_a_report_that_has_expired_by_its_own_word_is_refused() -> None:
    found = report(envelope(attestation(), P256), EXECUTIVE)
    assert found.expires is not None
    assert item(found, now=found.expires - 1).expires == found.expires
    assert reason(found, now=found.expires) == EvidenceReason.EXPIRED
    assert item(report(scubagear())).expires == 0


def test_an_item_that_no_record_could_hold_is_refused() -> None:
    many = (f"{number:032x}" for number in range(MAX_ITEM // 32))
    found = replace(report(observation()), people=tuple(many))
    assert reason(found) == EvidenceReason.TOO_LARGE
    long: dict[str, Any] = {f"{number:0128}": "pass" for number in range(MAX_ITEM // 128)}
    one_of_two = replace(report(scubagear()), checks={TENANT: {"a": "pass"}, ORG: long})
    assert reason(one_of_two) == EvidenceReason.TOO_LARGE
    assert items(one_of_two, scopes={TENANT})
    bare = replace(report(scubagear()), checks={TENANT: {"": "pass"}})
    room = MAX_ITEM - len(canonical.encode(item(bare)))
    assert item(replace(bare, checks={TENANT: {"x" * room: "pass"}})).checks
    over = replace(bare, checks={TENANT: {"x" * (room + 1): "pass"}})
    assert reason(over) == EvidenceReason.TOO_LARGE


# ── People ────────────────────────────────────────────────────────────────────────────────────────


def test_a_roster_becomes_random_ids_and_counts_and_names_nobody() -> None:
    found = report(
        roster(
            user(),
            user("u-2", "contractor@else.example"),
            user("u-3", "gone@acme.example", active=False),
        )
    )
    one = item(found, people={ALICE: ["alice@acme.example"], BOB: ["bob@acme.example"]})
    assert one.people == (ALICE,)
    assert one.claims == {"accounts": 3, "unmatched_accounts": 1, "inactive": 1}
    assert "example" not in repr(one)
    assert "example" not in repr(handed(found, people={ALICE: ["alice@acme.example"]}))


def test_where_nobody_can_say_whose_accounts_they_are_none_is_called_matched() -> None:
    one = item(report(roster()), people=None)
    assert (one.people, one.claims) == ((), {"accounts": 1, "inactive": 0})


def test_only_people_whom_the_register_knows_are_covered() -> None:
    sealed = report(envelope(observation(), ED25519), ASSESSOR)
    assert item(sealed, people={BOB: []}).people == (BOB,)
    assert item(sealed, people=None).people == (ALICE, BOB)
