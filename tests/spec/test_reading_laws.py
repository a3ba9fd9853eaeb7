"""Reading a spec's text: what holds of every text, whoever wrote it."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bailment import canonical
from bailment.canonical import MAX_INTEGER
from bailment.spec.reading import read
from bailment.spec.validation import check, load

from .example import EXAMPLE

KEYS = st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Cn", "Zl", "Zp")), max_size=20)
    | st.sampled_from(
        ["yes", "1.5", "2026-05-01", "P7D", "a: b", "# x", "- a", "", " x ", "\n", "é"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)


def in_quotes(text: str) -> str:
    """As YAML has it in double quotes, with everything escaped that a text may not hold."""
    escaped = json.dumps(text, ensure_ascii=False)
    return re.sub(
        r"[^\n -~\xa0-\u0600\u3041-\ud7ff\U00010000-\U0001fffd]",
        lambda found: f"\\U{ord(found[0]):08x}",
        escaped,
    )


@st.composite
def yaml_of(draw: st.DrawFn, value: Any, indent: int = 0) -> str:
    """One of the ways to write a value in the subset, after a key, a dash or nothing."""
    pad = "\n" + "  " * indent
    if isinstance(value, dict) and value and draw(st.booleans()):
        rows = [
            f"{pad}{draw(scalar_of(key))}: {draw(yaml_of(item, indent + 1))}"
            for key, item in value.items()
        ]
        return "".join(rows)
    if isinstance(value, list) and value and draw(st.booleans()):
        return "".join(f"{pad}- {draw(yaml_of(item, indent + 1))}" for item in value)
    return draw(flow_of(value))


@st.composite
def flow_of(draw: st.DrawFn, value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{in_quotes(k)}: {draw(flow_of(v))}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(draw(flow_of(item)) for item in value) + "]"
    return draw(scalar_of(value))


@st.composite
def scalar_of(draw: st.DrawFn, value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if re.fullmatch(r"[A-Za-z]{3,}[0-9]+", value) and draw(st.booleans()):
        return value
    if re.fullmatch(r"[!-&(-~]+", value) and draw(st.booleans()):
        return f"'{value}'"
    return in_quotes(value)


@given(st.data(), OBJECTS)
@settings(max_examples=60)
def test_a_value_written_as_yaml_reads_back_equal(data: st.DataObject, value: Any) -> None:
    # Without a first line that opens the whole in braces, which would be JSON.
    text = "---\n" + data.draw(yaml_of(value)) + "\n"
    found = read(text.encode())
    assert found.problems == []
    assert json.dumps(found.value) == json.dumps(value)


@given(OBJECTS, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_a_value_written_as_json_reads_back_equal(value: Any, indent: Any, escaped: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    found = read(text.encode())
    assert found.problems == []
    assert json.dumps(found.value) == json.dumps(value)


PIECES = [
    *("a", "b: ", "- ", "? ", ": ", "\n", "\n  ", " ", "  ", "[", "]", "{", "}", ",", '"', "'"),
    *("&x ", "*x", "!", "!!int ", "|", ">", "%", "@", "`", "#", "---\n", "...\n", "<<: ", "~"),
    *("yes", "NO", "0", "7", "-", "+", ".", "_", "e", "0x", "0o7", ":", "1:2", "2026-01-01", "T"),
    *("null", "true", ".inf", "\t", "\r\n", "é", "\u2028", "\\", "\\u", "P7D", "20%", "="),
]
SNIPPETS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
LINES = st.lists(
    st.tuples(
        st.sampled_from(["", "", "  ", "- "]),
        st.sampled_from(["a: ", "b: ", "c: ", "'d': ", ""]),
        st.lists(st.sampled_from(PIECES), max_size=3).map("".join),
    ).map("".join),
    max_size=4,
).map("\n".join)


@given(SNIPPETS | LINES)
@example("a: 1\n...\n")
@settings(max_examples=600)
def test_what_is_accepted_means_the_same_to_another_reader(text: str) -> None:
    """PyYAML reads YAML 1.1; of version 1.2 only the resolution of plain scalars differs."""
    found = read(text.encode())
    if found.problems or text.lstrip().startswith("{"):
        return
    theirs = yaml.load(text, Loader=yaml.CSafeLoader)
    assert json.dumps(found.value) == json.dumps(theirs)


CORE = re.compile(  # YAML 1.2.2 §10.3.2, and 1.1's types of https://yaml.org/type/
    r"(null|Null|NULL|~||true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    r"|y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF|[-+]?0b[01_]+|[-+]?0[0-7_]+"
    r"|[-+]?(0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+"
    r"|[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*"
    r"|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?([Tt \t].*)?|<<|=)"
)
JSONS = re.compile(r"null|true|false|-?(0|[1-9][0-9]*)")


@given(
    st.text(st.sampled_from("0123456789+-._:eExobaTZ"), max_size=8)
    | st.from_regex(CORE, fullmatch=True)
)
@settings(max_examples=300)
def test_no_plain_scalar_is_text_here_and_something_else_elsewhere(plain: str) -> None:
    if re.search(r"[^ -~]| |:$|: |^-?$|^[-?:] ", plain):
        return
    found = read(f"a: {plain}".encode())
    if CORE.fullmatch(plain) and not JSONS.fullmatch(plain):
        assert found.problems
    elif not found.problems:
        value = found.value["a"]
        assert value == (json.loads(plain) if JSONS.fullmatch(plain) else plain)


@given(st.binary(max_size=200) | SNIPPETS.map(str.encode))
def test_no_bytes_raise(data: bytes) -> None:
    _is_checked(data)


@given(st.data())
@settings(max_examples=100)
def test_no_damage_to_a_spec_raises(data: st.DataObject) -> None:
    text = EXAMPLE
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = min(len(text), at + data.draw(st.integers(0, 30)))
        text = text[:at] + data.draw(SNIPPETS) + text[end:]
    _is_checked(text.encode())


def _is_checked(data: bytes) -> None:
    """Whatever the bytes: a document, or at least one error with a place and a remedy."""
    checked = check(data)
    assert (checked.document is None) == any(not one.warning for one in checked.problems)
    if checked.document is not None:
        assert load(canonical.encode(checked.document)) == checked.document
    lines = data.decode(errors="replace").replace("\r\n", "\n").count("\n") + 2
    for one in checked.problems:
        assert 1 <= one.line <= lines and one.column >= 1
        assert one.what and one.remedy
