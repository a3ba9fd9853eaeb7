"""What scanners say, and what it is read as: only a plain pass is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bailment.assurance.adapters.report import finished, worst
from bailment.assurance.reasons import EvidenceReason

from .reports import (
    ACCOUNT,
    TENANT,
    THEN,
    finding,
    maester,
    maester_test,
    only,
    refused,
    report,
    scubagear,
    scubagoggles,
    with_,
    without,
)


def scuba_result(**fields: Any) -> tuple[str, tuple[str, ...]]:
    found = report(scubagear(**fields))
    return only(only(found.checks)), found.notes


def test_scubagear_says_which_tenant_run_and_time_it_is_of() -> None:
    found = report(scubagear())
    assert (found.adapter, found.tool) == ("scubagear/1", "ScubaGear 1.8.0")
    assert found.report == "fa0b1c2d-0000-4000-8000-000000000001"
    assert found.claimed == THEN
    assert found.checks == {TENANT: {"MS.AAD.3.1v1": "pass"}}
    assert found.notes == ()
    assert (found.covers, found.simulated, found.signed, found.strangers) == (False,) * 3 + (0,)


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("Pass", "pass"),
        ("Fail", "fail"),
        ("Warning", "fail"),
        ("N/A", "inconclusive"),
        ("Error", "inconclusive"),
        ("Error - Test results missing", "inconclusive"),
        ("No events found", "inconclusive"),
        ("-", "inconclusive"),
        ("pass", "inconclusive"),
        ("", "inconclusive"),
    ],
)
def test_scuba_words_are_verdicts_or_nothing(word: str, result: str) -> None:
    assert scuba_result(Result=word, OriginalResult=word)[0] == result
    goggles = report(scubagoggles(Result=word, OriginalResult=word))
    assert (goggles.adapter, only(only(goggles.checks))) == ("scubagoggles/1", result)


def test_a_policy_that_the_operator_left_out_is_what_the_tool_found() -> None:
    for original, result in (("Fail", "fail"), ("Pass", "pass"), ("N/A", "inconclusive")):
        got, notes = scuba_result(
            Result="Omitted", OmittedEvaluationResult=original, OriginalResult=original
        )
        assert got == result
        assert any("left out by who ran the tool" in note for note in notes)


def test_an_omitted_policy_without_an_original_result_is_inconclusive() -> None:
    assert scuba_result(Result="Omitted", OriginalResult=None)[0] == "inconclusive"


def test_a_failure_that_the_operator_calls_incorrect_stays_one() -> None:
    got, notes = scuba_result(
        Result="Incorrect result", IncorrectResult="Fail", OriginalResult="Fail"
    )
    assert got == "fail"
    assert notes[0] == "MS.AAD.3.1v1: marked as incorrect by who ran the tool; read as fail"


@pytest.mark.parametrize("fields", [{"Result": "Incorrect result"}, {"IncorrectResult": "Pass"}])
def test_a_pass_that_the_operator_calls_incorrect_is_none(fields: dict[str, str]) -> None:
    got, notes = scuba_result(OriginalResult="Pass", **fields)
    assert got == "inconclusive"
    assert any("marked as incorrect" in note for note in notes)


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"Result": "Pass", "OriginalResult": "Fail"}, "fail"),
        ({"Result": "Fail", "OriginalResult": "Pass"}, "fail"),
        ({"Result": "N/A", "OriginalResult": "Pass"}, "inconclusive"),
        ({"OriginalResult": "Pass", "OmittedEvaluationResult": "Fail"}, "fail"),
        ({"OriginalResult": "Pass", "IncorrectResult": "Fail"}, "fail"),
    ],
)
def test_of_fields_that_disagree_the_worse_holds(fields: dict[str, str], result: str) -> None:
    got, notes = scuba_result(**fields)
    assert got == result
    assert any(f"read as {result}" in note for note in notes)


def test_an_old_scubagear_without_original_results_is_read_by_its_results() -> None:
    assert scuba_result(Result="Fail", OriginalResult=None)[0] == "fail"
    assert scuba_result(Result="Pass", OriginalResult=None)[0] == "pass"


def test_a_control_that_is_listed_twice_passes_only_if_both_do() -> None:
    groups = scubagear(Result="Fail", OriginalResult="Fail")["Results"]["AAD"]
    for listed in (groups + scubagear()["Results"]["AAD"], scubagear()["Results"]["AAD"] + groups):
        both = with_(scubagear(), listed, "Results", "AAD")
        assert only(only(report(both).checks)) == "fail"


@pytest.mark.parametrize(
    ("total", "word"), [("Passes", "Pass"), ("Failures", "Fail"), ("Warnings", "Warning")]
)
def test_scuba_totals_that_are_not_what_is_listed_are_noted(total: str, word: str) -> None:
    listed = scubagear(Result=word, OriginalResult=word)
    assert report(with_(listed, {total: 1}, "Summary", "AAD")).notes == ()
    wrong = with_(listed, {total: 2}, "Summary", "AAD")
    assert report(wrong).notes == (f"the tool's total of AAD {total.lower()} is 2, but it lists 1",)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (("Raw", "report_uuid"), "$.Raw.report_uuid"),
        (("Raw", "tenant_details", 0, "TenantId"), "$.Raw.tenant_details"),
    ],
)
def test_settings_of_another_run_or_tenant_are_refused(
    path: tuple[str | int, ...], where: str
) -> None:
    other = with_(scubagear(), "00000000-0000-4000-8000-00000000000f", *path)
    found = refused(other)
    assert (found.reason, found.where) == (EvidenceReason.CONTRADICTORY, where)


def test_settings_that_were_left_out_or_look_otherwise_are_no_reason_to_refuse() -> None:
    raws: list[Any] = [None, [], {}, {"tenant_details": "none"}, {"tenant_details": [1, {}]}]
    for raw in raws:
        report(with_(scubagear(), raw, "Raw"))
    report(without(scubagear(), "Raw"))
    report(without(scubagear(), "Summary"))


SHAPE, NO_SCOPE = EvidenceReason.SHAPE, EvidenceReason.SCOPE_MISSING


@pytest.mark.parametrize(
    ("path", "new", "reason", "where"),
    [
        ("MetaData TenantId", None, SHAPE, "$.MetaData.TenantId"),
        ("MetaData TenantId", "our tenant", NO_SCOPE, "$.MetaData.TenantId"),
        ("MetaData TenantId", "", NO_SCOPE, "$.MetaData.TenantId"),
        ("MetaData ReportUUID", "", SHAPE, "$.MetaData.ReportUUID"),
        ("MetaData TimestampZulu", "today", SHAPE, "$.MetaData.TimestampZulu"),
        ("MetaData TimestampZulu", "2026-06-01T12:00:00", SHAPE, "$.MetaData.TimestampZulu"),
        ("MetaData TimestampZulu", "2026-13-01T12:00:00Z", SHAPE, "$.MetaData.TimestampZulu"),
        ("MetaData TimestampZulu", "0001-01-01T12:00:00Z", SHAPE, "$.MetaData.TimestampZulu"),
        ("MetaData TimestampZulu", "0001-01-01T00:00:00+14:00", SHAPE, "$.MetaData.TimestampZulu"),
        ("Results AAD", {}, SHAPE, "$.Results[...]"),
        ("Results AAD 0 Controls", None, SHAPE, "$.Results[...][0].Controls"),
        ("Results", {}, EvidenceReason.EMPTY, ""),
    ],
)
def test_scuba_results_of_the_wrong_shape_are_refused_with_the_place(
    path: str, new: Any, reason: EvidenceReason, where: str
) -> None:
    steps = (int(step) if step.isdigit() else step for step in path.split())
    found = refused(with_(scubagear(), new, *steps))
    assert (found.reason, found.where) == (reason, where)


def test_prowlers_verdict_is_its_status_code() -> None:
    for code, result in (
        ("PASS", "pass"),
        ("FAIL", "fail"),
        ("MANUAL", "inconclusive"),
        ("MUTED", "inconclusive"),
        ("", "inconclusive"),
    ):
        found = report([finding(status_code=code)])
        assert found.checks == {ACCOUNT: {"cloudtrail_log_file_validation_enabled": result}}
        assert found.notes == ()


def test_a_muted_failure_is_one() -> None:
    found = report([finding(status="Suppressed", status_code="FAIL")])
    assert only(only(found.checks)) == "fail"
    assert found.notes == ("1 muted finding read as fail",)


@pytest.mark.parametrize("code, status", [("PASS", "FAIL"), ("FAIL", "pass")])
def test_a_status_that_says_otherwise_makes_a_failure(code: str, status: str) -> None:
    found = report([finding(status=status, status_code=code)])
    assert only(only(found.checks)) == "fail"
    assert "`status` and `status_code` differ" in found.notes[0]


def test_a_check_passes_in_an_account_if_it_does_for_each_resource() -> None:
    found = report(
        [
            finding(),
            finding(status_code="FAIL"),
            finding(),
            finding(account="other", status_code="MANUAL"),
            finding(account="other"),
            finding(account="good"),
        ]
    )
    check = "cloudtrail_log_file_validation_enabled"
    assert found.checks == {
        ACCOUNT: {check: "fail"},
        "other": {check: "inconclusive"},
        "good": {check: "pass"},
    }


def test_prowler_is_as_old_as_its_oldest_finding_in_seconds_or_ms() -> None:
    found = report([finding(), finding(time=THEN // 1000 - 60), finding(time=THEN)])
    assert found.claimed == THEN - 60_000


def test_prowlers_times_may_be_in_ms_as_the_standard_says() -> None:
    assert report([finding(time=THEN)]).claimed == THEN
    assert report([finding(time=10**11)]).claimed == 10**11
    assert report([finding(time=10**11 - 1)]).claimed == (10**11 - 1) * 1000


def test_an_account_is_the_findings_own_whatever_the_provider_is() -> None:
    one = with_(finding(), "tenant", "unmapped", "provider_uid")
    assert list(report([one]).checks) == [ACCOUNT]


def test_older_findings_have_no_scan() -> None:
    first, second = without(finding(), "unmapped"), without(finding(), "unmapped", "scan_id")
    assert report([first]).report == report([second]).report
    assert report([first, finding()]).report == "scan-1"


def test_one_scan_is_a_report_and_several_are_another_one() -> None:
    one, two = finding(), finding(scan="scan-2")
    assert report([one]).report == "scan-1"
    both = report([one, two])
    assert both.report.startswith("derived:")
    assert both.report == report([two, one]).report
    assert both.report != report([one, finding(scan="scan-3")]).report
    scans = [f"scan-{number}" for number in range(20)]
    assert report([finding(scan=scan) for scan in scans]).besides == tuple(sorted(scans))


def test_a_cluster_has_no_cloud_account_but_an_id_of_its_own() -> None:
    cluster = without(finding(account="cluster-1"), "cloud")
    assert list(report([cluster]).checks) == ["cluster-1"]
    found = refused([finding(), without(cluster, "unmapped")])
    assert (found.reason, found.where) == (
        EvidenceReason.SCOPE_MISSING,
        "$[1].unmapped.provider_uid",
    )


@pytest.mark.parametrize(
    ("path", "new", "where"),
    [
        (("status_code",), None, "$[0].status_code"),
        (("time",), "now", "$[0].time"),
        (("time",), -1, "$[0].time"),
        (("time",), 1.5, "$[0].time"),
        (("class_uid",), 2003, "$[0].class_uid"),
        (("metadata", "event_code"), 1, "$[0].metadata.event_code"),
        (("unmapped", "scan_id"), "a b", "$[0].unmapped.scan_id"),
    ],
)
def test_findings_of_the_wrong_shape_are_refused_with_the_place(
    path: tuple[str, ...], new: Any, where: str
) -> None:
    found = refused([with_(finding(), new, *path)])
    assert (found.reason, found.where) == (EvidenceReason.SHAPE, where)


def test_maester_says_which_tenant_and_time_it_is_of() -> None:
    found = report(maester())
    assert (found.adapter, found.tool, found.claimed) == ("maester/1", "Maester 1.2.0", THEN)
    assert found.checks == {TENANT: {"MT.1007": "pass"}}
    assert found.notes == ()
    assert "admin" not in repr(found)


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("Passed", "pass"),
        ("Failed", "fail"),
        ("Skipped", "inconclusive"),
        ("NotRun", "inconclusive"),
        ("Error", "inconclusive"),
        ("Investigate", "inconclusive"),
        ("passed", "inconclusive"),
    ],
)
def test_only_passed_passes(word: str, result: str) -> None:
    assert only(only(report(maester(maester_test(word))).checks)) == result


@pytest.mark.parametrize(
    ("fields", "doubt"),
    [
        ({"ErrorRecord": ["boom"]}, "with an error record"),
        ({"ResultDetail": {"SkippedReason": "not licensed"}}, "skipped"),
        ({"ResultDetail": {"TestSkipped": "Custom"}}, "skipped"),
        ({"ResultDetail": {"TestInvestigate": True}}, "to be investigated"),
    ],
)
def test_a_pass_that_another_field_doubts_is_none(fields: dict[str, Any], doubt: str) -> None:
    found = report(maester(maester_test() | fields))
    assert only(only(found.checks)) == "inconclusive"
    assert found.notes == (f"MT.1007: Passed, but {doubt}; read as inconclusive",)


def test_a_failure_is_not_mended_by_a_doubt() -> None:
    found = report(maester(maester_test("Failed") | {"ErrorRecord": ["boom"]}))
    assert only(only(found.checks)) == "fail"


def test_maesters_totals_are_counted_again() -> None:
    found = report(
        maester(maester_test(), maester_test("Failed", "MT.2"), TotalCount=3, FailedCount=0)
    )
    assert found.notes == (
        "the tool's total of Failed is 0, but it lists 1",
        "the tool's total of tests is 3, but it lists 2",
        "the run says Passed, but it lists failed tests",
    )


def test_a_failed_run_may_list_failures_and_totals_may_be_left_out() -> None:
    bad = maester(maester_test("Failed"), Result="Failed")
    assert report(bad).notes == ()
    for name in ("TotalCount", "PassedCount", "FailedCount", "SkippedCount"):
        bad = without(bad, name)
    bare = bad | {"CurrentVersion": None}
    bare["Tests"][0]["ResultDetail"] = None
    assert (report(bare).notes, report(bare).tool) == ((), "Maester")
    bare["Tests"][0]["Result"] = "Passed"
    assert only(only(report(bare).checks)) == "pass"


def test_a_run_that_was_not_connected_is_about_no_tenant() -> None:
    found = refused(maester(TenantId="TenantId (not connected to Graph)"))
    assert (found.reason, found.where) == (EvidenceReason.SCOPE_MISSING, "$.TenantId")


def test_a_run_at_no_time_is_refused_with_the_place() -> None:
    found = refused(maester(ExecutedAt="today"))
    assert (found.reason, found.where) == (EvidenceReason.SHAPE, "$.ExecutedAt")


def test_a_run_is_the_same_report_however_it_is_spelled_and_another_one_later() -> None:
    first = report(maester())
    assert first.report == report(maester(Account="somebody else")).report
    assert first.report != report(maester(ExecutedAt="2026-06-02T22:00:00+10:00")).report
    assert first.report != report(maester(maester_test("Failed"))).report
    tests = [maester_test(), maester_test(id="MT.2")]
    assert report(maester(*tests)).report == report(maester(*reversed(tests))).report


def test_names_of_tests_become_ids_that_a_spec_can_name() -> None:
    found = report(
        maester(
            maester_test(id="Ünsere  § Prüfung"), maester_test(id="x" * 300), maester_test(id="")
        )
    )
    assert set(only(found.checks)) == {"_nsere_Pr_fung", "x" * 128, "_"}


def test_too_many_different_checks_are_refused() -> None:
    tests = [maester_test(id=f"T.{n}") for n in range(4001)]
    assert refused(maester(*tests)).reason == EvidenceReason.TOO_LARGE
    assert len(only(report(maester(*tests[:4000])).checks)) == 4000
    assert worst([]) == "inconclusive"


def test_many_oddities_are_counted_and_not_all_told() -> None:
    odd = [maester_test(id=f"T.{n}") | {"ErrorRecord": ["x"]} for n in range(100)]
    notes = report(maester(*odd)).notes
    assert len(notes) == 31
    assert notes[-1] == "70 more notes"
    long = finished(replace(report(scubagear()), notes=("x" * 400,)), b"")
    assert long.notes == ("x" * 300,)
