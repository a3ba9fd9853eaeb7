"""What is kept of prompts: how many vectors, of whom, until when; and their end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.cli.console import Dir
from bailment.cli.output import Json, note, show_rows, titled
from bailment.cli.subjects import find_person, find_recipient, handle_of
from bailment.cli.times import show_time
from bailment.errors import BailmentError
from bailment.store.folder import Folder
from bailment.store.secrets import load_kek
from bailment.store.view import View, open_view
from bailment.worker.vectors import Row, Vectors, devices_of

app = typer.Typer(no_args_is_help=True, help="Vectors of prompts, which are all that is kept.")


@app.callback()
def vectors() -> None:
    """Vectors of prompts, which are all that is kept of them."""


@app.command()
def show(directory: Dir = Path(), as_json: Json = False) -> None:
    """List how many vectors are kept, by recipient, model and purpose, and until when."""
    with _opened(directory) as store:
        kept = [row for row in store.rows() if row.count]
    view = open_view(Folder(directory))
    rows = [_row(view, row) for row in kept]
    columns = titled("recipient", "model", "purpose", "vectors", "expires")
    show_rows(rows, columns, as_json=as_json, none="no vectors are kept")


@app.command()
def purge(
    recipient: Annotated[
        str, typer.Argument(help="Its handle, as in `show`; all recipients without one.")
    ] = "",
    person: Annotated[
        str | None, typer.Option(help="Of this person's devices alone: an email, a name or an id.")
    ] = None,
    directory: Dir = Path(),
) -> None:
    """Delete and overwrite vectors; what a recipient asks is then learnt anew."""
    if person is not None and recipient:
        raise BailmentError("a recipient's are purged, or a person's: name one of them")
    with _opened(directory) as store:
        if person is not None:
            view = open_view(Folder(directory))
            found = find_person(view, person)
            count = store.leave(devices_of(view.fold.register, found))
            note(f"purged {count} vectors of {person}; what runs forgets them within some seconds")
            return
        names = [row.name for row in store.rows() if row.count]
        if recipient:
            known = {name.split()[0] for name in names}
            one = recipient
            if recipient not in known:
                one = find_recipient(open_view(Folder(directory)), recipient)
            names = [name for name in names if name.split()[0] == one]
            if not names:
                raise BailmentError(
                    f"no vectors are kept of `{recipient}`",
                    hint="`bailment detect vectors show` lists whose are",
                )
        count = store.purge(names)
    note(f"purged {count}; what runs forgets them within some seconds")


@contextmanager
def _opened(directory: Path) -> Iterator[Vectors]:
    folder = Folder(directory)
    folder.require()
    with closing(Vectors(folder.vectors, load_kek(folder))) as store:
        yield store


def _row(view: View, row: Row) -> dict[str, Any]:
    recipient, model, purpose = row.name.split(" ", 2)
    return {
        "recipient": handle_of(view, recipient),
        "model": model,
        "purpose": purpose,
        "vectors": row.count,
        "expires": show_time(row.expires),
    }
