"""The spec as an OSCAL catalog, and one OSCAL profile for each tier (NIST OSCAL 1.2, JSON).

OSCAL is an export: the JSON form of the spec is normative, and rides in the catalog's back matter,
base64 with its SHA-256, so that what is read back is the very spec. Of the rest:

    requirement           control: statement, guidance, and an assessment objective with the rule
    family                group
    tier                  profile, which includes the controls and sets the parameters
    tier-dependent number parameter: `<control>_prm_max-age`, `<control>_prm_<claim>`
    maps                  property `maps-to`

Properties that are not OSCAL's own lie in the namespace `NS`. UUIDs are of version 5 (RFC 9562
§5.5), made from the spec's digest, so that the same spec gives the same documents.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from msgspec import UNSET

from bailment import canonical
from bailment.errors import FormatError, VerificationError
from bailment.spec.builtin import tiers_from
from bailment.spec.compiled import overrides_for, requirements_of
from bailment.spec.document import Document, Requirement, Rule, digest
from bailment.spec.prose import escaped, rule_lines
from bailment.spec.terms import TIERS, TierName

NS = "https://bailment.example/ns/oscal"
#: What compliance-trestle reads too; the schemas of 1.2.3 accept it.
OSCAL_VERSION = "1.2.1"
CATALOG, SPEC = "catalog.json", "spec.json"
_NAMESPACE = hashlib.sha256(NS.encode()).digest()[:16]


def export(document: Document, now: int) -> dict[str, bytes]:
    """All files by name: the spec itself, the catalog and the profiles; `now` in ms."""
    files: dict[str, Any] = {CATALOG: catalog(document, now)}
    for tier in TIERS:
        if tier in document.tiers:
            files[f"profile-{tier}.json"] = profile(document, tier, now)
    encoded = {name: canonical.encode(value) for name, value in files.items()}
    return {SPEC: canonical.encode(document), **encoded}


def catalog(document: Document, now: int) -> dict[str, Any]:
    """The OSCAL catalog of all requirements; `now` in ms."""
    groups = groupby(document.requirements, lambda id_: document.requirements[id_].family)
    tiers = tiers_from(document)
    spec = _the_spec(document)
    described = metadata(document, title_of(document), now)
    described["links"] = [{"href": f"#{spec['uuid']}", "rel": "alternate"}]
    return {
        "catalog": {
            "uuid": identifier(digest(document), "catalog"),
            "metadata": described,
            "groups": [
                {
                    "id": f"family-{number}",
                    "class": "family",
                    "title": "Other requirements" if family is UNSET else escaped(family),
                    "controls": [_control(document, id_, tiers[id_]) for id_ in ids],
                }
                for number, (family, ids) in enumerate(groups, 1)
            ],
            "back-matter": {"resources": [spec]},
        }
    }


def profile(document: Document, tier: TierName, now: int) -> dict[str, Any]:
    """The OSCAL profile of a tier, next to the catalog in one folder; `now` in ms."""
    ids = requirements_of(document, tier)
    title = f"{title_of(document)}: {tier}, {escaped(document.tiers[tier].name)}"
    freshness = document.tiers[tier].freshness
    settings = [
        {"param-id": parameter, "values": values}
        for id_ in ids
        for parameter, values in _settings(document.requirements[id_], id_, tier)
    ]
    body: dict[str, Any] = {
        "uuid": identifier(digest(document), "profile", tier),
        "metadata": metadata(
            document,
            title,
            now,
            prop("freshness-machine", freshness.machine),
            prop("freshness-process", freshness.process),
        ),
        "imports": [
            {"href": CATALOG, "include-controls": [{"with-ids": [control_id(id_) for id_ in ids]}]}
        ],
        "merge": {"as-is": True},
    }
    if settings:
        body["modify"] = {"set-parameters": settings}
    return {"profile": body}


def spec_of(catalog: Any) -> bytes:
    """The canonical JSON of the spec that a catalog carries.

    FormatError if it carries none, VerificationError if its SHA-256 is not the one stated.
    """
    try:
        (resource,) = (
            one
            for one in catalog["catalog"]["back-matter"]["resources"]
            if {"name": "kind", "ns": NS, "value": "spec"} in one.get("props", ())
        )
        (stated,) = resource["rlinks"][0]["hashes"]
        data = base64.b64decode(resource["base64"]["value"], validate=True)
        value = str(stated["value"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, binascii.Error):
        raise FormatError(
            "the catalog carries no spec", hint="export it with `bailment spec export --oscal`"
        ) from None
    if not hmac.compare_digest(hashlib.sha256(data).hexdigest(), value):
        raise VerificationError("the spec in the catalog is not the one that its SHA-256 states")
    return data


def control_id(id_: str) -> str:
    """The id of a requirement's control."""
    return id_.lower()


def objective_id(id_: str) -> str:
    """The id of the assessment objective of a requirement's control."""
    return f"{control_id(id_)}_obj"


def identifier(*names: str) -> str:
    """The UUID of what the names name; the first is the digest of what it is a part of."""
    name = "\n".join(names).encode()
    octets = bytearray(hashlib.sha1(_NAMESPACE + name, usedforsecurity=False).digest()[:16])
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    text = octets.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def instant(ms: int) -> str:
    """A time as OSCAL writes it, to the millisecond."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def prop(name: str, value: str) -> dict[str, str]:
    """A property of our own."""
    return {"name": name, "ns": NS, "value": value}


def title_of(document: Document) -> str:
    """What the spec is called."""
    title = document.metadata.title
    return escaped(document.metadata.id if title is UNSET else title)


def metadata(document: Document, title: str, now: int, *props: dict[str, str]) -> dict[str, Any]:
    """The metadata of a document that the spec's issuer makes."""
    issuer = identifier(digest(document), "issuer")
    return {
        "title": title,
        "last-modified": instant(now),
        "version": document.metadata.version,
        "oscal-version": OSCAL_VERSION,
        "props": [
            prop("spec-id", document.metadata.id),
            prop("spec-digest", digest(document)),
            prop("effective", document.metadata.effective),
            *props,
        ],
        "roles": [{"id": "creator", "title": "Issuer"}],
        "parties": [
            {
                "uuid": issuer,
                "type": "organization",
                "name": document.metadata.issuer.strip() or "issuer",
            }
        ],
        "responsible-parties": [{"role-id": "creator", "party-uuids": [issuer]}],
    }


def _control(document: Document, id_: str, from_tier: TierName) -> dict[str, Any]:
    requirement = document.requirements[id_]
    props = [{"name": "label", "value": id_}, prop("tier-from", from_tier)]
    if requirement.weight is not UNSET:
        props.append(prop("weight", str(requirement.weight)))
    maps = () if requirement.maps is UNSET else requirement.maps
    control: dict[str, Any] = {
        "id": control_id(id_),
        "class": "requirement",
        "title": escaped(requirement.title),
        "props": props + [prop("maps-to", one) for one in maps],
        "parts": list(_parts(document, id_)),
    }
    if parameters := dict(_parameters(requirement, id_)):
        control["params"] = [
            {"id": parameter, "label": parameter.partition("_prm_")[2], "values": values}
            for parameter, values in parameters.items()
        ]
    return control


def _parts(document: Document, id_: str) -> Iterator[dict[str, Any]]:
    requirement, control = document.requirements[id_], control_id(id_)
    parameters = dict(_parameters(requirement, id_))
    numbers = [
        f"{parameter.partition('_prm_')[2]}: {{{{ insert: param, {parameter} }}}}"
        for parameter in parameters
    ]
    yield {
        "id": f"{control}_smt",
        "name": "statement",
        "prose": escaped(requirement.title) + "".join(f"\n\n{number}" for number in numbers),
    }
    if requirement.statement is not UNSET:
        yield {
            "id": f"{control}_gdn",
            "name": "guidance",
            "prose": escaped(requirement.statement),
        }
    rules = [prop("rule", canonical.encode(requirement.satisfied_by).decode())]
    for one in () if requirement.contradicted_by is UNSET else requirement.contradicted_by:
        rules.append(prop("contradicted-by", canonical.encode(one).decode()))
    yield {
        "id": objective_id(id_),
        "name": "assessment-objective",
        "props": rules,
        "prose": "\n".join(rule_lines(document, requirement)),
    }
    if requirement.remedy is not UNSET:
        yield {
            "id": f"{control}_rem",
            "name": "remedy",
            "ns": NS,
            "prose": escaped(requirement.remedy),
        }


def _parameters(requirement: Requirement, id_: str) -> Iterator[tuple[str, list[str]]]:
    """The numbers that are the control's own, or that a tier sets, as the lowest tier has them."""
    if requirement.max_age is not UNSET:
        yield _parameter(id_, "max-age"), [requirement.max_age]
    elif any(one.max_age is not UNSET for one in overrides_for(requirement, TIERS[-1])):
        yield _parameter(id_, "max-age"), ["by kind and tier"]
    claims = {
        claim
        for one in overrides_for(requirement, TIERS[-1])
        if one.limits is not UNSET
        for claim in one.limits
    }
    for claim in sorted(claims):
        yield _parameter(id_, claim), list(_bounds(requirement.satisfied_by, claim))


def _settings(
    requirement: Requirement, id_: str, tier: TierName
) -> Iterator[tuple[str, list[str]]]:
    """The parameters that differ at the tier."""
    values: dict[str, str] = {}
    for one in reversed(list(overrides_for(requirement, tier))):
        if one.max_age is not UNSET:
            values["max-age"] = one.max_age
        for claim, limit in () if one.limits is UNSET else one.limits.items():
            values[claim] = str(limit)
    for name, value in sorted(values.items()):
        yield _parameter(id_, name), [value]


def _parameter(id_: str, name: str) -> str:
    return f"{control_id(id_)}_prm_{name}"


def _bounds(rule: Rule, claim: str) -> Iterator[str]:
    """The limits of a claim in a rule, each once and in order."""
    found: dict[str, None] = {}
    for one in _leaves(rule):
        if one.claim == claim:
            found |= {str(bound): None for bound in (one.min, one.max) if bound is not UNSET}
    yield from found


def _leaves(rule: Rule) -> Iterator[Rule]:
    below = rule.all if rule.all is not UNSET else rule.of
    if below is UNSET:
        yield rule
        return
    for one in below:
        yield from _leaves(one)


def _the_spec(document: Document) -> dict[str, Any]:
    data = canonical.encode(document)
    return {
        "uuid": identifier(digest(document), "spec"),
        "title": "The spec itself",
        "props": [prop("kind", "spec")],
        "rlinks": [
            {
                "href": SPEC,
                "media-type": "application/json",
                "hashes": [{"algorithm": "SHA-256", "value": hashlib.sha256(data).hexdigest()}],
            }
        ],
        "base64": {
            "filename": SPEC,
            "media-type": "application/json",
            "value": base64.b64encode(data).decode(),
        },
    }
