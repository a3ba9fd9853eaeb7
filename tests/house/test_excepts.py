"""A malfunction nobody thought of is never swallowed: a broad `except` re-raises."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "src" / "bailment"
SOURCES = sorted(HOUSE.rglob("*.py"))
#: The one place that catches whatever comes: a mistake in one detector must not stop the others,
#: and the engine reports it in a finding (`tests/detect/test_engine.py`). Nothing else is there.
ALONE = Path("detect/isolation.py")
BROAD = {"Exception", "BaseException", "BaseExceptionGroup", "ExceptionGroup"}


def test_a_broad_except_re_raises() -> None:
    swallowing = [
        f"{path.name}:{line}"
        for path in SOURCES
        if path != HOUSE / ALONE
        for line in _swallows(path.read_text())
    ]
    assert swallowing == []


def test_whatever_comes_is_caught_in_one_small_place() -> None:
    source = (HOUSE / ALONE).read_text()
    assert len(list(_swallows(source))) == 1
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    assert [one.name for one in functions] == ["step_alone"]
    assert len(source.splitlines()) < 40


@pytest.mark.parametrize(
    "source",
    [
        "try: f()\nexcept: g()",
        "try: f()\nexcept Exception: g()",
        "try: f()\nexcept (ValueError, BaseException) as e: g(e)",
        "try: f()\nexcept builtins.Exception: g()",
        "try: f()\nexcept* Exception: g()",
        "try: f()\nexcept Exception:\n    def g(): raise",
        "with suppress(Exception): f()",
        "with contextlib.suppress(ValueError, BaseException): f()",
    ],
)
def test_a_swallowed_malfunction_is_seen(source: str) -> None:
    assert list(_swallows(source))


@pytest.mark.parametrize(
    "source",
    [
        "try: f()\nexcept ValueError: g()",
        "try: f()\nexcept Exception:\n    g()\n    raise",
        "try: f()\nexcept BaseException as e:\n    if g(e): raise Mine from e\n    raise",
        "with suppress(FileNotFoundError): f()",
    ],
)
def test_an_honest_except_is_left_alone(source: str) -> None:
    assert list(_swallows(source)) == []


def _swallows(source: str) -> Iterator[int]:
    """The lines where everything is caught and nothing raised again."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ExceptHandler(type=None) if not _raises(node):
                yield node.lineno
            case ast.ExceptHandler(type=ast.expr() as caught) if _is_broad(caught):
                if not _raises(node):
                    yield node.lineno
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress")):
                if any(map(_is_broad, node.args)):
                    yield node.lineno


def _is_broad(caught: ast.expr) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(
        (isinstance(name, ast.Name) and name.id in BROAD)
        or (isinstance(name, ast.Attribute) and name.attr in BROAD)
        for name in names
    )


def _raises(handler: ast.ExceptHandler) -> bool:
    """Whether the last statement raises, so that no way leads past it but a return."""
    return isinstance(handler.body[-1], ast.Raise)
