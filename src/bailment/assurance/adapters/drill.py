"""Results of drills and probes: our own format (`formats/evidence.md`).

What was timed is there trial by trial, so that the numbers are made here and not believed: a claim
is the slowest trial, and one that never ended leaves no number at all.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bailment.assurance.adapters.observation import OBSERVED, telling
from bailment.assurance.adapters.reading import (
    ClaimId,
    KindId,
    Millis,
    Natural,
    Number,
    ReportId,
    Unreadable,
    as_type,
    scope_id,
)
from bailment.assurance.adapters.report import Report
from bailment.assurance.item import Result
from bailment.assurance.reasons import EvidenceReason
from bailment.spec.terms import CheckId

ADAPTER = "drill/1"

_TRIALS, _MISSED = "trials", "missed"
_UNITS = {"_ms": 1, "_s": 1000}


class _Trial(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    from_: Millis
    until: Millis | None


class _Drill(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["bailment-drill/v1"]
    id: ReportId
    kind: KindId
    scope: str
    started: Millis
    ended: Millis
    timed: dict[ClaimId, Annotated[list[_Trial], Meta(max_length=100_000)]] = {}
    observed: Natural = 0
    counts: dict[ClaimId, Number] = {}
    checks: dict[CheckId, Result] = {}
    simulated: bool = False


def recognises(value: Any) -> str:
    """The adapter's name, or empty."""
    match value:
        case {"format": "bailment-drill/v1"}:
            return ADAPTER
    return ""


def read(value: Any) -> Report:
    """The report; it is as old as the beginning of the drill."""
    said = as_type(value, _Drill)
    if said.ended < said.started:
        raise Unreadable(EvidenceReason.CONTRADICTORY, "it ends before it begins", "$.ended")
    if said.counts.keys() & {*said.timed, _TRIALS, _MISSED}:
        raise Unreadable(EvidenceReason.CONTRADICTORY, "a claim is said twice", "$.counts")
    claims, notes = telling(said.counts, said.observed)
    trials = missed = 0
    for name, some in said.timed.items():
        ended = [_took(trial, said, f"$.timed.{name}") for trial in some]
        times = [time for time in ended if time is not None]
        trials, missed = trials + len(some), missed + len(some) - len(times)
        if some and len(times) == len(some):
            claims[name] = -(-max(times) // _unit(name))  # rounded up
        else:
            notes.append(f"{name}: {len(times)} of {len(some)} trials ended, so it has no time")
    if trials:
        claims |= {_TRIALS: trials, _MISSED: missed}
    if said.observed:
        claims[OBSERVED] = said.observed
    return Report(
        adapter=ADAPTER,
        tool="drill",
        report=said.id,
        kind=said.kind,
        checks={scope_id(said.scope, "$.scope"): said.checks},
        claims=claims,
        claimed=said.started,
        notes=tuple(notes),
        simulated=said.simulated,
    )


def _took(trial: _Trial, drill: _Drill, where: str) -> int | None:
    """How long, in ms; None if it never ended."""
    end = drill.ended if trial.until is None else trial.until
    if not drill.started <= trial.from_ <= end <= drill.ended:
        raise Unreadable(
            EvidenceReason.CONTRADICTORY, "a trial is not within the drill, or ends early", where
        )
    return None if trial.until is None else trial.until - trial.from_


def _unit(name: str) -> int:
    for suffix, ms in _UNITS.items():
        if name.endswith(suffix):
            return ms
    raise Unreadable(EvidenceReason.SHAPE, f"`{name}` ends in neither `_s` nor `_ms`", "$.timed")
