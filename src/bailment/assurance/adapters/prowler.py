"""Prowler's OCSF output: an array of Detection Findings (OCSF class 2004), one per resource.

`status` says whether a finding is new or muted (`Suppressed`), whatever was found: only
`status_code` is a verdict. Times are in seconds, although OCSF says milliseconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import msgspec

from bailment.assurance.adapters.reading import (
    Millis,
    ReportId,
    Unreadable,
    as_type,
    plain,
    scope_id,
)
from bailment.assurance.adapters.report import Checks, Report, record, worst
from bailment.assurance.item import Result
from bailment.assurance.reasons import EvidenceReason
from bailment.spec.prose import counted

ADAPTER = "prowler-ocsf/1"

_VERDICTS: dict[str, Result] = {"PASS": "pass", "FAIL": "fail"}
_DETECTION_FINDING = 2004
_SECONDS_BELOW = 10**11  # as milliseconds that is early in 1973


class _Product(msgspec.Struct):
    name: str
    version: str = ""


class _Metadata(msgspec.Struct):
    event_code: str
    product: _Product


class _Account(msgspec.Struct):
    uid: str | None = None


class _Cloud(msgspec.Struct):
    account: _Account


class _Unmapped(msgspec.Struct):
    scan_id: ReportId | None = None
    provider_uid: str | None = None


class _Finding(msgspec.Struct):
    class_uid: int
    metadata: _Metadata
    status_code: str
    time: Millis
    status: str = ""
    cloud: _Cloud | None = None
    unmapped: _Unmapped | None = None


def recognises(value: Any) -> str:
    """The adapter's name, or empty."""
    match value:
        case [{"metadata": {"product": {"name": "Prowler"}}}, *_]:
            return ADAPTER
    return ""


def read(value: Any) -> Report:
    """The report; a check passes in an account if it does for each resource."""
    findings = as_type(value, list[_Finding])
    checks: defaultdict[str, Checks] = defaultdict(dict)
    muted: Counter[str] = Counter()
    notes = []
    for at, finding in enumerate(findings):
        if finding.class_uid != _DETECTION_FINDING:
            raise Unreadable(EvidenceReason.SHAPE, "not a Detection Finding", f"$[{at}].class_uid")
        result, contradicted = _verdict(finding)
        check = finding.metadata.event_code
        record(checks[_scope(finding, at)], check, result)
        if finding.status == "Suppressed":
            muted[result] += 1
        if contradicted:
            notes.append(f"{plain(check)}: `status` and `status_code` differ; read as {result}")
    notes += (
        f"{counted(count, 'muted finding')} read as {result}" for result, count in muted.items()
    )
    scans = sorted({f.unmapped.scan_id for f in findings if f.unmapped and f.unmapped.scan_id})
    return Report(
        adapter=ADAPTER,
        tool=f"Prowler {plain(findings[0].metadata.product.version)}".rstrip(),
        report=scans[0] if len(scans) == 1 else "",
        checks=dict(checks),
        claimed=min(map(_time, findings)),
        besides=tuple(scans),
        notes=tuple(notes),
    )


def _verdict(finding: _Finding) -> tuple[Result, bool]:
    """What was found, and whether `status` says otherwise, in which case the worse holds."""
    said = [_VERDICTS.get(finding.status_code, "inconclusive")]
    if finding.status.upper() in _VERDICTS:
        said.append(_VERDICTS[finding.status.upper()])
    return worst(said), len(set(said)) > 1


def _scope(finding: _Finding, at: int) -> str:
    if finding.cloud is not None:
        return scope_id(finding.cloud.account.uid, f"$[{at}].cloud.account.uid")
    uid = finding.unmapped.provider_uid if finding.unmapped else None
    return scope_id(uid, f"$[{at}].unmapped.provider_uid")


def _time(finding: _Finding) -> int:
    return finding.time * 1000 if finding.time < _SECONDS_BELOW else finding.time
