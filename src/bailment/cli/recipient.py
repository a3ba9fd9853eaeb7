"""The recipient's commands: its admin delegates, its people enrol devices and run the agent."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bailment.cli.delegate import short
from bailment.cli.output import Json, note, say, show_json, warn
from bailment.errors import BailmentError

if TYPE_CHECKING:
    from bailment.agent.profile import Device
    from bailment.agent.sidecar import Ready


#: Holds an invitation; only its owner can read a process's environment.
_VARIABLE = "BAILMENT_INVITATION"

Profile = Annotated[str, typer.Option(envvar="BAILMENT_PROFILE", help="A name for this device.")]
NoBrowser = Annotated[
    bool,
    typer.Option(
        "--no-browser", help="The browser is on another machine: type what it shows at the end."
    ),
]


def recipient_key(
    folder: Annotated[Path, typer.Argument(help="A folder to make; keep it private.")],
) -> None:
    """For a recipient's admin: make the key that signs delegations."""
    from bailment.agent.admin import make_admin_key

    key = make_admin_key(folder)
    public = folder / "admin.jwk"
    public.write_text(json.dumps(key.jwk) + "\n")
    say(f"wrote {public}")
    note("send that file to the issuer; admin.pem beside it never leaves this machine")


def enrol_device(
    invitation: Annotated[
        str,
        typer.Argument(
            help="`-`: read the URL that your admin gave you from standard input. Without it you "
            "are asked for the URL, or wait on. The URL itself is taken with a warning."
        ),
    ] = "",
    name: Annotated[
        str, typer.Option(help="How your admin will see this device.", callback=short)
    ] = "",
    profile: Profile = "default",
    no_browser: NoBrowser = False,
    key: Annotated[
        Literal["auto", "tpm", "software"],
        typer.Option(help="Where the key is made; `auto`: in a TPM if this machine has one."),
    ] = "auto",
) -> None:
    """Enrol this device: make a key that never leaves it, and wait to be confirmed.

    The invitation is a secret until it is used, and others on this machine can read command lines:
    type it when asked, pipe it in, or put it into `BAILMENT_INVITATION`.
    Ctrl-C ends the waiting, not the enrolment: `bailment enrol` waits on.
    """
    from bailment.access.enrolment import code_of
    from bailment.agent.client import enrol, wait_until_active
    from bailment.agent.profile import PROFILE, default_folder, is_pending, load
    from bailment.cli.sign_in import signs_in

    folder = default_folder(profile)
    pending = is_pending(folder)
    url = "" if pending else _invitation(invitation, may_ask=not (folder / PROFILE).exists())
    if not pending and not url:
        load(folder)  # which says that there is none
        raise BailmentError(
            f"this device is enrolled already, as profile `{profile}`",
            hint="bailment agent; or name another profile with --profile",
        )

    async def run() -> None:
        if not pending:
            called = name or socket.gethostname()[:60]
            asked = signs_in(no_browser)
            await enrol(url, folder, called, sign_in=asked, place=key, tell=note)
        say(f"code: {code_of(load(folder).public.thumbprint)}")
        note("tell your admin this code, over the phone or in person; waiting to be confirmed")
        sys.stdout.flush()
        device = await wait_until_active(folder, 0.5)
        say(f"enrolled for {', '.join(device.profile.purposes)}")
        note(f"next: `bailment agent --purpose {device.profile.purposes[0]}`")

    asyncio.run(run())


def _invitation(given: str, *, may_ask: bool) -> str:
    """The invitation's URL, from where it is not shown to others; empty if there is none."""
    if "#" in given:  # what follows is the secret
        warn(
            "others on this machine can read an invitation on the command line: "
            "leave it out and be asked, or say `-` and pipe it in"
        )
    if given not in ("", "-"):
        return given
    if sys.stdin.isatty() and (given or (may_ask and _VARIABLE not in os.environ)):
        return str(typer.prompt("invitation", hide_input=True, err=True))
    found = sys.stdin.readline(1000) if given else os.environ.get(_VARIABLE, "")
    if given and not found:
        raise BailmentError("standard input holds no invitation", hint="pipe its URL in")
    return found


def agent(
    context: typer.Context,
    purpose: Annotated[str, typer.Option(help="What you use the model for; goes on record.")] = "",
    listen: Annotated[
        str,
        typer.Option(
            help="127.0.0.1:PORT or unix:PATH; without it, where it listened last. "
            "127.0.0.1:0 takes any port, this once."
        ),
    ] = "",
    profile: Profile = "default",
    as_json: Json = False,
) -> None:
    """Sign for the SDKs on this machine; prints what to put into their environment."""
    if context.invoked_subcommand is not None:
        return
    from bailment.agent.sidecar import run_agent

    device = confirmed(profile)
    purpose = purpose_of(device, purpose)

    def ready(found: Ready) -> None:
        variables = ({} if found.socket else _around_proxies()) | found.environment()
        if as_json:
            show_json(variables, indent=0)
        else:
            for name, value in variables.items():
                say(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        if found.unwatched:
            warn(f"nobody would notice if the capability leaked: {found.unwatched}")
        note(
            "these stay valid when it starts again, on this machine, for this user; Ctrl-C ends it"
        )

    asyncio.run(run_agent(device, purpose, listen, ready))


def confirmed(profile: str) -> Device:
    """The device of a profile, if its admin confirmed it."""
    from bailment.agent.profile import default_folder, load

    device = load(default_folder(profile))
    if device.profile.status == "pending":
        raise BailmentError("this device waits to be confirmed", hint="bailment enrol")
    return device


def purpose_of(device: Device, purpose: str) -> str:
    """What a device's access is for: one of its purposes, which need not be said if it has one."""
    purposes = device.profile.purposes
    if purpose and purpose not in purposes:
        raise BailmentError(
            f"`{purpose}` is not a purpose of this device's", hint=f"one of {', '.join(purposes)}"
        )
    if not purpose and len(purposes) != 1:
        raise BailmentError(
            f"say what for, as one of {', '.join(purposes)}", hint="bailment agent --purpose …"
        )
    return purpose or purposes[0]


def _around_proxies() -> dict[str, str]:
    """What keeps SDKs from asking a proxy of the environment for this machine itself."""
    from urllib.request import getproxies_environment, proxy_bypass

    here = "127.0.0.1"
    asked = {"http", "all"} & getproxies_environment().keys()
    if not asked or proxy_bypass(here):
        return {}
    others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    value = ",".join(part for part in (here, "::1", others) if part)
    return {"NO_PROXY": value, "no_proxy": value}
