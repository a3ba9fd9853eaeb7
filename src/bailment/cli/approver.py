"""An approver's commands: the people who sign which tier a model belongs to, and exceptions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access import jwk
from bailment.access.approval import TIER, sign_approval
from bailment.assurance.capability import Decision, objection
from bailment.cli.output import note, say
from bailment.errors import BailmentError, ConfigurationError
from bailment.spec.compiled import CompiledSpec

app = typer.Typer(no_args_is_help=True, help="For a person who signs decisions.")

KEY = "approver.pem"


@app.command("key")
def approver_key(
    folder: Annotated[Path, typer.Argument(help="A folder to make; keep it private.")],
) -> None:
    """Make the key with which you sign decisions."""
    from bailment.agent import private

    private.make_folder(folder)
    key = jwk.from_key(private.make_key(folder / KEY).public_key())
    public = folder / "approver.jwk"
    public.write_text(json.dumps(key.jwk) + "\n")
    say(f"wrote {public}")
    note(f"have that file registered; {KEY} beside it never leaves this machine")


def load(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, str]:
    """The key in an approver's folder, and its thumbprint."""
    from bailment.agent import private

    if not (folder / KEY).exists():
        raise ConfigurationError(
            f"`{folder}` holds no approver's key", hint="bailment approver key FOLDER makes one"
        )
    private.check_folder(folder)
    key = private.load_key(folder / KEY)
    return key, jwk.from_key(key.public_key()).thumbprint


def sign(kind: str, told: object, folder: Path) -> str:
    """The approval of a decision by the key in an approver's folder."""
    return sign_approval(kind, told, *load(folder))


def sign_tier(decision: Decision, spec: CompiledSpec, folder: Path) -> str:
    """The approval of a tier decision; BailmentError if it could not stand under the spec."""
    if why := objection(decision, spec):
        raise BailmentError(f"the decision cannot stand: {why}")
    return sign(TIER, decision, folder)
