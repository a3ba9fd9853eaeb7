"""The issuer's commands: set up and serve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bailment.cli import console, process
from bailment.cli.console import Dir, author
from bailment.cli.output import Json, note, say, show_json
from bailment.errors import ConfigurationError, FormatError
from bailment.ledger.note import check_name
from bailment.settings import parse_settings
from bailment.store.folder import Folder

_TEMPLATE = """\
# The settings of this issuer. Unknown keys are refused. What decisions obey is not here but in
# the log: `bailment log export` shows it.

[issuer]
origin = {origin}   # names the log; never changes
url = {url}         # what clients call, and what every proof is made for
contact = {contact} # whom a refused caller is told to ask

[listen]
host = "127.0.0.1"
port = {port}
# certificate = "tls.pem"         # with its chain; relative to this folder
# key = "tls.key"                 # mode 0600

# [models.NAME]
# url = "http://127.0.0.1:8000"   # or unix:///path/to.sock, https://…
# key_file = "model.key"          # mode 0600, relative to this folder
# context = 8192                  # tokens
# output = 2048
# meter = {{}}                      # hold the server's own token counters against the log
"""

Directory = Annotated[Path, typer.Argument(help="A new folder.")]


def init(
    directory: Directory,
    origin: Annotated[str, typer.Option(help="The log's name, like lab.example/bailment.")],
    contact: Annotated[str, typer.Option(help="Whom a refused caller is told to ask.")],
    url: Annotated[str, typer.Option(help="What clients call.")] = "http://127.0.0.1:8443",
    port: Annotated[int, typer.Option(help="Where to listen on loopback.")] = 8443,
) -> None:
    """Make an issuer: settings, keys, and the first records of its log."""
    import uvloop

    from bailment.cli.serve import initialise

    text = _TEMPLATE.format(
        origin=json.dumps(origin), url=json.dumps(url), contact=json.dumps(contact), port=port
    )
    folder = Folder(directory)
    parse_settings(text.encode(), folder.settings)  # while there is nothing to clear away
    try:
        check_name(origin)
    except FormatError:
        raise ConfigurationError(
            f"`{origin}` cannot name a log", hint="write one like lab.example/log, without spaces"
        ) from None
    vkey = uvloop.run(initialise(folder, text, origin, author()))
    say(vkey)
    note("that is the log's public key: give it to recipients and auditors, who pin it")
    note(
        f"next: add a model to {directory / 'bailment.toml'}, then `bailment serve -d {directory}`"
    )


def serve(directory: Dir = Path()) -> None:
    """Serve: gateway and control plane in one process."""
    process.become(directory)


def status(
    wait: Annotated[float, typer.Option(help="Seconds to wait for it to serve.")] = 0,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """What the running issuer says of itself."""
    found = console.status(Folder(directory), wait)
    if as_json:
        show_json(found)
    else:
        for name, value in found.items():
            many = value.items() if isinstance(value, dict) else ()
            say(f"{name:8} {', '.join(f'{part} {one}' for part, one in many) or value}")
