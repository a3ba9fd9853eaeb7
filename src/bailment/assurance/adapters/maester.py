"""Maester results: Pester tests of a Microsoft 365 tenant.

Windows PowerShell writes a byte order mark before them. Only `Passed` passes; `Skipped`, `NotRun`,
`Error` and `Investigate` are no verdicts. The tool's own totals may disagree with its list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from bailment.assurance.adapters.reading import as_type, plain, scope_id, time_ms
from bailment.assurance.adapters.report import Checks, Report, check_name, disagreement, record
from bailment.assurance.item import Result

ADAPTER = "maester/1"

_VERDICTS: dict[str, Result] = {"Passed": "pass", "Failed": "fail"}


class _Detail(msgspec.Struct):
    TestSkipped: Any = None
    SkippedReason: Any = None
    TestInvestigate: Any = None


class _Test(msgspec.Struct):
    Id: str
    Result: str
    ErrorRecord: Any = None
    ResultDetail: _Detail | None = None


class _Results(msgspec.Struct):
    TenantId: str
    ExecutedAt: str
    Tests: list[_Test]
    Result: str = ""
    CurrentVersion: str | None = None
    PassedCount: int | None = None
    FailedCount: int | None = None
    SkippedCount: int | None = None
    NotRunCount: int | None = None
    ErrorCount: int | None = None
    InvestigateCount: int | None = None
    TotalCount: int | None = None


def recognises(value: Any) -> str:
    """The adapter's name, or empty."""
    match value:
        case {"TenantId": _, "ExecutedAt": _, "Tests": [*_]}:
            return ADAPTER
    return ""


def read(value: Any) -> Report:
    """The report; each test is a check, under the id before the colon of its name."""
    results = as_type(value, _Results)
    checks: Checks = {}
    notes = list(_totals(results))
    for test in results.Tests:
        result = _VERDICTS.get(test.Result, "inconclusive")
        if result == "pass" and (doubt := _doubt(test)):
            result = "inconclusive"
            notes.append(f"{check_name(test.Id)}: Passed, but {doubt}; read as inconclusive")
        record(checks, test.Id, result)
    return Report(
        adapter=ADAPTER,
        tool=f"Maester {plain(results.CurrentVersion or '')}".rstrip(),
        report="",
        checks={scope_id(results.TenantId, "$.TenantId"): checks},
        claimed=time_ms(results.ExecutedAt, "$.ExecutedAt"),
        notes=tuple(notes),
    )


def _doubt(test: _Test) -> str:
    """What another field of a test that passed says against it."""
    detail = test.ResultDetail or _Detail()
    if test.ErrorRecord:
        return "with an error record"
    if detail.TestSkipped or detail.SkippedReason:
        return "skipped"
    return "to be investigated" if detail.TestInvestigate else ""


def _totals(results: _Results) -> Iterator[str]:
    counted = Counter(test.Result for test in results.Tests)
    for word in ("Passed", "Failed", "Skipped", "NotRun", "Error", "Investigate"):
        said = getattr(results, f"{word}Count")
        if said is not None:
            yield from disagreement(word, said, counted[word])
    if results.TotalCount is not None:
        yield from disagreement("tests", results.TotalCount, len(results.Tests))
    if results.Result == "Passed" and counted["Failed"]:
        yield "the run says Passed, but it lists failed tests"
