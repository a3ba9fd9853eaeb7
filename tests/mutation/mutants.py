"""Every way in which one rule of a module can be removed or bent, one at a time.

A mutant is the module with one expression or statement changed: a bound moved by one, a condition
negated or dropped, a branch taken always or never, a minimum for a maximum, a statement left out.
Docstrings, types and sentences, which only people read, are left alone.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}


@dataclass(frozen=True)
class Mutant:
    """`key` says what was changed in which function, `source` is the module with it."""

    key: str
    line: int
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for function, node, parent, field, index in _places(tree, "module"):
        for other in _changes(node):
            key = f"{function}: {_shown(node)} -> {_shown(other)}"
            seen[key] += 1
            again = f" #{seen[key]}" if seen[key] > 1 else ""
            changed = _replaced(tree, node, parent, field, index, other)
            yield Mutant(f"{key}{again}", node.lineno, changed)


Place = tuple[str, ast.expr | ast.stmt, ast.AST, str, int | None]


def _places(parent: ast.AST, function: str) -> Iterator[Place]:
    """Every statement and expression that runs, with where it hangs."""
    for field, value in ast.iter_fields(parent):
        if field in ("annotation", "returns", "decorator_list", "type_comment", "names"):
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_docstring(parent, child) or _words(child):
                continue
            name = function
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = child.name if function == "module" else f"{function}.{child.name}"
            elif isinstance(child, ast.expr | ast.stmt):
                yield name, child, parent, field, index if isinstance(value, list) else None
            yield from _places(child, name)


def _changes(node: ast.expr | ast.stmt) -> Iterator[ast.expr | ast.stmt]:
    """What could stand in the node's place."""
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
            yield _with(node, ops=[COMPARISONS[type(operator)]()])
        case ast.Compare(left=left, ops=[first, second], comparators=[middle, right]):
            yield _with(node, ops=[COMPARISONS[type(first)](), second])
            yield _with(node, ops=[first, COMPARISONS[type(second)]()])
            yield ast.Compare(left, [first], [middle])
            yield ast.Compare(middle, [second], [right])
        case ast.BoolOp(op=operator, values=values):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
            for index in range(len(values)):
                rest = values[:index] + values[index + 1 :]
                yield rest[0] if len(rest) == 1 else _with(node, values=rest)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            yield _with(node, op=OPERATORS[type(operator)]())
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str(value)) if value and " " not in value:
            yield ast.Constant(f"{value}?")
        case ast.Call(func=ast.Name(id=name)) if name in NAMES:
            yield _with(node, func=ast.Name(NAMES[name], ast.Load()))
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield from (_with(node, test=ast.Constant(value)) for value in _other(node, test))
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            yield from _unfiltered(node)
        case ast.Assign() | ast.AugAssign() | ast.Expr() | ast.Break() | ast.Continue():
            yield from _dropped(node)
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield ast.Return(ast.Constant(None))


def _other(node: ast.AST, test: ast.expr) -> list[bool]:
    """The branches to force; `while True` would only hang, and a negation covers the rest."""
    if isinstance(test, ast.Constant):
        return []
    return [False] if isinstance(node, ast.While) else [True, False]


def _unfiltered(node: ast.expr) -> Iterator[ast.expr]:
    """The comprehension without each of its conditions."""
    for number, generator in enumerate(node.generators):  # type: ignore[attr-defined]
        for index in range(len(generator.ifs)):
            other = copy.deepcopy(node)
            del other.generators[number].ifs[index]  # type: ignore[attr-defined]
            yield other


def _dropped(node: ast.stmt) -> Iterator[ast.stmt]:
    if isinstance(node, ast.Break):
        yield ast.Continue()
    if isinstance(node, ast.Continue):
        yield ast.Break()
    yield ast.Pass()


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_docstring(parent: ast.AST, child: ast.AST) -> bool:
    """A string that stands alone, wherever: also the lines below a constant."""
    return isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)


def _words(child: ast.AST) -> bool:
    """Imports, types and messages."""
    if isinstance(child, ast.Subscript):
        return ast.unparse(child.value) == "Literal"
    return isinstance(child, ast.Import | ast.ImportFrom | ast.JoinedStr)


def _with(node: ast.AST, **fields: object) -> ast.expr:
    """A copy with other fields; the children are shared and never changed."""
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    assert isinstance(other, ast.expr | ast.stmt)
    return other  # type: ignore[return-value]


def _replaced(
    tree: ast.Module,
    node: ast.expr | ast.stmt,
    parent: ast.AST,
    field: str,
    index: int | None,
    other: ast.expr | ast.stmt,
) -> str:
    """The source of the module with one node in place of another."""
    if index is None:
        setattr(parent, field, other)
    else:
        getattr(parent, field)[index] = other
    try:
        return ast.unparse(tree)
    finally:
        if index is None:
            setattr(parent, field, node)
        else:
            getattr(parent, field)[index] = node


def _shown(node: ast.AST) -> str:
    """The node as source in one line: of a compound statement its head."""
    return ast.unparse(node).splitlines()[0]
