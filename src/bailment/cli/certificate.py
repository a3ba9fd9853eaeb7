"""mTLS on an engineer's machine: certificates for clients that cannot sign, and their tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from bailment.cli.output import Json, note, say, show_json
from bailment.cli.recipient import Profile, agent, confirmed, purpose_of
from bailment.errors import BailmentError

app = typer.Typer(
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sign for the SDKs on this machine, or let them use mTLS.",
)
app.callback()(agent)


@app.command("certificate")
def certificate(profile: Profile = "default", as_json: Json = False) -> None:
    """Get a certificate for this device, for clients that call by mTLS; a new one when it is due.

    A token is good with the certificate that it was asked for with, and no other: when this gets
    a new one, start clients again that still run with the last.
    """
    from bailment.agent import certificate as certificates
    from bailment.agent.profile import KEY
    from bailment.cli.times import show_time

    device = confirmed(profile)
    path = certificates.certificate(device)
    found = certificates.read_certificate(path.read_bytes(), device)
    key, until = device.folder / KEY, int(found.not_valid_after_utc.timestamp() * 1000)
    if as_json:
        show_json({"certificate": str(path), "key": str(key), "until": show_time(until)})
        return
    say(f"--cert {path} --key {key}")
    note(f"good until {show_time(until)} UTC, with tokens of `bailment agent token --mtls`")


@app.command("token")
def token(
    mtls: Annotated[
        bool, typer.Option("--mtls", help="Bound to the device's certificate, not to proofs.")
    ] = False,
    purpose: Annotated[str, typer.Option(help="What you use the model for; goes on record.")] = "",
    model: Annotated[
        list[str] | None, typer.Option(help="Only for this model; repeat for more.")
    ] = None,
    profile: Profile = "default",
) -> None:
    """Print a token and nothing else, for clients that ask a command for their key.

    It lives for minutes, and is worthless without the device's certificate on the connection.
    """
    from bailment.agent.certificate import fetch_certified_token

    if not mtls:
        raise BailmentError(
            "a token that is bound to the device's key takes a proof with each request",
            hint="bailment agent token --mtls; or `bailment agent`, which makes the proofs",
        )
    device = confirmed(profile)
    say(fetch_certified_token(device, purpose_of(device, purpose), tuple(model or ())))
