"""Access tokens, as the issuer ends them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from bailment.access.proof import token_hash
from bailment.access.reasons import Reason as Refusal
from bailment.cli.console import Dir, act
from bailment.cli.effect import show_effect
from bailment.cli.output import Json
from bailment.cli.register import Reason
from bailment.store.folder import Folder

app = typer.Typer(no_args_is_help=True, help="Access tokens.")


@app.callback()
def root() -> None:
    """Access tokens."""


@app.command("revoke")
def revoke(
    token: Annotated[
        str,
        typer.Argument(help="Its hash, as the log has it; `-` reads the token from stdin."),
    ],
    reason: Reason,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """End a token: it is refused from now on, and what it opened is cut."""
    name = token_hash(sys.stdin.read().strip()) if token == "-" else token
    if not re.fullmatch("[A-Za-z0-9_-]{43}", name):
        raise typer.BadParameter("a token is named by its SHA-256 in base64url, or comes on stdin")
    hints = {Refusal.CHAIN_BROKEN: "a token lives for minutes; hold the device or the person"}
    done = act(Folder(directory), "token-revoke", hints=hints, token=name, reason=reason)
    show_effect(done, f"revoked {name}", as_json=as_json)
