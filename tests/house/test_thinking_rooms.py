"""Rooms that think take values and `now`, and return values.

Import contracts cannot see a builtin, a clock behind an innocent module or a draw of entropy, so
this reads the syntax tree.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "src" / "bailment"
ROOMS = ("ledger", "spec", "access", "assurance", "detect", "incident", "canonical", "errors")
FILES = sorted(
    path for room in ROOMS for path in (*HOUSE.glob(f"{room}.py"), *HOUSE.glob(f"{room}/**/*.py"))
)

MODULES = {
    *("asyncio", "anyio", "concurrent", "multiprocessing", "sched", "signal", "threading"),
    *("fcntl", "glob", "io", "mmap", "os", "pathlib", "shelve", "shutil", "sqlite3", "tempfile"),
    *("ftplib", "http", "httpx2", "select", "selectors", "smtplib", "socket", "socketserver"),
    *("ssl", "starlette", "urllib.request", "uvicorn", "uvloop"),
    *("logging", "structlog", "warnings"),
    *("random", "secrets", "time", "uuid"),
    *("ctypes", "importlib", "pickle", "subprocess", "sys"),
}
BUILTINS = {"open", "print", "input", "eval", "exec", "compile", "__import__", "globals"}
# Methods that read a clock or draw entropy, whatever they are called on.
METHODS = {"now", "utcnow", "today", "generate", "generate_private_key", "generate_key"}


def test_every_thinking_room_that_exists_is_read() -> None:
    assert {path.relative_to(HOUSE).parts[0].removesuffix(".py") for path in FILES} >= {
        "ledger",
        "access",
        "canonical",
        "errors",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_thinking_room_only_thinks(path: Path) -> None:
    assert list(_acts(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "import os.path",
        "from os import urandom",
        "from urllib.request import urlopen",
        "import socket as s",
        "def f():\n    import time",
        "open('x')",
        "datetime.now()",
        "datetime.datetime.now(tz)",
        "date.today()",
        "Ed25519PrivateKey.generate()",
        "ec.generate_private_key(curve)",
        "def f():\n    global seen",
    ],
)
def test_an_act_is_seen(source: str) -> None:
    assert list(_acts(source))


@pytest.mark.parametrize(
    "source",
    [
        "from urllib.parse import urlsplit",
        "from datetime import datetime\ndatetime.fromtimestamp(now / 1000, UTC)",
        "register.hold_at(now)",
        "import hashlib",
    ],
)
def test_a_thought_is_left_alone(source: str) -> None:
    assert list(_acts(source)) == []


def _acts(source: str) -> Iterator[str]:
    """What in `source` is more than thought, each with its line."""
    for node in ast.walk(ast.parse(source)):
        for name in _acting(node):
            yield f"line {getattr(node, 'lineno', '?')}: {name}"


def _acting(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names if _is_acting_module(alias.name))
        case ast.ImportFrom(module=str(module), names=names, level=0):
            yield from (
                f"{module}.{alias.name}"
                for alias in names
                if _is_acting_module(module) or _is_acting_module(f"{module}.{alias.name}")
            )
        case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
            yield f"{name}()"
        case ast.Call(func=ast.Attribute(attr=name)) if name in METHODS:
            yield f".{name}()"
        case ast.Global(names=names):
            yield f"global {', '.join(names)}"


def _is_acting_module(name: str) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in MODULES for length in range(1, len(parts) + 1))
