"""Whether everything that OSCAL documents refer to is there: validators accept that it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

_IDS = {"control-id", "objective-id", "param-id", "role-id", "statement-id", "target-id"}
_INSERT = re.compile(r"\{\{\s*insert:\s*param\s*,\s*([^\s}]+)\s*\}\}")


def unresolved(files: Mapping[str, Any]) -> list[str]:
    """What is wrong with the references among the documents, by file name; empty if nothing.

    Every UUID that is cited is defined in the same document, and defined once there. Every control,
    part, parameter and role is defined in one of the documents, and every relative `href` is the
    name of one of the files.
    """
    ids = {one for value in files.values() for key, one in _members(value) if key == "id"}
    found: list[str] = []
    for name, value in files.items():
        members = list(_members(value))
        defined = [one for key, one in members if key == "uuid"]
        twice = {one for one in defined if defined.count(one) > 1}
        found += [f"{name}: the uuid `{one}` is defined twice" for one in sorted(twice)]
        for key, one in members:
            found += [
                f"{name}: `{key}` refers to `{missing}`, which is nowhere"
                for missing in _missing(key, one, set(defined), ids, files)
            ]
    return found


def _missing(
    key: str, value: Any, uuids: set[Any], ids: set[Any], files: Mapping[str, Any]
) -> Iterator[str]:
    if key == "href":
        if value.startswith("#"):
            if value[1:] not in uuids:
                yield value
        elif not urlsplit(value).scheme and value not in files:
            yield value
    elif key.endswith(("-uuid", "-uuids")):
        yield from (one for one in _each(value) if one not in uuids)
    elif key in _IDS or key == "with-ids":
        yield from (one for one in _each(value) if one not in ids)
    elif isinstance(value, str):
        yield from (one for one in _INSERT.findall(value) if one not in ids)


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """Every member of every object, at any depth."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield key, one
            yield from _members(one)
    elif isinstance(value, list):
        for one in value:
            yield from _members(one)
