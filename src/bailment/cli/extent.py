"""`bailment blast-radius`: how far something reaches; and what the other commands of an incident
share.

The running issuer's worker is asked, which has everything in memory. Where none answers the log is
read: only then is imported what that takes, since the command line's start is half of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bailment.cli.console import Dir
from bailment.cli.output import (
    Json,
    counted,
    following,
    note,
    say,
    show_json,
    show_rows,
    titled,
    warn,
)
from bailment.cli.times import ago
from bailment.clock import now_ms
from bailment.store.folder import Folder
from bailment.store.questions import ask

if TYPE_CHECKING:
    from bailment.store.incidents import Incidents
    from bailment.store.view import View

#: More rows than this nobody reads on a terminal.
_SHOWN = 40


@contextmanager
def opened(folder: Folder) -> Iterator[tuple[View, Incidents]]:
    """The log as it is now, and its incidents, with the index brought up to date."""
    from bailment.store.incidents import Incidents
    from bailment.store.view import open_view

    view = open_view(folder)
    incidents = Incidents(folder, view.reader, view.fold.register, warn)
    try:
        with following("counting accesses") as follow:
            incidents.follow(lambda done: follow("", done, view.checkpoint.size))
        yield view, incidents
    finally:
        incidents.close()


def blast_radius(
    subject: Annotated[
        str,
        typer.Argument(
            help="person:ID-or-email, device:ID, key:THUMBPRINT, link:ID, recipient:HANDLE, "
            "subcontractor:HANDLE, workload:ID, vendor:NAME, system:HANDLE, network:CIDR-or-AS, "
            "model:NAME, finding:ID or incident:ID."
        ),
    ],
    since: Annotated[
        str, typer.Option(help="Where you would begin to look, like 2026-04-07.")
    ] = "",
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """List all that could be reached from a subject, and all that was.

    The window begins at the first exposure. One that is asked for and begins later is answered, and
    what it would miss is said.
    """
    folder = Folder(directory)
    folder.require()
    begin = ago(since, now_ms()) if since else 0
    question = {"subject": subject, "since": begin, "most": 0 if as_json else _SHOWN}
    told = ask(folder, question)
    by = "the worker"
    if told is None:
        told, by = _read(folder, question), "this command"
    if as_json:
        show_json(told | {"by": by})
    else:
        _show(told)
        note(f"{told['milliseconds']} ms, by {by}")


def _read(folder: Folder, question: dict[str, Any]) -> dict[str, Any]:
    from bailment.cli.reach import Question, extent

    with opened(folder) as (view, incidents):
        return extent(view, incidents, Question(**question))


def _show(told: dict[str, Any]) -> None:
    window, used = told["window"], told["used"]
    say(f"about {', '.join(told['names'])}")
    if window["since"]:
        say(f"exposed since {window['since']}: {window['why']}")
    if window["misses_exposure"]:
        before = counted(window["accesses_before"], "access", "accesses")
        lie = "lies" if window["accesses_before"] == 1 else "lie"
        warn(
            f"a window from {window['asked']} MISSES the exposure: it began {window['since']}, and "
            f"at least {before} {lie} before what you asked for"
        )
    counts = told["counts"]["reached"]
    reached = ", ".join(counted(number, kind) for kind, number in counts.items())
    say(f"could be reached: {reached or 'nothing'}")
    columns = {
        **titled("name", "recipient", "accesses", "last"),
        "why": lambda row: " > ".join(row["why"][-2:]),
    }
    show_rows(told["reached"], columns, as_json=False, none="")
    _more(told, "reached")
    models = ", ".join(
        f"{name or 'no model'} ({number})" for name, number in used["models"].items()
    )
    say(f"was done: {_done(used)}, {counted(used['tokens'], 'token')}; {models or 'no model'}")
    if told["misused"]:
        bad = told["misused"]
        say(f"from where the findings were: {_done(bad)} by {counted(bad['devices'], 'device')}")
    for title, rows in (("may have been lost through", "through"), ("exposed beside", "beside")):
        if told[rows]:
            say(f"{title}: {', '.join(map(_whose, told[rows]))}")
            _more(told, rows)


def _whose(row: dict[str, Any]) -> str:
    """Its name, and of whom it is where that does not say so itself."""
    name, owner = row["name"], row["recipient"]
    return f"{name} of {owner}" if owner and not name.endswith(f" {owner}") else str(name)


def _done(used: dict[str, Any]) -> str:
    return counted(used["accesses"], "access", "accesses")


def _more(told: dict[str, Any], rows: str) -> None:
    counts = told["counts"][rows]
    more = sum(counts.values()) - counts.get("link", 0) - len(told[rows])
    if more:
        note(f"and {more} more: --json has all")


#: The command alone, which starts twice as fast.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(blast_radius)
