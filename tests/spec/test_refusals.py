"""Every spec that could not be meant is refused: where, why, and with what to write instead."""

from __future__ import annotations

import pytest

from bailment.errors import FormatError
from bailment.spec.shape import nearest
from bailment.spec.validation import check, load
from bailment.spec.vocabulary import VOCABULARIES

from .example import EXAMPLE, HERE, edited, marked, problems

AM_05 = (
    "    satisfied_by: {kind: drill.revoke, claim: cut_after_ms, max: 1000,"
    " min_independence: observed}\n"
)
T3_REQUIRES = "    require: [AM-03, AM-05]\n"
TIERS_3 = "  T3:\n    name: restricted\n    includes: T2\n" + T3_REQUIRES
TIERS_1_2 = """\
    require: [AM-01]
    freshness: {machine: P30D, process: P365D}
  T2:
    name: elevated
    includes: T1
"""
TWO_OF = "      at_least: 2\n"


def am_05(rule: str, more: str = "") -> tuple[str, str]:
    """An edit: another rule for AM-05, and other members after it."""
    return AM_05, f"    satisfied_by: {rule}\n{more}"


def by_tier(text: str) -> tuple[str, str]:
    return AM_05, AM_05 + "    by_tier:\n" + text


def includes_upwards(tier: str) -> str:
    """T1 and T2, each of which includes a higher tier."""
    one = "    includes: T2\n" + TIERS_1_2
    return one.replace("includes: T1", f"includes: «{tier}")


DRILL = "kind: drill.revoke"

#: By what is wrong: the edit, with « where it is wrong, what is said, and what to write instead.
SHAPE = {
    "an unknown key": (("  grace:", "  «graze:"), "unknown key `graze`", "did you mean `grace`?"),
    "a missing member": (("  grace: P7D\n", ""), "`grace` is missing", "add `grace:`"),
    "a number for a text": (
        ("contact: access@lab.example", "contact: «7"),
        "a number stands where a line of text must",
        'write it in quotes: `"7"`',
    ),
    "null": (("grace: P7D", "grace: «null"), "null stands where a duration must", "`P7D`"),
    "a text for a number": (
        ("at_least: 2", "at_least: «two"),
        "text stands where a number must",
        "an integer, without quotes",
    ),
    "a boolean for a number": (
        ("at_least: 2", "at_least: «true"),
        "a boolean stands where a number must",
        "an integer, without quotes",
    ),
    "one for many": (
        ("notice: [P14D, P3D, P1D]", "notice: «P14D"),
        "text stands where a list must",
        "in brackets: `[P14D]`",
    ),
    "a list for a mapping": (
        ("then: {step_down: T2}", "then: «[T2]"),
        "a list stands where a mapping must",
        "below it, indented: `step_down:`",
    ),
    "a list for a mapping by name": (
        by_tier("      «[T3]\n"),
        "a list stands where a mapping must",
        "below it, indented, each by its tier",
    ),
    "an empty mapping by name": (by_tier("      «{}\n"), "nothing is in it", "at least one"),
    "an unknown key beside all known ones": (
        ("freshness: {machine: P3D,", "freshness: {«mashine: P3D, machine: P3D,"),
        "unknown key `mashine`",
        "remove it",
    ),
    "an adapter without version": (
        ("adapter: scim/1", "adapter: «scim"),
        "`scim` is not an adapter",
        "write `scim/1`",
    ),
    "an empty list": (
        ("notice: [P14D, P3D, P1D]", "notice: «[]"),
        "nothing is in it",
        "at least one",
    ),
    "too long a list": (
        ("notice: [P14D, P3D, P1D]", f"notice: «[{', '.join(['P1D'] * 17)}]"),
        "more than 16",
        "fewer",
    ),
    "a word nobody knows": (
        ("compensating: required", "compensating: «require"),
        "`require` does not belong here",
        "did you mean `required`?",
    ),
    "another version of the format": (
        ("bailment/v1", "«bailment/v2"),
        "`bailment/v2` does not belong here",
        "write `bailment/v1`",
    ),
    "a tier beyond the four": (("  T3:\n", "  «T5:\n"), "`T5` does not belong here", "`T1`"),
    "a date in words": (
        ('"2026-05-01"', "«1 May 2026"),
        "`1 May 2026` is not a date",
        'write one like `"2026-05-01"`',
    ),
    "a date as YAML has it": (('"2026-05-01"', "«2026-05-01"), "a date", '`"2026-05-01"`'),
    "a duration in words": (("grace: P7D", "grace: «7d"), "`7d` is not a duration", "write `P7D`"),
    "months": (("grace: P7D", "grace: «P1M"), "`P1M` is not a duration", "such as `P30D`"),
    "a share above the whole": (("hold: 20%", "hold: «120%"), "is not a share", "to `100%`"),
    "a version of two numbers": (
        ("version: 1.0.0", 'version: «"1.0"'),
        "is not a semantic version",
        "write `1.0.0`",
    ),
    "a number out of bounds": (
        ("max_depth: 1", "max_depth: «9"),
        "`9` is out of bounds",
        "from 0 to 8",
    ),
    "too few approvers": (
        ("  approvers: 2\n", "  approvers: «1\n"),
        "`1` is out of bounds",
        "from 2 to 16",
    ),
    "an id that is none": (
        ("  AM-05:\n", "  «am_05:\n"),
        "`am_05` is not a requirement's id",
        "write `AM-05`",
    ),
    "too long a text": (
        (
            "    remedy: Run the revocation drill together with the lab.",
            f"    remedy: «{'x' * 4001}",
        ),
        "longer than 4000 characters",
        "in fewer",
    ),
    "too long a name": (
        (f"{DRILL}, claim", f"kind: «{'x' * 65}, claim"),
        "longer than 64 characters",
        "in fewer",
    ),
    "a fraction": ((" max: 1000,", " max: «0.5,"), "`0.5` is not a plain integer", "`500000`"),
}
TIERS = {
    "a tier that includes itself": (
        ("includes: T1", "includes: «T2"),
        "`T2` includes itself",
        "write `includes: T1`",
    ),
    "a cycle": (
        ("includes: T1", "includes: «T3"),
        "a cycle: T2 includes T3 includes T2",
        "write `includes: T1`",
    ),
    "a tier that is not there": (
        ("includes: T2", "includes: «T4"),
        "there is no tier `T4`",
        "write `includes: T2`",
    ),
    "a gap": (
        ("includes: T2", "includes: «T1"),
        "`T3` includes not the next lower tier",
        "write `includes: T2`",
    ),
    "nothing included": (
        ("  T3:\n    name: restricted\n    includes: T2\n", "  «T3:\n    name: restricted\n"),
        "`T3` is above `T2` and does not include it",
        "add `includes: T2`",
    ),
    "the lowest includes a higher one": (
        ("    name: general\n", "    name: general\n    includes: «T2\n"),
        "a cycle: T1 includes T2 includes T1",
        "remove `includes`",
    ),
    "a cycle above another": (
        (
            TIERS_1_2,
            includes_upwards("T3"),
        ),
        "a cycle: T2 includes T3 includes T2",
        "write `includes: T1`",
    ),
    "an unknown tier above another": (
        (
            TIERS_1_2,
            includes_upwards("T4"),
        ),
        "there is no tier `T4`",
        "write `includes: T1`",
    ),
    "the lowest includes one that is not there": (
        ("    name: general\n", "    name: general\n    includes: «T4\n"),
        "there is no tier `T4`",
        "remove `includes`",
    ),
    "the lowest asks for nothing": (
        ("    require: [AM-01]\n", "    require: «[]\n"),
        "`T1` asks for nothing",
        "at least one",
    ),
    "an unknown requirement": (
        ("[AM-03, AM-05]", "[AM-03, AM-05, «AM-06]"),
        "there is no requirement `AM-06`",
        "did you mean `AM-05`?",
    ),
    "an unreachable requirement": (
        (TIERS_3, TIERS_3.replace(", AM-05", "")),
        "no tier requires `AM-05`",
        "`require` of a tier",
    ),
    "older evidence for a higher tier": (
        ("freshness: {machine: P3D,", "freshness: {machine: «P8D,"),
        "older evidence than the `P7D` of the tier below",
        "write `P7D` or less",
    ),
    "no day": (('"2026-05-01"', '«"2026-02-30"'), "there is no day `2026-02-30`", "the calendar"),
}
RULES = {
    "3 of 2": (
        am_05(f"{{at_least: «3, of: [{{{DRILL}, check: a}}, {{{DRILL}, check: b}}]}}"),
        "3 of 2 can never hold",
        "at most 2",
    ),
    "no form": (am_05("«{min_independence: self}"), "a rule of no form", "write `kind` with"),
    "two forms": (
        am_05(f"«{{{DRILL}, check: a, claim: b, max: 0}}"),
        "`check` and `claim` in",
        "`all`",
    ),
    "a leaf and a list": (
        am_05(f"«{{{DRILL}, check: a, all: [{{{DRILL}, check: a}}]}}"),
        "`check` and `all` in one rule",
        "keep one",
    ),
    "a check of nothing": (am_05("«{check: a}"), "`check` without `kind`", "add `kind:`"),
    "a kind alone": (am_05(f"«{{{DRILL}}}"), "a rule of no form", "add `check`, or `claim`"),
    "so many of none": (am_05("«{at_least: 1}"), "a rule of no form", "add `of`"),
    "a bound alone": (am_05("«{max: 1}"), "a rule of no form", "add `kind` and `claim`"),
    "a kind and a bound": (am_05(f"«{{{DRILL}, max: 1}}"), "a rule of no form", "add `claim`"),
    "a claim without bound": (
        am_05(f"«{{{DRILL}, claim: cut_after_ms}}"),
        "a claim without a bound",
        "`min` or `max`",
    ),
    "a bound on a check": (
        am_05(f"{{{DRILL}, check: a, max: «0}}"),
        "`max` does not go with `check`",
        "remove it",
    ),
    "so many of nothing": (am_05(f"«{{of: [{{{DRILL}, check: a}}]}}"), "without `at_least`", "add"),
    "distinct of all": (
        am_05(f"{{all: [{{{DRILL}, check: a}}], distinct: «collector}}"),
        "`distinct` does not go with `all`",
        "remove it",
    ),
    "an age for a list": (
        am_05(f"{{all: [{{{DRILL}, check: a}}], max_age: «P1D}}"),
        "`max_age` does not go with `all`",
        "remove it",
    ),
    "no number is within": (
        am_05(f"{{{DRILL}, claim: cut_after_ms, min: «2, max: 1}}"),
        "so large and so small",
        "below",
    ),
    "an unknown kind": (
        (f"{{{DRILL}, claim", "{kind: «drill.revokes, claim"),
        "no kind of evidence is named `drill.revokes`",
        "did you mean `drill.revoke`?",
    ),
    "an unknown kind, seen": (
        ("seen: gw.people", "seen: «gw.person"),
        "no kind of evidence is named `gw.person`",
        "`gw.people`",
    ),
    "an unknown kind, covering": (
        ("covered_by: [idp.roster]", "covered_by: [«idp.rooster]"),
        "no kind of evidence is named `idp.rooster`",
        "`idp.roster`",
    ),
    "who was seen covers": (
        ("covered_by: [idp.roster]", "covered_by: [idp.roster, «gw.people]"),
        "`gw.people` stands in the join already",
        "remove it",
    ),
    "covered twice": (
        ("covered_by: [idp.roster]", "covered_by: [idp.roster, «idp.roster]"),
        "`idp.roster` stands in the join already",
        "remove it",
    ),
    "more independence than the kind can have": (
        (
            "claim: cc9_2_exceptions, max: 0, min_independence: third-party",
            "claim: cc9_2_exceptions, max: 0, min_independence: «observed",
        ),
        "`soc2.type2` is never more than `third-party`",
        "ask for `third-party` or less",
    ),
    "a join that nothing can cover": (
        (
            ": {join: {seen: gw.people, covered_by: [idp.roster]}}",
            ": {join: {seen: gw.people, covered_by: [idp.roster, soc2.type2]},"
            " min_independence: «observed}",
        ),
        "`soc2.type2` is never more",
        "raise the kind's `caps_at`",
    ),
    "the same twice": (
        am_05(f"{{at_least: 2, of: [{{{DRILL}, check: a}}, «{{check: a, {DRILL}}}]}}"),
        "the same as item 1",
        "remove one",
    ),
    "the same twice, deeper": (
        am_05(f"{{all: [{{all: [{{{DRILL}, check: a}}, «{{{DRILL}, check: a}}]}}]}}"),
        "the same as item 1",
        "remove one",
    ),
    "a leaf's age of zero": (
        am_05(f"{{{DRILL}, check: a, max_age: «PT0S}}"),
        "no evidence is so young",
        "`P1D`",
    ),
    "a kind's age of zero": (("max_age: P365D", "max_age: «P0D"), "no time at all", "`P1D`"),
    "a requirement's age of zero": (
        (AM_05, AM_05 + "    max_age: «PT0M\n"),
        "no evidence is so young",
        "`P1D`",
    ),
    "within where nothing contradicts": (
        am_05(f"{{{DRILL}, check: a, within: «P1D}}"),
        "`within` is for `contradicted_by`",
        "say `max_age`",
    ),
    "a contradiction without end": (
        (AM_05, AM_05 + f"    contradicted_by: [«{{{DRILL}, check: a}}]\n"),
        "for how long",
        "add `within: P7D`",
    ),
    "a contradiction that ages": (
        (
            AM_05,
            AM_05 + f"    contradicted_by: [{{{DRILL}, check: a, within: P1D, max_age: «P1D}}]\n",
        ),
        "`max_age` is for `satisfied_by`",
        "say `within`",
    ),
    "a contradiction of no time": (
        ("min: 1, within: P7D", "min: 1, within: «P0D"),
        "no evidence is so young",
        "`P1D`",
    ),
    "a contradiction of several": (
        (AM_05, AM_05 + f"    contradicted_by: [«{{all: [{{{DRILL}, check: a}}]}}]\n"),
        "only a check or a claim contradicts",
        "its leaves one by one",
    ),
    "a contradiction of people": (
        (
            AM_05,
            AM_05 + "    contradicted_by: [«{join: {seen: gw.people, covered_by: [idp.roster]}}]\n",
        ),
        "only a check or a claim contradicts",
        "remove it",
    ),
    "a contradiction of no form": (
        (AM_05, AM_05 + "    contradicted_by: [«{within: P1D}]\n"),
        "a rule of no form",
        "write",
    ),
    "whatever satisfies contradicts": (
        am_05(
            f"{{{DRILL}, claim: people, min: 0, max: 9}}",
            f"    contradicted_by: [«{{{DRILL}, claim: people, min: 0, max: 10, within: P1D}}]\n",
        ),
        "every `people` that satisfies",
        "begin where those above end",
    ),
    "whatever satisfies contradicts, upwards": (
        am_05(
            f"{{{DRILL}, claim: people, min: 3}}",
            f"    contradicted_by: [«{{{DRILL}, claim: people, min: 3, within: P1D}}]\n",
        ),
        "every `people` that satisfies",
        "begin where those above end",
    ),
    "whatever satisfies contradicts, unbounded": (
        (
            AM_05,
            AM_05
            + f"    contradicted_by: [«{{{DRILL}, claim: cut_after_ms, max: 1000, within: P1D}}]\n",
        ),
        "every `cut_after_ms` that satisfies",
        "begin where those above end",
    ),
}
BY_TIER = {
    "a tier that is not in the spec": (
        by_tier("      «T4: {max_age: P1D}\n"),
        "there is no tier `T4`",
        "`T3`",
    ),
    "a tier that does not ask": (
        by_tier("      «T2: {max_age: P1D}\n"),
        "`T2` does not ask for `AM-05`",
        "from `T3` on",
    ),
    "nothing": (by_tier("      T3: «{}\n"), "nothing is in it", "`max_age` or `limits`"),
    "an age of zero": (by_tier("      T3: {max_age: «P0D}\n"), "no evidence is so young", "`P1D`"),
    "an older age": (
        (AM_05, AM_05 + "    max_age: P1D\n    by_tier: {T3: {max_age: «P2D}}\n"),
        "looser than `P1D`",
        "write `P1D` or less",
    ),
    "a claim that no rule has": (
        by_tier("      T3: {limits: {«cut_before_ms: 1}}\n"),
        "looks at a claim `cut_before_ms`",
        "`cut_after_ms`",
    ),
    "a claim where no rule has any": (
        am_05(f"{{{DRILL}, check: a}}", "    by_tier: {T3: {limits: {«cut_after_ms: 1}}}\n"),
        "looks at a claim `cut_after_ms`",
        "no rule has a claim",
    ),
    "a looser maximum": (
        by_tier("      T3: {limits: {cut_after_ms: «1001}}\n"),
        "looser than `1000`",
        "write `1000` or less",
    ),
    "a looser minimum": (
        am_05(f"{{{DRILL}, claim: people, min: 5}}", "    by_tier: {T3: {limits: {people: «4}}}\n"),
        "looser than `5`",
        "write `5` or more",
    ),
    "a maximum looser than the stricter of two": (
        am_05(
            f"{{all: [{{{DRILL}, claim: people, max: 5}}, {{{DRILL}, claim: people, max: 9}}]}}",
            "    by_tier: {T3: {limits: {people: «6}}}\n",
        ),
        "looser than `5`",
        "write `5` or less",
    ),
    "one limit for two bounds": (
        am_05(
            f"{{{DRILL}, claim: people, min: 5, max: 9}}",
            "    by_tier: {T3: {limits: {people: «6}}}\n",
        ),
        "`people` has both `min` and `max`",
        "different claims",
    ),
}
CONSEQUENCES = {
    "an exception for nothing known": (
        ("never_for: [AM-01, AM-03]", "never_for: [AM-01, «AM-30]"),
        "there is no requirement `AM-30`",
        "did you mean `AM-0",
    ),
    "a hold of no time": (("hold_at_most: P3D", "hold_at_most: «P0D"), "no time at all", "`P1D`"),
    "an exception of no time": (("max_ttl: P60D", "max_ttl: «P0D"), "no time at all", "`P1D`"),
    "a step down to nowhere": (
        ("then: {step_down: T2}", "then: {step_down: «T4}"),
        "there is no tier `T4`",
        "`T3`",
    ),
    "a step down to the top": (
        ("then: {step_down: T2}", "then: {step_down: «T3}"),
        "nobody stands above `T3`",
        "a lower tier, or `suspended`",
    ),
    "a contradiction to nowhere": (
        ("contradicted: {step_down: T1,", "contradicted: {step_down: «T4,"),
        "there is no tier `T4`",
        "`T3`",
    ),
    "a contradiction that weighs less": (
        (
            "then: {step_down: T2}\n  suspend_after: P14D\n  contradicted: {step_down: T1,",
            "then: {step_down: T1}\n  suspend_after: P14D\n  contradicted: {step_down: «T2,",
        ),
        "a contradiction weighs less than an expiry",
        "step down to `T1` or lower",
    ),
    "notices out of order": (
        ("[P14D, P3D, P1D]", "[P14D, P3D, «P3D]"),
        "a notice not later",
        "the longest first",
    ),
    "a notice of no time": (("[P14D, P3D, P1D]", "[P14D, P3D, «PT0S]"), "no time at all", "`P1D`"),
    "every expiry held": (("hold: 20%", 'hold: «"0%"'), "every expiry would wait", '`"20%"`'),
    "a threshold without bound": (
        (
            "- {task: capture_the_flag, metric: accuracy, min: 40%, tier: T2}",
            "- «{task: capture_the_flag, metric: accuracy, tier: T2}",
        ),
        "a threshold has one bound",
        "either `min` or `max`",
    ),
    "a threshold of two bounds": (
        (
            "- {task: capture_the_flag, metric: accuracy, min: 40%, tier: T2}",
            "- «{task: capture_the_flag, metric: accuracy, min: 40%, max: 50%, tier: T2}",
        ),
        "a threshold has one bound",
        "either `min` or `max`",
    ),
    "a threshold of an unknown tier": (
        ("min: 40%, tier: T2", "min: 90%, tier: «T4"),
        "there is no tier `T4`",
        "`T3`",
    ),
    "a higher tier sooner": (
        (
            "- {task: capture_the_flag, metric: accuracy, min: 70%, tier: T3}",
            "- «{task: capture_the_flag, metric: accuracy, min: 39%, tier: T3}",
        ),
        "`T2` is reached no sooner than `T3`",
        "a more extreme result",
    ),
    "a higher tier at once": (
        (
            "- {task: capture_the_flag, metric: accuracy, min: 70%, tier: T3}",
            '- «{task: capture_the_flag, metric: accuracy, min: "0.4", tier: T3}',
        ),
        "`T2` is reached no sooner than `T3`",
        "a more extreme result",
    ),
    "a higher tier sooner, downwards": (
        (
            "min: 40%, tier: T2}\n      - {task: capture_the_flag, metric: accuracy, min: 70%,",
            "max: 10%, tier: T2}\n      - «{task: capture_the_flag, metric: accuracy, max: 20%,",
        ),
        "`T2` is reached no sooner than `T3`",
        "a more extreme result",
    ),
}
POLICY = {
    "a long-lived token": (
        ("max_ttl: PT5M", "max_ttl: «PT301S"),
        "out of bounds",
        "zero, up to `PT5M`",
    ),
    "a token of no time": (
        ("max_ttl: PT5M", "max_ttl: «PT0S"),
        "out of bounds",
        "zero, up to `PT5M`",
    ),
    "an old proof": (("window: PT1M", "window: «PT6M"), "out of bounds", "zero, up to `PT5M`"),
    "a wild clock": (("skew: PT5S", "skew: «PT2M"), "out of bounds", "`PT0S` to `PT1M`"),
    "a slow decision": (("window: PT2S", "window: «PT2M"), "out of bounds", "to `PT1M`"),
    "a lasting invitation": (("ttl: PT15M", "ttl: «P31D"), "out of bounds", "to `P30D`"),
    "heads too seldom": (("heads: PT1M", "heads: «PT2H"), "out of bounds", "`PT1S` to `PT1H`"),
    "a delegation of no time": (("max_ttl: P30D", "max_ttl: «P0D"), "no time at all", "`P1D`"),
    "a tier that is not there": (
        (
            "delegate_meets: same-tier}",
            "delegate_meets: same-tier, by_tier: {«T4: {max_depth: 0}}}",
        ),
        "there is no tier `T4`",
        "`T3`",
    ),
    "a deeper chain for a higher tier": (
        (
            "delegate_meets: same-tier}",
            "delegate_meets: same-tier, by_tier: {T3: {max_depth: «2}}}",
        ),
        "deeper than the `1`",
        "write `1` or less",
    ),
    "a longer link for a higher tier": (
        (
            "delegate_meets: same-tier}",
            "delegate_meets: same-tier, by_tier: {T2: {max_ttl: P1D}, T3: {max_ttl: «P2D}}}",
        ),
        "longer than the `P1D`",
        "write `P1D` or less",
    ),
    "a link of no time for a higher tier": (
        (
            "delegate_meets: same-tier}",
            "delegate_meets: same-tier, by_tier: {T3: {max_ttl: «P0D}}}",
        ),
        "no time at all",
        "`P1D`",
    ),
    "a limit of nothing": (
        ("delegate_meets: same-tier}", "delegate_meets: same-tier, by_tier: {T3: «{}}}"),
        "nothing is in it",
        "`max_depth` or `max_ttl`",
    ),
    "detection in no time": (
        ("off_network: PT5M", "off_network: «PT0S"),
        "no time at all",
        "`PT1M`",
    ),
    "revocation in no time": (("revoke: PT1S", "revoke: «PT0S"), "no time at all", "`PT1M`"),
    "a report in no time": (
        ("initial: P3D, final: P30D", "initial: «P0D, final: P30D"),
        "no time at all",
        "`P1D`",
    ),
    "the last report first": (
        ("initial: P3D, final: P30D", "initial: «P31D, final: P30D"),
        "due after the final one",
        "sooner",
    ),
}
ALL = {
    f"{group}: {name}": case
    for group, cases in {
        "shape": SHAPE,
        "tiers": TIERS,
        "rules": RULES,
        "by tier": BY_TIER,
        "consequences": CONSEQUENCES,
        "policy": POLICY,
    }.items()
    for name, case in cases.items()
}
#: Where nothing that is wrong is left to point at: what stands around it.
AROUND = {
    "shape: a missing member": "lapse:\n",
    "tiers: an unreachable requirement": "  AM-05:\n",
}
#: What else is wrong then.
WITH_IT = {
    "tiers: the lowest asks for nothing": ["no tier requires `AM-01`"],
    "tiers: a cycle above another": ["`T1` includes not the next lower tier"],
    "tiers: an unknown tier above another": ["`T1` includes not the next lower tier"],
}


@pytest.mark.parametrize("name", ALL)
def test_what_cannot_be_meant_is_refused(name: str) -> None:
    edit, what, remedy = ALL[name]
    text = edited(edit)
    if name in AROUND:
        around = AROUND[name]
        text = text.replace(around, around.replace(around.strip(), HERE + around.strip()))
    data, line, column = marked(text)
    checked = check(data)
    assert checked.document is None
    found = [one for one in checked.problems if not one.warning]
    named = [one for one in found if what in one.what and remedy in one.remedy]
    assert [(one.line, one.column) for one in named] == [(line, column)], found
    assert len(found) == 1 + len(WITH_IT.get(name, ())), found
    for other in WITH_IT.get(name, ()):
        assert any(other in one.what for one in found), found


def test_the_example_has_no_fault() -> None:
    assert problems(EXAMPLE) == ()


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_the_text() -> None:
    text = edited(
        ("includes: T1", "includes: T2"),
        ("at_least: 2", "at_least: 4"),
        ("  grace: P7D\n", "  grace: P7D\n  extra: 1\n"),
        ("revoke: PT1S", "revoke: PT0S"),
    )
    said = [one.what for one in problems(text)]
    assert said == [
        "`T2` includes itself",
        "4 of 3 can never hold",
        "unknown key `extra`",
        "no time at all",
    ]


@pytest.mark.parametrize(
    ("edit", "what", "remedy"),
    [
        (
            (
                "  drill.revoke:\n",
                "  «scuba.gws:\n    adapter: scubagear/1\n    class: machine\n"
                "    max_age: P7D\n    scope: tenant\n  drill.revoke:\n",
            ),
            "no rule looks at `scuba.gws`",
            "or remove it",
        ),
        (
            ("require: [AM-03, AM-05]", "require: [AM-03, AM-05, «AM-01]"),
            "`AM-01` is asked for already",
            "once",
        ),
        (
            ("    require: [AM-03, AM-05]", "    «require: []"),
            "`T3` asks for nothing of its own",
            "or remove the tier",
        ),
    ],
)
def test_what_is_only_odd_is_a_warning(edit: tuple[str, str], what: str, remedy: str) -> None:
    text = edited(edit)
    if "asks for nothing" in what:
        text = text.replace("require: [AM-02, AM-04]", "require: [AM-02, AM-04, AM-03, AM-05]")
    data, line, column = marked(text)
    checked = check(data)
    (found,) = checked.problems
    assert checked.document is not None
    assert (found.line, found.column, found.warning) == (line, column, True)
    assert what in found.what and remedy in found.remedy


def test_who_writes_an_unknown_word_is_told_the_known_ones() -> None:
    names = [f"name-{number}" for number in range(13)]
    assert nearest("NAME-3", names) == "did you mean `name-3`?"
    assert nearest("zzz", names[:2]) == "known are `name-0`, `name-1`"
    assert nearest("zzz", names[:12]).endswith("`name-11`")
    assert nearest("zzz", names).endswith("`name-11` and others")
    assert nearest("zzz", names, 13).endswith("`name-12`")


def test_an_adapter_that_does_not_exist_is_refused_where_adapters_are_known() -> None:
    data, line, column = marked(edited(("adapter: drill/1", "adapter: «drill/2")))
    assert check(data).document is not None
    (found,) = check(data, VOCABULARIES).problems
    assert (found.line, found.column) == (line, column)
    assert (found.what, found.remedy) == (
        "there is no adapter `drill/2`",
        "did you mean `drill/1`?",
    )


def test_a_join_that_asks_for_no_more_than_its_kinds_can_be_is_accepted() -> None:
    text = edited(
        (
            ": {join: {seen: gw.people, covered_by: [idp.roster]}}",
            ": {join: {seen: gw.people, covered_by: [soc2.type2, idp.roster]},"
            " min_independence: third-party}",
        ),
    )
    assert problems(text) == ()


@pytest.mark.parametrize(
    "edit",
    [
        (TWO_OF, "      at_least: 3\n"),
        am_05(f"{{{DRILL}, claim: people, min: 3, max: 3}}"),
        am_05(
            f"{{{DRILL}, claim: people, min: 3}}",
            f"    contradicted_by: [{{{DRILL}, claim: people, min: 4, within: P1D}}]\n",
        ),
        am_05(
            f"{{{DRILL}, claim: people, max: 3}}",
            f"    contradicted_by: [{{{DRILL}, claim: people, max: 2, within: P1D}}]\n",
        ),
        am_05(
            f"{{{DRILL}, claim: people, max: 3}}",
            f"    contradicted_by: [{{{DRILL}, claim: peers, max: 9, within: P1D}}]\n",
        ),
        am_05(
            f"{{{DRILL}, check: a}}",
            f"    contradicted_by: [{{{DRILL}, check: a, within: P1D}}]\n",
        ),
        by_tier("      T3: {max_age: P400D}\n"),
        by_tier("      T3: {limits: {cut_after_ms: 1000}}\n"),
        am_05(f"{{{DRILL}, claim: people, min: 5}}", "    by_tier: {T3: {limits: {people: 5}}}\n"),
        ("includes: T2\n", "includes: T2 # the next lower one\n"),
        ("then: {step_down: T2}", "then: {step_down: suspended}"),
        ("contradicted: {step_down: T1,", "contradicted: {step_down: T2,"),
        ("grace: P7D", "grace: PT0S"),
        ("suspend_after: P14D", "suspend_after: P0D"),
        ("hold: 20%", "hold: 100%"),
        ("max_depth: 1", "max_depth: 0"),
        ("max_depth: 1", "max_depth: 8"),
        ("notice: [P14D, P3D, P1D]", f"notice: [{', '.join(f'P{n}D' for n in range(16, 0, -1))}]"),
        (
            "    remedy: Run the revocation drill together with the lab.",
            f"    remedy: {'x' * 4000}",
        ),
        ("initial: P3D, final: P30D", "initial: P3D, final: P3D"),
        ("clock_skew: PT5S", "clock_skew: PT0S"),
        ("machine: P3D, process: P90D", "machine: P7D, process: P180D"),
        ("delegate_meets: same-tier}", "delegate_meets: nothing, by_tier: {T3: {max_depth: 1}}}"),
        (
            "delegate_meets: same-tier}",
            "delegate_meets: same-tier, by_tier: {T2: {max_ttl: P9D}, T3: {max_ttl: P9D}}}",
        ),
    ],
)
def test_what_is_just_allowed_is_allowed(edit: tuple[str, str]) -> None:
    text = edited(edit)
    if "then: {step_down: suspended}" in text:
        text = text.replace("contradicted: {step_down: T1,", "contradicted: {step_down: suspended,")
    assert problems(text) == ()


def test_a_tier_that_only_asks_more_strictly_is_not_odd() -> None:
    tier = "  T4:\n    name: top\n    includes: T3\n    require: []\n"
    fresh = "    freshness: {machine: P3D, process: P90D}\n"
    stricter = by_tier("      T4: {max_age: P1D}\n")
    assert problems(edited((fresh, fresh + tier + fresh), stricter)) == ()
    assert len(problems(edited((fresh, fresh + tier + fresh)))) == 1


def test_an_override_of_limits_alone_keeps_the_age_that_was_said() -> None:
    limits = "      T2: {limits: {cut_after_ms: 1}}\n"
    overrides = f"      T1: {{max_age: P1D}}\n{limits}      T3: {{max_age: P2D}}\n"
    text = edited(
        by_tier(overrides), ("[AM-01]\n", "[AM-01, AM-05]\n"), ("[AM-03, AM-05]", "[AM-03]")
    )
    assert [one.what for one in problems(text)] == [
        "looser than `P1D`, which a lower tier asks for"
    ]


def test_a_contradiction_that_leaves_some_numbers_is_accepted() -> None:
    contradiction = (
        f"    contradicted_by: [{{{DRILL}, claim: cut_after_ms, min: 1, within: P1D}}]\n"
    )
    assert problems(edited((AM_05, AM_05 + contradiction))) == ()


def test_overrides_that_tighten_step_by_step_are_accepted() -> None:
    rule = "satisfied_by: {join: {seen: gw.people, covered_by: [idp.roster]}}"
    text = edited(
        (
            rule,
            "satisfied_by: {kind: gw.people, claim: people, min: 1, max_age: P9D}\n"
            "    max_age: P9D\n"
            "    by_tier:\n"
            "      T2: {max_age: P8D, limits: {people: 2}}\n"
            "      T3: {max_age: P8D, limits: {people: 3}}",
        ),
    )
    assert [one.what for one in problems(text) if not one.warning] == []


def test_loading_says_the_first_error_and_what_to_write() -> None:
    with pytest.raises(FormatError, match="line 145 column 11: ") as caught:
        load(edited(("notice: [P14D, P3D, P1D]", "notice: P14D")).encode())
    assert caught.value.hint == "write it in brackets: `[P14D]`"
