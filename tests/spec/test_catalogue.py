"""The built-in catalogue is whole, can be met, and says what its candidates said, as data."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec import UNSET

from bailment.assurance.evaluation import evaluate
from bailment.cli import catalogue
from bailment.errors import FormatError
from bailment.spec.builtin import read_mappings, tiers_from
from bailment.spec.compiled import compile_spec
from bailment.spec.document import Requirement
from bailment.spec.quantity import DAY, HOUR, duration_ms
from bailment.spec.validation import check
from bailment.spec.vocabulary import VOCABULARIES

from ..beside import beside
from .builtin import NOW, PEOPLE, document, item, leaves

REQUIREMENTS = document().requirements
# The candidates name their mappings so.
FRAMEWORKS = {
    "nist_800_53_r5": "sp800-53r5",
    "nist_800_171_r3": "sp800-171r3",
    "iso_27001_2022": "iso27001-2022",
    "csa_ccm_4": "ccm-4",
}
STATUSES = {
    "nist-high": "nist-high",
    "nist-privacy": "nist-privacy",
    "fedramp-high": "fedramp-high",
    "ciso-assistant": "library-only",
    "prowler+list": "two-sources",
    "list-only": "list-only",
}
UNITS = {"min": 60, "h": 3600, "d": 1, "months": 365 / 12}


@pytest.fixture(scope="module")
def candidates() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(beside("requirements.json").read_text())
    assert len(found) == 45
    return found


#: What nothing makes yet is asked for here, some of it beside what can be shown instead.
#: What asks, among other things, for what nothing tells yet.
PARTLY = {"DV-4", "ID-1"}


def test_the_built_in_spec_is_valid() -> None:
    text = catalogue.spec_text().encode()
    assert check(text).problems == ()
    assert check(text, VOCABULARIES).document is not None


def test_every_requirement_can_be_satisfied_and_what_nothing_tells_yet_is_known() -> None:
    checked = check(catalogue.spec_text().encode(), VOCABULARIES)
    assert all(one.warning and one.what.startswith("nothing tells `") for one in checked.problems)
    assert {one.path.split("/")[2] for one in checked.problems} == PARTLY
    assert checked.unsatisfiable == ()


def test_every_requirement_says_why_and_what_to_do_and_is_asked_for_by_a_tier() -> None:
    assert len(REQUIREMENTS) == 45
    assert set(tiers_from(document())) == set(REQUIREMENTS)
    for id_, one in REQUIREMENTS.items():
        assert one.statement is not UNSET and "because" in one.statement, id_
        assert one.remedy is not UNSET and one.family is not UNSET and one.maps, id_


def test_every_kind_of_evidence_is_asked_for() -> None:
    rules = [one.satisfied_by for one in REQUIREMENTS.values()]
    used = {str(one.kind) for one in leaves(*rules) if one.join is UNSET}
    joins = [one.join for one in leaves(*rules) if one.join is not UNSET]
    used |= {kind for join in joins for kind in (join.seen, *join.covered_by)}
    assert used == set(document().evidence_kinds)


def test_no_text_repeats_a_number_that_data_holds() -> None:
    for id_, one in REQUIREMENTS.items():
        text = f"{one.title} {one.statement} {one.remedy}"
        assert not re.search("[0-9]", text), id_


def test_the_ids_families_and_tiers_are_the_candidates(candidates: list[dict[str, Any]]) -> None:
    tiers = tiers_from(document())
    assert list(REQUIREMENTS) == [one["id"] for one in candidates]
    for one in candidates:
        assert REQUIREMENTS[one["id"]].family == one["family"], one["id"]
        assert tiers[one["id"]] == one["tier_from"][:2], one["id"]


def test_the_mappings_and_their_statuses_are_the_candidates(
    candidates: list[dict[str, Any]],
) -> None:
    frameworks = catalogue.mappings()
    for one in candidates:
        expected: dict[str, str] = {}
        for key, framework in FRAMEWORKS.items():
            statuses = (
                one[key]
                if isinstance(one[key], dict)
                else dict.fromkeys(one[key], "ciso-assistant")
            )
            expected |= {f"{framework}:{id_}": STATUSES[said] for id_, said in statuses.items()}
        point, _, analogy = one["eu_gpai_code"].partition(" ")
        if point != "-":
            expected[f"gpai-cop:{point}"] = analogy.replace(" ", "-") or "own-estate"
        assert one["csa_aicm"] is None
        maps = REQUIREMENTS[one["id"]].maps
        assert maps is not UNSET
        found = [mapped.split(":", 1) for mapped in maps]
        assert {f"{p}:{id_}": frameworks[p].status_of(id_) for p, id_ in found} == expected, one[
            "id"
        ]
        assert len(maps) == len(expected)


def test_the_ages_are_the_candidates(candidates: list[dict[str, Any]]) -> None:
    for one in candidates:
        requirement = REQUIREMENTS[one["id"]]
        found = re.fullmatch(r"(\d+)d(?: \(T3: (\d+)d\))?", one["max_age"])
        expected = (
            {}
            if found is None
            else {"": int(found[1])} | ({"T3": int(found[2])} if found[2] else {})
        )
        assert _ages(requirement) == expected, one["id"]
        if found is None:  # what is live, or ages item by item, is what the gateway sees all day
            assert one["max_age"] in ("live", "per item")
            kinds = {str(leaf.kind) for leaf in leaves(requirement.satisfied_by)}
            adapters = {document().evidence_kinds[kind].adapter for kind in kinds}
            assert "gateway/1" in adapters if one["id"] in PARTLY else adapters == {"gateway/1"}
            assert {duration_ms(document().evidence_kinds[kind].max_age) for kind in kinds} == {DAY}


def test_the_numbers_in_the_candidates_words_are_limits(candidates: list[dict[str, Any]]) -> None:
    """`Leavers lose access in 24h (T3: 1h)` is a limit of 86,400 seconds, and from T3 of 3,600."""
    said = {}
    for one in candidates:
        found = re.search(r"\b(\d+) ?(min|h|d|months)\b", one["requirement"])
        if found:
            stricter = re.search(r"\(T3: (\d+)", one["requirement"])
            counts = (found[1], stricter[1] if stricter else None)
            said[one["id"]] = tuple(n and round(int(n) * UNITS[found[2]]) for n in counts)
    assert said.keys() == {
        *("ID-5", "CR-4", "TP-4", "TP-5", "LG-2", "LG-3", "IR-1", "IR-2", "IR-4", "GV-3"),
    }
    for id_, numbers in said.items():
        assert numbers in _limits(REQUIREMENTS[id_]).values(), id_


def test_the_numbers_without_a_unit_are_limits_too() -> None:
    assert _limits(REQUIREMENTS["GV-1"])["tier"] == (1, 3)  # the executive attests this very tier
    assert _limits(REQUIREMENTS["TP-2"], "T4")["delegation_depth"] == (1, 0)  # depth 1 (T4: 0)
    assert _limits(REQUIREMENTS["CR-1"], "T2")["bound_ppm"] == (0, 1_000_000)  # T1 (PoP T2)


def test_policy_and_requirements_do_not_contradict_one_another() -> None:
    spec = document()
    delegation, credential = spec.policy.delegation, spec.policy.credential
    assert _limits(REQUIREMENTS["TP-2"])["delegation_depth"][0] == delegation.max_depth
    assert _limits(REQUIREMENTS["TP-5"])["longest_contractor_days"][0] * DAY == duration_ms(
        delegation.max_ttl
    )
    assert _limits(REQUIREMENTS["GV-3"])["longest_exception_days"][0] * DAY == duration_ms(
        spec.exceptions_policy.max_ttl
    )
    assert duration_ms(credential.max_ttl) < HOUR


def test_a_control_that_nobody_checked_has_no_status() -> None:
    frameworks = catalogue.mappings()
    assert frameworks["csa-aicm"].statuses is UNSET
    with pytest.raises(FormatError):
        frameworks["csa-aicm"].status_of("IAM-01")


@pytest.mark.parametrize("text", ["a: {title: T}", "a: [", "a: {title: T, note: N, more: 1}"])
def test_mappings_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        read_mappings(text.encode())


def _ages(requirement: Requirement) -> dict[str, int]:
    """The requirement's age in days, under an empty name, and those of its overrides."""
    said = {} if requirement.max_age is UNSET else {"": requirement.max_age}
    overrides = {} if requirement.by_tier is UNSET else requirement.by_tier
    said |= {tier: one.max_age for tier, one in overrides.items() if one.max_age is not UNSET}
    return {tier: duration_ms(age) // DAY for tier, age in said.items()}


def _limits(requirement: Requirement, tier: str = "T3") -> dict[str, tuple[int, int | None]]:
    """Each claim's limit, and the one that the tier sets."""
    overrides: Any = {} if requirement.by_tier is UNSET else requirement.by_tier
    at_tier = overrides[tier].limits if tier in overrides else UNSET
    found: dict[str, tuple[int, int | None]] = {}
    for leaf in leaves(requirement.satisfied_by):
        for bound in (leaf.min, leaf.max):
            if bound is not UNSET:
                stricter = None if at_tier is UNSET else at_tier.get(leaf.claim)
                found[str(leaf.claim)] = (bound, stricter)
    return found


@pytest.mark.parametrize("without", ["", "gw.use", "attest.screening", "drill.page"])
def test_every_tier_can_be_earned_and_not_without_what_it_needs(without: str) -> None:
    """A recipient that brings every kind of evidence, as good as T4 asks, holds T4."""
    claims, checks = _best()
    kinds = document().evidence_kinds
    items = [
        item(
            number,
            name,
            "observed" if kind.caps_at is UNSET else kind.caps_at,
            people=PEOPLE,
            claims=claims[name],
            checks=checks[name],
        )
        for number, (name, kind) in enumerate(kinds.items(), 1)
        if name != without
    ]
    found = evaluate(compile_spec(document()), items, (), NOW)
    expected = {"": 4, "gw.use": 0, "attest.screening": 2, "drill.page": 0}
    assert found.earned == expected[without], [
        (verdict.requirement, verdict.status) for verdict in found.tiers[-1].blocking
    ]


def _best() -> tuple[dict[str, dict[str, int]], dict[str, dict[str, str]]]:
    """By kind of evidence: the claims and checks that satisfy every requirement at T4."""
    claims: dict[str, dict[str, int]] = {name: {} for name in document().evidence_kinds}
    checks: dict[str, dict[str, str]] = {name: {} for name in document().evidence_kinds}
    for requirement in REQUIREMENTS.values():
        overrides: Any = {} if requirement.by_tier is UNSET else requirement.by_tier
        limits: dict[str, int] = {}
        for tier in sorted(overrides):
            limits |= overrides[tier].limits or {}
        for leaf in leaves(requirement.satisfied_by):
            if leaf.check is not UNSET:
                checks[str(leaf.kind)][leaf.check] = "pass"
            elif leaf.claim is not UNSET:
                bound = leaf.min if leaf.max is UNSET else leaf.max
                claims[str(leaf.kind)][leaf.claim] = limits.get(leaf.claim, int(bound or 0))
    return claims, checks


def test_the_checks_of_scubagear_are_those_that_it_makes() -> None:
    sample = json.loads(beside("evidence/scubagear-results.json").read_text("utf-8-sig"))
    made = {
        control["Control ID"]
        for product in sample["Results"].values()
        for group in product
        for control in group["Controls"]
    }
    named = {
        str(leaf.check)
        for requirement in REQUIREMENTS.values()
        for leaf in leaves(requirement.satisfied_by)
        if leaf.kind == "scuba.entra"
    }
    assert named and named <= made
