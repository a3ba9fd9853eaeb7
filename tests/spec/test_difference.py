"""Between two specs every difference is found, and nothing else."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bailment.spec.difference import Change, differences
from bailment.spec.document import Document, digest
from bailment.spec.validation import load

from .example import EXAMPLE, edited

BEFORE = load(EXAMPLE.encode())
EDITS = (
    ("grace: P7D", "grace: P3D"),
    ("at_least: 2", "at_least: 3"),
    ("max: 1000", "max: 900"),
    ("never_for: [AM-01, AM-03]", "never_for: [AM-01]"),
    ("never_for: [AM-01, AM-03]", "never_for: [AM-03, AM-01]"),
    ("check: MS.AAD.3.1v1, min_independence: pulled", "check: MS.AAD.3.1v1"),
    ("weight: 3\n    remedy", "weight: 4\n    remedy"),
    ("machine: P3D", "machine: P2D"),
)


def after(*edits: tuple[str, str]) -> Document:
    return load(edited(*edits).encode())


def test_a_number_that_changes() -> None:
    (change,) = differences(BEFORE, after(EDITS[0]))
    assert change == Change("changed", "/lapse/grace", "P7D", "P3D")
    assert str(change) == "~ /lapse/grace P7D → P3D"


def test_a_limit_deep_in_a_rule() -> None:
    (change,) = differences(BEFORE, after(EDITS[5]))
    assert change == Change(
        "removed", "/requirements/AM-03/satisfied_by/all/0/min_independence", before="pulled"
    )
    assert str(change).startswith("- /requirements/AM-03/")


def test_a_requirement_that_comes_and_its_tier() -> None:
    new = (
        "  AM-06:\n    title: Another\n    satisfied_by: {kind: drill.revoke, check: other}\n\n"
        "exceptions_policy:"
    )
    found = differences(
        BEFORE, after(("exceptions_policy:", new), ("[AM-03, AM-05]", "[AM-03, AM-05, AM-06]"))
    )
    assert [str(one) for one in found] == [
        "+ /requirements/AM-06 Another",
        "+ /tiers/T3/require AM-06",
    ]
    back = differences(
        after(("exceptions_policy:", new), ("[AM-03, AM-05]", "[AM-03, AM-05, AM-06]")), BEFORE
    )
    assert [one.what for one in back] == ["removed", "removed"]


def test_an_item_that_leaves_a_list() -> None:
    (change,) = differences(BEFORE, after(EDITS[3]))
    assert change == Change("removed", "/exceptions_policy/never_for", before="AM-03")


def test_another_order_is_a_difference() -> None:
    (change,) = differences(BEFORE, after(EDITS[4]))
    assert change.what == "changed" and change.path == "/exceptions_policy/never_for"


def test_a_long_text_is_cut_to_a_line() -> None:
    assert str(Change("removed", "/x", before="y" * 80)) == "- /x " + "y" * 80
    assert str(Change("added", "/x", after="y" * 81)) == "+ /x " + "y" * 79 + "…"


def test_the_first_spec_adds_every_requirement_by_itself() -> None:
    found = differences(None, BEFORE)
    assert {one.what for one in found} <= {"added", "changed"}
    paths = {one.path for one in found}
    assert {f"/requirements/AM-0{n}" for n in range(1, 6)} | {"/tiers/T3", "/lapse/grace"} <= paths


@given(st.sets(st.sampled_from(EDITS)), st.sets(st.sampled_from(EDITS)))
def test_there_is_a_difference_exactly_where_digests_differ(
    one: set[tuple[str, str]], other: set[tuple[str, str]]
) -> None:
    both = [BEFORE, BEFORE]
    for at, edits in enumerate((one, other)):
        text = EXAMPLE
        for old, new in edits:
            text = text.replace(old, new)
        both[at] = load(text.encode())
    changes = differences(*both)
    assert (not changes) == (digest(both[0]) == digest(both[1]))
    assert all(len(str(change)) < 300 for change in changes)


def test_yaml_and_json_of_a_spec_have_one_digest_which_is_that_of_the_value() -> None:
    as_json = msgspec.json.encode(BEFORE)
    again = load(json.dumps(json.loads(as_json), indent=3).encode())
    assert again == BEFORE
    assert digest(again) == digest(BEFORE) == digest(json.loads(as_json))


def test_a_member_that_is_left_out_is_not_one_that_says_the_same() -> None:
    said = after(("  AM-02:\n", "  AM-02:\n    weight: 1\n"))
    assert digest(said) != digest(BEFORE)
    assert [str(one) for one in differences(BEFORE, said)] == ["+ /requirements/AM-02/weight 1"]
