"""Rosters, statements, documents and drills: what they claim, and what cannot be believed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bailment.assurance.adapters.report import Account
from bailment.assurance.reasons import EvidenceReason

from .reports import (
    ALICE,
    BOB,
    ORG,
    TENANT,
    THEN,
    attestation,
    drill,
    manifest,
    ms,
    observation,
    observed,
    only,
    oscal,
    oscal_finding,
    page,
    refused,
    report,
    roster,
    statement,
    trial,
    user,
    with_,
    without,
)

SHAPE = EvidenceReason.SHAPE
CONTRADICTORY = EvidenceReason.CONTRADICTORY


# ── Rosters ───────────────────────────────────────────────────────────────────────────────────────


def test_a_roster_lists_accounts_and_has_no_checks() -> None:
    found = report(roster(user(), user("u-2", "bob", active=False, emails=[{"type": "work"}])))
    assert found.checks == {TENANT: {}}
    assert (found.report, found.claimed, found.kind) == ("roster-1", THEN, "")
    assert found.tool == "SCIM"
    assert found.notes == ()
    assert found.accounts == (
        Account("u-1", "alice@acme.example", ("alice@acme.example",), True),
        Account("u-2", "bob", (), False),
    )


def test_a_servers_answer_is_a_roster_of_its_base_url_without_a_time() -> None:
    for value in (
        page(user(), user("u-2", "bob")),
        [page(user(), total=2), page(user("u-2"), total=2)],
    ):
        found = report(value)
        assert list(found.checks) == ["https://scim.acme.example/v2"]
        assert found.claimed is None
        assert re.fullmatch("derived:[0-9a-f]{64}", found.report)
        assert found.accounts is not None and len(found.accounts) == 2


def test_an_unchanged_answer_is_the_same_report() -> None:
    assert report(page(user())).report == report(page(user(displayName="A"))).report
    assert report(page(user())).report != report(page(user(active=False))).report
    assert report(page(user())).report != report(page(user("u-2"))).report


@pytest.mark.parametrize(
    "pages",
    [
        [page(user(), total=2)],
        [page(user(), total=0)],
        [page(user(), total=2), page(user("u-2"), total=3)],
        [page(user(), total=2), page(user(), total=2)],
    ],
)
def test_a_roster_with_pages_missing_or_twice_is_refused(pages: list[Any]) -> None:
    assert refused(pages).reason == EvidenceReason.INCOMPLETE
    assert refused(with_(roster(), pages, "pages")).reason == EvidenceReason.INCOMPLETE


def test_an_empty_roster_is_refused_since_nobody_would_be_unmatched() -> None:
    assert refused(with_(roster(), [page()], "pages")).reason == EvidenceReason.EMPTY
    assert refused(with_(roster(), [], "pages")).reason == EvidenceReason.INCOMPLETE
    assert refused(page()).reason == EvidenceReason.SCOPE_MISSING


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "/v2/Users/u-2",
        "http://scim.acme.example/v2/Users/u-2",
        "https://other/v2/Users/u-2",
    ],
)
def test_an_answer_that_does_not_say_of_which_directory_is_refused(location: str | None) -> None:
    other = user("u-2", meta={"location": location})
    assert refused(page(user(), other)).reason == EvidenceReason.SCOPE_MISSING
    assert refused(page(without(user(), "meta"))).reason == EvidenceReason.SCOPE_MISSING
    alone = refused(page(user(meta={"location": "http://scim.acme.example/v2/Users/u-1"})))
    assert alone.reason == EvidenceReason.SCOPE_MISSING
    assert "roster file" in alone.detail


def test_what_a_directory_does_not_say_of_its_accounts_is_noted() -> None:
    found = report(roster(without(user(), "active")))
    assert found.accounts is not None and found.accounts[0].active is None
    assert found.notes == ("1 account neither active nor inactive",)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (roster(user(active="true")), "$.pages[0].Resources[0].active"),
        (roster(user(userName=None)), "$.pages[0].Resources[0].userName"),
        (roster(user(schemas=["urn:ietf:params:scim:schemas:core:2.0:Group"])), ""),
        (roster(extra=1), "$"),
        (roster(collected=-1), "$.collected"),
        (page(user(emails="a")), "$[0].Resources[0].emails"),
    ],
)
def test_a_roster_of_the_wrong_shape_is_refused(value: Any, where: str) -> None:
    found = refused(value)
    assert (found.reason, found.where) == (SHAPE, where)


def test_a_roster_of_no_directory_is_refused_with_the_place() -> None:
    bare = user(meta={"location": "https://scim acme/Users/u-1"})
    for value, where in ((roster(scope=""), "$.scope"), (page(bare), "$")):
        found = refused(value)
        assert (found.reason, found.where) == (EvidenceReason.SCOPE_MISSING, where)


# ── OSCAL ─────────────────────────────────────────────────────────────────────────────────────────


def test_oscal_findings_are_checks_on_the_subjects_of_their_observations() -> None:
    found = report(oscal())
    assert found.checks == {TENANT: {"ac-2_obj": "pass", "ac-2": "pass"}}
    assert found.report == "11111111-0000-4000-8000-000000000001"
    assert (found.claimed, found.expires) == (THEN, ms("2026-07-01T00:00:00"))


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ({"state": "satisfied", "reason": "pass"}, "pass"),
        ({"state": "satisfied", "reason": "other"}, "pass"),
        ({"state": "satisfied", "reason": "fail"}, "fail"),
        ({"state": "not-satisfied", "reason": "pass"}, "fail"),
        ({"state": "not-satisfied"}, "fail"),
        ({"state": "something"}, "inconclusive"),
    ],
)
def test_a_state_and_its_reason_must_agree(status: dict[str, str], result: str) -> None:
    finding = with_(oscal_finding("ac-2_obj"), status, "target", "status")
    found = report(oscal(findings=[finding]))
    assert only(found.checks)["ac-2"] == result
    disagree = {status["state"], status.get("reason")} in (
        {"satisfied", "fail"},
        {"not-satisfied", "pass"},
    )
    assert bool(found.notes) == disagree


def test_a_failure_needs_no_observation_and_stays_one_with_a_risk() -> None:
    bad = oscal_finding("ac-2_obj", "not-satisfied")
    risky = bad | {"related-risks": [{"risk-uuid": "r"}]}
    for finding in (bad | {"related-observations": []}, risky):
        found = report(oscal(findings=[finding], risks=[{"uuid": "r", "status": "open"}]))
        assert only(found.checks)["ac-2"] == "fail"


def test_a_finding_is_about_the_subjects_of_what_it_cites() -> None:
    other = observed("o", subjects=[{"subject-uuid": "other", "type": "component"}])
    cited = observed("33333333-0000-4000-8000-000000000003")
    everywhere = oscal_finding("ia-2") | {"related-observations": []}
    findings = [oscal_finding("ac-2"), everywhere]
    found = report(oscal(observations=[other, cited], findings=findings))
    assert found.checks == {
        TENANT: {"ac-2": "pass", "ia-2": "inconclusive"},
        "other": {"ia-2": "inconclusive"},
    }


def test_satisfied_without_an_observation_is_inconclusive() -> None:
    finding = oscal_finding("ac-2_obj") | {"related-observations": []}
    found = report(oscal(findings=[finding]))
    assert only(found.checks) == {"ac-2_obj": "inconclusive", "ac-2": "inconclusive"}
    assert found.notes == ("ac-2_obj: satisfied without an observation; read as inconclusive",)


@pytest.mark.parametrize("member", ["related-risks", "associated-risks"])
@pytest.mark.parametrize(("status", "result"), [("open", "inconclusive"), ("closed", "pass")])
def test_satisfied_with_an_open_risk_is_inconclusive(member: str, status: str, result: str) -> None:
    finding = oscal_finding("ac-2_obj") | {member: [{"risk-uuid": "r"}]}
    found = report(oscal(findings=[finding], risks=[{"uuid": "r", "status": status}]))
    assert only(found.checks)["ac-2"] == result


def test_a_part_of_a_control_fails_it_but_proves_only_itself() -> None:
    for target in ("ac-2_obj.a-1", "ac-2_smt.b"):
        assert only(report(oscal(findings=[oscal_finding(target)])).checks) == {target: "pass"}
        bad = oscal_finding(target, "not-satisfied")
        both = report(oscal(findings=[oscal_finding("ac-2_smt"), bad]))
        assert only(both.checks) == {"ac-2_smt": "pass", target: "fail", "ac-2": "fail"}
    assert only(report(oscal(findings=[oscal_finding("ac-2")])).checks) == {"ac-2": "pass"}
    whole = report(oscal(findings=[oscal_finding("ac-2_smt")]))
    assert only(whole.checks) == {"ac-2_smt": "pass", "ac-2": "pass"}


def test_of_several_results_the_newest_counts() -> None:
    value = oscal()
    old = oscal("not-satisfied", start="2026-05-01T12:00:00Z", observations=[observed("x")])
    results = value["assessment-results"]["results"]
    for listed in (
        results + old["assessment-results"]["results"],
        old["assessment-results"]["results"] + results,
    ):
        found = report(with_(value, listed, "assessment-results", "results"))
        assert only(found.checks)["ac-2"] == "pass"
        assert found.notes == ("1 older result left out",)


def test_an_assessment_is_as_old_as_its_oldest_observation_and_ends_with_its_first() -> None:
    cited = observed("33333333-0000-4000-8000-000000000003")
    other = observed("o", collected="2026-05-02T00:00:00Z", expires="2026-06-15T00:00:00Z")
    found = report(oscal(observations=[cited, other]))
    assert found.claimed == ms("2026-05-02T00:00:00")
    assert found.expires == ms("2026-06-15T00:00:00")
    lasting = without(cited, "expires")
    assert report(oscal(observations=[lasting])).expires is None
    both = report(oscal(observations=[lasting, other]))
    assert both.expires == ms("2026-06-15T00:00:00")


@pytest.mark.parametrize(
    "change",
    [
        {"observations": []},
        {"observations": [observed("another")]},
        {"observations": [observed("33333333-0000-4000-8000-000000000003")] * 2},
        {"findings": [oscal_finding("ac-2") | {"related-risks": [{"risk-uuid": "none"}]}]},
        {"risks": [{"uuid": "r", "status": "open"}] * 2},
    ],
)
def test_a_reference_to_nothing_or_to_two_things_is_refused(change: dict[str, Any]) -> None:
    found = refused(oscal(**change))
    assert found.reason == CONTRADICTORY
    assert found.where.startswith("$.assessment-results.results[0].")


def test_an_assessment_of_nobody_is_refused() -> None:
    nobody = observed("33333333-0000-4000-8000-000000000003", subjects=[])
    assert refused(oscal(observations=[nobody])).reason == EvidenceReason.SCOPE_MISSING
    assert refused(oscal(findings=[])).reason == EvidenceReason.EMPTY
    empty = refused(with_(oscal(), [], "assessment-results", "results"))
    assert (empty.reason, empty.where) == (EvidenceReason.EMPTY, "$.assessment-results")


# ── in-toto test results ──────────────────────────────────────────────────────────────────────────


def test_tests_that_passed_with_warnings_are_no_pass() -> None:
    found = report(
        statement(passedTests=["a"], warnedTests=["b"], failedTests=["c"], result="FAILED")
    )
    assert found.checks == {ORG: {"a": "pass", "b": "inconclusive", "c": "fail"}}
    assert found.claimed == THEN
    assert found.notes == ()


@pytest.mark.parametrize(
    ("lists", "result"),
    [
        ({"passedTests": ["a"], "failedTests": ["a"]}, "fail"),
        ({"passedTests": ["a"], "warnedTests": ["a"]}, "inconclusive"),
        ({"warnedTests": ["a"], "failedTests": ["a"], "passedTests": []}, "fail"),
        ({"passedTests": ["a", "a"]}, "pass"),
    ],
)
def test_a_test_in_two_lists_has_the_worse_result(lists: dict[str, Any], result: str) -> None:
    found = report(statement(result="WARNED", **lists))
    assert only(found.checks) == {"a": result}
    assert bool(found.notes) == (result != "pass")


def test_a_failed_run_without_failures_has_no_passes() -> None:
    found = report(statement(result="FAILED", warnedTests=["b"]))
    assert only(found.checks) == {"no-secrets": "inconclusive", "b": "inconclusive"}
    assert "its passes are no pass" in found.notes[0]


def test_a_passed_run_with_failures_is_noted() -> None:
    found = report(statement(failedTests=["b"]))
    assert report(statement()).notes == ()
    assert only(found.checks) == {"no-secrets": "pass", "b": "fail"}
    assert found.notes == ("the run says PASSED, but it lists failed tests",)


def test_each_subject_has_the_results_and_must_have_a_name() -> None:
    two = with_(statement(), [{"name": "a", "digest": {}}, {"name": "b", "digest": {}}], "subject")
    assert report(two).checks == {"a": {"no-secrets": "pass"}, "b": {"no-secrets": "pass"}}
    found = refused(with_(two, None, "subject", 1, "name"))
    assert (found.reason, found.where) == (EvidenceReason.SCOPE_MISSING, "$.subject[1].name")
    assert refused(with_(two, [], "subject")).reason == EvidenceReason.EMPTY


def test_runs_differ_by_what_they_say_when_and_of_what() -> None:
    undated = without(statement(), "predicate", "finishedOn")
    assert report(undated).claimed is None
    first = report(undated).report
    assert first == report(with_(undated, 1, "predicate", "more")).report
    assert first == report(with_(undated, "", "predicate", "url")).report
    spelled = [{"name": ORG, "digest": dict([pair, ("sha256", "5" * 64)][::step])}
               for pair in [("gitCommit", "9" * 40)] for step in (1, -1)]  # fmt: skip
    one, other = (report(with_(undated, [subject], "subject")).report for subject in spelled)
    assert one == other != first
    others = [
        with_(undated, [{"name": ORG, "digest": {"sha256": "8" * 64}}], "subject"),
        with_(undated, [{"digest": {"sha256": "8" * 64}}], "predicate", "configuration"),
        with_(undated, "https://ci.example/1", "predicate", "url"),
        with_(undated, "https://ci.example/2", "predicate", "url"),
        with_(undated, ["b"], "predicate", "passedTests"),
        statement(),
    ]
    assert len({first, *(report(other).report for other in others)}) == 7


@pytest.mark.parametrize(
    ("path", "new", "where"),
    [
        (("predicate", "result"), "GOOD", "$.predicate.result"),
        (("predicate", "passedTests"), [1], "$.predicate.passedTests[0]"),
        (("predicate", "finishedOn"), "now", "$.predicate.finishedOn"),
        (("subject", 0, "digest"), None, "$.subject[0].digest"),
    ],
)
def test_a_statement_of_the_wrong_shape_is_refused(
    path: tuple[str | int, ...], new: Any, where: str
) -> None:
    found = refused(with_(statement(), new, *path))
    assert (found.reason, found.where) == (SHAPE, where)
    assert refused(without(statement(), "predicate", "configuration")).reason == SHAPE


# ── Attestations ──────────────────────────────────────────────────────────────────────────────────


def test_an_attestation_of_a_tier_is_a_check_and_says_which() -> None:
    found = report(attestation())
    assert found.checks == {ORG: {"tier-attestation": "pass"}}
    assert found.claims == {"tier": 3}
    assert found.notes == (f"T3 of the spec {'5' * 64}",)
    assert (found.report, found.kind) == ("attestation-1", "attest.executive")
    assert (found.claimed, found.expires) == (THEN, ms("2026-12-01T00:00:00"))
    assert found.tool == "attestation"
    assert not found.signed and not found.simulated


def test_other_attestations_say_what_they_list() -> None:
    value = attestation(
        kind="attest.training",
        checks={"trained": "pass", "late": "fail"},
        claims={"days": 3},
        people=[BOB, ALICE, BOB],
        simulated=True,
    )
    found = report(without(without(value, "predicate", "tier"), "predicate", "expires"))
    assert only(found.checks) == {"trained": "pass", "late": "fail"}
    assert found.claims == {"days": 3}
    assert found.people == (ALICE, BOB)
    assert (found.kind, found.expires, found.simulated) == ("attest.training", None, True)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (attestation(checks={"tier-attestation": "fail"}), CONTRADICTORY),
        (attestation(claims={"tier": 4}), CONTRADICTORY),
        (attestation(tier="T5"), SHAPE),
        (attestation(tier=None), SHAPE),
        (attestation(people=["alice"]), SHAPE),
        (attestation(people=["A" * 32]), SHAPE),
        (attestation(claims={"Days": 1}), SHAPE),
        (attestation(claims={"days": 1.5}), SHAPE),
        (attestation(claims={"days": 2**53}), SHAPE),
        (attestation(checks={"a b": "pass"}), SHAPE),
        (attestation(checks={"a": "passed"}), SHAPE),
        (attestation(statement=""), SHAPE),
        (attestation(more=1), SHAPE),
        (attestation(expires="2026-12-01"), SHAPE),
        (with_(attestation(), "spec", "subject", 0, "digest", "sha256"), SHAPE),
        (with_(attestation(), "G" * 64, "subject", 0, "digest", "sha256"), SHAPE),
        (with_(attestation(), {}, "subject", 0, "digest"), SHAPE),
        (with_(attestation(), [], "subject"), SHAPE),
        (with_(attestation(), None, "subject", 0, "name"), EvidenceReason.SCOPE_MISSING),
        (without(attestation(), "predicate", "kind"), SHAPE),
        (without(attestation(), "predicate", "attested"), SHAPE),
    ],
)
def test_an_attestation_of_the_wrong_shape_is_refused(value: Any, reason: EvidenceReason) -> None:
    assert refused(value).reason == reason


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (with_(attestation(), [], "subject"), "$.subject"),
        (with_(attestation(), "", "subject", 0, "name"), "$.subject[0].name"),
        (with_(attestation(), {}, "subject", 0, "digest"), "$.subject[0].digest.sha256"),
        (attestation(claims={"tier": 4}), "$.predicate"),
        (attestation(attested="today"), "$.predicate.attested"),
        (attestation(expires="2026-12-01"), "$.predicate.expires"),
    ],
)
def test_where_an_attestation_is_wrong_is_said(value: Any, where: str) -> None:
    assert refused(value).where == where


def test_a_statement_of_another_type_is_no_attestation() -> None:
    other = with_(attestation(), "urn:other:v1", "predicateType")
    assert refused(other).reason == EvidenceReason.UNRECOGNISED


def test_an_attestation_may_say_nothing_but_whom_it_covers() -> None:
    found = report(without(attestation(people=[ALICE]), "predicate", "tier"))
    assert (found.people, only(found.checks), found.claims) == ((ALICE,), {}, {})
    nobody = without(attestation(), "predicate", "tier")
    assert refused(nobody).reason == EvidenceReason.EMPTY


def test_an_attestation_of_a_tier_has_one_subject() -> None:
    two = attestation()
    two["subject"] *= 2
    assert refused(two).reason == SHAPE


# ── Documents ─────────────────────────────────────────────────────────────────────────────────────


def test_a_document_is_as_old_as_the_end_of_its_period() -> None:
    found = report(manifest())
    assert found.claimed == ms("2026-05-31T23:59:59.999")
    assert found.claims == {"cc6_1_exceptions": 0, "cc9_2_exceptions": 1}
    assert found.checks == {ORG: {"opinion": "pass"}}
    assert (found.report, found.kind, found.covers) == ("soc2-2026", "report.assessment", True)
    assert found.notes == (f"declares the document {'7' * 64}",)
    assert not found.simulated
    for period in (
        {"from": "2026-05-31", "to": "2026-05-31"},
        {"from": "2026-05-31", "to": "2026-06-01"},
    ):
        assert report(manifest(period=period)).claimed == ms(f"{period['to']}T23:59:59.999")
    issued = report(without(manifest(expires="2027-05-31"), "period"))
    assert issued.claimed == ms("2026-06-01T23:59:59.999")
    assert issued.expires == ms("2027-05-31T23:59:59.999")


@pytest.mark.parametrize(
    ("opinion", "result"),
    [("unqualified", "pass"), ("qualified", "fail"), ("adverse", "fail"), ("disclaimer", "fail")],
)
def test_only_an_unqualified_opinion_passes(opinion: str, result: str) -> None:
    assert only(report(manifest(opinion=opinion)).checks) == {"opinion": result}


def test_a_document_without_an_opinion_says_what_it_lists() -> None:
    clauses = without(manifest(checks={"audit-right": "pass"}, scope=[ORG, "other"]), "opinion")
    found = report(without(clauses, "auditor"))
    assert found.checks == {ORG: {"audit-right": "pass"}, "other": {"audit-right": "pass"}}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (manifest(checks={"opinion": "pass"}), CONTRADICTORY),
        (manifest(checks={"scope-covers-access": "pass"}), CONTRADICTORY),
        (manifest(period={"from": "2026-05-31", "to": "2025-06-01"}), CONTRADICTORY),
        (manifest(period={"from": "2025-06-01", "to": "2026-06-02"}), CONTRADICTORY),
        (manifest(period={"from": "2025-06-01"}), SHAPE),
        (manifest(exceptions={"CC6.1": -1}), SHAPE),
        (manifest(exceptions={"CC6.1": 0, "cc6-1": 5}), SHAPE),
        (manifest(exceptions={"6.1": 0}), SHAPE),
        (manifest(exceptions={"…": 0}), SHAPE),
        (manifest(report={"sha256": "7"}), SHAPE),
        (manifest(opinion="clean"), SHAPE),
        (manifest(scope=[]), SHAPE),
        (manifest(scope=["our systems"]), EvidenceReason.SCOPE_MISSING),
        (manifest(issued="June"), SHAPE),
        (manifest(more=1), SHAPE),
        (manifest(report={"sha256": "7" * 64, "more": 1}), SHAPE),
        (manifest(auditor={"name": "A", "more": 1}), SHAPE),
        (manifest(period={"from": "2025-06-01", "to": "2026-05-31", "more": 1}), SHAPE),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(value: Any, reason: EvidenceReason) -> None:
    assert refused(value).reason == reason


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (manifest(checks={"opinion": "pass"}), "$.checks"),
        (manifest(issued="June"), "$.issued"),
        (manifest(period={"from": "June", "to": "2026-05-31"}), "$.period.from"),
        (manifest(period={"from": "2025-06-01", "to": "May"}), "$.period.to"),
        (manifest(period={"from": "2026-05-31", "to": "2025-06-01"}), "$.period"),
        (manifest(expires="never"), "$.expires"),
        (manifest(exceptions={"6.1": 0}), "$.exceptions"),
    ],
)
def test_where_a_manifest_is_wrong_is_said(value: Any, where: str) -> None:
    assert refused(value).where == where


def test_a_title_is_a_line_of_200_characters_at_most() -> None:
    for length in (1, 200):
        report(manifest(title="x" * length))
    for length in (0, 201):
        assert refused(manifest(title="x" * length)).where == "$.title"


def test_a_criterion_is_named_by_its_letters_and_digits() -> None:
    found = report(manifest(exceptions={"  CC 6 / 1.": 0}))
    assert found.claims == {"cc_6_1_exceptions": 0}


# ── Drills ────────────────────────────────────────────────────────────────────────────────────────


def test_a_drill_claims_its_slowest_trial() -> None:
    found = report(drill())
    assert found.claims == {"revoked_after_ms": 450, "trials": 3, "missed": 0}
    assert (found.kind, found.claimed, found.checks) == ("drill.revoke", THEN, {ORG: {}})
    assert found.tool == "drill"


@pytest.mark.parametrize(("took", "seconds"), [(0, 0), (1, 1), (1000, 1), (1001, 2)])
def test_seconds_are_rounded_up(took: int, seconds: int) -> None:
    found = report(drill(timed={"told_after_s": [trial(0, took)]}))
    assert found.claims["told_after_s"] == seconds


def test_a_trial_that_never_ended_leaves_no_time() -> None:
    found = report(drill(timed={"cut_ms": [trial(0, 5), trial(1, None)], "told_s": [trial(0, 5)]}))
    assert found.claims == {"told_s": 1, "trials": 3, "missed": 1}
    assert found.notes == ("cut_ms: 1 of 2 trials ended, so it has no time",)


def test_a_drill_without_trials_says_nothing() -> None:
    assert refused(drill(timed={"cut_ms": []})).reason == EvidenceReason.EMPTY
    assert refused(drill(timed={}, counts={"unbound_accepted": 0})).reason == EvidenceReason.EMPTY


def test_a_probe_counts_what_it_observed() -> None:
    found = report(drill(timed={}, observed=4, counts={"unbound_accepted": 0}, simulated=True))
    assert found.claims == {"unbound_accepted": 0, "observed": 4}
    assert found.simulated
    checked = report(drill(ended=THEN, timed={}, checks={"joint-drill": "pass"}))
    assert not checked.simulated
    assert checked.checks == {ORG: {"joint-drill": "pass"}}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (drill(ended=THEN - 1), CONTRADICTORY),
        (drill(ended=THEN - 1, timed={}, checks={"joint-drill": "pass"}), CONTRADICTORY),
        (drill(timed={"cut_ms": [trial(-1, 5)]}), CONTRADICTORY),
        (drill(timed={"cut_ms": [trial(5, 4)]}), CONTRADICTORY),
        (drill(timed={"cut_ms": [trial(0, 60_001)]}), CONTRADICTORY),
        (drill(timed={"cut_ms": [trial(60_001, None)]}), CONTRADICTORY),
        (drill(observed=1, counts={"revoked_after_ms": 1}), CONTRADICTORY),
        (drill(observed=1, counts={"trials": 1}), CONTRADICTORY),
        (drill(observed=1, counts={"missed": 0}), CONTRADICTORY),
        (drill(observed=1, counts={"observed": 0}), CONTRADICTORY),
        (drill(timed={"cut": [trial(0, 5)]}), SHAPE),
        (drill(timed={"cut_ms": [{"from": THEN}]}), SHAPE),
        (drill(timed={"cut_ms": [trial(0, 5) | {"x": 1}]}), SHAPE),
        (drill(more=1), SHAPE),
        (drill(scope=""), EvidenceReason.SCOPE_MISSING),
    ],
)
def test_a_drill_that_cannot_be_is_refused(value: Any, reason: EvidenceReason) -> None:
    assert refused(value).reason == reason


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (drill(ended=THEN - 1), "$.ended"),
        (drill(observed=1, counts={"trials": 1}), "$.counts"),
        (drill(scope=""), "$.scope"),
        (drill(timed={"cut": [trial(0, 5)]}), "$.timed"),
    ],
)
def test_where_a_drill_is_wrong_is_said(value: Any, where: str) -> None:
    assert refused(value).where == where


# ── Observations ──────────────────────────────────────────────────────────────────────────────────


def test_an_observation_is_as_old_as_its_end_and_names_people_by_random_ids() -> None:
    found = report(observation(people=[BOB, ALICE, BOB], simulated=True))
    assert found.claims == {"undelegated_requests": 0, "bound_ppm": 1_000_000, "observed": 7}
    assert found.people == (ALICE, BOB)
    assert (found.kind, found.claimed, found.simulated) == ("gw.use", THEN, True)
    assert found.tool == "gateway"


def test_an_observation_may_be_of_an_instant() -> None:
    found = report(observation(**{"from": THEN}))
    assert found.claimed == THEN and not found.simulated


def test_of_nothing_observed_only_what_was_wrong_counts() -> None:
    found = report(observation(observed=0, counts={"undelegated_requests": 0, "alerts": 1}))
    assert found.claims == {"alerts": 1, "observed": 0}
    assert found.notes == ("1 count left out: nothing was observed",)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (observation(until=THEN - 86_400_001), CONTRADICTORY),
        (observation(counts={"observed": 1}), CONTRADICTORY),
        (observation(people=["alice"]), SHAPE),
        (observation(observed=-1), SHAPE),
        (observation(counts={"share": 0.5}), SHAPE),
        (observation(more=1), SHAPE),
    ],
)
def test_an_observation_that_cannot_be_is_refused(value: Any, reason: EvidenceReason) -> None:
    assert refused(value).reason == reason


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (observation(until=THEN - 86_400_001), "$.until"),
        (observation(counts={"observed": 1}), "$.counts"),
        (observation(scope=""), "$.scope"),
    ],
)
def test_where_an_observation_is_wrong_is_said(value: Any, where: str) -> None:
    assert refused(value).where == where
