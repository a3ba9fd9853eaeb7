"""OSCAL documents hold what the spec and the evaluation say, refer to nothing that is not there,
and carry the spec so that it comes back exactly."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from bailment import canonical
from bailment.assurance.evaluation import PRECEDENCE, evaluation_digest
from bailment.assurance.oscal import assessment_results
from bailment.errors import FormatError, VerificationError
from bailment.spec import oscal
from bailment.spec.document import Requirement, digest
from bailment.spec.oscal_references import unresolved
from bailment.spec.validation import load

from .builtin import GRANTS, ITEMS, NOW, PEOPLE, document, evaluation


@pytest.fixture(scope="module")
def files() -> dict[str, Any]:
    """Everything that is exported, as JSON values."""
    exported = oscal.export(document(), NOW)
    values = {name: json.loads(data) for name, data in exported.items()}
    return values | {"results.json": results()}


def results() -> dict[str, Any]:
    return assessment_results(
        document(), evaluation(), ITEMS, GRANTS, recipient="Acme *Ltd*", now=NOW
    )


def controls(catalog: Any) -> dict[str, Any]:
    return {one["id"]: one for group in catalog["catalog"]["groups"] for one in group["controls"]}


def ours(thing: Any, name: str) -> list[str]:
    """The values of a property of our own."""
    return [
        one["value"]
        for one in thing.get("props", ())
        if one["name"] == name and one.get("ns") == oscal.NS
    ]


def test_the_spec_comes_back_exactly(files: dict[str, Any]) -> None:
    data = oscal.spec_of(files[oscal.CATALOG])
    assert data == oscal.export(document(), NOW)[oscal.SPEC]
    assert load(data) == document()
    assert hashlib.sha256(data).hexdigest() == digest(document())


def test_a_spec_that_was_changed_on_the_way_does_not_come_back(files: dict[str, Any]) -> None:
    catalog = copy.deepcopy(files[oscal.CATALOG])
    (resource,) = catalog["catalog"]["back-matter"]["resources"]
    data = base64.b64decode(resource["base64"]["value"])
    changed = data.replace(b'"max_age":"P1D"', b'"max_age":"P9D"')
    assert changed != data
    resource["base64"]["value"] = base64.b64encode(changed).decode()
    with pytest.raises(VerificationError):
        oscal.spec_of(catalog)


def _spoilt(catalog: Any) -> Iterator[Any]:
    yield from (None, [], {}, {"catalog": {"back-matter": {"resources": [{}]}}})
    spoils: tuple[Callable[[Any], object], ...] = (
        lambda one: one.pop("props"),
        lambda one: one.pop("base64"),
        lambda one: one.pop("rlinks"),
        lambda one: one["rlinks"].clear(),
        lambda one: one["rlinks"][0].update(hashes=[]),
        lambda one: one["base64"].update(value="%"),
        lambda one: one["base64"].update(value=7),
    )
    for spoil in spoils:
        copied = copy.deepcopy(catalog)
        spoil(copied["catalog"]["back-matter"]["resources"][0])
        yield copied
    copied = copy.deepcopy(catalog)
    copied["catalog"]["back-matter"]["resources"] *= 2
    yield copied


def test_a_catalog_that_carries_no_spec_is_refused(files: dict[str, Any]) -> None:
    for spoilt in _spoilt(files[oscal.CATALOG]):
        with pytest.raises(FormatError):
            oscal.spec_of(spoilt)


def test_every_requirement_is_a_control_with_its_rule(files: dict[str, Any]) -> None:
    found = controls(files[oscal.CATALOG])
    assert len(found) == len(document().requirements)
    for id_, requirement in document().requirements.items():
        control = found[id_.lower()]
        assert {"name": "label", "value": id_} in control["props"]
        assert ours(control, "maps-to") == list(requirement.maps)  # type: ignore[arg-type]
        parts = {part["name"]: part for part in control["parts"]}
        assert set(parts) == {"statement", "guidance", "assessment-objective", "remedy"}
        assert parts["remedy"]["ns"] == oscal.NS
        (rule,) = ours(parts["assessment-objective"], "rule")
        assert msgspec.json.decode(rule, type=type(requirement.satisfied_by)) == (
            requirement.satisfied_by
        )
        against = ours(parts["assessment-objective"], "contradicted-by")
        assert len(against) == len(requirement.contradicted_by or ())


def test_families_are_groups_in_their_order(files: dict[str, Any]) -> None:
    groups = files[oscal.CATALOG]["catalog"]["groups"]
    assert len(groups) == 11
    assert groups[0]["title"] == "Identity and MFA"
    assert len({group["id"] for group in groups}) == 11


def test_numbers_that_tiers_set_are_parameters_that_profiles_set(files: dict[str, Any]) -> None:
    control = controls(files[oscal.CATALOG])["id-5"]
    assert {one["id"]: one["values"] for one in control["params"]} == {
        "id-5_prm_max-age": ["P30D"],
        "id-5_prm_refused_after_s": ["86400"],
    }
    settings = {
        tier: {
            one["param-id"]: one["values"]
            for one in files[f"profile-{tier}.json"]["profile"]
            .get("modify", {})
            .get("set-parameters", ())
        }
        for tier in document().tiers
    }
    assert settings["T1"] == {}
    assert settings["T2"] == {"cr-1_prm_bound_ppm": ["1000000"], "gv-1_prm_tier": ["2"]}
    assert settings["T3"] == settings["T2"] | {
        "id-5_prm_refused_after_s": ["3600"],
        "id-6_prm_max-age": ["P30D"],
        "cr-4_prm_rotated_after_s": ["3600"],
        "ir-2_prm_told_after_s": ["3600"],
        "ir-3_prm_max-age": ["P90D"],
        "lg-2_prm_retention_days": ["730"],
        "lg-3_prm_acknowledged_after_s": ["900"],
        "lg-4_prm_max-age": ["P7D"],
        "gv-1_prm_tier": ["3"],
    }
    assert settings["T4"] == settings["T3"] | {
        "tp-2_prm_delegation_depth": ["0"],
        "gv-1_prm_tier": ["4"],
    }


def test_a_profile_includes_what_its_tier_asks_for(files: dict[str, Any]) -> None:
    sizes = []
    for tier in document().tiers:
        (imported,) = files[f"profile-{tier}.json"]["profile"]["imports"]
        (included,) = imported["include-controls"]
        sizes.append(len(set(included["with-ids"])))
    assert sizes == [14, 37, 45, 45]


def test_the_same_spec_gives_the_same_documents_but_for_the_time() -> None:
    first, later = (oscal.export(document(), now) for now in (NOW, NOW + 1))
    assert first == oscal.export(document(), NOW)
    assert first[oscal.CATALOG] != later[oscal.CATALOG]
    before, after = (oscal.instant(now).encode() for now in (NOW, NOW + 1))
    assert {name: data.replace(before, after) for name, data in first.items()} == later


def test_identifiers_are_uuids_of_version_5() -> None:
    namespace = uuid.UUID(bytes=hashlib.sha256(oscal.NS.encode()).digest()[:16])
    assert oscal.identifier("a", "b") == str(uuid.uuid5(namespace, "a\nb"))


def test_an_instant_is_in_utc_to_the_millisecond() -> None:
    assert oscal.instant(NOW) == "2026-10-26T07:33:20.000Z"
    assert datetime.fromisoformat(oscal.instant(NOW + 7)) == datetime.fromtimestamp(
        (NOW + 7) / 1000, UTC
    )


def test_everything_that_is_referred_to_is_there(files: dict[str, Any]) -> None:
    assert unresolved(files) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("results.json", '"observation-uuid": "', '"observation-uuid": "0', "observation-uuid"),
        ("results.json", '"risk-uuid": "', '"risk-uuid": "0', "risk-uuid"),
        ("results.json", '"subject-uuid": "', '"subject-uuid": "0', "subject-uuid"),
        ("results.json", '"href": "#', '"href": "#0', "href"),
        ("results.json", '"target-id": "id-1', '"target-id": "id-9', "target-id"),
        ("results.json", '"control-id": "id-1', '"control-id": "id-9', "control-id"),
        ("results.json", '"objective-id": "id-1', '"objective-id": "id-9', "objective-id"),
        ("results.json", '"party-uuids": ["', '"party-uuids": ["0', "party-uuids"),
        ("results.json", '"href": "catalog', '"href": "other', "href"),
        ("profile-T3.json", '"href": "catalog', '"href": "other', "href"),
        ("profile-T3.json", '"with-ids": ["id-1"', '"with-ids": ["id-9"', "with-ids"),
        ("profile-T3.json", '"param-id": "id-5', '"param-id": "id-9', "param-id"),
        ("catalog.json", "insert: param, id-5", "insert: param, id-9", "prose"),
        ("catalog.json", '"role-id": "', '"role-id": "no-', "role-id"),
        ("catalog.json", '"href": "spec', '"href": "no', "href"),
    ],
)
def test_a_reference_to_nothing_is_found(
    file: str, before: str, after: str, said: str, files: dict[str, Any]
) -> None:
    text = json.dumps(files[file])
    assert before in text
    (first, *_) = unresolved(files | {file: json.loads(text.replace(before, after, 1))})
    assert first.startswith(f"{file}: `{said}` refers to ")


def test_a_uuid_that_is_defined_twice_is_found(files: dict[str, Any]) -> None:
    changed = copy.deepcopy(files)
    first, second, *_ = changed["results.json"]["assessment-results"]["results"]
    first["uuid"] = second["uuid"]
    assert unresolved(changed) == [f"results.json: the uuid `{second['uuid']}` is defined twice"]


def test_an_absolute_link_is_left_alone() -> None:
    assert unresolved({"a.json": {"href": "https://lab.example/spec"}}) == []


def test_every_verdict_is_a_finding_with_its_exact_status() -> None:
    made = results()["assessment-results"]["results"]
    assert {v.status for tier in evaluation().tiers for v in tier.verdicts} == set(PRECEDENCE)
    for tier, result in zip(evaluation().tiers, made, strict=True):
        assert ours(result, "held") == ["yes" if tier.held else "no"]
        for verdict, finding in zip(tier.verdicts, result["findings"], strict=True):
            assert finding["target"]["target-id"] == f"{verdict.requirement.lower()}_obj"
            assert ours(finding, "status") == [verdict.status]
            assert finding["target"]["status"] == {
                "satisfied": {"state": "satisfied", "reason": "pass"},
                "failed": {"state": "not-satisfied", "reason": "fail"},
                "contradicted": {"state": "not-satisfied", "reason": "fail"},
            }.get(verdict.status, {"state": "not-satisfied", "reason": "other"})
            until = [] if verdict.until is None else [oscal.instant(verdict.until)]
            assert ours(finding, "until") == until


def test_items_are_observations_with_their_independence_and_their_end() -> None:
    made = results()["assessment-results"]["results"][0]
    seen = {ours(one, "item")[0]: one for one in made["observations"]}
    assert set(seen) == {one.id for one in ITEMS}
    roster, leaving, executive, scan = (seen[ITEMS[at].id] for at in (1, 3, 4, 2))
    assert ours(roster, "independence") == ["pulled"]
    assert roster["collected"] == oscal.instant(NOW)
    assert roster["expires"] == oscal.instant(NOW + 86_400_000)
    assert "expires" not in leaving, "it has expired already"
    assert (ours(executive, "simulated"), ours(roster, "simulated")) == (["yes"], [])
    assert (roster["methods"], executive["methods"]) == (["TEST"], ["EXAMINE"])
    assert ours(scan["relevant-evidence"][0], "sha-256") == [ITEMS[2].digest]
    assert "\\`MS.AAD.3.1v1\\` says \\*Pass\\*" in scan["description"]


def test_an_exception_is_a_risk_with_its_deadline() -> None:
    for result in results()["assessment-results"]["results"]:
        (risk,) = result["risks"]
        assert risk["status"] == "deviation-approved"
        assert risk["deadline"] == oscal.instant(GRANTS[0].until)
        assert risk["mitigating-factors"][0]["description"] == "A second contact."
        (finding,) = (one for one in result["findings"] if "related-risks" in one)
        assert finding["related-risks"] == [{"risk-uuid": risk["uuid"]}]
        assert ours(finding, "status") == ["excepted"]


def test_the_results_name_the_recipient_and_the_evaluation_and_no_person() -> None:
    made = results()
    described = made["assessment-results"]["metadata"]
    assert described["title"].endswith(": Acme \\*Ltd\\*")
    assert described["parties"][1]["name"] == "Acme *Ltd*"
    assert ours(described, "evaluation-digest") == [evaluation_digest(evaluation())]
    assert ours(described, "spec-digest") == [digest(document())]
    assert not any(person in json.dumps(made) for person in PEOPLE)
    assert canonical.encode(made) == canonical.encode(results())


def test_an_evaluation_under_another_spec_is_not_written() -> None:
    other = msgspec.structs.replace(
        document(), metadata=msgspec.structs.replace(document().metadata, version="1.0.1")
    )
    with pytest.raises(ValueError, match="another spec"):
        assessment_results(other, evaluation(), ITEMS, GRANTS, recipient="Acme", now=NOW)


def test_a_spec_with_the_least_that_a_spec_needs_has_an_oscal_form() -> None:
    least = msgspec.structs.replace(
        document(),
        requirements={
            id_: Requirement(title=one.title, satisfied_by=one.satisfied_by)
            for id_, one in document().requirements.items()
        },
    )
    values = {name: json.loads(data) for name, data in oscal.export(least, NOW).items()}
    assert unresolved(values) == []
    (group,) = values[oscal.CATALOG]["catalog"]["groups"]
    assert group["title"] == "Other requirements"
    assert "modify" not in values["profile-T4.json"]["profile"]
