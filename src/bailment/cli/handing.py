"""Evidence, handed in: by a recipient's admin about itself, or by the lab about anybody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bailment.assurance.adapters.reading import MAX_SIZE
from bailment.cli.console import Dir, hand_in
from bailment.cli.output import Json, note, say, show_json, show_rows, titled
from bailment.cli.subjects import find_recipient
from bailment.cli.times import show_time
from bailment.errors import BailmentError
from bailment.store.folder import Folder
from bailment.store.view import open_view

Words = Annotated[
    list[str],
    typer.Argument(
        metavar="[HANDLE] KIND FILE", help="The kind of evidence and the file; the lab says whose."
    ),
]
By = Annotated[
    Literal["recipient", "peer", "issuer"],
    typer.Option(help="Who collected it."),
]


def submit(
    words: Words,
    admin: Annotated[
        Path | None, typer.Option(help="For a recipient: the folder of its admin's key.")
    ] = None,
    gateway: Annotated[
        str, typer.Option(envvar="BAILMENT_GATEWAY", help="For a recipient: the gateway's URL.")
    ] = "",
    by: By = "recipient",
    collector: Annotated[
        str, typer.Option(help="The tool or person that collected it; of a peer, its handle.")
    ] = "",
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Label it as no real one.")
    ] = False,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Hand in a file as evidence. It is read and judged at once, and never kept.

    With --admin it is a recipient's own word, whatever else is said of it.
    """
    if len(words) != (2 if admin else 3):
        named = "KIND FILE" if admin else "HANDLE KIND FILE"
        raise typer.BadParameter(f"give {named}", param_hint="'[HANDLE] KIND FILE'")
    *whose, kind, file = words
    with Path(file).open("rb") as stream:
        data = stream.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise BailmentError(
            f"`{file}` is longer than {MAX_SIZE >> 20} MiB",
            hint="leave out the tool's raw settings",
        )
    if admin is not None:
        if by != "recipient" or collector or simulated:
            raise typer.BadParameter(
                "what a recipient hands in is its own: leave out --by and such"
            )
        done = _send(admin, gateway, kind, data)
    else:
        view = open_view(Folder(directory))
        done = hand_in(
            view.folder,
            data,
            recipient=find_recipient(view, whose[0]),
            kind=kind,
            by=by,
            collector=find_recipient(view, collector) if by == "peer" else collector,
            simulated="1" if simulated else "0",
        )
    _tell(done, as_json=as_json)


def show_list(
    handle: Annotated[str, typer.Argument(help="The recipient.")],
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """List the evidence about a recipient."""
    view = open_view(Folder(directory))
    recipient = find_recipient(view, handle)
    rows = [
        {
            "item": item.id,
            "kind": item.kind,
            "independence": item.independence,
            "dated": show_time(item.dated),
            "received": show_time(item.received),
            "scope": item.scope,
            "collector": item.collector,
            "says": _says(len(item.checks), item.claims, len(item.people)),
            "simulated": item.simulated,
            "notes": item.notes,
            "digest": item.digest,
        }
        for item in view.fold.register.proven(recipient).items
    ]
    columns = {
        "item": lambda row: row["item"][:8],
        **titled("kind"),
        "independence": lambda row: row["independence"] + (" SIMULATED" * row["simulated"]),
        **titled("dated", "scope", "says"),
    }
    show_rows(rows, columns, as_json=as_json, none=f"nothing was shown about {handle}")


def _send(admin: Path, gateway: str, kind: str, data: bytes) -> dict[str, Any]:
    from bailment.agent.admin import Admin

    if not gateway:
        raise typer.BadParameter("say which gateway", param_hint="'--gateway'")

    async def run() -> dict[str, Any]:
        async with Admin(admin, gateway) as client:
            return await client.hand_in(kind, data)

    return asyncio.run(run())


def _tell(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(done)
        return
    for item in done["items"]:
        label = ", SIMULATED" if item["simulated"] else ""
        says = _says(item["checks"], item["claims"], item["people"])
        what = f"{item['id'][:8]} {item['kind']} about {item['scope']}"
        dated = show_time(item["dated"])
        say(f"{what}, of {dated}, counts as {item['independence']}{label}: {says}")
        for text in item["notes"]:
            note(f"  {text}")
    say(f"in force: {done['tier'] or 'no tier'}")


def _says(checks: int, claims: dict[str, int], people: int) -> str:
    told = [f"{name} {number}" for name, number in sorted(claims.items())]
    if checks:
        told.insert(0, f"{checks} checks")
    if people:
        told.append(f"{people} people")
    return ", ".join(told[:4]) + (f" and {len(told) - 4} more" if len(told) > 4 else "")
