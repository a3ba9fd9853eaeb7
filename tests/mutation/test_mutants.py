"""Mutants are what they should be, and what is said of survivors is still about this code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutation.__main__ import ROOT, explained, modules, source_of
from tests.mutation.mutants import mutants


def changes(source: str) -> set[str]:
    """What a module is changed into, without the module's own words."""
    return {mutant.source for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("source", "other"),
    [
        ("a < b", "a <= b"),
        ("a >= b", "a > b"),
        ("a == b", "a != b"),
        ("a is None", "a is not None"),
        ("a in b", "a not in b"),
        ("a < b < c", "a < b"),
        ("a < b < c", "a <= b < c"),
        ("a and b", "a or b"),
        ("a and b", "a"),
        ("a or b or c", "a or c"),
        ("not a", "a"),
        ("a + b", "a - b"),
        ("a = 1", "a = 2"),
        ("a = True", "a = False"),
        ("a = 'x'", "a = 'x?'"),
        ("min(a)", "max(a)"),
        ("any(a)", "all(a)"),
        ("sorted(a)", "list(a)"),
        ("[a for a in b if a]", "[a for a in b]"),
        ("if a:\n    b()", "if True:\n    b()"),
        ("if a:\n    b()", "if False:\n    b()"),
        ("a if b else c", "a if True else c"),
        ("while a:\n    b()", "while False:\n    b()"),
        ("for a in b:\n    break", "for a in b:\n    continue"),
        ("for a in b:\n    c()", "for a in b:\n    pass"),
        ("def f():\n    return a", "def f():\n    return None"),
        ("a = b", "pass"),
    ],
)
def test_each_rule_is_bent_or_removed(source: str, other: str) -> None:
    assert ast.unparse(ast.parse(other)) in changes(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""Words."""',
        "import a",
        "from a import b",
        "def f(a: Literal['x']) -> Literal['y']:\n    return",
        "A = Literal['x', 'y']",
        "f'{a} words'",
        "while True:\n    break",
    ],
)
def test_what_decides_nothing_is_left_alone(source: str) -> None:
    allowed = {
        "pass",
        "while True:\n    continue",
        "while True:\n    pass",
        "while False:\n    break",
    }
    assert changes(source) <= allowed


def test_a_mutant_differs_from_the_module_in_one_place_and_leaves_it_whole() -> None:
    source = ast.unparse(ast.parse("def f(a, b):\n    return a < b and b + 1 < 2"))
    found = list(mutants(source))
    assert len({mutant.key for mutant in found}) == len(found)
    assert all(mutant.source != source for mutant in found)
    assert list(mutants(source)) == found


@pytest.mark.parametrize("module", modules())
def test_every_explanation_is_about_a_mutant_of_the_present_code(module: str) -> None:
    keys = {mutant.key for mutant in mutants(source_of(module))}
    assert [key for key in explained(module) if key not in keys] == []
    assert all(why and not why.endswith(".") for why in explained(module).values())


@pytest.mark.parametrize("module", modules())
def test_the_tests_that_must_notice_exist(module: str) -> None:
    assert modules()[module]
    assert all((ROOT / Path(test)).is_file() for test in modules()[module])
