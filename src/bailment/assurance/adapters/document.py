"""Documents that people read: a manifest of what a SOC 2 report, a certificate or a contract says.

Our own format (`formats/evidence.md`). The document itself stays where it is; the manifest carries
its hash, what it covers, and what it says as checks and as exceptions per criterion. It is worth as
much as whoever signed the manifest: a recipient's own is the recipient's word.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bailment.assurance.adapters.reading import (
    KindId,
    Natural,
    ReportId,
    Unreadable,
    as_type,
    day_end_ms,
    plain,
    scope_id,
)
from bailment.assurance.adapters.report import COVERS_CHECK, Report
from bailment.assurance.item import Result
from bailment.assurance.reasons import EvidenceReason
from bailment.spec.terms import CheckId

ADAPTER = "document/1"
#: The check that says what the auditor's opinion was.
OPINION_CHECK = "opinion"

Title = Annotated[str, Meta(min_length=1, max_length=200)]


class _Period(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    from_: str
    to: str


class _Auditor(msgspec.Struct, forbid_unknown_fields=True):
    name: Title


class _File(msgspec.Struct, forbid_unknown_fields=True):
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["bailment-document/v1"]
    id: ReportId
    kind: KindId
    title: Title
    scope: Annotated[list[str], Meta(min_length=1, max_length=1000)]
    issued: str
    report: _File
    period: _Period | UnsetType = UNSET
    expires: str | UnsetType = UNSET
    auditor: _Auditor | UnsetType = UNSET
    opinion: Literal["unqualified", "qualified", "adverse", "disclaimer"] | UnsetType = UNSET
    exceptions: dict[Title, Natural] = {}
    checks: dict[CheckId, Result] = {}
    simulated: bool = False


def recognises(value: Any) -> str:
    """The adapter's name, or empty."""
    match value:
        case {"format": "bailment-document/v1"}:
            return ADAPTER
    return ""


def read(value: Any) -> Report:
    """The report; it is as old as the end of the period that it is about."""
    said = as_type(value, _Manifest)
    checks = dict(said.checks)
    if {OPINION_CHECK, COVERS_CHECK} & checks.keys():
        raise Unreadable(
            EvidenceReason.CONTRADICTORY,
            f"`{OPINION_CHECK}` and `{COVERS_CHECK}` follow from `opinion` and `scope`",
            "$.checks",
        )
    if said.opinion:
        checks[OPINION_CHECK] = "pass" if said.opinion == "unqualified" else "fail"
    claimed = day_end_ms(said.issued, "$.issued")
    if said.period:
        start = day_end_ms(said.period.from_, "$.period.from")
        end = day_end_ms(said.period.to, "$.period.to")
        if not start <= end <= claimed:
            raise Unreadable(
                EvidenceReason.CONTRADICTORY, "the period does not end before the issue", "$.period"
            )
        claimed = end
    return Report(
        adapter=ADAPTER,
        tool=plain(said.title),
        report=said.id,
        kind=said.kind,
        checks={scope_id(one, f"$.scope[{at}]"): checks for at, one in enumerate(said.scope)},
        claims=_exceptions(said.exceptions),
        claimed=claimed,
        expires=day_end_ms(said.expires, "$.expires") if said.expires else None,
        covers=True,
        notes=(f"declares the document {said.report.sha256}",),
        simulated=said.simulated,
    )


def _exceptions(found: dict[str, int]) -> dict[str, int]:
    """`{"CC6.1": 0}` as the claim `cc6_1_exceptions`."""
    claims: dict[str, int] = {}
    for criterion, count in found.items():
        name = re.sub(r"[^a-z0-9]+", "_", criterion.lower()).strip("_") + "_exceptions"
        if name in claims or not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
            raise Unreadable(
                EvidenceReason.SHAPE, f"`{plain(criterion)}` is no criterion", "$.exceptions"
            )
        claims[name] = count
    return claims
