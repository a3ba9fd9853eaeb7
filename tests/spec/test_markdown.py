"""The annex says what the spec says, all of it, in words."""

from __future__ import annotations

import re

import pytest

from bailment.cli import catalogue
from bailment.spec.document import Document, digest
from bailment.spec.markdown import annex
from bailment.spec.prose import amount, escaped, words
from bailment.spec.validation import load

from .builtin import document


def changed(*changes: tuple[str, str]) -> Document:
    """The built-in spec with texts replaced."""
    text = catalogue.spec_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return load(text.encode())


def section(page: str, title: str) -> str:
    """What stands under a heading, and no further."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,3}} |\Z)", page, re.M | re.S)
    assert found, title
    return found[2]


@pytest.fixture(scope="module")
def page() -> str:
    return annex(document())


def test_it_names_the_spec_and_its_digest(page: str) -> None:
    assert page.startswith("# Requirements for recipients of restricted models\n")
    assert f"`{digest(document())}`" in page
    assert "`bailment-default` version 1.0.0, published by lab.example" in page


def test_every_requirement_of_every_tier_is_listed_once_where_it_begins(page: str) -> None:
    tiers = section(page, "Tiers")
    for id_, one in document().requirements.items():
        assert tiers.count(f"- {id_} {one.title}\n") == 1
        assert page.count(f"### {id_} {one.title}\n") == 1


def test_a_tier_says_what_it_asks_for_more_strictly(page: str) -> None:
    tiers = section(page, "Tiers")
    assert "| T3 | Withheld models | 45 | 3 days | 90 days |" in tiers
    assert "- ID-5 more strictly: `refused_after_s` 1 hour\n" in tiers
    assert "- ID-6 more strictly: evidence of the last 30 days\n" in tiers
    assert tiers.endswith(
        "**T4** asks, on top of T3, for:\n\n"
        "- TP-2 more strictly: `delegation_depth` 0\n"
        "- GV-1 more strictly: `tier` 4\n\n"
    )


def test_a_rule_is_written_out_to_its_leaves(page: str) -> None:
    rule = section(page, "ID-3 Sign-in resists phishing and replay")
    assert "From T2. Evidence of the last 7 days.\n" in rule
    assert (
        "- all of these:\n"
        "  - at least 1 of these:\n"
        "    - *ScubaGear on Microsoft Entra* passes `MS.AAD.3.1v1`, fetched by the issuer or "
        "better\n"
    ) in rule
    assert "`phishing_resistant_ppm` is at least 100%, observed\n" in rule


def test_limits_of_tiers_stand_beside_the_limit(page: str) -> None:
    assert "`refused_after_s` is at most 1 day (from T3 1 hour), observed\n" in page
    assert "Evidence of the last 90 days; from T3 evidence of the last 30 days.\n" in page
    assert "Evidence ages by its kind and tier; from T2 `bound_ppm` 100%.\n" in page


def test_what_contradicts_is_said(page: str) -> None:
    assert "Contradicted at once where:\n\n- *Prowler on a cloud account* fails `bedrock" in page
    assert "`shared_credential_alerts` is at least 1, for 7 days\n" in page


def test_exceptions_lapse_policy_and_disclosure_are_said(page: str) -> None:
    exceptions = section(page, "Exceptions")
    assert "signed by 2 different people and names the measure that stands in" in exceptions
    assert (
        "30 days at most and is renewed once. There is none from ID-1, CR-1, TP-1 and" in exceptions
    )
    lapse = section(page, "When evidence lapses")
    assert "- 14 days, 3 days and 1 day before evidence expires" in lapse
    assert "- 7 days after it has expired, standing falls to T1.\n- 14 days after that" in lapse
    assert "to T1 at once.\n- If more than 20% of" in lapse
    policy = section(page, "Credentials, delegation, detection and response")
    assert "lives 5 minutes" in policy and "at most 1 subcontractor, which meets" in policy
    assert "From T4 on, at most 0 subcontractors." in policy
    assert "access revoked 1 second" in policy
    disclosure = section(page, "Disclosure")
    assert "due 3 days after" in disclosure and "last 30 days after" in disclosure


def test_another_spec_gives_another_annex() -> None:
    page = annex(
        changed(
            ("max_renewals: 1", "max_renewals: 3"),
            ("compensating: required", "compensating: optional"),
            ("never_for: [ID-1, CR-1, TP-1, GV-3]", "never_for: []"),
            (
                "contradicted: {step_down: T1, after: PT0S}",
                "contradicted: {step_down: suspended, after: PT1H}",
            ),
            ("delegate_meets: same-tier", "delegate_meets: nothing"),
            ("T4: {max_depth: 0}", "T4: {max_depth: 0, max_ttl: P7D}"),
            ("names: redacted-committed", "names: named"),
            ("title: Requirements for recipients of restricted models", "title: For <b>us</b>"),
        )
    )
    assert page.startswith("# For \\<b\\>us\\</b\\>\n")
    assert (
        "may name a measure that stands in. It lasts 30 days at most and is renewed 3 times.\n"
        in page
    )
    assert "There is none from" not in page
    assert "takes it to no tier at all after 1 hour." in page
    assert "which needs to prove nothing" in page
    assert "at most 0 subcontractors and 7 days for a link." in page
    assert "Recipients are named." in page


def test_collectors_that_must_differ_are_said_to() -> None:
    spec = changed(
        (
            "      - {kind: maester.entra, check: MT.1007, min_independence: self-tool}",
            "      - {at_least: 2, distinct: collector, of: [{kind: maester.entra, check: MT.1007},"
            " {kind: maester.entra, check: MT.1001, max_age: P1D}]}",
        ),
    )
    assert (
        "  - at least 2 of these, from different collectors:\n"
        "    - *Maester on Microsoft Entra* passes `MT.1007`\n"
        "    - *Maester on Microsoft Entra* passes `MT.1001`, of the last 1 day\n"
    ) in annex(spec)


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        ("P1D", "1 day"),
        ("P730D", "730 days"),
        ("P1DT12H", "1 day 12 hours"),
        ("PT1H30M1S", "1 hour 30 minutes 1 second"),
        ("PT90S", "1 minute 30 seconds"),
        ("PT0S", "no time"),
        (1_500, "1 second 500 ms"),
    ],
)
def test_durations_in_words(duration: str | int, said: str) -> None:
    assert words(duration) == said


@pytest.mark.parametrize(
    ("claim", "number", "said"),
    [
        ("told_after_s", 3600, "1 hour"),
        ("p99_ms", 1500, "1 second 500 ms"),
        ("retention_days", 730, "730 days"),
        ("bound_ppm", 1_000_000, "100%"),
        ("bound_ppm", 999_999, "99.9999%"),
        ("bound_ppm", 5_000, "0.5%"),
        ("bound_ppm", 0, "0%"),
        ("requests", 1_000_000, "1,000,000"),
        ("drift_s", -3, "-3"),
    ],
)
def test_claims_in_the_unit_that_their_name_ends_in(claim: str, number: int, said: str) -> None:
    assert amount(claim, number) == said


def test_text_of_others_is_no_markup() -> None:
    assert escaped("a|b *c* [d](e) <f> `g` {{h}}") == (
        "a\\|b \\*c\\* \\[d\\](e) \\<f\\> \\`g\\` \\{\\{h\\}\\}"
    )
