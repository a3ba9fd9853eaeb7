"""What the issuer's own gateway saw: our own format (`formats/evidence.md`), made from the log.

A zero says something only where there was something to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from bailment.assurance.adapters.reading import (
    ClaimId,
    KindId,
    Millis,
    Natural,
    Number,
    PersonId,
    ReportId,
    Unreadable,
    as_type,
    scope_id,
)
from bailment.assurance.adapters.report import Report
from bailment.assurance.reasons import EvidenceReason
from bailment.spec.prose import counted
from bailment.spec.terms import GATEWAY

ADAPTER = GATEWAY
#: How many things the other claims are about; a name that no count may have.
OBSERVED = "observed"


class Observation(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    """What was seen of a recipient from `from_` (ms) until `until`.

    `observed` is how many requests, links or whatever the kind is about there were; `people` are
    the random ids of those seen.
    """

    format: Literal["bailment-observation/v1"]
    id: ReportId
    kind: KindId
    scope: str
    from_: Millis
    until: Millis
    observed: Natural
    counts: dict[ClaimId, Number] = {}
    people: tuple[PersonId, ...] = ()
    simulated: bool = False


def recognises(value: Any) -> str:
    """The adapter's name, or empty."""
    match value:
        case {"format": "bailment-observation/v1"}:
            return ADAPTER
    return ""


def read(value: Any) -> Report:
    """The report of an observation's JSON value; it is as old as the end of its window."""
    seen = as_type(value, Observation)
    if seen.until < seen.from_:
        raise Unreadable(EvidenceReason.CONTRADICTORY, "it ends before it begins", "$.until")
    claims, notes = telling(seen.counts, seen.observed)
    return Report(
        adapter=ADAPTER,
        tool="gateway",
        report=seen.id,
        kind=seen.kind,
        checks={scope_id(seen.scope, "$.scope"): {}},
        claims={**claims, OBSERVED: seen.observed},
        people=tuple(sorted(set(seen.people))),
        claimed=seen.until,
        notes=tuple(notes),
        simulated=seen.simulated,
    )


def telling(counts: Mapping[str, int], observed: int) -> tuple[dict[str, int], list[str]]:
    """The counts that say something, and notes on those that do not.

    Of nothing, that nothing was wrong is no news; that something was still is.
    """
    if OBSERVED in counts:
        raise Unreadable(EvidenceReason.CONTRADICTORY, "`observed` is said twice", "$.counts")
    told = {name: count for name, count in counts.items() if observed or count}
    left = len(counts) - len(told)
    return told, [f"{counted(left, 'count')} left out: nothing was observed"] if left else []
