"""The custody map: which systems outside the gateway keep secrets of delegations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bailment.cli.console import Dir, act
from bailment.cli.delegate import AdminFolder, Gateway
from bailment.cli.extent import opened
from bailment.cli.output import Json, say, show_json, show_rows, titled
from bailment.cli.reach import find_any, named
from bailment.cli.signals import asked_by
from bailment.cli.times import ago, show_time
from bailment.clock import now_ms
from bailment.store.folder import Folder

app = typer.Typer(no_args_is_help=True, help="Systems outside in which keys and secrets are kept.")

_WHO = "recipient:HANDLE, subcontractor:HANDLE, person:… or vendor:NAME"


@app.command()
def declare(
    system: Annotated[str, typer.Argument(help="A handle, like ci-vault.")],
    kind: Annotated[
        str, typer.Option(help="What it is: secrets, ci, support, backup and so on.")
    ] = "",
    runs: Annotated[str, typer.Option(help=f"Who operates it: {_WHO}.")] = "",
    reach: Annotated[
        list[str] | None, typer.Option(help=f"Who can get into it: {_WHO}; repeat for more.")
    ] = None,
    store: Annotated[
        list[str] | None,
        typer.Option(
            help="Whose key or credential is kept there: device:ID, workload:ID, link:ID, "
            "recipient:HANDLE, source:ID; repeat for more."
        ),
    ] = None,
    since: Annotated[str, typer.Option(help="Since when, like 90d or 2026-04-07.")] = "",
    end: Annotated[bool, typer.Option("--end", help="Nothing is kept there any more.")] = False,
    directory: Dir = Path(),
) -> None:
    """Declare a shared system, or declare it anew."""
    folder = Folder(directory)
    if not (end or (runs and store)):
        raise typer.BadParameter("say --runs and --store")
    with opened(folder) as (view, _):
        given = [runs] if runs else []
        operator, *_rest = [find_any(view, one) for one in given] or [""]
        reached = [find_any(view, one) for one in reach or ()]
        stored = [find_any(view, one) for one in store or ()]
    act(
        folder,
        "custody-declare",
        system=system,
        kind=kind or "system",
        runs=operator or f"system:{system}",
        reached=reached,
        stored=stored,
        since=ago(since, now_ms()) if since else 0,
        ended=end,
    )
    say(f"{system} is {'in the custody map no longer' if end else 'in the custody map'}")


@app.command()
def report(
    system: Annotated[str, typer.Argument(help="What you call it, like ci-vault.")],
    admin: AdminFolder,
    gateway: Gateway,
    kind: Annotated[
        str, typer.Option(help="What it is: secrets, ci, support, backup and so on.")
    ] = "system",
    runs: Annotated[
        str, typer.Option(help="Who operates it: vendor:NAME, or empty if you do.")
    ] = "",
    reach: Annotated[
        list[str] | None,
        typer.Option(help="Who else can get into it: vendor:NAME or person:ID; repeat for more."),
    ] = None,
    store: Annotated[
        list[str] | None,
        typer.Option(
            help="Whose key or credential is kept there, of yours: device:ID, workload:ID, "
            "source:ID; repeat for more."
        ),
    ] = None,
    since: Annotated[str, typer.Option(help="Since when, like 90d or 2026-04-07.")] = "",
    end: Annotated[bool, typer.Option("--end", help="Nothing is kept there any more.")] = False,
    as_json: Json = False,
) -> None:
    """For a recipient's admin: say in which system outside keys of yours lie, or say it anew.

    It goes on record with your signed request; the lab sees it under your handle and this name.
    """
    if not (end or store):
        raise typer.BadParameter("say --store, or --end")
    told = {
        "kind": kind,
        "runs": runs,
        "reached": reach or [],
        "stored": store or [],
        "since": ago(since, now_ms()) if since else 0,
        "ended": end,
    }
    done = asked_by(admin, gateway, lambda asking: asking.declare_custody(system, **told))
    if as_json:
        show_json(done)
        return
    say(f"{done['system']} is {'in the custody map no longer' if end else 'in the custody map'}")


@app.command("list")
def show_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List shared systems."""
    with opened(Folder(directory)) as (view, incidents):
        rows = [
            {
                "system": one.system,
                "kind": one.kind,
                "runs": named(view, one.runs),
                "reached": [named(view, who) for who in one.reached],
                "stored": [named(view, what) for what in one.stored],
                "since": show_time(one.since) if one.since else None,
            }
            for one in incidents.custody()
        ]
    columns = titled("system", "kind", "runs", "reached", "stored", "since")
    show_rows(rows, columns, as_json=as_json, none="no shared system is declared")
