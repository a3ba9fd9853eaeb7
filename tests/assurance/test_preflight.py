"""What evidence would prove, requirement by requirement, before anybody sends it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bailment.assurance.intake import Submission, receive
from bailment.assurance.item import Item
from bailment.assurance.preflight import (
    Outlook,
    kind_for,
    outlook,
    sayings,
    too_old,
)
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused
from bailment.assurance.wording import label
from bailment.spec.compiled import CompiledSpec, TierOf, compile_spec, leaves
from bailment.spec.validation import load

from .reports import (
    ALICE,
    ASSESSOR,
    ED25519,
    EXECUTIVE,
    ORG,
    P256,
    TENANT,
    THEN,
    attestation,
    envelope,
    finding,
    maester,
    manifest,
    observation,
    report,
    roster,
    scubagear,
    statement,
)

DAY = 86_400_000
SPEC = """
apiVersion: bailment/v1
kind: DistributionSpec
metadata: {id: preflight, version: 1.0.0, issuer: lab.example, effective: "2026-05-01"}
evidence_kinds:
  scuba.entra: {adapter: scubagear/1, class: machine, max_age: P7D, scope: tenant}
  maester.entra: {adapter: maester/1, class: machine, max_age: P7D, scope: tenant}
  idp.roster: {adapter: scim/1, class: machine, max_age: P1D, scope: tenant}
  idp.guests: {adapter: scim/1, class: machine, max_age: P1D, scope: tenant}
  scan.other: {adapter: in-toto-test-result/1, class: machine, max_age: P30D, scope: org}
  scan.secrets: {adapter: in-toto-test-result/1, class: machine, max_age: P30D, scope: org}
  attest.executive: {adapter: dsse-attestation/1, class: process, max_age: P90D, scope: org}
  report.soc2: {adapter: document/1, class: process, max_age: P365D, scope: org}
  gw.use: {adapter: gateway/1, class: machine, max_age: P1D, scope: org}
  drill.revoke: {adapter: drill/1, class: process, max_age: P90D, scope: org}
tiers:
  T1:
    name: general
    require: [MFA, PHR, ROSTER, SECRETS, SIGNED, AUDIT, USE, DRILL, EITHER, PULLED, VETTED, TWO]
    freshness: {machine: P30D, process: P365D}
requirements:
  MFA:
    title: A second factor
    remedy: Demand one.
    satisfied_by: {kind: scuba.entra, check: MS.AAD.3.1v1, min_independence: self-tool}
  PHR:
    title: Read by the issuer
    satisfied_by: {kind: scuba.entra, check: MS.AAD.3.1v1, min_independence: pulled}
  ROSTER:
    title: Everybody is known
    satisfied_by: {join: {seen: gw.use, covered_by: [idp.roster]}}
  SECRETS:
    title: No secrets lie about
    satisfied_by:
      all:
        - {kind: scan.secrets, check: no-secrets, min_independence: self-tool}
        - {kind: scan.secrets, check: complete, min_independence: self-tool}
  SIGNED:
    title: Somebody answers for it
    satisfied_by: {kind: attest.executive, claim: tier, min: 1, max: 4}
  AUDIT:
    title: An assessor looked
    satisfied_by:
      {kind: report.soc2, claim: cc6_1_exceptions, max: 0, min_independence: third-party}
  USE:
    title: Nobody undeclared
    satisfied_by: {kind: gw.use, claim: undelegated_requests, max: 0, min_independence: observed}
    contradicted_by: [{kind: scuba.entra, check: MS.AAD.9v1, within: P7D}]
  DRILL:
    title: Cut at once
    satisfied_by: {kind: drill.revoke, claim: revoked_after_ms, max: 1000}
  EITHER:
    title: One scanner or the issuer
    satisfied_by:
      at_least: 1
      of:
        - {kind: maester.entra, check: MT.1, min_independence: self-tool}
        - all:
            - {kind: scuba.entra, check: MS.AAD.2v1, min_independence: pulled}
            - {kind: gw.use, claim: bound_ppm, min: 1000000, min_independence: observed}
  PULLED:
    title: Everybody is in the directory that the issuer reads
    satisfied_by: {join: {seen: gw.use, covered_by: [idp.roster]}, min_independence: pulled}
  VETTED:
    title: Everybody is on a list that an assessor signed
    satisfied_by:
      {join: {seen: gw.use, covered_by: [idp.roster, idp.guests]}, min_independence: third-party}
  TWO:
    title: Two scanners agree
    satisfied_by:
      at_least: 2
      of:
        - {kind: scuba.entra, check: MS.AAD.3.1v1, min_independence: self-tool}
        - {kind: maester.entra, check: MT.1, min_independence: self-tool}
        - {kind: scan.other, check: mfa, min_independence: self-tool}
exceptions_policy:
  {max_ttl: P30D, max_renewals: 1, approvers: 2, compensating: required, never_for: []}
lapse:
  notice: [P3D]
  grace: P1D
  then: {step_down: suspended}
  suspend_after: P1D
  contradicted: {step_down: suspended, after: PT0S}
  mass_change_hold: "20%"
policy:
  contact: access@lab.example
  credential: {max_ttl: PT5M, sender_constrained: dpop, proof_window: PT1M, clock_skew: PT5S,
    decision_window: PT2S, invitation_ttl: PT15M,
    certificate_ttl: P1D}
  delegation: {max_depth: 1, max_ttl: P30D, delegate_meets: same-tier}
  detection: {shared_credential: PT5M, off_network: PT5M, purpose_drift: PT1H}
  response: {revoke: PT1S, notify_recipient: PT1H, rotate: PT4H, kill_switch: {approvers: 2}}
  disclosure: {initial: P3D, final: P30D, names: redacted-committed}
  enforcement: {heartbeat: PT0.25S, stale: PT1S, cut: PT3S, maintenance_max: PT1H}
  signals: {verify_every: PT5M, silent_after: PT15M}
  operators: {session_idle: PT15M, step_up: PT5M, proposal_ttl: P1D, two_person: []}
  log: {heads: PT1M}
"""


@pytest.fixture(scope="module")
def spec() -> CompiledSpec:
    return compile_spec(load(SPEC.encode()))


@pytest.fixture(scope="module")
def tier(spec: CompiledSpec) -> TierOf:
    return spec.tiers[0]


def sent(spec: CompiledSpec, value: Any, now: int = THEN) -> Item:
    found = report(value, ASSESSOR, EXECUTIVE)
    kind = kind_for(found, spec, spec.tiers[0])
    assert kind is not None
    handed = Submission(kind, {TENANT, ORG}, "recipient", "acme", 0)
    items = receive(found, handed, item=f"{abs(hash(found.digest)):032x}"[-32:], now=now)
    assert isinstance(items, tuple), items
    return items[0]


def stands(spec: CompiledSpec, *items: Item, now: int = THEN) -> dict[str, Outlook]:
    return {one.requirement: one for one in outlook(spec, spec.tiers[0], items, now)}


def says(spec: CompiledSpec, item: Item, now: int = THEN) -> list[tuple[str, str, str]]:
    found = sayings(spec.tiers[0], item, now)
    return [(said.requirement, said.says, said.needs) for said in found]


def test_without_evidence_what_the_recipient_owes_is_missing_and_the_rest_is_the_issuers(
    spec: CompiledSpec,
) -> None:
    found = stands(spec)
    assert {id_: one.state for id_, one in found.items()} == {
        "MFA": "missing",
        "PHR": "for the issuer",
        "ROSTER": "missing",
        "SECRETS": "missing",
        "SIGNED": "missing",
        "AUDIT": "missing",
        "USE": "for the issuer",
        "DRILL": "for the issuer",
        "EITHER": "for the issuer",
        "PULLED": "for the issuer",
        "VETTED": "missing",
        "TWO": "missing",
    }
    assert found["MFA"].missing == ("scuba.entra MS.AAD.3.1v1",)
    assert found["MFA"].remedy == "Demand one."
    assert found["PHR"].missing == ("scuba.entra MS.AAD.3.1v1 (for the issuer to collect)",)
    assert found["ROSTER"].missing == ("people in gw.use by idp.roster",)
    assert found["AUDIT"].missing == ("report.soc2 cc6_1_exceptions <= 0 (signed by an assessor)",)
    assert found["SIGNED"].missing == ("attest.executive tier >= 1 <= 4",)
    assert found["EITHER"].missing == (
        "1 of: maester.entra MT.1; "
        "scuba.entra MS.AAD.2v1 (for the issuer to collect) "
        "and gw.use bound_ppm >= 1000000 (for the issuer to collect)",
    )
    assert [one.ready for one in found.values()].count(True) == 5


def test_a_pass_proves_what_it_is_strong_enough_for(spec: CompiledSpec) -> None:
    item = sent(spec, scubagear())
    assert says(spec, item) == [
        ("MFA", "proves", ""),
        ("PHR", "too weak", "pulled"),
        ("EITHER", "says nothing", ""),
        ("TWO", "proves", ""),
    ]
    found = stands(spec, item)
    assert (found["MFA"].state, found["MFA"].missing) == ("proven", ())
    assert found["PHR"].state == "for the issuer"
    assert found["TWO"].missing == ("1 of: maester.entra MT.1; scan.other mfa",)


def test_a_failure_fails_whatever_the_issuer_would_collect(spec: CompiledSpec) -> None:
    item = sent(spec, scubagear(Result="Fail", OriginalResult="Fail"))
    assert ("PHR", "fails", "") in says(spec, item)
    found = stands(spec, item)
    assert found["MFA"].state == found["PHR"].state == "failed"
    assert not found["PHR"].ready


def test_what_an_assessor_found_an_assessor_must_sign_off(spec: CompiledSpec) -> None:
    found = sent(spec, scubagear(Result="Fail", OriginalResult="Fail"))
    assert stands(spec, found)["MFA"].missing == ("scuba.entra MS.AAD.3.1v1",)
    audited = replace(found, id="a" * 32, independence="third-party", dated=found.dated - 1)
    own = replace(found, id="b" * 32, checks=dict.fromkeys(found.checks, "pass"))
    outlook = stands(spec, audited, own)["MFA"]
    assert outlook.state == "failed"
    assert outlook.missing == ("scuba.entra MS.AAD.3.1v1 (signed by an assessor)",)


def test_what_is_too_old_is_missing_again(spec: CompiledSpec) -> None:
    item = sent(spec, scubagear(), now=THEN + 7 * DAY)
    assert ("MFA", "proves", "") in says(spec, item, THEN + 7 * DAY - 1)
    assert ("MFA", "too old", "less than 7 d") in says(spec, item, THEN + 7 * DAY)
    assert stands(spec, item, now=THEN + 7 * DAY)["MFA"].state == "missing"


def test_an_item_is_too_old_where_all_that_asks_for_it_wants_a_younger_one(
    spec: CompiledSpec, tier: TierOf
) -> None:
    item = sent(spec, scubagear(), now=THEN + 40 * DAY)
    assert too_old(spec, tier, item, THEN + 7 * DAY - 1) == ""
    assert too_old(spec, tier, item, THEN + 40 * DAY) == "collected 40 d ago, at most 7 d"
    unasked = msgspec.structs.replace(tier, requirements=())
    assert too_old(spec, unasked, item, THEN + 7 * DAY) == "collected 7 d ago, at most 7 d"
    longer = compile_spec(load(SPEC.replace("  PHR:\n", "  PHR:\n    max_age: P50D\n").encode()))
    assert too_old(longer, longer.tiers[0], item, THEN + 40 * DAY) == ""


def test_a_roster_that_is_too_old_leaves_nothing_for_the_issuer_to_decide(
    spec: CompiledSpec,
) -> None:
    item = sent(spec, roster(), now=THEN + 2 * DAY)
    assert stands(spec, item, now=THEN + DAY - 1)["ROSTER"].state == "for the issuer to decide"
    assert stands(spec, item, now=THEN + DAY)["ROSTER"].state == "missing"


def test_whose_an_account_is_is_for_the_issuer_to_decide() -> None:
    join = "{join: {seen: gw.use, covered_by: [idp.roster]}}"
    claim = "{kind: idp.roster, claim: unmatched_accounts, max: 0, min_independence: self-tool}"
    asked = compile_spec(load(SPEC.replace(join, claim, 1).encode()))
    item = sent(asked, roster())
    assert ("ROSTER", "for the issuer to decide", "") in says(asked, item)
    assert stands(asked)["ROSTER"].state == "missing"
    found = stands(asked, item)["ROSTER"]
    assert (found.state, found.ready) == ("for the issuer to decide", True)
    assert found.missing == ("idp.roster unmatched_accounts <= 0 (for the issuer to decide)",)
    assert ("ROSTER", "too old", "less than 1 d") in says(asked, item, THEN + DAY)
    assert stands(asked, item, now=THEN + DAY)["ROSTER"].state == "missing"
    weak = msgspec.structs.replace(item, independence="self")
    assert ("ROSTER", "too weak", "self-tool") in says(asked, weak)
    assert stands(asked, weak)["ROSTER"].state == "missing"
    told = msgspec.structs.replace(item, claims={**item.claims, "unmatched_accounts": 1})
    assert stands(asked, told)["ROSTER"].state == "failed"


def test_who_must_be_covered_is_to_be_sent_as_well_if_the_recipient_has_it() -> None:
    join = "{join: {seen: gw.use, covered_by: [idp.roster]}}"
    other = "{join: {seen: idp.roster, covered_by: [attest.executive]}}"
    asked = compile_spec(load(SPEC.replace(join, other, 1).encode()))
    sealed = sent(asked, envelope(attestation(), P256))
    assert stands(asked, sealed)["ROSTER"].state == "missing"
    found = stands(asked, sealed, sent(asked, roster()))
    assert found["ROSTER"].state == "for the issuer to decide"


def test_a_contradiction_is_one_whatever_is_proven(spec: CompiledSpec) -> None:
    fields = {"Control ID": "MS.AAD.9v1", "Result": "Fail", "OriginalResult": "Fail"}
    found = stands(spec, sent(spec, scubagear(**fields)))
    assert found["USE"].state == "contradicted"


def test_a_part_leaves_the_rest_missing(spec: CompiledSpec) -> None:
    found = stands(spec, sent(spec, statement()))
    assert (found["SECRETS"].state, found["SECRETS"].missing) == (
        "missing",
        ("scan.secrets complete",),
    )


def test_a_roster_covers_people_whom_the_issuer_then_matches(spec: CompiledSpec) -> None:
    item = sent(spec, roster())
    assert says(spec, item) == [
        ("ROSTER", "covers", ""),
        ("PULLED", "too weak", "pulled"),
        ("VETTED", "too weak", "third-party"),
    ]
    found = stands(spec, item)
    assert [found[id_].state for id_ in ("ROSTER", "PULLED", "VETTED")] == [
        "for the issuer to decide",
        "for the issuer",
        "missing",
    ]
    assert found["VETTED"].missing == (
        "people in gw.use by idp.roster, idp.guests (signed by an assessor)",
    )
    sealed = sent(spec, envelope(roster(), ED25519))
    for items in ([item, sealed], [sealed, item], [sealed]):
        assert stands(spec, *items)["VETTED"].state == "for the issuer to decide"


def test_what_an_assessor_must_sign_proves_nothing_until_it_does(spec: CompiledSpec) -> None:
    value = manifest(kind="report.soc2")
    plain = sent(spec, value)
    assert says(spec, plain) == [("AUDIT", "too weak", "third-party")]
    assert stands(spec, plain)["AUDIT"].state == "missing"
    sealed = sent(spec, envelope(value, ED25519))
    assert says(spec, sealed) == [("AUDIT", "proves", "")]
    bad = sent(spec, envelope(manifest(kind="report.soc2", exceptions={"CC6.1": 1}), ED25519))
    assert says(spec, bad) == [("AUDIT", "fails", "")]
    silent = sent(spec, envelope(manifest(kind="report.soc2", exceptions={}), ED25519))
    assert says(spec, silent) == [("AUDIT", "says nothing", "")]


def test_a_claim_has_bounds_on_both_sides(spec: CompiledSpec) -> None:
    for number, said in ((0, "fails"), (1, "proves"), (4, "proves"), (5, "fails")):
        value = attestation(claims={"tier": number})
        del value["predicate"]["tier"]
        assert says(spec, sent(spec, envelope(value, P256))) == [("SIGNED", said, "")]


def test_what_only_the_gateway_sees_is_worth_nothing_from_the_recipient(spec: CompiledSpec) -> None:
    found = report(observation(people=[ALICE]))
    handed = Submission(spec.kinds["gw.use"], {ORG}, "recipient", "acme", 0)
    refused = receive(found, handed, item="0" * 32, now=THEN)
    assert isinstance(refused, EvidenceRefused)
    assert refused.reason == EvidenceReason.NOT_OBSERVED
    assert stands(spec)["USE"].state == "for the issuer"


def test_a_kind_is_that_which_the_report_names_or_to_which_it_says_most(
    spec: CompiledSpec, tier: TierOf
) -> None:
    def name(value: Any) -> str:
        kind = kind_for(report(value), spec, tier)
        return kind.name if kind else ""

    assert name(statement()) == "scan.secrets"
    assert (
        name(statement(passedTests=["mfa"])) == name(statement(passedTests=["?"])) == "scan.other"
    )
    assert name(maester()) == "maester.entra"
    assert name(observation(kind="gw.register")) == ""
    assert name(roster(kind="idp.roster")) == "idp.roster"
    assert name([finding()]) == ""


def test_leaves_come_in_the_order_of_the_rule(tier: TierOf) -> None:
    (either,) = (one for one in tier.requirements if one.id == "EITHER")
    assert [label(leaf) for leaf in leaves(either.rule)] == [
        "maester.entra MT.1",
        "scuba.entra MS.AAD.2v1",
        "gw.use bound_ppm >= 1000000",
    ]
