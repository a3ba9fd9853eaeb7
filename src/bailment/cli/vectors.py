"""What is kept of prompts: how many vectors, of whom, until when; and their end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.cli.console import Dir
from bailment.cli.output import Json, note, show_rows, titled
from bailment.cli.times import show_time
from bailment.errors import BailmentError
from bailment.store.folder import Folder
from bailment.store.secrets import load_kek
from bailment.worker.vectors import Vectors

app = typer.Typer(no_args_is_help=True, help="Vectors of prompts, which are all that is kept.")


@app.callback()
def vectors() -> None:
    """Vectors of prompts, which are all that is kept of them."""


@app.command()
def show(directory: Dir = Path(), as_json: Json = False) -> None:
    """List how many vectors are kept, by recipient, model and purpose, and until when."""
    with _opened(directory) as store:
        rows = [_row(row.name, row.count, row.expires) for row in store.rows() if row.count]
    columns = titled("recipient", "model", "purpose", "vectors", "expires")
    show_rows(rows, columns, as_json=as_json, none="no vectors are kept")


@app.command()
def purge(
    directory: Dir = Path(),
    recipient: Annotated[
        str, typer.Argument(help="Its pseudonym, as `show` has it; all recipients without one.")
    ] = "",
) -> None:
    """Delete and overwrite vectors; what a recipient asks is then learnt anew."""
    with _opened(directory) as store:
        names = [row.name for row in store.rows() if row.count]
        if recipient and not any(name.startswith(f"{recipient} ") for name in names):
            raise BailmentError(
                f"no vectors are kept of `{recipient}`",
                hint="`bailment detect vectors show` lists whose are",
            )
        count = sum(store.purge(n) for n in names if not recipient or n.split()[0] == recipient)
    note(f"purged {count}; what runs forgets them within some seconds")


@contextmanager
def _opened(directory: Path) -> Iterator[Vectors]:
    folder = Folder(directory)
    folder.require()
    with closing(Vectors(folder.vectors, load_kek(folder))) as store:
        yield store


def _row(name: str, count: int, expires: int) -> dict[str, Any]:
    recipient, model, purpose = name.split(" ", 2)
    return {
        "recipient": recipient,
        "model": model,
        "purpose": purpose,
        "vectors": count,
        "expires": show_time(expires),
    }
