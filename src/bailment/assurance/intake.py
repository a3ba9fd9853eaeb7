"""From a report to an item: whose it is, how old it is, and what it is worth.

What a report is worth follows from who collected it, never from the tool that wrote it: a scanner
that the recipient ran itself is the recipient's word, with a tool behind it. A document is worth as
much as whoever signed it. What lowers the worth is written into the item's notes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bailment import canonical
from bailment.assurance.adapters import (
    attestation,
    document,
    drill,
    intoto,
    maester,
    observation,
    oscal,
    prowler,
    scim,
    scuba,
)
from bailment.assurance.adapters.reading import scope_key
from bailment.assurance.adapters.report import COVERS_CHECK, Checks, Report
from bailment.assurance.item import Item
from bailment.assurance.matching import match
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused
from bailment.assurance.signers import Signer
from bailment.spec.compiled import Kind
from bailment.spec.prose import counted
from bailment.spec.terms import LADDER, RANK, Independence

#: The facts of a record may have 256 KiB; the rest is left to what stands around an item.
MAX_ITEM = 192 * 1024

#: Claims of what lists accounts; the second is made where it is known whose each is.
ACCOUNTS, UNMATCHED = "accounts", "unmatched_accounts"

#: Who can hand in a file, and who else can have collected what it says.
Submitter = Literal["recipient", "peer", "issuer"]
Collector = Submitter | Literal["gateway"]

#: What each gives at best.
_COLLECTED: dict[Collector, Independence] = {
    "recipient": "self-tool",
    "peer": "peer",
    "issuer": "pulled",
    "gateway": "observed",
}
#: A tool wrote these; a recipient who hands in any other says so itself.
_BY_TOOL = frozenset(
    {*scuba.ADAPTERS.values(), prowler.ADAPTER, maester.ADAPTER, scim.ADAPTER, intoto.ADAPTER}
)
#: Somebody said these, and only that somebody's signature is worth anything.
_SAID = frozenset({document.ADAPTER, oscal.ADAPTER, attestation.ADAPTER})
#: Only these were watched as they happened.
_WATCHED = frozenset({observation.ADAPTER, drill.ADAPTER})


@dataclass(frozen=True, slots=True)
class Submission:
    """What a report is handed in as.

    `scopes` are the ids of the recipient's enclave that fit the kind; `by` is who collected it,
    under the stable id `collector`; `reports` are those of every item accepted so far of this
    recipient, `digests` those of every recipient's; `people` is what each of its people is known by
    (`matching.match`), None where nobody can say. `skew` is how far clocks may differ, ms.
    """

    kind: Kind
    scopes: Collection[str]
    by: Collector
    collector: str
    skew: int
    reports: Collection[str] = ()
    digests: Collection[str] = ()
    people: Mapping[str, Collection[str]] | None = field(default=None, repr=False)
    simulated: bool = False


def receive(
    report: Report, handed: Submission, *, item: str, now: int
) -> tuple[Item, ...] | EvidenceRefused:
    """One item for each scope of the recipient that the report is about, in order; or why not.

    `item` is the id of the first, 32 random hex digits, from which those of the others follow.
    """
    refused = _refusal(report, handed, now)
    if refused is not None:
        return refused
    scopes = _scopes(report, handed.scopes)
    if isinstance(scopes, EvidenceRefused):
        return scopes
    independence, collector, notes = _worth(report, handed)
    notes = (*report.notes, *notes, *_outside(report, scopes))
    if report.claimed is None:
        notes = (*notes, "it does not say when it was collected; dated as it was received")
    people, claims = _people(report, handed.people)
    items = tuple(
        Item(
            id=item if at == 0 else _following(item, scope),
            kind=handed.kind.name,
            adapter=report.adapter,
            independence=independence,
            collector=collector,
            report=report.report,
            scope=scope,
            dated=now if report.claimed is None else min(report.claimed, now),
            received=now,
            digest=report.digest,
            expires=report.expires or 0,
            checks=checks,
            claims=claims,
            people=people,
            notes=notes,
            simulated=_simulated(report, handed),
        )
        for at, (scope, checks) in enumerate(sorted(scopes.items()))
    )
    if any(len(canonical.encode(one)) > MAX_ITEM for one in items):
        return EvidenceRefused(
            EvidenceReason.TOO_LARGE, f"what it says takes more than {MAX_ITEM >> 10} KiB"
        )
    return items


def _refusal(report: Report, handed: Submission, now: int) -> EvidenceRefused | None:
    """Why the report is no evidence, whomever it is about."""
    kind = handed.kind
    if report.adapter != kind.adapter or report.kind not in ("", kind.name):
        what = report.kind or report.adapter
        return EvidenceRefused(EvidenceReason.KIND, f"it is `{what}` and not `{kind.name}`")
    if report.adapter == observation.ADAPTER and handed.by != "gateway":
        return EvidenceRefused(
            EvidenceReason.NOT_OBSERVED,
            "the gateway did not see this: it is made from its log alone",
        )
    if report.report in handed.reports or report.digest in handed.digests:
        return EvidenceRefused(EvidenceReason.REUSED, "it was submitted before; collect it anew")
    if report.claimed is not None and report.claimed > now + handed.skew:
        return EvidenceRefused(EvidenceReason.FUTURE, "it is dated in the future; check the clock")
    if report.expires is not None and report.expires <= now:
        return EvidenceRefused(EvidenceReason.EXPIRED, "it has expired by its own word")
    if report.adapter == attestation.ADAPTER and not _vouching(report, kind.name):
        if report.signed:
            return EvidenceRefused(
                EvidenceReason.SIGNER_UNKNOWN, "nobody whose key is known for this kind signed it"
            )
        return EvidenceRefused(EvidenceReason.UNSIGNED, "an attestation is worth its signature")
    return None


def _scopes(report: Report, ours: Collection[str]) -> dict[str, Checks] | EvidenceRefused:
    """The checks by those of the recipient's scopes that the report is about."""
    keys = {scope_key(scope) for scope in ours}
    inside = {scope: dict(checks) for scope, checks in report.checks.items() if scope in keys}
    whole = report.claims or report.people or report.accounts is not None
    if not inside or (whole and not report.covers and len(inside) < len(report.checks)):
        named = ", ".join(f"`{scope}`" for scope in sorted(report.checks)[:3])
        return EvidenceRefused(
            EvidenceReason.SCOPE, f"it is about {named}, which is not the recipient's enclave"
        )
    if report.covers:
        for checks in inside.values():
            checks[COVERS_CHECK] = "pass" if keys <= inside.keys() else "fail"
    return inside


def _worth(report: Report, handed: Submission) -> tuple[Independence, str, tuple[str, ...]]:
    """How independent the report is, who collected it, and why it is not worth more."""
    base = _base(report.adapter, handed.by)
    best, collector, notes = base, handed.collector, tuple(_strangers(report))
    for signer in _vouching(report, handed.kind.name):
        undated = report.claimed is None and handed.by in ("recipient", "peer")
        if undated and RANK[signer.independence] > RANK[base]:
            # Who signed it is certain, but not when: an old one would count as new for ever.
            notes += ("signed, but when is the submitter's word; counted as the submitter's",)
        elif RANK[signer.independence] >= RANK[best]:
            best, collector = signer.independence, signer.holder
    cap = LADDER[handed.kind.cap]
    if RANK[best] > RANK[cap]:
        notes += (f"collected as {best}; this kind counts as {cap} at most",)
        best = cap
    return best, collector, notes


def _base(adapter: str, by: Collector) -> Independence:
    """What the report is worth by who collected it, signatures aside."""
    if adapter in _SAID or (by == "recipient" and adapter not in _BY_TOOL):
        return "self"
    if by == "gateway" and adapter not in _WATCHED:
        return "pulled"
    return _COLLECTED[by]


def _vouching(report: Report, kind: str) -> list[Signer]:
    return [signer for signer in report.signers if signer.vouches_for(kind)]


def _strangers(report: Report) -> Iterator[str]:
    if report.strangers:
        yield f"{counted(report.strangers, 'signature')} by unknown keys, not counted"


def _outside(report: Report, inside: Mapping[str, Checks]) -> Iterator[str]:
    if left := len(report.checks) - len(inside):
        yield f"{counted(left, 'scope')} outside of the recipient's enclave left out"


def _people(
    report: Report, known: Mapping[str, Collection[str]] | None
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The random ids of the people whom the report covers, and its claims."""
    claims = dict(report.claims)
    people = report.people
    if known is not None:
        people = tuple(person for person in people if person in known)
    if report.accounts is not None:
        found = match(report.accounts, known or {})
        people = found.people
        claims |= {ACCOUNTS: found.accounts, "inactive": found.inactive}
        if known is not None:  # where nobody can say whose they are, that is not known either
            claims[UNMATCHED] = found.unmatched
    return people, claims


def _simulated(report: Report, handed: Submission) -> bool:
    return handed.simulated or report.simulated or any(one.simulated for one in report.signers)


def _following(item: str, scope: str) -> str:
    return hashlib.sha256(f"{item} {scope}".encode()).hexdigest()[:32]
