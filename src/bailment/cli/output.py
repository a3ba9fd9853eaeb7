"""How commands speak: tables for people, JSON for programs, errors with what to do.

Results go to standard output, everything else to standard error. `--json` prints one JSON value
in UTF-8, with times as RFC 3339 has them. Whatever came from somebody else is escaped where it
does not print, so that no name or reason can command the terminal it is read on.
Exit codes: 0 done, 1 failed, 2 usage, 10 changes pending, 20 verification failed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from bailment.errors import BailmentError, VerificationError, Waiting

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

#: How a column's cell is found in a row: the name of a field, or what makes the text from the row.
Column = str | Callable[[Any], str]

#: Where no terminal says how wide it is, lines are not folded for one.
_WIDTH = None if sys.stdout.isatty() else 10_000

#: Columns up to so long (a time, a kind) are not folded while each longer one has at least so much.
_SHORT, _LEAST = 24, 6

out = Console(highlight=False, width=_WIDTH)
err = Console(stderr=True, highlight=False)


class Exit(IntEnum):
    """Exit codes that scripts may rely on."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    PENDING = 10
    UNVERIFIED = 20


def shown(text: str) -> str:
    """The text with everything escaped that does not print: controls, line ends, bidi marks."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(ch: str) -> str:
    return ch if ch.isprintable() else ascii(ch)[1:-1]


def say(text: str) -> None:
    """One line of a result."""
    out.print(Text(shown(text)), soft_wrap=True)


def note(text: str) -> None:
    """Something beside the result."""
    err.print(Text(shown(text), style="dim"), soft_wrap=True)


def warn(text: str) -> None:
    """Something beside the result that must not be missed."""
    err.print(Text.assemble(("warning: ", "bold yellow"), shown(text)), soft_wrap=True)


def agreed(question: str) -> bool:
    """The answer to a question that `--yes` would have answered."""
    if not sys.stdin.isatty():
        raise BailmentError(
            f"nobody can be asked `{shown(question)}`: standard input is no terminal",
            hint="see for yourself, then say --yes",
        )
    return typer.confirm(shown(question), err=True)


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things: `1 device`, `2 devices`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def write(data: bytes) -> None:
    """Bytes that are a result as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def show_json(value: object, *, indent: int = 2) -> None:
    """One JSON value; on one line with `indent` 0, for who reads it from what goes on."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()
    write(re.sub(r"[^\n -~]+", _escaped, text).encode() + b"\n")


def _escaped(found: re.Match[str]) -> str:
    return "".join(ch if ch.isprintable() else json.dumps(ch)[1:-1] for ch in found[0])


def show_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, Column],
    *,
    as_json: bool,
    none: str,
    told: str = "",
) -> None:
    """A listing: all fields as JSON, or `columns` as a table, or `none` where there is no row.

    The column `told` is sentences: on a terminal that is too narrow for all columns, each stands
    under its row. What is short, like a time, is folded only where nothing else is left to fold.
    """
    if as_json:
        show_json(rows)
        return
    if not rows:
        if none:
            note(none)
        return
    lines = [[shown(_cell(_value(row, of))) for of in columns.values()] for row in rows]
    titles = list(columns)
    lengths = _lengths(titles, lines)
    if not told or sum(lengths) + len(lengths) - 1 <= out.width:
        _print(_table(titles, lines, _widths(lengths, out.width)))
        return
    at = titles.index(told)
    sentences = [line.pop(at) for line in lines]
    del titles[at]
    widths = _widths(_lengths(titles, lines), out.width)
    for line, sentence in zip(lines, sentences, strict=True):
        _print(_table(titles, [line], widths, header=line is lines[0]))
        if sentence:
            out.print(Padding(Text(sentence, overflow="fold"), (0, 0, 0, 2)))


def _print(table: Table) -> None:
    """On a terminal as it is; elsewhere no line ends in what fills a column."""
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as printed:
        out.print(table)
    for line in printed.get().splitlines():
        out.print(Text(line.rstrip()), soft_wrap=True)


def _table(
    titles: Sequence[str],
    lines: Sequence[Sequence[str]],
    widths: Sequence[int],
    *,
    header: bool = True,
) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=header)
    for title, width in zip(titles, widths, strict=True):
        table.add_column(title, overflow="fold", width=width)
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def _lengths(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> list[int]:
    """The longest of each column, in terminal cells."""
    return [max(map(cell_len, column)) for column in zip(titles, *lines, strict=True)]


def _widths(lengths: Sequence[int], room: int) -> list[int]:
    """How wide columns are: the shortest as wide as they need, the others share what is left."""
    left = room - (len(lengths) - 1)
    widths = list(lengths)
    for done, at in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        fair = max(left // (len(lengths) - done), 1)
        short = lengths[at] <= _SHORT and left - lengths[at] >= _LEAST * (len(lengths) - done - 1)
        widths[at] = lengths[at] if short else min(lengths[at], fair)
        left -= widths[at]
    return widths


def titled(*names: str) -> dict[str, Column]:
    """Columns that show the fields of these names under them."""
    return {name: name for name in names}


def _value(row: Mapping[str, Any], of: Column) -> Any:
    return row[of] if isinstance(of, str) else of(row)


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


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
    waits = isinstance(error, Waiting)
    title = ("proposed: ", "bold yellow") if waits else ("error: ", "bold red")
    err.print(Text.assemble(title, shown(str(error))), soft_wrap=True)
    if error.hint:
        err.print(Text.assemble(("  try: ", "bold"), shown(error.hint)), soft_wrap=True)
    code = Exit.UNVERIFIED if isinstance(error, VerificationError) else Exit.FAILED
    raise SystemExit(Exit.PENDING if waits else code)
