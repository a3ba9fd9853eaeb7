"""The published schema is that of the code, and says what the code does."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bailment.cli.spec_reference import page
from bailment.spec.reading import read
from bailment.spec.shape import document_of
from bailment.spec.validation import check

from .example import EXAMPLE, ROOT, edited, marked
from .test_refusals import RULES, SHAPE

SCHEMA = json.loads((ROOT / "formats" / "spec.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
VALUE = read(EXAMPLE.encode()).value


def test_the_schema_in_formats_is_the_one_that_the_code_makes() -> None:
    module = runpy.run_path(str(ROOT / "formats" / "generate_spec.py"))
    assert module["OUT"].read_text() == module["schema"]()


def test_the_page_of_members_is_current() -> None:
    assert (ROOT / "docs" / "spec.md").read_text() == page()


def test_it_is_a_schema_and_refuses_unknown_members_everywhere() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for name, part in SCHEMA["$defs"].items():
        assert part["additionalProperties"] is False, name


def test_every_member_says_what_it_means() -> None:
    for name, part in SCHEMA["$defs"].items():
        for member, schema in part["properties"].items():
            assert schema.get("description", "").endswith("."), (name, member)


def test_no_pattern_is_pythons_alone() -> None:
    assert "\\\\Z" not in (ROOT / "formats" / "spec.schema.json").read_text()


def test_the_example_is_valid() -> None:
    VALIDATOR.validate(VALUE)


FORMS = [
    *("no form", "two forms", "a leaf and a list", "a check of nothing", "a kind alone"),
    *("a claim without bound", "a bound on a check", "so many of nothing", "distinct of all"),
    *("so many of none", "a bound alone", "a kind and a bound"),
]


@pytest.mark.parametrize("name", [*SHAPE, *FORMS])
def test_what_the_code_refuses_by_shape_the_schema_refuses(name: str) -> None:
    text = edited((SHAPE.get(name) or RULES[name])[0])
    reading = read(marked(text)[0] if "«" in text else text.encode())
    if not reading.problems:
        assert not VALIDATOR.is_valid(reading.value)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all parts of a value."""
    if not isinstance(value, dict | list):
        return [path]
    below = value.items() if isinstance(value, dict) else enumerate(value)
    return [path, *(one for key, item in below for one in paths(item, (*path, key)))]


PATHS = [path for path in paths(VALUE) if path]
OTHERS: list[Any] = [
    None,
    True,
    0,
    1,
    99,
    -1,
    "",
    "x",
    "P1D",
    "T3",
    "observed",
    "20%",
    "a b",
    [],
    ["P1D"],
    {},
]
OTHERS += [
    {"x": 1},
    {"kind": "a", "check": "b"},
    {"all": []},
    {"kind": "a", "claim": "b", "max": 0},
]


@given(
    st.sampled_from(PATHS), st.sampled_from(["replace", "add", "remove"]), st.sampled_from(OTHERS)
)
@settings(max_examples=150)
def test_code_and_schema_agree_on_the_shape_of_a_damaged_spec(
    path: tuple[Any, ...], how: str, other: Any
) -> None:
    value = json.loads(json.dumps(VALUE))
    around = value
    for part in path[:-1]:
        around = around[part]
    if how == "remove":
        del around[path[-1]]
    elif how == "replace":
        around[path[-1]] = other
    elif isinstance(around, dict):
        around["max" if other == 1 else "x"] = other
    else:
        around.append(other)
    data = json.dumps(value).encode()
    reading = read(data)
    assert reading.problems == []
    document_of(reading)
    valid = VALIDATOR.is_valid(value)
    if reading.problems:
        assert not valid
    if not valid:
        assert check(data).document is None
