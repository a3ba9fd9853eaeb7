"""People in the control plane: invited here, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bailment.cli.console import Dir, act
from bailment.cli.output import Json, note, say, show_json, show_rows, titled
from bailment.cli.subjects import find_person, find_recipient, handle_of
from bailment.cli.times import show_time
from bailment.errors import BailmentError
from bailment.ledger.operator_records import Role
from bailment.store.folder import Folder
from bailment.store.view import open_view

app = typer.Typer(no_args_is_help=True, help="People who sign in to the control plane.")


@app.command()
def invite(
    name: Annotated[str, typer.Argument(help="Who it is, for other people to read.")],
    role: Annotated[Role, typer.Option(help="What they may do.")],
    organisation: Annotated[
        str, typer.Option(help="Of a `recipient-admin`: the organisation's handle, or its id.")
    ] = "",
    approver: Annotated[
        str, typer.Option(help="The approver's name, if the same person is one.")
    ] = "",
    person: Annotated[
        str, typer.Option(help="Id, email or name, if the same person is enrolled.")
    ] = "",
    account: Annotated[
        str, typer.Option(help="Their `sub` at your own identity provider, if it is set up.")
    ] = "",
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Print an address, good once and for 15 minutes, at which somebody makes a passkey."""
    view = open_view(Folder(directory))
    if (role == "recipient-admin") != bool(organisation):
        raise typer.BadParameter("a `recipient-admin`, and nobody else, has an --organisation")
    known = organisation in view.fold.register.link_of
    done = act(
        view.folder,
        "operator-invite",
        called=name,
        role=role,
        organisation=organisation
        if known or not organisation
        else find_recipient(view, organisation),
        approver=approver,
        person=find_person(view, person) if person else "",
        account=account,
    )
    if as_json:
        show_json(done)
        return
    say(done["url"])
    note(f"for {name} alone, once, until {show_time(done['until'])}; there is no password")


@app.command("list")
def show_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List operators and who was invited."""
    view = open_view(Folder(directory))
    rows = [
        {
            "operator": name,
            "name": view.people.at(one.index).get("name", ""),
            "role": one.role,
            "organisation": handle_of(view, one.organisation) if one.organisation else "",
            "approver": one.approver,
            "person": one.person,
            "state": "ended" if one.ended else "active" if one.active else "invited",
            "passkey": one.credential,
        }
        for name, one in view.fold.register.state.operators.items()
    ]
    columns = {
        "id": lambda row: row["operator"][:8],
        **titled("name", "role", "organisation", "state"),
    }
    show_rows(rows, columns, as_json=as_json, none="nobody signs in to the control plane")


@app.command()
def end(
    operator: Annotated[str, typer.Argument(help="The operator's id, or how it begins.")],
    reason: Annotated[str, typer.Option(help="Why; it goes into the log, for good: name nobody.")],
    directory: Dir = Path(),
) -> None:
    """Let somebody sign in no longer. What they signed before still stands."""
    view = open_view(Folder(directory))
    found = [name for name in view.fold.register.state.operators if name.startswith(operator)]
    if len(found) != 1:
        raise BailmentError("there is no such operator", hint="bailment operator list")
    act(view.folder, "operator-end", operator=found[0], reason=reason)
    say(f"{found[0]} is no operator any more")
