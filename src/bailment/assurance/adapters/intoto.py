"""in-toto statements (v1) of test results: predicate `test-result/v0.1`.

A scope is the name of a subject. The predicate has no time; our collectors, and whoever else wants
a report to count as fresh, add `finishedOn` (RFC 3339), which the predicate's parsing rules allow.
A test that passed with warnings is no pass.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bailment.assurance.adapters.reading import as_type, scope_id, time_ms
from bailment.assurance.adapters.report import Checks, Report, check_name, record
from bailment.assurance.item import Result

ADAPTER = "in-toto-test-result/1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"


class Subject(msgspec.Struct):
    """A resource that a statement is about, by name and digests."""

    digest: dict[str, str]
    name: str | None = None


class _Configuration(msgspec.Struct):
    name: str | None = None
    uri: str | None = None
    digest: dict[str, str] = {}


class _TestResult(msgspec.Struct):
    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: list[_Configuration]
    passedTests: list[str] = []
    warnedTests: list[str] = []
    failedTests: list[str] = []
    url: str | None = None
    finishedOn: str | None = None


class _Statement(msgspec.Struct):
    subject: list[Subject]
    predicate: _TestResult


def recognises(value: Any) -> str:
    """The adapter's name, or empty."""
    match value:
        case {"_type": "https://in-toto.io/Statement/v1", "predicateType": kind}:
            return ADAPTER if kind == TEST_RESULT else ""
    return ""


def read(value: Any) -> Report:
    """The report; each test is a check."""
    statement = as_type(value, _Statement)
    said = statement.predicate
    checks: Checks = {}
    notes = []
    listed: tuple[tuple[list[str], Result], ...] = (
        (said.passedTests, "pass"),
        (said.warnedTests, "inconclusive"),
        (said.failedTests, "fail"),
    )
    for names, result in listed:
        for name in names:
            if checks.get(check_name(name), result) != result:
                notes.append(f"{check_name(name)}: listed twice, with different results")
            record(checks, name, result)
    if said.result == "FAILED" and not said.failedTests:
        notes.append("the run says FAILED, but it lists no failed test; its passes are no pass")
        checks = dict.fromkeys(checks, "inconclusive")
    elif said.result == "PASSED" and said.failedTests:
        notes.append("the run says PASSED, but it lists failed tests")
    scopes = [
        scope_id(one.name, f"$.subject[{at}].name") for at, one in enumerate(statement.subject)
    ]
    return Report(
        adapter=ADAPTER,
        tool="in-toto test-result",
        report="",
        checks=dict.fromkeys(scopes, checks),
        claimed=time_ms(said.finishedOn, "$.predicate.finishedOn") if said.finishedOn else None,
        besides=_besides(statement),
        notes=tuple(notes),
    )


def _besides(statement: _Statement) -> tuple[str, ...]:
    """The digests and places that tell this run from another one."""
    digests = [one.digest for one in statement.subject]
    digests += (one.digest for one in statement.predicate.configuration)
    return (
        *(f"{kind}:{value}" for digest in digests for kind, value in sorted(digest.items())),
        statement.predicate.url or "",
    )
