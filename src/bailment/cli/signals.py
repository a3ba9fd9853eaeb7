"""A recipient's systems and the lab: what they report (SCIM, Shared Signals), and webhooks back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from bailment.cli.console import Dir
from bailment.cli.delegate import AdminFolder, Gateway
from bailment.cli.output import Json, note, say, show_json, show_rows, titled, warn
from bailment.cli.subjects import handle_of
from bailment.cli.times import show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.store.folder import Folder
from bailment.store.view import open_view

if TYPE_CHECKING:
    from bailment.agent.admin import Admin

app = typer.Typer(
    no_args_is_help=True, help="Your own systems that report to the lab: leavers, lost devices."
)
webhook = typer.Typer(no_args_is_help=True, help="Where the lab tells you of holds and findings.")

Source = Annotated[str, typer.Argument(help="Its id, as `bailment signals show` has it.")]
T = TypeVar("T")


@app.command("add")
def add(
    kind: Annotated[
        Literal["scim", "ssf"],
        typer.Argument(help="scim: a directory provisions. ssf: a transmitter sends events."),
    ],
    admin: AdminFolder,
    gateway: Gateway,
    issuer: Annotated[str, typer.Option(help="For ssf: the transmitter's issuer URL.")] = "",
    token_file: Annotated[
        Path | None,
        typer.Option(help="For ssf: a file with the token that manages streams there."),
    ] = None,
    as_json: Json = False,
) -> None:
    """For a recipient's admin: let a system of yours report. A leaver's access dies with it."""
    if (kind == "ssf") != bool(issuer and token_file):
        raise BailmentError(
            "ssf takes an issuer and a token, scim neither", hint="--issuer URL --token-file FILE"
        )
    token = token_file.read_text().strip() if token_file else ""
    done = asked_by(admin, gateway, lambda asking: asking.add_source(kind, issuer, token))
    if as_json:
        show_json(done)
        return
    say(f"source: {done['source']}")
    say(f"url: {done['url']}")
    if kind == "scim":
        say(f"credential: {done['credential']}")
        note("it is shown this once: give URL and credential to your directory")
    else:
        say(f"audience: {done['audience']}")
        note("from now on its silence closes the gate: see that it keeps on reporting")


@app.command("rotate")
def rotate(source: Source, admin: AdminFolder, gateway: Gateway, as_json: Json = False) -> None:
    """Give a SCIM source another credential in the place of the one before."""
    done = asked_by(admin, gateway, lambda asking: asking.change_source(source, "rotate"))
    if as_json:
        show_json(done)
        return
    say(f"credential: {done['credential']}")
    note("it is shown this once, and the one before is worth nothing any more")


@app.command("end")
def end(source: Source, admin: AdminFolder, gateway: Gateway, as_json: Json = False) -> None:
    """Hear a source no more. Holds that it set stay, for nobody else lifts them by themselves."""
    done = asked_by(admin, gateway, lambda asking: asking.change_source(source, "end"))
    if as_json:
        show_json(done)
        return
    say(f"{source} is not heard any more")
    warn("its holds stay: ask the lab to lift those that are over")


@app.command("show")
def show(admin: AdminFolder, gateway: Gateway, as_json: Json = False) -> None:
    """Your sources, and when each was last heard."""
    rows = asked_by(admin, gateway, lambda asking: asking.sources())
    _rows(rows, as_json, "you have no source", ("source", "kind", "issuer"))


@app.command("list")
def show_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """Every organisation's sources, for the lab."""
    from bailment.access.signalling import quiet

    view = open_view(Folder(directory))
    register = view.fold.register
    state, now = register.state, now_ms()
    rows = [
        {
            "organisation": handle_of(view, one.organisation),
            "source": one.source,
            "kind": one.kind,
            "issuer": one.issuer,
            "heard": state.heard.get(one.source, 0),
            "silent": one.source in state.silent or quiet(register, one, now),
        }
        for one in state.sources.values()
        if one.kind
    ]
    columns = ("organisation", "source", "kind", "issuer")
    _rows(rows, as_json, "no organisation has a source", columns)


@webhook.command("set")
def webhook_set(
    url: Annotated[str, typer.Argument(help="An https URL of yours.")],
    admin: AdminFolder,
    gateway: Gateway,
    as_json: Json = False,
) -> None:
    """Be told there of holds, liftings, ended delegations and findings of yours.

    What was given up is tried again.
    """
    done = asked_by(admin, gateway, lambda asking: asking.set_webhook(url))
    if as_json:
        show_json(done)
        return
    say(f"key: {done['key']}")
    note("verify each message by it (Standard Webhooks, v1a); the first one is on its way")


@webhook.command("end")
def webhook_end(admin: AdminFolder, gateway: Gateway, as_json: Json = False) -> None:
    """Be told nothing any more."""
    done = asked_by(admin, gateway, lambda asking: asking.set_webhook(""))
    if as_json:
        show_json(done)
        return
    say("you are told nothing any more")


@webhook.command("show")
def webhook_show(admin: AdminFolder, gateway: Gateway, as_json: Json = False) -> None:
    """Where you are told, by which key, and what still waits."""
    found = asked_by(admin, gateway, lambda asking: asking.webhook())
    last = show_time(found["last"]) if found["last"] else None
    if as_json:
        show_json(found | {"last": last})
        return
    say(f"url: {found['url'] or 'none'}")
    say(f"key: {found['key']}")
    say(f"told: {found['told']}, last {last or 'never'}")
    say(f"waiting: {found['waiting']}; given up: {found['given_up']}")
    if found["behind"]:
        say(f"{found['behind']} more entries of the log will be read for you as these arrive")
    if found["error"]:
        warn(found["error"])


def asked_by(admin: Path, gateway: str, ask: Callable[[Admin], Awaitable[T]]) -> T:
    """What a recipient's admin is answered."""
    from bailment.agent.admin import Admin

    async def run() -> T:
        async with Admin(admin, gateway) as asking:
            return await ask(asking)

    return asyncio.run(run())


def _rows(rows: list[dict[str, Any]], as_json: bool, none: str, names: tuple[str, ...]) -> None:
    told = [row | {"heard": show_time(row["heard"]) if row["heard"] else None} for row in rows]
    columns = titled(*names, "heard") | {"silent": lambda row: "silent" if row["silent"] else ""}
    show_rows(told, columns, as_json=as_json, none=none)
