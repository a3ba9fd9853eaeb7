"""The official OCSF 1.8.0 schema as the package `ocsf-json-schema` ships it, and what is wrong with
an event by it."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchema, get_ocsf_schema
from referencing import Registry, Resource

_CLASSES = {
    2004: "detection_finding",
    2005: "incident_finding",
    3002: "authentication",
    3005: "user_access",
    6003: "api_activity",
}


@cache
def _schemas() -> OcsfJsonSchema:
    found = OcsfJsonSchema(get_ocsf_schema("1.8.0"))
    assert found.version == "1.8.0"
    return found


@cache
def _object(uri: str) -> Resource[Any]:
    """An object's schema when it is first referred to: all that could be is far too much."""
    return Resource.from_contents(_schemas().get_schema_from_uri(uri))


@cache
def _validator(uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    schema = _schemas().get_class_schema(_CLASSES[uid], list(profiles))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=Registry(retrieve=_object))


def wrong(event: dict[str, Any]) -> list[str]:
    """What the schema, and what it says in words alone, find wrong with an event."""
    uid = event["class_uid"]
    profiles = tuple(event["metadata"].get("profiles", ()))
    official = _schemas().schema["classes"][_CLASSES[uid]]
    found = [
        f"{'/'.join(map(str, one.path))}: {one.message}"[:300]
        for one in _validator(uid, profiles).iter_errors(event)
    ]
    found += [
        f"{_CLASSES[uid]} has no profile {one}"
        for one in profiles
        if one not in official["profiles"]
    ]
    if event["type_uid"] != uid * 100 + event["activity_id"]:
        found.append("type_uid is not class_uid * 100 + activity_id")
    found += [
        f"{name}: {event[name]} is none of the schema's"
        for name, attribute in official["attributes"].items()
        if name in event and "enum" in attribute and str(event[name]) not in attribute["enum"]
    ]
    return found
