"""`bailment`: the commands, and the one place that turns an error into an exit code.

Commands import what is heavy (servers, HTTP clients, SDKs) when they run, so that the others
start quickly.
"""

from __future__ import annotations

from typing import Annotated

import typer

from bailment import __version__
from bailment.cli import access, issuer, log, recipient
from bailment.cli.doctor import doctor
from bailment.cli.output import fail, say
from bailment.cli.story import demo
from bailment.errors import BailmentError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Controlled distribution of restricted AI models.",
)
app.add_typer(issuer.app)
app.add_typer(issuer.recipient, name="recipient")
app.add_typer(issuer.hold, name="hold")
app.add_typer(issuer.link, name="link")
app.add_typer(issuer.person, name="person")
app.add_typer(access.app, name="access")
app.add_typer(access.finding, name="finding")
app.add_typer(log.app, name="log")
app.add_typer(recipient.delegate, name="delegate")
issuer.recipient.command("key")(recipient.recipient_key)
app.command("enrol")(recipient.enrol_device)
app.command("agent")(recipient.agent)
app.command()(doctor)
app.command("demo")(demo)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Print the version, or run a command."""
    if version:
        say(f"bailment {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    try:
        app()
    except BailmentError as error:
        fail(error)
