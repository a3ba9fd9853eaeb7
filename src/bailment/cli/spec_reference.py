"""The page of a spec's members: `python -m bailment.cli.spec_reference > docs/spec.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import msgspec

from bailment.spec.document import Document
from bailment.spec.terms import LADDER

_HEAD = """\
# The distribution spec

Made by `python -m bailment.cli.spec_reference > docs/spec.md`; a test holds it to that.

A distribution spec says what a recipient must prove before it is entrusted with a restricted model,
and which numbers the gateway and its people obey from then on. It is written in YAML, or in JSON.
[A short example](examples/restricted-preview.yaml) has every section; the built-in one, explained
in [requirements](requirements.md), is longer. `bailment spec validate FILE` says what is wrong with
a spec, at which line and column, and what to write instead, and of what nobody can satisfy yet;
`bailment spec show FILE` says what each tier asks for. How a text is read, what it means and what
is refused is in [the format](../formats/spec.md), and what evidence can say in
[evidence](evidence.md#what-it-can-say).

Independence is that of who *collected* the evidence, not of the tool, from least to most:
{ladder}.
"""
#: A struct's heading, where its name is not it.
_NAMES = {"Document": "Spec", "PolicySection": "Policy"}


def page() -> str:
    """The page, in Markdown."""
    _, components = msgspec.json.schema_components((Document,), ref_template="{name}")
    ladder = " < ".join(f"`{rung}`" for rung in LADDER)
    parts = [_HEAD.replace("{ladder}", ladder)]
    for name, component in components.items():
        parts += _section(name, component)
    return "\n".join(parts)


def _section(name: str, component: dict[str, Any]) -> Iterator[str]:
    yield f"## {_title(name)}\n"
    yield cleandoc(component["description"]) + "\n"
    yield "| member | value | meaning |\n|---|---|---|"
    for member, value in component["properties"].items():
        must = "" if member in component["required"] else "optional; "
        yield f"| `{member}` | {must}{_form(value)} | {value['description']} |"
    yield ""


def _form(value: dict[str, Any]) -> str:
    """What may stand there."""
    if "anyOf" in value:
        return _form(value["anyOf"][0])
    if "$ref" in value:
        name = _title(value["$ref"])
        return f"[{name}](#{name.lower().replace(' ', '-')})"
    if "enum" in value:
        words = [rung for rung in LADDER if rung in value["enum"]] or value["enum"]
        return ", ".join(f"`{word}`" for word in words)
    match value["type"]:
        case "array":
            return f"list: {_form(value['items'])}"
        case "object":
            keys = value.get("propertyNames", {"title": "tier"})["title"]
            return f"by {keys}: {_form(value['additionalProperties'])}"
        case "integer":
            least, most = value["minimum"], value["maximum"]
            return f"integer, {least} to {most}" if most < 1 << 32 else "integer"
        case _:
            title, example = value["title"], value["examples"][0]
            return title if " " in example else f"{title}, such as `{example}`"


def _title(name: str) -> str:
    words = "".join(f" {ch.lower()}" if ch.isupper() else ch for ch in name).strip()
    return _NAMES.get(name, words.capitalize())


if __name__ == "__main__":
    sys.stdout.write(page())
