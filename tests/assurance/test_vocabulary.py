"""What a spec is told that adapters can say is what they say: never less, and never more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from bailment.access import observing, revoking
from bailment.assurance.adapters import observation
from bailment.assurance.adapters.recognition import ADAPTERS
from bailment.assurance.intake import Collector, receive
from bailment.assurance.reasons import EvidenceReason
from bailment.spec.terms import LADDER, RANK
from bailment.spec.vocabulary import VOCABULARIES, Range

from .reports import (
    ALICE,
    ASSESSOR,
    ED25519,
    EVERY,
    EXECUTIVE,
    P256,
    THEN,
    attestation,
    drill,
    envelope,
    finding,
    maester,
    maester_test,
    manifest,
    only,
    oscal,
    oscal_finding,
    refused,
    report,
    roster,
    scubagear,
    scubagoggles,
    statement,
    trial,
    user,
)
from .test_intake import ITEM, handed, item, items

DAY = 86_400_000
PAGE = Path(__file__).parents[2] / "docs/evidence.md"

#: By adapter: a report with this check.
CHECKED: dict[str, Callable[[str], Any]] = {
    "scubagear/1": lambda check: scubagear(**{"Control ID": check}),
    "scubagoggles/1": lambda check: scubagoggles(**{"Control ID": check}),
    "prowler-ocsf/1": lambda check: [
        finding(metadata={**finding()["metadata"], "event_code": check})
    ],
    "maester/1": lambda check: maester(maester_test(id=check)),
    "oscal-ar/1": lambda check: oscal(findings=[oscal_finding(check)]),
    "in-toto-test-result/1": lambda check: statement(passedTests=[check]),
    "dsse-attestation/1": lambda check: attestation(checks={check: "pass"}),
    "document/1": lambda check: manifest(checks={check: "pass"}),
    "drill/1": lambda check: drill(checks={check: "pass"}),
}
#: By adapter: a report with this claim.
CLAIMED: dict[str, Callable[[str], Any]] = {
    "dsse-attestation/1": lambda claim: attestation(claims={claim: -7}),
    "drill/1": lambda claim: drill(counts={claim: -7}, observed=1),
}


def test_the_adapters_that_a_spec_can_name_are_those_that_there_are() -> None:
    assert VOCABULARIES.keys() == ADAPTERS


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_any_check_can_be_told_or_none(adapter: str) -> None:
    assert VOCABULARIES[adapter].checks == (adapter in CHECKED)
    if adapter in CHECKED:
        assert only(report(CHECKED[adapter]("any-check")).checks)["any-check"] == "pass"
    else:
        assert not any(report(EVERY[adapter]).checks.values())
        assert refused({**EVERY[adapter], "checks": {"a": "pass"}}).reason == EvidenceReason.SHAPE


@pytest.mark.parametrize("adapter", sorted(ADAPTERS - {"gateway/1", "scim/1", "document/1"}))
def test_any_claim_can_be_told_or_none(adapter: str) -> None:
    vocabulary = VOCABULARIES[adapter]
    assert (vocabulary.others is not None) == (adapter in CLAIMED)
    if adapter in CLAIMED:
        found = report(CLAIMED[adapter]("any_claim"))
        assert found.claims["any_claim"] == -7
        assert vocabulary.range_of("any_claim") == Range()
    else:
        assert vocabulary.range_of("any_claim") is None and not vocabulary.claims
        assert report(EVERY[adapter]).claims == {}


def test_a_roster_claims_what_is_said_of_rosters() -> None:
    found = item(report(roster(user(), user("u-2", "x"))), people={ALICE: ("alice@acme.example",)})
    assert found.claims.keys() == VOCABULARIES["scim/1"].claims.keys()


@pytest.mark.parametrize(
    "criterion", ["CC6.1", "A.5.15", "cc", "a b  c", "6.1", "..", "é", "A_", "x" * 80]
)
def test_a_documents_claims_are_of_the_form_that_is_said(criterion: str) -> None:
    value = manifest(exceptions={criterion: 0})
    form = VOCABULARIES["document/1"]
    try:
        (claim,) = report(value).claims
    except AssertionError:
        assert refused(value).reason == EvidenceReason.SHAPE
    else:
        assert form.range_of(claim) == Range(0)
    for other in ("cc6_1", "_exceptions", "cc6__1_exceptions", "exceptions"):
        assert form.range_of(other) is None
    assert refused(manifest(exceptions={"CC6.1": -1})).reason == EvidenceReason.SHAPE


def test_a_drill_counts_its_trials_and_what_it_looked_at() -> None:
    missed = report(drill(timed={"a_ms": [trial(0, None)]}, observed=3))
    assert dict(missed.claims) == {"trials": 1, "missed": 1, "observed": 3}
    assert VOCABULARIES["drill/1"].claims.keys() == missed.claims.keys()
    for claim, found in VOCABULARIES["drill/1"].claims.items():
        untold = report(drill(timed={}, counts={"any": 1}, observed=0))
        assert claim not in untold.claims, "a zero is not told"
        assert found == Range(0 if claim == "missed" else 1)


def test_what_is_observed_of_a_drill_is_what_the_issuers_own_drill_tells() -> None:
    told = {*revoking.CLAIMS, "trials", "missed", "observed"}
    assert told == set(VOCABULARIES["drill/1"].observed or ())


def test_what_the_gateway_can_count_is_what_observing_makes() -> None:
    vocabulary = VOCABULARIES["gateway/1"]
    assert vocabulary.claims.keys() == {*observing.USE, *observing.REGISTER, observation.OBSERVED}
    assert vocabulary.others is None and not vocabulary.claims.keys() & vocabulary.planned.keys()
    for claim, found in {**vocabulary.claims, **vocabulary.planned}.items():
        assert (found.most is not None) == claim.endswith("_ppm"), claim


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_people_are_named_by_the_adapters_of_which_it_is_said(adapter: str) -> None:
    named = {
        "scim/1": roster(),
        "dsse-attestation/1": attestation(people=[ALICE]),
        "gateway/1": EVERY["gateway/1"],
    }
    assert VOCABULARIES[adapter].people == (adapter in named)
    signed = envelope(named.get(adapter, EVERY[adapter]), P256)
    found = items(report(signed, EXECUTIVE), people={ALICE: ("alice@acme.example",)})
    assert {person for one in found for person in one.people} == ({ALICE} & set(_people(adapter)))


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_no_report_is_collected_more_independently_than_is_said(adapter: str) -> None:
    """Whoever hands in the file, and whoever signed it: an assessor's is the best signature."""
    reached = set()
    for value in (EVERY[adapter], envelope(EVERY[adapter], ED25519)):
        for by in get_args(Collector.__args__[0]) + get_args(Collector.__args__[1]):
            found = report(value, ASSESSOR)
            taken = receive(found, handed(found, by=by), item=ITEM, now=THEN + DAY)
            reached |= {one.independence for one in taken} if isinstance(taken, tuple) else set()
    best = LADDER[max(RANK[one] for one in reached)]
    assert best == VOCABULARIES[adapter].most


def test_the_page_on_evidence_says_what_each_can_say() -> None:
    section = PAGE.read_text().partition("## What it can say")[2].partition("\n## ")[0]
    rows = {row.split("`")[1]: row for row in section.splitlines() if row.startswith("| `")}
    assert rows.keys() == ADAPTERS
    for adapter, vocabulary in VOCABULARIES.items():
        _, _, checks, claims, people, most, _ = (cell.strip() for cell in rows[adapter].split("|"))
        assert checks == ("any" if vocabulary.checks else "none"), adapter
        assert people == ("yes" if vocabulary.people else "no"), adapter
        assert most == f"`{vocabulary.most}`", adapter
        if adapter == "gateway/1":
            assert claims == "those of [rehearsal](rehearsal.md)"
        else:
            assert set(claims.split("`")[1::2]) >= set(vocabulary.claims), adapter
            assert (claims == "none") == (not vocabulary.claims and not vocabulary.others), adapter
    told = section.partition("A drill is")[2].split("`")[1::2]
    assert set(told[1:]) == set(VOCABULARIES["drill/1"].observed or ())


def test_the_page_on_rehearsal_has_what_the_gateway_tells_and_what_it_does_not_yet() -> None:
    made, _, rest = PAGE.with_name("rehearsal.md").read_text().partition("cannot show yet")
    _, _, made = made.partition("## What the gateway observes")
    rows = [{row.split("`")[1] for row in half.splitlines() if row.startswith("| `")}
            for half in (made, rest)]  # fmt: skip
    gateway = VOCABULARIES["gateway/1"]
    assert rows == [gateway.claims.keys() - {observation.OBSERVED}, gateway.planned.keys()]


def _people(adapter: str) -> tuple[str, ...]:
    return (ALICE,) if VOCABULARIES[adapter].people else ()
