"""Small files that would make much work: how much is done is counted, and the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from bailment.assurance.adapters import oscal as oscal_adapter
from bailment.assurance.adapters import recognition
from bailment.assurance.adapters import report as reports
from bailment.assurance.adapters.reading import Unreadable
from bailment.assurance.adapters.recognition import read
from bailment.assurance.adapters.report import MAX_CHECKS, MAX_RESULTS, Report
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused

from .reports import (
    ASSESSOR,
    ED25519,
    EVERY,
    attestation,
    data,
    drill,
    envelope,
    manifest,
    observed,
    oscal,
    refused,
    report,
    statement,
)


class Counted:
    """How often a function of a module was called."""

    def __init__(self, patch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self.calls: list[Any] = []
        called = getattr(module, name)

        def count(*given: Any, **named: Any) -> Any:
            self.calls.append(given)
            return called(*given, **named)

        patch.setattr(module, name, count)


@pytest.mark.parametrize("adapter", sorted(EVERY))
def test_a_file_of_another_kind_is_refused_before_it_is_read(
    adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = data(envelope(EVERY[adapter], ED25519))
    assert isinstance(read(sealed, [ASSESSOR], adapter), Report)
    formats = [one._replace(read=lambda value: pytest.fail("read")) for one in recognition._FORMATS]
    monkeypatch.setattr(recognition, "_FORMATS", formats)
    for body in (data(EVERY[adapter]), sealed):
        found = read(body, [ASSESSOR], "other/1")
        assert isinstance(found, EvidenceRefused)
        assert found.reason == EvidenceReason.KIND
        assert found.detail == f"it is `{adapter}` and not `other/1`"


def _assessment(findings: int, subjects: int, cited: bool) -> dict[str, Any]:
    scopes = [{"subject-uuid": f"s-{number}"} for number in range(subjects)]
    cites = [{"observation-uuid": "o"}] if cited else []
    told = [
        {
            "target": {"target-id": f"c-{number}", "status": {"state": "not-satisfied"}},
            "related-observations": cites,
        }
        for number in range(findings)
    ]
    return oscal(observations=[observed("o", subjects=scopes)], findings=told)


@pytest.mark.parametrize("cited", [True, False])
def test_findings_times_subjects_are_bounded(cited: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch, oscal_adapter, "record")
    monkeypatch.setattr(oscal_adapter, "plain", lambda text: text)
    named = Counted(monkeypatch, oscal_adapter, "scope_id")
    found = refused(_assessment(700, 1700, cited))
    assert found.reason == EvidenceReason.TOO_LARGE
    assert "more than 100000 results" in found.detail
    assert len(counted.calls) <= 2 * MAX_RESULTS
    assert len(named.calls) <= MAX_RESULTS
    assert len(report(_assessment(100, 500, cited)).checks) == 500


@pytest.mark.parametrize("cited", [True, False])
def test_an_assessment_may_say_as_much_as_a_report_does(
    cited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MAX_RESULTS", 6)
    assert len(report(_assessment(2, 3, cited)).checks) == 3
    counted = Counted(monkeypatch, oscal_adapter, "record")
    assert refused(_assessment(2, 4, cited)).reason == EvidenceReason.TOO_LARGE
    assert len(counted.calls) == 2 * 4  # of the first alone, each once more for its control


def test_findings_about_some_and_about_all_are_counted_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some, everything = (_assessment(1, 3, cited)["assessment-results"] for cited in (True, False))
    both = [*some["results"][0]["findings"], *everything["results"][0]["findings"]]
    both[1]["target"]["target-id"] = "c-1"
    told = oscal(
        observations=[
            *some["results"][0]["observations"],
            observed("p", subjects=[{"subject-uuid": "another"}]),
        ],
        findings=both,
    )
    monkeypatch.setattr(reports, "MAX_RESULTS", 7)
    assert {scope: len(checks) for scope, checks in report(told).checks.items()} == {
        "another": 1,
        **{f"s-{number}": 2 for number in range(3)},
    }
    monkeypatch.setattr(reports, "MAX_RESULTS", 6)
    assert refused(told).reason == EvidenceReason.TOO_LARGE


def test_what_an_assessment_says_of_everything_is_gathered_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = Counted(monkeypatch, oscal_adapter, "scope_id")
    report(_assessment(50, 40, cited=False))
    assert len(counted.calls) == 40


def test_a_report_has_a_hundred_thousand_results_at_most() -> None:
    reports.bounded(100_000)
    with pytest.raises(Unreadable):
        reports.bounded(100_001)


def _tested(subjects: int, tests: int) -> dict[str, Any]:
    names = [{"name": f"s-{number}", "digest": {}} for number in range(subjects)]
    told = statement(passedTests=[f"t-{number}" for number in range(tests)])
    return {**told, "subject": names}


def test_the_checks_that_all_subjects_share_are_hashed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed = Counted(monkeypatch, reports, "_hash")
    found = report(_tested(50, 1000))
    assert (len(found.checks), len(hashed.calls)) == (50, 2)
    assert report(_tested(50, 1000)).report == found.report
    assert report(_tested(50, 999)).report != found.report != report(_tested(49, 1000)).report


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (_tested(25, MAX_CHECKS), _tested(26, MAX_CHECKS)),
        (
            manifest(scope=["a"], checks={f"c-{at}": "pass" for at in range(MAX_CHECKS - 1)}),
            manifest(scope=["a"], checks={f"c-{at}": "pass" for at in range(MAX_CHECKS)}),
        ),
        (
            manifest(scope=[f"s-{at}" for at in range(1000)], checks=dict.fromkeys("abc", "pass")),
            manifest(
                scope=[f"s-{at}" for at in range(1000)],
                checks={f"c-{at}": "pass" for at in range(100)},
            ),
        ),
        (
            drill(checks={f"c-{at}": "pass" for at in range(MAX_CHECKS)}),
            drill(checks={f"c-{at}": "pass" for at in range(MAX_CHECKS + 1)}),
        ),
        (
            envelope(
                attestation(checks={f"c-{at}": "pass" for at in range(MAX_CHECKS - 1)}), ED25519
            ),
            envelope(attestation(checks={f"c-{at}": "pass" for at in range(MAX_CHECKS)}), ED25519),
        ),
    ],
)
def test_no_report_has_more_checks_than_one_may(
    small: Any, large: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(report(small, ASSESSOR), Report)
    hashed = Counted(monkeypatch, reports, "_hash")
    assert refused(large, ASSESSOR).reason == EvidenceReason.TOO_LARGE
    assert hashed.calls == []
