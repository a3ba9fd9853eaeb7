"""`why` fits one screen whatever is shown, names the class of evidence and the next action."""

from __future__ import annotations

from unicodedata import east_asian_width

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bailment.assurance.evaluation import evaluate
from bailment.assurance.explanation import explain
from bailment.assurance.grant import Grant
from bailment.assurance.item import Item
from bailment.assurance.screen import HEIGHT, WIDTH, screen
from bailment.assurance.standing import advance
from bailment.spec.compiled import CompiledSpec, Join, Required
from tests.assurance.cases import (
    LAPSE,
    SEEDS,
    all_of,
    case_of,
    check,
    claim,
    failed,
    grant,
    item,
    passed,
    required,
    source,
    spec,
)

DAY = 86_400_000
NOW = 20_000 * DAY


def page(
    asked: CompiledSpec,
    *items: Item,
    excused: tuple[Grant, ...] = (),
    names: dict[str, str] | None = None,
    at: int = NOW,
    name: str = "Acme",
) -> list[str]:
    evaluation = evaluate(asked, items, excused, at)
    found = explain(name, evaluation, asked, 1, {one.id: one for one in items}, names or {})
    assert found is not None
    return screen(found, advance(None, evaluation, LAPSE, at), at).split("\n")


def days(rule_age: int) -> Required:
    return required(check(age=rule_age * DAY), "ID-1")


def test_a_tier_that_is_held_says_until_when_by_which_class_and_what_to_renew() -> None:
    asked = spec((days(3), required(check("x", "log", age=9 * DAY), "CR-2")))
    items = (
        passed(NOW - DAY, id="a" * 32),
        passed(NOW, "x", kind="log", independence="observed", simulated=True),
    )
    assert page(asked, *items) == [
        "Acme  T1 tier 1  held until 2024-10-06 00:00Z",
        "in force: T1 (earned) since 2024-10-04 00:00Z",
        "ahead:    T1 (grace) at 2024-10-06 00:00Z for ID-1",
        "ahead:    no tier at 2024-10-06 00:00Z for ID-1",
        "holds:    2 (1 simulated): 1 observed, 1 pulled",
        "by:       test 1.0.0, evaluated 2024-10-04 00:00Z",
        "",
        "ID-1     satisfied    2024-10-06 00:00Z  pulled",
        "CR-2     satisfied    2024-10-13 00:00Z  observed, simulated",
        "",
        "next: renew ID-1 before 2024-10-06 00:00Z: scan mfa: holds, pulled, 1 d old",
        "      [aaaaaaaa]",
    ]


def test_a_tier_that_is_not_held_says_what_blocks_and_what_to_do_first() -> None:
    asked = spec(
        (
            required(check("x", "log"), "CR-2"),
            required(all_of(check(), check("y")), "ID-1", weight=5, remedy="Buy keys for all."),
            required(check("z"), "IR-1"),
        )
    )
    excused = (grant("e" * 32, "IR-1", from_=NOW, until=NOW + 50),)
    assert page(asked, failed(NOW - DAY, id="a" * 32), excused=excused) == [
        "Acme  T1 tier 1  NOT HELD, 2 of 3 block",
        "in force: no tier since 2024-10-04 00:00Z",
        "holds:    1: 1 by exception",
        "by:       test 1.0.0, evaluated 2024-10-04 00:00Z",
        "",
        "ID-1     failed       What ID-1 asks for",
        "  scan mfa: fails, pulled, 1 d old [aaaaaaaa] (and 1 more)",
        "CR-2     missing      What CR-2 asks for",
        "  log x: never shown",
        "",
        "next: ID-1: hand in: scan, with y; mend scan mfa, then let the issuer fetch:",
        "      scan. Buy keys for all.",
    ]


def test_a_pass_that_does_not_mend_is_told_of_and_whose_would() -> None:
    found = [
        failed(NOW - DAY, id="a" * 32, independence="third-party"),
        passed(NOW, id="b" * 32, independence="self"),
    ]
    shown = page(spec(required(check(), "ID-1")), *found)
    assert shown[5:] == [
        "ID-1     failed       What ID-1 asks for",
        "  a self pass of 2024-10-04 does not mend third-party failure of 2024-10-03: ...",
        "",
        "next: ID-1: mend scan mfa, then have an assessor sign: scan",
    ]


def test_an_exception_is_shown_in_place_of_a_class() -> None:
    excused = (grant("e" * 32, "ID-1", from_=NOW, until=NOW + 50),)
    assert "ID-1     excepted     2024-10-04 00:00Z  exception eeeeeeee" in page(
        spec(days(3)), excused=excused
    )


def test_a_contradiction_says_when_it_ends() -> None:
    asked = required(check(), "R", claim("shared", 1, age=DAY))
    lines = page(spec(asked), item(dated=NOW, claims={"shared": 1}))
    assert "(ends 2024-10-05 00:00Z if nothing more is seen)" in " ".join(lines).replace("  ", "")


def test_what_does_not_fit_is_counted_and_named() -> None:
    asked = spec(tuple(required(check(str(n)), f"ID-{n}") for n in range(45)))
    lines = page(asked)
    assert len(lines) <= HEIGHT
    shown = [line.split()[0] for line in lines if line.startswith("ID-")]
    rest = next(line for line in lines if line.startswith("and "))
    assert rest.startswith(f"and {45 - len(shown)} more: ID-")
    held = page(asked, item(dated=NOW, checks={str(n): "pass" for n in range(45)}))
    assert len(held) == HEIGHT
    assert any(line.startswith("and ") for line in held)


def test_as_many_gaps_as_there_is_room_for_are_shown() -> None:
    asked = spec(tuple(required(check(str(n)), f"ID-{n}") for n in range(8)))
    lines = page(asked)
    assert sum(line.startswith("ID-") for line in lines) == 8
    assert not any(line.startswith("and ") for line in lines)
    assert len(lines) <= HEIGHT


def test_without_a_standing_no_tier_is_in_force() -> None:
    asked = spec(days(3))
    evaluation = evaluate(asked, [], [], NOW)
    found = explain("Acme", evaluation, asked, 1, {}, {})
    assert found is not None
    assert "in force: no tier yet" in screen(found, None, NOW)
    later = advance(None, evaluation, LAPSE, NOW + 1)
    assert "in force: no tier yet" in screen(found, later, NOW)


def test_nothing_to_do_is_said() -> None:
    asked = spec(days(3))
    evaluation = evaluate(asked, [passed(NOW)], [], NOW)
    found = explain("Acme", evaluation, asked, 1, {one.id: one for one in [passed(NOW)]}, {})
    assert found is not None
    endless = replace(
        found, lapses=None, kept=tuple(replace(row, lapses=None) for row in found.kept)
    )
    lines = screen(endless, None, NOW).split("\n")
    assert lines[0].endswith("held")
    assert lines[-1] == "next: nothing"
    assert any("no end" in line for line in lines)


def test_a_year_beyond_the_calendar_is_later() -> None:
    asked = spec(required(check(age=2**52), "ID-1"))
    assert page(asked, passed(NOW))[0].endswith("held until later")


def test_names_command_no_terminal_and_break_no_column() -> None:
    asked = spec(required(Join(source("seen"), (source("roster"),)), "ID-1"))
    people = tuple(f"p{n}" for n in range(200))
    names = dict.fromkeys(people, "\x1b[2J\u202e名前")
    items = (item("seen", NOW, people=people), item("roster", NOW))
    lines = page(asked, *items, names=names, name="\x07" + "漢" * 90)
    assert all(line.isprintable() for line in lines)
    assert all(map(fits, lines))
    assert "200 not covered: ?[2J?名前, " in "\n".join(lines)
    assert any(line.endswith("...") for line in lines)


def fits(line: str) -> bool:
    return sum(2 if east_asian_width(ch) in "WF" else 1 for ch in line) <= WIDTH


@given(st.lists(SEEDS, min_size=1, max_size=30), st.integers(0, 60), st.text(max_size=200))
def test_whatever_is_shown_fits_one_screen(seeds: list[int], at: int, name: str) -> None:
    cases = [case_of(seed) for seed in seeds]
    asked = spec(
        tuple(
            replace(case.asked, id=f"R-{number}", remedy=name) for number, case in enumerate(cases)
        )
    )
    items = {one.id: one for case in cases for one in case.items}
    excused = tuple(replace(one, requirement="R-0") for one in cases[0].grants)
    lines = page(asked, *items.values(), excused=excused, at=at, name=name)
    assert len(lines) <= HEIGHT
    assert all(map(fits, lines))
    assert lines[-1]
    assert any(line.startswith("next: ") for line in lines)
