"""Signed statements: our in-toto predicate `urn:bailment:attestation:v1` (`formats/evidence.md`).

Somebody who can be held to it says that something is so: an executive that the organisation meets a
tier, an employer that these people were screened. It says which kind of evidence it is, so that one
statement cannot stand for another, and is nothing without the signature around it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bailment.assurance.adapters.intoto import Subject
from bailment.assurance.adapters.reading import (
    ClaimId,
    KindId,
    Number,
    PersonId,
    ReportId,
    Unreadable,
    as_type,
    scope_id,
    time_ms,
)
from bailment.assurance.adapters.report import Report
from bailment.assurance.item import Result
from bailment.assurance.reasons import EvidenceReason
from bailment.spec.terms import TIERS, CheckId, TierName

ADAPTER = "dsse-attestation/1"
PREDICATE = "urn:bailment:attestation:v1"
#: The check that an attestation of a tier passes, and the claim that says which tier, 1 to 4.
TIER_CHECK, TIER_CLAIM = "tier-attestation", "tier"


class _Attestation(msgspec.Struct, forbid_unknown_fields=True):
    id: ReportId
    kind: KindId
    statement: Annotated[str, Meta(min_length=1, max_length=4000)]
    attested: str
    expires: str | UnsetType = UNSET
    tier: TierName | UnsetType = UNSET
    claims: dict[ClaimId, Number] = {}
    checks: dict[CheckId, Result] = {}
    people: list[PersonId] = []
    simulated: bool = False


class _Statement(msgspec.Struct):
    subject: list[Subject]
    predicate: _Attestation
    predicateType: Literal["urn:bailment:attestation:v1"]


def recognises(value: Any) -> str:
    """The adapter's name, or empty."""
    match value:
        case {"_type": "https://in-toto.io/Statement/v1", "predicateType": kind}:
            return ADAPTER if kind == PREDICATE else ""
    return ""


def read(value: Any) -> Report:
    """The report; of a tier, the subject's digest is that of the spec that the tier is of."""
    statement = as_type(value, _Statement)
    said = statement.predicate
    if len(statement.subject) != 1:
        raise Unreadable(EvidenceReason.SHAPE, "there must be one subject", "$.subject")
    (subject,) = statement.subject
    checks, claims = dict(said.checks), dict(said.claims)
    notes: tuple[str, ...] = ()
    if said.tier:
        if TIER_CHECK in checks or TIER_CLAIM in claims:
            raise Unreadable(EvidenceReason.CONTRADICTORY, "the tier is said twice", "$.predicate")
        checks[TIER_CHECK] = "pass"
        claims[TIER_CLAIM] = TIERS.index(said.tier) + 1
        notes = (f"{said.tier} of the spec {_spec(subject)}",)
    return Report(
        adapter=ADAPTER,
        tool="attestation",
        report=said.id,
        kind=said.kind,
        checks={scope_id(subject.name, "$.subject[0].name"): checks},
        claims=claims,
        people=tuple(sorted(set(said.people))),
        claimed=time_ms(said.attested, "$.predicate.attested"),
        expires=time_ms(said.expires, "$.predicate.expires") if said.expires else None,
        notes=notes,
        simulated=said.simulated,
    )


def _spec(subject: Subject) -> str:
    digest = subject.digest.get("sha256", "")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise Unreadable(
            EvidenceReason.SHAPE, "not the SHA-256 of a spec", "$.subject[0].digest.sha256"
        )
    return digest
