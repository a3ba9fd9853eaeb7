"""Write formats/spec.schema.json: the JSON Schema of a distribution spec.

python formats/generate_spec.py
"""

from __future__ import annotations

import json
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from bailment.spec.document import Document, Rule
from bailment.spec.rules import FORMS
from bailment.spec.terms import LADDER, TIERS

OUT = Path(__file__).parent / "spec.schema.json"


def schema() -> str:
    """The text of the file."""
    (reference,), components = msgspec.json.schema_components(
        (Document,), ref_template="#/$defs/{name}"
    )
    rule = components[Rule.__name__]
    rule["oneOf"] = [_form(needed, allowed) for needed, allowed in FORMS.values()]
    for name, member in (
        ("Document", "tiers"),
        ("Requirement", "by_tier"),
        ("Credential", "by_tier"),
        ("Delegation", "by_tier"),
    ):
        components[name]["properties"][member]["propertyNames"] = {"enum": list(TIERS)}
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Distribution spec",
        **reference,
        "$defs": components,
    }
    return json.dumps(_portable(document), indent=1, ensure_ascii=False) + "\n"


def _form(needed: set[str], allowed: set[str]) -> dict[str, Any]:
    """A rule of one form: what it must have, and that it has nothing else."""
    form: dict[str, Any] = {"required": sorted(needed)}
    form["propertyNames"] = {"enum": sorted(needed | allowed)}
    if "claim" in needed:
        form["anyOf"] = [{"required": ["min"]}, {"required": ["max"]}]
    return form


def _portable(value: Any) -> Any:
    """With the end of a text as ECMA-262 writes it, prose unfolded, and the ladder in its order."""
    if isinstance(value, list):
        return [_portable(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _portable(item) for key, item in value.items()}
    if isinstance(found.get("pattern"), str):
        found["pattern"] = found["pattern"].replace(r"\Z", "$")
    if isinstance(found.get("description"), str):
        paragraphs = cleandoc(found["description"]).split("\n\n")
        found["description"] = "\n\n".join(" ".join(one.split()) for one in paragraphs)
    if found.get("enum") == sorted(LADDER):
        found["enum"] = list(LADDER)
    return found


if __name__ == "__main__":
    OUT.write_text(schema())
