"""Signing in at the employer's provider: its registration by an admin, and the person's side."""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bailment.cli.console import Dir
from bailment.cli.delegate import AdminFolder, Gateway
from bailment.cli.output import Json, note, say, show_json, show_rows, titled, warn
from bailment.cli.recipient import NoBrowser, Profile
from bailment.cli.subjects import handle_of
from bailment.cli.times import show_time
from bailment.errors import BailmentError
from bailment.store.folder import Folder
from bailment.store.view import open_view

if TYPE_CHECKING:
    from bailment.agent.client import GatewayClient
    from bailment.agent.sign_in import Asked, SignedIn


def recipient_provider(
    issuer: Annotated[str, typer.Argument(help="Its issuer URL, as in its ID tokens.")],
    admin: AdminFolder,
    gateway: Gateway,
    client: Annotated[str, typer.Option(help="The client id that it gave the lab's issuer.")] = "",
    claim: Annotated[
        Literal["email", "sub"], typer.Option(help="By what you name people to it.")
    ] = "email",
    auth: Annotated[
        Literal["none", "private_key_jwt", "client_secret_basic"],
        typer.Option(help="How the lab's issuer proves to it who it is."),
    ] = "private_key_jwt",
    secret_file: Annotated[
        Path | None, typer.Option(help="A file with the client secret, for client_secret_basic.")
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="Have nobody sign in there any more.")] = False,
    as_json: Json = False,
) -> None:
    """For a recipient's admin: have your people sign in at your identity provider (OIDC)."""
    from bailment.agent.admin import Admin, Registered

    if not client and not end:
        raise BailmentError("say which client the lab's issuer is there", hint="--client ID")
    if (auth == "client_secret_basic") != (secret_file is not None):
        raise BailmentError("a secret goes with client_secret_basic, and with nothing else")
    secret = secret_file.read_text().strip() if secret_file else ""

    async def run() -> Registered:
        async with Admin(admin, gateway) as asking:
            if end:
                return await asking.register_provider("", "", claim, "none")
            return await asking.register_provider(issuer, client, claim, auth, secret)

    done = asyncio.run(run())
    if as_json:
        show_json(done)
    elif end:
        say("nobody signs in there any more")
        warn("from now on nobody but you says who a device is enrolled for")
    else:
        say(f"redirect URI: {done.redirect_uri}")
        say(f"our keys: {done.jwks_uri}")
        note("allow that redirect URI at the provider, and the keys if it is to know us by them")


def recipient_providers(directory: Dir = Path(), as_json: Json = False) -> None:
    """List where each organisation's people sign in."""
    view = open_view(Folder(directory))
    rows = [
        {
            "organisation": handle_of(view, found.organisation),
            "issuer": found.issuer,
            "client": found.client,
            "claim": found.claim,
            "auth": found.auth,
        }
        for found in view.fold.register.state.providers.values()
        if found.issuer
    ]
    columns = titled("organisation", "issuer", "client", "claim", "auth")
    none = "no organisation has registered a provider"
    show_rows(rows, columns, as_json=as_json, none=none)


def renew(profile: Profile = "default", no_browser: NoBrowser = False) -> None:
    """Sign in anew at your employer's provider, when a model asks for a newer sign-in."""
    from bailment.agent.client import GatewayClient
    from bailment.agent.profile import default_folder, load
    from bailment.agent.sign_in import sign_in

    device = load(default_folder(profile))

    async def run() -> SignedIn | None:
        async with GatewayClient(device.profile.gateway, device.key) as client:
            typed = _typed if no_browser else None
            return await sign_in(client, _show, typed, device=device.profile.device)

    done = asyncio.run(run())
    if done is not None:
        _tell(done)


def signs_in(no_browser: bool) -> Callable[[GatewayClient, str], Awaitable[object]]:
    """What signs a person in before a device of theirs enrols."""
    from bailment.agent.sign_in import sign_in

    async def run(client: GatewayClient, invitation: str) -> object:
        typed = _typed if no_browser else None
        done = await sign_in(client, _show, typed, invitation=invitation)
        if done is None:
            warn(
                "your organisation has registered no identity provider: nobody but its admin says "
                "that it is you who enrols"
            )
        else:
            _tell(done)
        return done

    return run


def _show(asked: Asked) -> None:
    say(f"sign in: {asked.url}")
    note(f"the page must show the code {asked.code}, and send you to {asked.provider}")
    sys.stdout.flush()
    desktop = sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    if desktop and sys.stdout.isatty():
        webbrowser.open(asked.url)


def _typed() -> str:
    return str(typer.prompt("what the browser shows", err=True))


def _tell(done: SignedIn) -> None:
    how = ", ".join((done.acr, *done.amr)) or "the provider does not say how"
    when = show_time(done.auth_time)
    say(f"signed in at {when} ({how})")
