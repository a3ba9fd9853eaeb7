"""A plan says whom another spec would touch, from when on, and by which requirement."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from msgspec.structs import replace

from bailment.assurance.evaluation import evaluate
from bailment.assurance.plan import Because, Effect, Holding, plan
from bailment.assurance.standing import Standing, advance, tier_at
from bailment.spec.compiled import CompiledSpec

from .cases import AGE, HORIZON, SEEDS, Case, case_of, check, grant, passed, required, spec

MFA = required(check("mfa"), "MFA")
LEGACY = required(check("legacy"), "LEGACY")
OLD = spec(MFA)
GRACE = OLD.lapse.grace


def standing(of: CompiledSpec, holding: Holding, at: int) -> Standing:
    evaluation = evaluate(of, holding.items, holding.exceptions, at)
    return advance(holding.standing, evaluation, of.lapse, at)


def held(of: CompiledSpec, at: int, *items: Any, exceptions: Any = ()) -> Holding:
    """A recipient with this evidence, whose standing was just computed."""
    holding = Holding(items, exceptions)
    return replace(holding, standing=standing(of, holding, at))


def test_the_same_spec_touches_nobody() -> None:
    assert plan(OLD, OLD, {"acme": held(OLD, 0, passed()), "none": Holding()}, 0) == ()


def test_a_new_requirement_takes_the_tier_after_the_grace() -> None:
    recipients = {
        "acme": held(OLD, 0, passed()),
        "safe": held(OLD, 0, passed(), passed(check="legacy")),
    }
    (effect,) = plan(OLD, spec((MFA, LEGACY)), recipients | {"b": recipients["safe"]}, 10)
    because = (Because("LEGACY", "unasked", "missing"),)
    assert effect == Effect("acme", 10 + GRACE, 1, 0, "none", because)


def test_a_plan_says_where_the_mass_change_hold_would_stop_it() -> None:
    recipients = {name: held(OLD, 0, passed()) for name in ("acme", "brook")}
    effects = plan(OLD, spec((MFA, LEGACY)), recipients, 10)
    assert [(effect.recipient, effect.held) for effect in effects] == [
        ("acme", True),
        ("brook", True),
    ]


def test_a_new_requirement_that_evidence_contradicts_acts_at_once() -> None:
    new = spec((MFA, required(check("mfa"), "LEGACY", check("mfa"))))
    (effect,) = plan(OLD, new, {"acme": held(OLD, 0, passed())}, 10)
    assert (effect.at, effect.after, effect.phase) == (10, 0, "contradicted")
    assert effect.because == (Because("LEGACY", "unasked", "contradicted"),)


def test_a_requirement_that_goes_gives_the_tier_at_once() -> None:
    strict = spec((MFA, LEGACY))
    (effect,) = plan(strict, OLD, {"acme": held(strict, 0, passed())}, 10)
    because = (Because("LEGACY", "missing", "unasked"),)
    assert effect == Effect("acme", 10, 0, 1, "earned", because)


def test_a_shorter_age_shows_when_it_begins_to_tell() -> None:
    new = spec(required(check("mfa", age=AGE - 60), "MFA"))
    (effect,) = plan(OLD, new, {"acme": held(OLD, 0, passed())}, 10)
    because = (Because("MFA", "satisfied", "satisfied", AGE, AGE - 60),)
    assert effect == Effect("acme", AGE - 60 + GRACE, 1, 0, "none", because)


def test_of_several_that_lapse_sooner_the_first_is_named() -> None:
    old = spec((MFA, LEGACY))
    new = spec((required(check("mfa", age=40), "MFA"), required(check("legacy", age=50), "LEGACY")))
    holding = held(old, 0, passed(), passed(check="legacy"))
    (effect,) = plan(old, new, {"acme": holding}, 10)
    assert effect.at == 40 + GRACE
    assert [one.requirement for one in effect.because] == ["MFA"]


def test_a_longer_age_shows_when_the_tier_would_have_been_lost() -> None:
    new = spec(required(check("mfa", age=AGE + 60), "MFA"))
    (effect,) = plan(OLD, new, {"acme": held(OLD, 0, passed())}, 10)
    assert (effect.at, effect.before, effect.after) == (AGE + GRACE, 0, 1)
    assert effect.because == (Because("MFA", "satisfied", "satisfied", AGE, AGE + 60),)


def test_a_shorter_grace_alone_has_no_requirement_to_blame() -> None:
    new = replace(OLD, lapse=replace(OLD.lapse, grace=2))
    (effect,) = plan(OLD, new, {"acme": held(OLD, 0, passed())}, 10)
    assert (effect.at, effect.before, effect.after, effect.because) == (AGE + 2, 1, 0, ())


def test_an_exception_that_the_new_policy_does_not_allow() -> None:
    new = replace(OLD, exceptions=replace(OLD.exceptions, approvers=3))
    holding = held(OLD, 10, exceptions=(grant(requirement="MFA"),))
    (effect,) = plan(OLD, new, {"acme": holding}, 10)
    assert (effect.at, effect.after) == (10 + GRACE, 0)
    assert effect.because == (Because("MFA", "excepted", "missing", 50, None),)


def test_the_first_spec_gives_tiers_to_those_who_hold_them() -> None:
    recipients = {"acme": Holding([passed()]), "none": Holding()}
    assert plan(None, OLD, recipients, 0) == (Effect("acme", 0, 0, 1, "earned"),)


def test_the_soonest_come_first() -> None:
    new = spec(required(check("mfa", age=50), "MFA"))
    recipients = {name: held(OLD, 30, passed(dated)) for name, dated in (("b", 20), ("a", 10))}
    effects = plan(OLD, new, recipients | {"c": held(OLD, 30, passed(20))}, 30)
    assert [(one.recipient, one.at) for one in effects] == [
        ("a", 60 + GRACE),
        ("b", 70 + GRACE),
        ("c", 70 + GRACE),
    ]


def test_few_who_fall_are_not_held() -> None:
    new = spec((MFA, LEGACY))
    safe = held(OLD, 0, passed(), passed(check="legacy"))
    recipients = {f"safe{number}": safe for number in range(4)}
    (effect,) = plan(OLD, new, recipients | {"acme": held(OLD, 0, passed())}, 10)
    assert not effect.held


@given(SEEDS)
@settings(max_examples=200)
def test_an_effect_is_the_first_difference_of_two_standings(seed: int) -> None:
    chance = Random(seed)
    cases: list[Case] = [case_of(chance.getrandbits(48)) for _ in range(4)]
    asked = [replace(case.asked, id=f"R{number}") for number, case in enumerate(cases)]
    old = spec(asked[0], (asked[0], asked[1]))
    new = spec(asked[0], (asked[0], asked[chance.choice((1, 2))]), tuple(asked[:3]))
    at = chance.randint(0, HORIZON)
    recipients = {}
    for number, case in enumerate(cases):
        holding = Holding(case.items, case.grants)
        if number:
            holding = replace(holding, standing=standing(old, holding, at - number))
        recipients[str(number)] = holding
    effects = {effect.recipient: effect for effect in plan(old, new, recipients, at)}
    assert plan(old, old, recipients, at) == ()
    for name, holding in recipients.items():
        stays, goes = standing(old, holding, at), standing(new, holding, at)
        differ = [t for t in range(at, 400) if tier_at(stays, t) != tier_at(goes, t)]
        assert (name in effects) == bool(differ)
        if differ:
            found = effects[name]
            assert found.at == differ[0]
            assert found.before == tier_at(stays, found.at)
            assert found.after == tier_at(goes, found.at)
            for one in found.because:
                assert (one.before, one.lapses_before) != (one.after, one.lapses_after)
