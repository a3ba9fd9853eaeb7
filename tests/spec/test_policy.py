"""The numbers that decisions obey come from the spec, and the log takes no others."""

from __future__ import annotations

import msgspec
import pytest

from bailment.access.entries import RULES
from bailment.access.register import Register
from bailment.ledger.records import Policy, SpecApplied
from bailment.spec.policy import BOUNDS, PolicySection, policy_of
from bailment.spec.quantity import show_duration
from bailment.spec.validation import check, load

from .example import EXAMPLE, edited


def test_every_number_of_the_policy_comes_from_the_spec() -> None:
    text = edited(
        ("max_ttl: PT5M", "max_ttl: PT4M"),
        ("proof_window: PT1M", "proof_window: PT50S"),
        ("clock_skew: PT5S", "clock_skew: PT4S"),
        ("decision_window: PT2S", "decision_window: PT3S"),
        ("invitation_ttl: PT15M", "invitation_ttl: PT16M"),
        ("heads: PT1M", "heads: PT2M"),
    )
    assert policy_of(load(text.encode()).policy) == Policy(
        token_ms=240_000,
        proof_ms=50_000,
        skew_ms=4_000,
        decision_ms=3_000,
        invitation_ms=960_000,
        heads_ms=120_000,
        contact="access@lab.example",
    )


def test_every_number_of_the_policy_is_bounded() -> None:
    numbers = {field for field in Policy.__struct_fields__ if field.endswith("_ms")}
    assert {name for name, *_ in BOUNDS} == numbers


@pytest.mark.parametrize(("name", "where", "least", "most"), BOUNDS)
def test_the_log_takes_what_validation_takes(
    name: str, where: tuple[str, str], least: int, most: int
) -> None:
    rule = RULES[SpecApplied]
    section = load(EXAMPLE.encode()).policy
    policy = policy_of(section)
    for value, taken in ((least, True), (most, True), (least - 1, False), (most + 1, False)):
        changed = msgspec.structs.replace(policy, **{name: value})
        refused = rule(Register(), SpecApplied(policy=changed, author=""), 0)
        assert (refused is None) == taken
    group, member = where
    said = getattr(getattr(section, group), member)
    for value, taken in ((most, True), (most + 1_000, False)):
        text = EXAMPLE.replace(f"{member}: {said}", f"{member}: {show_duration(value)}")
        assert (check(text.encode()).document is not None) == taken


def test_the_page_of_members_states_the_bounds() -> None:
    for _, (group, member), least, most in BOUNDS:
        (struct,) = (
            field.type
            for field in msgspec.structs.fields(PolicySection)
            if field.encode_name == group
        )
        schema = msgspec.json.schema(struct)["$defs"][struct.__origin__.__name__]
        says = schema["properties"][member]["description"]
        assert f"`{show_duration(most)}`" in says
        if least > 1:
            assert f"`{show_duration(least)}`" in says
