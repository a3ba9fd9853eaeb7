"""ScubaGear and ScubaGoggles results: CISA's baselines for Microsoft 365 and Google Workspace.

ScubaGear 1.8 and ScubaGoggles 1.1. The operator can omit a policy or mark a result as incorrect,
both in `Result`; what the tool found is in `OriginalResult`. ScubaGear writes a byte order mark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from bailment.assurance.adapters.reading import (
    ReportId,
    Unreadable,
    as_type,
    plain,
    scope_id,
    time_ms,
)
from bailment.assurance.adapters.report import (
    Checks,
    Report,
    check_name,
    disagreement,
    record,
    worst,
)
from bailment.assurance.item import Result
from bailment.assurance.reasons import EvidenceReason

ADAPTERS = {"ScubaGear": "scubagear/1", "ScubaGoggles": "scubagoggles/1"}

# A warning is a policy that should hold and does not. All other words are no verdict.
_VERDICTS: dict[str | None, Result] = {"Pass": "pass", "Fail": "fail", "Warning": "fail"}
_OMITTED, _INCORRECT = "Omitted", "Incorrect result"
_NOTHING = (None, "", "N/A")
_TOTALS = {"Passes": "Pass", "Failures": "Fail", "Warnings": "Warning"}


class _MetaData(msgspec.Struct):
    Tool: str
    TenantId: str
    TimestampZulu: str
    ReportUUID: ReportId
    ToolVersion: str = ""


class _Control(msgspec.Struct):
    id: str = msgspec.field(name="Control ID")
    Result: str | None = None
    OriginalResult: str | None = None
    IncorrectResult: str | None = None
    OmittedEvaluationResult: str | None = None


class _Group(msgspec.Struct):
    Controls: list[_Control]


class _Results(msgspec.Struct):
    MetaData: _MetaData
    Results: dict[str, list[_Group]]
    Summary: dict[str, Any] = {}
    Raw: Any = None


def recognises(value: Any) -> str:
    """The adapter's name, or empty."""
    if not isinstance(value, dict) or not isinstance(value.get("MetaData"), dict):
        return ""
    tool = value["MetaData"].get("Tool")
    return ADAPTERS.get(tool, "") if isinstance(tool, str) else ""


def read(value: Any) -> Report:
    """The report; each control is a check, under its versioned id."""
    results = as_type(value, _Results)
    meta = results.MetaData
    scope = scope_id(meta.TenantId, "$.MetaData.TenantId")
    _check_raw(results)
    checks: Checks = {}
    notes: list[str] = []
    for product, groups in results.Results.items():
        words: Counter[str | None] = Counter()
        for control in (control for group in groups for control in group.Controls):
            words[control.Result] += 1
            result, oddities = _verdict(control)
            record(checks, control.id, result)
            notes += (f"{check_name(control.id)}: {oddity}" for oddity in oddities)
        notes += _totals(product, results.Summary.get(product), words)
    return Report(
        adapter=ADAPTERS[meta.Tool],
        tool=f"{meta.Tool} {plain(meta.ToolVersion)}".rstrip(),
        report=meta.ReportUUID.lower(),
        checks={scope: checks},
        claimed=time_ms(meta.TimestampZulu, "$.MetaData.TimestampZulu"),
        notes=tuple(notes),
    )


def _verdict(control: _Control) -> tuple[Result, Iterator[str]]:
    """The worst that the control's fields say of it, and what is odd about them."""
    original = control.Result if control.OriginalResult is None else control.OriginalResult
    words = [original]
    if control.Result not in (None, _OMITTED, _INCORRECT):
        words.append(control.Result)
    words += (
        word
        for word in (control.IncorrectResult, control.OmittedEvaluationResult)
        if word not in _NOTHING
    )
    said = [_VERDICTS.get(word, "inconclusive") for word in words]
    result = worst(said)
    incorrect = control.Result == _INCORRECT or control.IncorrectResult not in _NOTHING
    if incorrect and result == "pass":  # by the recipient's own word it does not pass
        result = "inconclusive"
    return result, _oddities(control, said, result, incorrect)


def _oddities(
    control: _Control, said: list[Result], result: Result, incorrect: bool
) -> Iterator[str]:
    if len(set(said)) > 1:
        yield f"its fields say {' and '.join(sorted(set(said)))}; read as {result}"
    if incorrect:
        yield f"marked as incorrect by who ran the tool; read as {result}"
    if control.Result == _OMITTED:
        yield f"left out by who ran the tool; what it found is {result}"


def _totals(product: str, said: Any, counted: Counter[str | None]) -> Iterator[str]:
    for total, word in _TOTALS.items():
        if isinstance(said, dict) and isinstance(said.get(total), int):
            yield from disagreement(f"{plain(product)} {total.lower()}", said[total], counted[word])


def _check_raw(results: _Results) -> None:
    """The raw settings, if they are there, are of the same run and tenant as the heading."""
    raw = results.Raw if isinstance(results.Raw, dict) else {}
    tenants = raw.get("tenant_details")
    found = [("report_uuid", raw.get("report_uuid"), results.MetaData.ReportUUID)]
    found += (
        ("tenant_details", tenant.get("TenantId"), results.MetaData.TenantId)
        for tenant in (tenants if isinstance(tenants, list) else ())
        if isinstance(tenant, dict)
    )
    for name, inside, outside in found:
        if isinstance(inside, str) and inside.lower() != outside.lower():
            raise Unreadable(
                EvidenceReason.CONTRADICTORY,
                "the raw settings are of another run or tenant than the heading",
                f"$.Raw.{name}",
            )
