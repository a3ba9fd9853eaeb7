"""The tables of networks: refresh them, see how old they are, ask them."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.cli.console import Dir
from bailment.cli.output import Json, following, note, say, show_json
from bailment.cli.times import show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.store.folder import Folder

app = typer.Typer(
    no_args_is_help=True, help="Tables of networks: whose an address is, where, and of what kind."
)


@app.command("refresh")
def refresh(
    sources: Annotated[
        list[Path], typer.Option("--from", help="A folder with the lists, or one list; repeat it.")
    ],
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The lists' date, where the files' is not it."),
    ] = None,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Make an issuer's tables of public lists. A running issuer takes them within seconds."""
    from bailment.store.network_files import found_in, put_in_place, read_files
    from bailment.store.tables import tables_path

    folder = Folder(directory)
    folder.require()
    for path in sources:
        if not path.exists():
            raise BailmentError(f"there is no file or folder `{path}`")
    paths = [one for path in sources for one in (found_in(path) if path.is_dir() else [path])]
    date = 0 if as_of is None else int(as_of.replace(tzinfo=UTC).timestamp() * 1000)
    if date > now_ms():
        raise BailmentError("lists of a day to come are none", hint="--as-of YYYY-MM-DD")
    lists = []
    with following("reading") as follow:
        for at, path in enumerate(paths):
            follow(path.name, at, len(paths) + 1)
            lists += read_files([path], date)
        follow("writing", len(paths), len(paths) + 1)
        tables = put_in_place(folder, lists)
    if as_json:
        show_json(_said(tables, str(tables_path(folder))))
        return
    for source in tables.head.sources:
        say(f"{source.rows:>9,}  {source.name}  {source.what} ({source.licence})")
    say(f"tables of {_day(tables.built)} in {tables_path(folder)}")
    missing = {"hosting", "vpn", "tor"} - {one.role for one in lists}
    if missing:
        note(f"without a list of {', '.join(sorted(missing))}: no address is told to be that")


@app.command("show")
def show(directory: Dir = Path(), as_json: Json = False) -> None:
    """What the tables in use hold, how old they are and where they come from."""
    from bailment.store.tables import load_tables, tables_path

    folder = Folder(directory)
    folder.require()
    tables, own = load_tables(folder)
    said = _said(tables, str(tables_path(folder)) if own else "")
    if as_json:
        show_json(said)
        return
    say(f"from     {said['file'] or 'the package: small ones, see docs/detection.md'}")
    say(f"of       {_day(tables.built)}, {tables.age_days(now_ms())} days old")
    say(f"ranges   {', '.join(f'{name} {size:,}' for name, size in said['ranges'].items())}")
    for source in tables.head.sources:
        say(f"list     {source.name}: {source.what} ({source.licence}), {_day(source.date)}")


@app.command("lookup")
def lookup(
    address: Annotated[str, typer.Argument(help="An IPv4 or IPv6 address.")],
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """What the tables in use say of an address."""
    from bailment.store.tables import load_tables

    folder = Folder(directory)
    folder.require()
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        raise BailmentError(f"`{address}` is no address", hint="write one like 192.0.2.1") from None
    found = load_tables(folder)[0].find(place)
    if as_json:
        show_json({"address": str(place), **found._asdict()})
        return
    say(f"network  {f'AS{found.asn}' if found.asn else 'unknown'}")
    say(f"country  {found.country or 'unknown'}")
    say(f"kind     {found.kind or 'of none of the lists'}")


def _said(tables: Any, file: str) -> dict[str, Any]:
    from bailment.detect.networks import LAYERS

    return {
        "file": file,
        "built": show_time(tables.built),
        "age_days": tables.age_days(now_ms()),
        "ranges": dict(zip(LAYERS, tables.head.sizes, strict=True)),
        "sources": [
            {
                "name": one.name,
                "what": one.what,
                "licence": one.licence,
                "date": show_time(one.date),
                "rows": one.rows,
                "sha256": one.sha256,
            }
            for one in tables.head.sources
        ],
    }


def _day(time: int) -> str:
    return show_time(time)[:10]
