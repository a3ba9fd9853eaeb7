"""A spec that asks for what no evidence says is refused: where, why, and what to write instead."""

from __future__ import annotations

import pytest

from bailment.spec.validation import check
from bailment.spec.vocabulary import VOCABULARIES

from .example import EXAMPLE, edited, marked

AM_05 = (
    "    satisfied_by: {kind: drill.revoke, claim: cut_after_ms, max: 1000,"
    " min_independence: observed}\n"
)
UNBOUND = "{kind: gw.people, claim: unbound_requests, max: 0, min_independence: observed}"
AGAINST = "{kind: gw.people, claim: unenrolled_device_requests, min: 1, within: P7D}"
ROSTER = "{join: {seen: gw.people, covered_by: [idp.roster]}}"
CC9_2 = "{kind: soc2.type2, claim: cc9_2_exceptions, max: 0, min_independence: third-party}"


def limits(text: str) -> tuple[str, str]:
    """An edit: AM-05's limits from T3 on."""
    return AM_05, AM_05 + f"    by_tier: {{T3: {{limits: {{{text}}}}}}}\n"


#: By what is wrong: the edit, with « where it is wrong, what is said, and what to write instead.
ERRORS = {
    "a check of the gateway's": (
        (UNBOUND, "{kind: gw.people, check: «unbound_request}"),
        "`gw.people` has no checks: nothing of `gateway/1` has",
        "write `claim` with `min` or `max`; did you mean `unbound_requests`?",
    ),
    "a check of a roster's": (
        (ROSTER, "{kind: idp.roster, check: «complete}"),
        "`idp.roster` has no checks: nothing of `scim/1` has",
        "known are `accounts`, `inactive`, `unmatched_accounts`",
    ),
    "a claim of a scanner's": (
        (CC9_2, "{kind: prowler.iam, claim: «failures, max: 0}"),
        "`prowler.iam` has no claims: nothing of `prowler-ocsf/1` has",
        "write `check`, and what the tool calls it",
    ),
    "a misspelt claim": (
        ("claim: unbound_requests", "claim: «unbound_request"),
        "nothing of `gateway/1` claims `unbound_request`",
        "did you mean `unbound_requests`?",
    ),
    "a misspelt claim that nothing makes yet": (
        ("claim: unbound_requests", "claim: «shared_credentials_alerts"),
        "nothing of `gateway/1` claims",
        "did you mean `shared_credential_alerts`?",
    ),
    "a misspelt contradiction": (
        ("claim: unenrolled_device_requests", "claim: «unenroled_device_requests"),
        "nothing of `gateway/1` claims",
        "did you mean `unenrolled_device_requests`?",
    ),
    "a claim of nobody's": (
        ("claim: unbound_requests", "claim: «entropy"),
        "nothing of `gateway/1` claims `entropy`",
        "`silent_collectors`",
    ),
    "a roster's claim": (
        (ROSTER, "{kind: idp.roster, claim: «unmatched, max: 0}"),
        "nothing of `scim/1` claims `unmatched`",
        "did you mean `unmatched_accounts`?",
    ),
    "a criterion without its end": (
        ("claim: cc9_2_exceptions", "claim: «cc9_2"),
        "nothing of `document/1` claims `cc9_2`",
        "write one like `cc6_1_exceptions`",
    ),
    "people of a scanner's": (
        ("covered_by: [idp.roster]", "covered_by: [idp.roster, «scuba.entra]"),
        "`scuba.entra` names no people: nothing of `scubagear/1` does",
        "write one that does: `gw.delegates`",
    ),
    "people whom a document saw": (
        ("seen: gw.people", "seen: «soc2.type2"),
        "`soc2.type2` names no people",
        "write one that does: `gw.people`, `gw.delegates`",
    ),
    "a scanner that observes": (
        (
            "check: MS.AAD.3.1v1, min_independence: pulled",
            "check: MS.AAD.3.1v1, min_independence: «observed",
        ),
        "nothing of `scubagear/1` is collected as more than `third-party`",
        "ask for `third-party` or less",
    ),
    "a roster that observes": (
        (ROSTER, ROSTER[:-1] + ", min_independence: «observed}"),
        "nothing of `scim/1` is collected as more than `third-party`",
        "ask for `third-party` or less",
    ),
    "a negative maximum": (
        ("unbound_requests, max: 0", "unbound_requests, max: «-1"),
        "`unbound_requests` is never less than `0`, so that this never holds",
        "write `0` or more",
    ),
    "a negative maximum of a document's": (
        ("cc9_2_exceptions, max: 0", "cc9_2_exceptions, max: «-1"),
        "`cc9_2_exceptions` is never less than `0`",
        "write `0` or more",
    ),
    "a negative maximum of what contradicts": (
        ("unenrolled_device_requests, min: 1", "unenrolled_device_requests, max: «-1"),
        "so that this never holds",
        "write `0` or more",
    ),
    "no trial at all": (
        ("claim: cut_after_ms, max: 1000", "claim: trials, max: «0"),
        "`trials` is never less than `1`, so that this never holds",
        "write `1` or more",
    ),
    "a share above the whole": (
        ("unbound_requests, max: 0", "bound_ppm, min: «1000001"),
        "`bound_ppm` is never more than `1000000`, so that this never holds",
        "write `1000000` or less",
    ),
    "a limit below nothing": (
        (CC9_2, CC9_2[:-1] + "}\n    by_tier: {T3: {limits: {cc9_2_exceptions: «-1}}}"),
        "`cc9_2_exceptions` is never less than `0`",
        "write `0` or more",
    ),
    "a limit above the whole": (
        (
            UNBOUND + "\n",
            "{kind: gw.people, claim: bound_ppm, min: 1}\n"
            "    by_tier: {T3: {limits: {bound_ppm: «2000000}}}\n",
        ),
        "`bound_ppm` is never more than `1000000`",
        "write `1000000` or less",
    ),
    "whatever is counted contradicts": (
        (AGAINST, "«{kind: gw.people, claim: unenrolled_device_requests, min: 0, within: P7D}"),
        "every `unenrolled_device_requests` contradicts, `0` too",
        "leave out the numbers that are right",
    ),
    "every share contradicts": (
        (AGAINST, "«{kind: gw.people, claim: bound_ppm, max: 1000000, within: P7D}"),
        "every `bound_ppm` contradicts, `0` too",
        "leave out the numbers that are right",
    ),
    "two collectors where there is one": (
        (
            AM_05,
            "    satisfied_by:\n      at_least: «2\n      distinct: collector\n      of:\n"
            "        - {kind: gw.people, claim: requests, min: 1}\n"
            "        - {kind: drill.revoke, claim: missed, max: 0, min_independence: observed}\n",
        ),
        "2 of these only the gateway collects, and they count as one",
        "ask for at most 1, or remove `distinct`",
    ),
}
WARNINGS = {
    "a claim that nothing makes yet": (
        (UNBOUND, "{kind: gw.people, «claim: unregistered_client_requests, max: 0}"),
        "nothing tells `unregistered_client_requests` of `gw.people` yet: nobody can satisfy "
        "`AM-03`",
        "leave it out until the gateway tells it",
        ("AM-03",),
    ),
    "a contradiction that nothing makes yet": (
        ("claim: unenrolled_device_requests", "«claim: shared_credential_alerts"),
        "nothing tells `shared_credential_alerts` of `gw.people` yet: it contradicts nothing",
        "leave it out until the gateway tells it",
        (),
    ),
    "one of two ways": (
        (CC9_2, "{kind: gw.delegates, «claim: shared_credential_alerts, max: 0}"),
        "nothing tells `shared_credential_alerts` of `gw.delegates` yet: this never holds",
        "leave it out until the gateway tells it",
        (),
    ),
    "a drill that nobody times": (
        ("claim: cut_after_ms", "«claim: answered_after_s"),
        "nothing tells `answered_after_s` of `drill.revoke` as `observed` yet: nobody can satisfy",
        "ask for `pulled`",
        ("AM-05",),
    ),
    "a misspelt drill": (
        ("claim: cut_after_ms", "«claim: cut_after_mss"),
        "nothing tells `cut_after_mss`",
        "did you mean `cut_after_ms`?",
        ("AM-05",),
    ),
    "a check that nobody observes": (
        ("claim: cut_after_ms, max: 1000", "«check: joint-drill"),
        "nothing tells `joint-drill` of `drill.revoke` as `observed` yet",
        "ask for `pulled`",
        ("AM-05",),
    ),
    "a bound that asks for nothing": (
        ("unbound_requests, max: 0", "unbound_requests, «min: -3"),
        "`unbound_requests` is never less than `0`, so that this asks for nothing",
        "write `0` or more",
        (),
    ),
    "a share that asks for nothing": (
        ("unbound_requests, max: 0", "bound_ppm, «max: 2000000"),
        "`bound_ppm` is never more than `1000000`, so that this asks for nothing",
        "write `1000000` or less",
        (),
    ),
    "a negative number that could be": (
        limits("«cut_after_ms: -1"),
        "`cut_after_ms` would have to be negative",
        "unless it is no count",
        (),
    ),
}


def test_the_example_asks_for_what_there_is() -> None:
    checked = check(EXAMPLE.encode(), VOCABULARIES)
    assert (checked.problems, checked.unsatisfiable) == ((), ())


@pytest.mark.parametrize("name", ERRORS)
def test_what_no_evidence_can_say_is_refused_with_its_place_and_remedy(name: str) -> None:
    edit, what, remedy = ERRORS[name]
    data, line, column = marked(edited(edit))
    checked = check(data, VOCABULARIES)
    assert checked.document is None and checked.unsatisfiable == ()
    (found,) = [one for one in checked.problems if not one.warning]
    assert (found.line, found.column) == (line, column)
    assert what in found.what and remedy in found.remedy, found


@pytest.mark.parametrize("name", WARNINGS)
def test_what_nothing_makes_yet_is_a_warning_that_names_who_is_held_up(name: str) -> None:
    edit, what, remedy, held_up = WARNINGS[name]
    data, line, column = marked(edited(edit))
    checked = check(data, VOCABULARIES)
    (found,) = checked.problems
    assert checked.document is not None
    assert (found.line, found.column, found.warning) == (line, column, True)
    assert what in found.what and remedy in found.remedy, found
    assert checked.unsatisfiable == held_up


@pytest.mark.parametrize("name", [*ERRORS, *WARNINGS])
def test_a_spec_in_a_log_is_read_whatever_adapters_say_by_now(name: str) -> None:
    """Adapters come and go; what was applied was applied."""
    edit = (ERRORS.get(name) or WARNINGS[name])[0]
    data, _, _ = marked(edited(edit))
    assert check(data).document is not None


@pytest.mark.parametrize(
    "edit",
    [
        (UNBOUND, "{kind: gw.people, claim: bound_ppm, min: 0}"),
        (UNBOUND, "{kind: gw.people, claim: bound_ppm, min: 1000000, max: 1000000}"),
        (AM_05, "    satisfied_by: {kind: drill.revoke, claim: anything, min: -5}\n"),
        (AM_05, "    satisfied_by: {kind: drill.revoke, check: any, min_independence: pulled}\n"),
        ("check: MS.AAD.1.1v1", "check: no-tool-has-this"),
        ("covered_by: [idp.roster]", "covered_by: [idp.roster, gw.delegates]"),
        (AGAINST, "{kind: gw.people, claim: bound_ppm, max: 999999, within: P7D}"),
        (
            AM_05,
            "    satisfied_by:\n      at_least: 1\n      distinct: collector\n      of:\n"
            "        - {kind: gw.people, claim: requests, min: 1}\n"
            "        - {kind: drill.revoke, claim: missed, max: 0, min_independence: observed}\n",
        ),
    ],
)
def test_what_evidence_can_say_is_accepted(edit: tuple[str, str]) -> None:
    assert check(edited(edit).encode(), VOCABULARIES).problems == ()


def test_where_no_kind_names_people_one_that_could_is_named() -> None:
    text = edited(
        ("seen: gw.people, covered_by: [idp.roster]", "seen: soc2.type2, covered_by: [scuba.entra]")
    )
    for adapter in ("gateway/1", "scim/1"):
        text = text.replace(f"adapter: {adapter}", "adapter: document/1")
    found = [one for one in check(text.encode(), VOCABULARIES).problems if "people" in one.what]
    remedy = "add a kind of `scim/1` or `dsse-attestation/1` or `gateway/1`"
    assert [one.remedy for one in found] == [remedy, remedy]


def test_what_the_gateway_saw_cannot_be_made_less_of() -> None:
    kind = "    scope: org\n  gw.delegates:\n"
    capped = (kind, kind.replace("\n", "\n    caps_at: «pulled\n", 1))
    data, line, column = marked(edited(capped))
    said, asked = check(data, VOCABULARIES).problems
    assert (said.line, said.column, said.remedy) == (line, column, "remove `caps_at`")
    assert said.what == "what the gateway saw is `observed` or nothing: `gw.people` never counts"
    assert asked.what == "`gw.people` is never more than `pulled`, so that it never counts here"
    assert asked.remedy == "remove the kind's `caps_at`"
    without = marked(
        edited(
            capped,
            (
                "_requests, max: 0, min_independence: observed}\n    contra",
                "_requests, max: 0}\n    contra",
            ),
        )
    )[0]
    assert check(without, VOCABULARIES).problems == (said,)
