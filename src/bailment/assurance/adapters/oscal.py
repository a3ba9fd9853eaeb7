"""OSCAL assessment results (1.1 and 1.2): findings, and the observations that they rest on.

The official schemas and tools accept a finding that cites an observation which is not there, so
references are checked here. Of several results, only the newest counts. A finding is about the
subjects of its observations; it may target a whole control (`ac-2_obj`, `ac-2_smt`) or a part of
one, and while each part that is not satisfied fails its control, a part that is proves only itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from bailment.assurance.adapters.reading import (
    ReportId,
    Unreadable,
    as_type,
    plain,
    scope_id,
    time_ms,
)
from bailment.assurance.adapters.report import Checks, Report, bounded, record, worst
from bailment.assurance.item import Result
from bailment.assurance.reasons import EvidenceReason
from bailment.spec.prose import counted

ADAPTER = "oscal-ar/1"

_STATES: dict[str, Result] = {"satisfied": "pass", "not-satisfied": "fail"}
_REASONS: dict[str | None, Result] = {"pass": "pass", "fail": "fail"}
_WHOLE = ("obj", "smt")


class _Kebab(msgspec.Struct, rename="kebab"):
    pass


class _Listed(_Kebab):
    uuid: str


T = TypeVar("T", bound=_Listed)


class _Subject(_Kebab):
    subject_uuid: str


class _Observation(_Listed):
    collected: str
    expires: str | None = None
    subjects: list[_Subject] = []


class _Risk(_Listed):
    status: str


class _OfObservation(_Kebab):
    observation_uuid: str


class _OfRisk(_Kebab):
    risk_uuid: str


class _Status(_Kebab):
    state: str
    reason: str | None = None


class _Target(_Kebab):
    target_id: str
    status: _Status


class _Finding(_Kebab):
    target: _Target
    related_observations: list[_OfObservation] = []
    related_risks: list[_OfRisk] = []
    associated_risks: list[_OfRisk] = []  # their name in OSCAL 1.0


class _Result(_Kebab):
    start: str
    observations: list[_Observation] = []
    risks: list[_Risk] = []
    findings: list[_Finding] = []


class _Metadata(_Kebab):
    oscal_version: str


class _Assessment(_Kebab):
    uuid: ReportId
    metadata: _Metadata
    results: list[_Result]


class _Document(_Kebab):
    assessment_results: _Assessment


def recognises(value: Any) -> str:
    """The adapter's name, or empty."""
    match value:
        case {"assessment-results": _}:
            return ADAPTER
    return ""


def read(value: Any) -> Report:
    """The report; each finding's target is a check."""
    assessment = as_type(value, _Document).assessment_results
    if not assessment.results:
        raise Unreadable(EvidenceReason.EMPTY, "there are no results", "$.assessment-results")
    place = "$.assessment-results.results"
    starts = [
        time_ms(one.start, f"{place}[{at}].start") for at, one in enumerate(assessment.results)
    ]
    at = starts.index(max(starts))
    result, place = assessment.results[at], f"{place}[{at}]"
    notes = [f"{counted(len(starts) - 1, 'older result')} left out"] if len(starts) > 1 else []
    checks: dict[str, Checks] = {}
    for scopes, finding, verdict, doubt in _findings(result, place):
        if doubt:
            notes.append(f"{plain(finding.target.target_id)}: {doubt}; read as {verdict}")
        for scope in scopes:
            for check in _checks(finding.target.target_id, verdict):
                record(checks.setdefault(scope, {}), check, verdict)
    times = [
        (
            time_ms(one.collected, f"{place}.observations[{number}].collected"),
            one.expires and time_ms(one.expires, f"{place}.observations[{number}].expires"),
        )
        for number, one in enumerate(result.observations)
    ]
    return Report(
        adapter=ADAPTER,
        tool=f"OSCAL {plain(assessment.metadata.oscal_version)}",
        report=assessment.uuid.lower(),
        checks=checks,
        claimed=min((collected for collected, _ in times), default=starts[at]),
        expires=min((expires for _, expires in times if expires), default=None),
        notes=tuple(notes),
    )


def _findings(result: _Result, place: str) -> Iterator[tuple[list[str], _Finding, Result, str]]:
    """Each finding with its subjects, the verdict and what speaks against its word.

    Unreadable once all of them together have more subjects than a report may have results.
    """
    observations = _by_id(result.observations, f"{place}.observations")
    risks = _by_id(result.risks, f"{place}.risks")
    everything: list[str] = []
    results = 0
    for number, finding in enumerate(result.findings):
        where = f"{place}.findings[{number}]"
        seen = [
            _cited(one.observation_uuid, observations, where)
            for one in finding.related_observations
        ]
        fears = (*finding.related_risks, *finding.associated_risks)
        feared = [_cited(one.risk_uuid, risks, where) for one in fears]
        verdict, doubt = _verdict(finding.target.status, seen, feared)
        named = sum(len(one.subjects) for one in seen)
        if not named and not everything:
            everything = _subjects(result.observations, f"{place}.observations")
        results += named or len(everything)
        bounded(results)
        scopes = _subjects(seen, where) if named else everything
        if not scopes:
            scope_id(None, where)
        yield scopes, finding, verdict, doubt


def _verdict(status: _Status, seen: list[_Observation], feared: list[_Risk]) -> tuple[Result, str]:
    verdict = _STATES.get(status.state, "inconclusive")
    reason = _REASONS.get(status.reason, verdict)
    if reason != verdict:
        return worst((verdict, reason)), "its state and its reason differ"
    if verdict == "pass" and not seen:
        return "inconclusive", "satisfied without an observation"
    if verdict == "pass" and any(risk.status != "closed" for risk in feared):
        return "inconclusive", "satisfied with a risk that is not closed"
    return verdict, ""


def _checks(target: str, verdict: Result) -> Iterator[str]:
    """The target itself, and the control that it decides."""
    yield target
    control, _, rest = target.partition("_")
    if verdict != "pass" or rest in _WHOLE:
        yield control


def _by_id(listed: Sequence[T], where: str) -> dict[str, T]:
    found = {one.uuid: one for one in listed}
    if len(found) < len(listed):
        raise Unreadable(EvidenceReason.CONTRADICTORY, "two have the same `uuid`", where)
    return found


def _cited(uuid: str, listed: Mapping[str, T], where: str) -> T:
    found = listed.get(uuid)
    if found is None:
        raise Unreadable(
            EvidenceReason.CONTRADICTORY, f"it cites `{plain(uuid)}`, which is not there", where
        )
    return found


def _subjects(observations: Iterable[_Observation], where: str) -> list[str]:
    named = {subject.subject_uuid for one in observations for subject in one.subjects}
    return sorted({scope_id(one, where) for one in named})
