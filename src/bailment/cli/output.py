"""How commands speak: tables for people, JSON for programs, errors with what to do.

Results go to standard output, everything else to standard error. `--json` prints one JSON value.
Exit codes: 0 done, 1 failed, 2 usage, 10 changes pending, 20 verification failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from bailment.errors import BailmentError, VerificationError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

#: Where no terminal says how wide it is, lines are not folded for one.
_WIDTH = None if sys.stdout.isatty() else 200

out = Console(highlight=False, width=_WIDTH)
err = Console(stderr=True, highlight=False)


class Exit(IntEnum):
    """Exit codes that scripts may rely on."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PENDING = 10
    UNVERIFIED = 20


def say(text: str) -> None:
    """One line of a result."""
    out.print(Text(text), soft_wrap=True)


def note(text: str) -> None:
    """Something beside the result."""
    err.print(Text(text, style="dim"), soft_wrap=True)


def show_json(value: object) -> None:
    """One JSON value."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def show_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, none: str
) -> None:
    """A listing: every field as JSON, the named columns as a table, a sentence if it is empty."""
    if as_json:
        show_json(rows)
        return
    if not rows:
        note(none)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(row.get(column, ""))) for column in columns))
    out.print(table)


@contextmanager
def following(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal; nothing where there is none. Call with (step, at, of)."""
    bar = Progress(console=err, transient=True, disable=not sys.stderr.isatty())
    with bar:
        task = bar.add_task(title)

        def follow(step: str, at: int, of: int) -> None:
            bar.update(task, description=step or title, completed=at, total=of)

        yield follow


def fail(error: BailmentError) -> NoReturn:
    """Print what is wrong and what to do, and end with the code for it."""
    err.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
    if error.hint:
        err.print(Text.assemble(("  try: ", "bold"), error.hint), soft_wrap=True)
    code = Exit.UNVERIFIED if isinstance(error, VerificationError) else Exit.FAILED
    raise SystemExit(code)
