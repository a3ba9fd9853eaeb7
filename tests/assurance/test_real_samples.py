"""Real output, with its own tenants and dates: CISA's, Prowler's and NIST's published samples."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from bailment.assurance.adapters.recognition import read
from bailment.assurance.adapters.report import Report
from bailment.assurance.intake import Submission, receive
from bailment.assurance.item import Item
from bailment.assurance.preflight import kind_for, outlook, sayings
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused
from bailment.cli.catalogue import spec_text
from bailment.spec.compiled import CompiledSpec, compile_spec
from bailment.spec.validation import load

from .conftest import SAMPLES
from .reports import ms

TENANT = "ca08493a-c9c8-4db0-a9e8-d3b4bafac269"
COMPONENT = "551b9706-d6a4-4d25-8207-f2ccec548b89"
DAY = 86_400_000


def sample(name: str) -> Report:
    found = read((SAMPLES / name).read_bytes())
    assert isinstance(found, Report), found
    return found


def received(found: Report, spec: CompiledSpec, scope: str, now: int) -> Item | EvidenceRefused:
    kind = kind_for(found, spec, spec.tiers[-1])
    assert kind is not None
    handed = Submission(kind, {scope}, "recipient", "acme", 0)
    items = receive(found, handed, item="0" * 32, now=now)
    return items if isinstance(items, EvidenceRefused) else items[0]


@pytest.fixture(scope="module")
def spec() -> CompiledSpec:
    return compile_spec(load(spec_text().encode()))


def test_cisas_sample_fails_phishing_resistant_sign_in(spec: CompiledSpec) -> None:
    found = sample("scubagear-results.json")
    (checks,) = found.checks.values()
    assert Counter(checks.values()) == {"pass": 57, "fail": 26, "inconclusive": 9}
    assert checks["MS.AAD.3.1v1"] == "fail"
    assert checks["MS.AAD.3.2v2"] == "pass"
    assert found.report == "fa5589b7-d528-4f80-8e7d-5c20eda7b6d8"
    assert found.claimed == ms("2026-05-04T17:15:48.307")
    assert found.notes == ("begins with a byte order mark, as this tool's files do",)

    now = found.claimed + DAY
    item = received(found, spec, TENANT, now)
    assert isinstance(item, Item)
    assert (item.kind, item.scope, item.independence) == ("scuba.entra", TENANT, "self-tool")
    says = {said.requirement: said.says for said in sayings(spec.tiers[2], item, now)}
    assert says == {"ID-2": "proves", "ID-3": "fails", "DV-1": "fails"}
    states = {one.requirement: one.state for one in outlook(spec, spec.tiers[2], [item], now)}
    assert (states["ID-2"], states["ID-3"]) == ("proven", "failed")


def test_cisas_sample_is_nobody_elses_and_not_used_twice(spec: CompiledSpec) -> None:
    found = sample("scubagear-results.json")
    assert found.claimed is not None
    other = received(found, spec, "another-tenant", found.claimed)
    assert isinstance(other, EvidenceRefused) and other.reason == EvidenceReason.SCOPE
    early = received(found, spec, TENANT, found.claimed - 1)
    assert isinstance(early, EvidenceRefused) and early.reason == EvidenceReason.FUTURE


def test_cisas_sample_cut_off_or_without_its_mark_is_what_it_is() -> None:
    data = (SAMPLES / "scubagear-results.json").read_bytes()
    cut = read(data[: len(data) // 2])
    assert isinstance(cut, EvidenceRefused) and cut.reason == EvidenceReason.TRUNCATED
    plain = read(data.removeprefix(b"\xef\xbb\xbf"))
    assert isinstance(plain, Report) and plain.notes == ()


@pytest.mark.parametrize(
    ("name", "scope", "results", "claimed"),
    [
        (
            "prowler-aws.ocsf.json",
            "<account_uid>",
            {
                "accessanalyzer_enabled": "fail",
                "account_maintain_current_contact_details": "inconclusive",
                "account_maintain_different_contact_details_to_security_billing_and_operations": (
                    "fail"
                ),
                "account_security_contact_information_is_registered": "inconclusive",
                "account_security_questions_are_registered_in_the_aws_account": "inconclusive",
            },
            "2025-02-14T13:27:03",
        ),
        (
            "prowler-gcp.ocsf.json",
            "<project_id>",
            {
                "apikeys_key_exists": "pass",
                "artifacts_container_analysis_enabled": "fail",
                "compute_firewall_rdp_access_from_the_internet_allowed": "fail",
            },
            "2025-02-14T13:27:20",
        ),
    ],
)
def test_prowlers_samples_are_all_new_and_say_different_things(
    name: str, scope: str, results: dict[str, str], claimed: str
) -> None:
    found = sample(name)
    assert found.checks == {scope: results}
    assert found.claimed == ms(claimed)
    assert found.report.startswith("derived:")


def test_nists_sample_fails_least_privilege_and_has_expired(spec: CompiledSpec) -> None:
    found = sample("oscal-assessment-results.json")
    assert found.checks == {COMPONENT: {"ac-6.1_obj": "fail", "ac-6.1": "fail"}}
    assert found.report == "ec0dad37-54e0-40fd-a925-6d0bdea94c0d"
    assert found.claimed == ms("2023-06-02T12:31:20")
    assert found.expires == ms("2023-07-01T04:00:00")
    fresh = received(found, spec, COMPONENT, found.claimed)
    assert isinstance(fresh, Item)
    assert (fresh.kind, fresh.independence) == ("assessment.oscal", "self")
    late = received(found, spec, COMPONENT, found.expires)
    assert isinstance(late, EvidenceRefused) and late.reason == EvidenceReason.EXPIRED
    assert isinstance(received(replace(found, expires=None), spec, COMPONENT, found.expires), Item)
