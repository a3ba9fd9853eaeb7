"""Who writes a spec's words otherwise is told the spelling that was meant, and no other."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.inspect import Metadata, StrType, type_info

from bailment.spec import terms
from bailment.spec.mending import instead
from bailment.spec.validation import check

from .example import edited

GRACE, HOLD = "grace: P7D", "mass_change_hold: 20%"
NOTICE, ISSUER = "notice: [P14D, P3D, P1D]", "issuer: lab.example"
EFFECTIVE, VERSION = 'effective: "2026-05-01"', "version: 1.0.0"
APPROVERS, MANY = "max_renewals: 1", "never_for: [AM-01, AM-03]"
STEP, REMEDY = (
    "then: {step_down: T2}",
    "    remedy: Run the revocation drill together with the lab.",
)
UNBOUND = "claim: unbound_requests, max: 0"

#: What is written in the place of what, and what is to be written instead.
MENDED = [
    (GRACE, "grace: 7d", "write `P7D`"),
    (GRACE, "grace: 7 days", "write `P7D`"),
    (GRACE, "grace: p7d", "write `P7D`"),
    (GRACE, "grace: P2W", "write `P14D`"),
    (GRACE, "grace: 36 h", "write `PT36H`"),
    (GRACE, "grace: 90m", "write `PT90M`"),
    (GRACE, "grace: 10 minutes", "write `PT10M`"),
    (GRACE, "grace: P5H", "write `PT5H`"),
    (GRACE, "grace: P1M", "write days, such as `P30D`: months differ"),
    (GRACE, "grace: 3 months", "write days, such as `P90D`: months differ"),
    (GRACE, "grace: P1Y", "write days, such as `P365D`: years differ"),
    (GRACE, "grace: P0.5D", "write whole numbers, in a smaller unit: half a day is `PT12H`"),
    (GRACE, "grace: soon", "write one like `P7D`"),
    (GRACE, "grace: 7", "write one like `P7D`"),
    (GRACE, "grace: 9999 years", "write one like `P7D`"),
    (GRACE, "grace: true", "write one like `P7D`"),
    (GRACE, "grace: ~", "write one like `P7D`"),
    (GRACE, "grace:", "write one like `P7D`"),
    (GRACE, "grace: null", "write one like `P7D`"),
    (HOLD, "mass_change_hold: 20", "write `20%`"),
    (HOLD, "mass_change_hold: 0.2", "write `20%`"),
    (HOLD, "mass_change_hold: 0.995", "write `99.5%`"),
    (HOLD, "mass_change_hold: 20 %", "write `20%`"),
    (HOLD, "mass_change_hold: 120%", "write one from `0%` to `100%`"),
    (HOLD, "mass_change_hold: a fifth", "write one from `0%` to `100%`"),
    (EFFECTIVE, "effective: 2026-05-01", 'write it in quotes: `"2026-05-01"`'),
    (EFFECTIVE, "effective: 2026-5-1", 'write `"2026-05-01"`'),
    (EFFECTIVE, "effective: 2026/05/01", 'write `"2026-05-01"`'),
    (EFFECTIVE, "effective: 20260501", 'write `"2026-05-01"`'),
    (EFFECTIVE, 'effective: "2026-05-01T00:00:00Z"', 'write `"2026-05-01"`'),
    (EFFECTIVE, "effective: May", 'write one like `"2026-05-01"`'),
    (EFFECTIVE, 'effective: "2026-02-30"', "write a day that the calendar has"),
    (VERSION, "version: 1", "write `1.0.0`"),
    (VERSION, "version: 1.2", "write `1.2.0`"),
    (VERSION, "version: v1.2.3", "write `1.2.3`"),
    (VERSION, "version: one", "write one like `1.0.0`"),
    (ISSUER, "issuer: 7", 'write it in quotes: `"7"`'),
    (ISSUER, "issuer: yes", 'write it in quotes: `"yes"`'),
    (ISSUER, "issuer: [lab]", "write one like `A few words`"),
    (ISSUER, f"issuer: {'x' * 201}", "say it in at most 200 characters"),
    (ISSUER, 'issuer: "a\\nb"', "write `a b`"),
    (REMEDY, "    remedy:", "write one like `A few sentences.`, or leave it out"),
    ("id: restricted-preview", "id: Restricted Preview", "write `restricted-preview`"),
    ("adapter: scim/1", "adapter: SCIM", "write `scim/1`"),
    ("[AM-03, AM-05]", "[AM-03, am_05]", "write `AM-05`"),
    ("seen: gw.people", "seen: GW.People", "write `gw.people`"),
    ("check: MS.AAD.1.1v1", "check: MS AAD 1", "write `MS_AAD_1`"),
    (UNBOUND, "claim: Unbound-Requests, max: 0", "write `unbound_requests`"),
    ('maps: ["sp800-53r5:ac-2.13"]', "maps: [AC-2]", "write one like `sp800-53r5:ac-2`"),
    ('metric: mean, min: "22"', "metric: mean, min: 22", 'write it in quotes: `"22"`'),
    ('metric: mean, min: "22"', "metric: mean, min: 2.5", 'write it in quotes: `"2.5"`'),
    ('metric: mean, min: "22"', "metric: mean, min: high", 'write one like `"0.6"`'),
    (APPROVERS, 'max_renewals: "1"', "write it without quotes: `1`"),
    (APPROVERS, "max_renewals: one", "write an integer, without quotes or a unit"),
    (APPROVERS, "max_renewals: 1.5", "write an integer, such as `2`"),
    (APPROVERS, "max_renewals: yes", "write an integer, without quotes or a unit"),
    (
        UNBOUND,
        "claim: bound_ppm, min: 99.5%",
        "write an integer; a claim in `_ppm` counts millionths, of which this is `995000`",
    ),
    (MANY, "never_for: AM-01", "write it in brackets: `[AM-01]`"),
    (MANY, "never_for: AM-01 and AM-03", "write its items in brackets: `[one, two]`"),
    (MANY, "never_for: {AM-01: 1}", "write each item on lines of its own, after `- `"),
    (MANY, "never_for:", "write its items in brackets: `[one, two]`"),
    (STEP, "then: T2", "write below it, indented: `step_down:`"),
    (STEP, "then:", "write below it, indented: `step_down:`"),
    (STEP, "then: {step_down: none}", "known are `T1`, `T2`, `T3`, `T4`, `suspended`"),
    (STEP, "then: {step_down: 2}", "known are `T1`, `T2`, `T3`, `T4`, `suspended`"),
    (STEP, "then: {step_down: off}", "known are `T1`, `T2`, `T3`, `T4`, `suspended`"),
    ("compensating: required", "compensating: yes", "known are `optional`, `required`"),
    (
        "MS.AAD.1.1v1, min_independence: self-tool",
        "MS.AAD.1.1v1, min_independence: gateway",
        "known are `self`, `self-tool`, `peer`, `pulled`, `third-party`, `observed`",
    ),
    (NOTICE, "notice: []", "write at least one"),
    (GRACE, f"{GRACE}\n  color: red", "remove it"),
    ("    name: general\n", "    name: general\n    color: 1\n", "remove it; known are `includes`"),
    ("at_least: 2\n      of:", "any:", "write `at_least: 1` and `of`"),
    ("      all:\n        - {kind: scuba", "      all_of:\n        - {kind: scuba", "write `all`"),
]


@pytest.mark.parametrize(("old", "new", "remedy"), MENDED)
def test_the_spelling_that_was_meant_is_said(old: str, new: str, remedy: str) -> None:
    checked = check(edited((old, new)).encode())
    assert [one.remedy for one in checked.problems] == [remedy]


FORMS = {
    form.extra_json_schema["title"]: form
    for form in (type_info(one) for one in vars(terms).values() if hasattr(one, "__metadata__"))
    if isinstance(form, Metadata) and isinstance(form.type, StrType) and form.extra_json_schema
}


@given(
    st.sampled_from(list(FORMS.values())),
    st.one_of(
        st.integers(),
        st.text(max_size=12),
        st.text("pPtT0123456789.,-_:/ dhmsywDHMSYW%", max_size=9),
    ),
)
def test_what_is_said_to_be_meant_is_of_the_form(form: Metadata, value: str | int) -> None:
    assert isinstance(form.type, StrType)
    words, pattern = form.extra_json_schema or {}, form.type.pattern or ""
    remedy = instead(words, pattern, value)
    said = re.search(r"`(.*)`", remedy, re.S)
    assert said is not None or remedy == "say it in at most 200 characters"
    if said is not None and remedy.startswith("write") and " to " not in remedy:
        text = said[1]
        assert re.search(pattern, json.loads(text) if text[:1] == '"' else text), (value, remedy)


def test_there_are_forms_to_mend() -> None:
    named = {"duration", "share", "check", "claim", "adapter", "date in quotes", "line of text"}
    assert named <= FORMS.keys()


@pytest.mark.parametrize("text", ["hello", "- a", "[]", "7"])
def test_what_is_no_mapping_is_told_how_to_begin(text: str) -> None:
    (found,) = check(text.encode()).problems
    assert found.remedy == "begin with `apiVersion: bailment/v1`"


def test_of_a_json_text_the_words_are_mended_too() -> None:
    found = check(b'{"metadata": {"version": 1.0, "id": "Small One"}}').problems
    remedies = {one.path: one.remedy for one in found if one.path.startswith("/metadata/")}
    assert remedies == {"/metadata/version": "write `1.0.0`", "/metadata/id": "write `small-one`"}
