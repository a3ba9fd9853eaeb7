"""The issuer's commands: set up, serve, register, hold."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Annotated

import typer

from bailment.cli.console import Dir, act, status
from bailment.cli.output import Json, note, say, show_json, show_rows
from bailment.cli.times import ahead, show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError, ConfigurationError
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

app = typer.Typer(no_args_is_help=True)
recipient = typer.Typer(no_args_is_help=True, help="Organisations that may use models.")
hold = typer.Typer(no_args_is_help=True, help="Lock a subject, or unlock it.")
link = typer.Typer(no_args_is_help=True, help="Delegations.")
person = typer.Typer(no_args_is_help=True, help="People.")

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

# [models.NAME]
# url = "http://127.0.0.1:8000"   # or unix:///path/to.sock, https://…
# key_file = "model.key"          # mode 0600, relative to this folder
# context = 8192                  # tokens
# output = 2048
# meter = {{}}                      # hold the server's own token counters against the log
"""

Directory = Annotated[Path, typer.Argument(help="A new folder.")]
Reason = Annotated[str, typer.Option(help="Why; it goes into the log.")]


@app.command()
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
    vkey = uvloop.run(initialise(Folder(directory), text, origin, getpass.getuser()))
    say(vkey)
    note("that is the log's public key: give it to recipients and auditors, who pin it")
    note(
        f"next: add a model to {directory / 'bailment.toml'}, then `bailment serve -d {directory}`"
    )


@app.command(name="serve")
def serve_command(directory: Dir = Path()) -> None:
    """Serve: gateway and control plane in one process."""
    import uvloop

    from bailment.cli.serve import log_to_stderr, serve

    log_to_stderr()
    uvloop.run(serve(Folder(directory)))


@app.command(name="status")
def status_command(
    wait: Annotated[float, typer.Option(help="Seconds to wait for it to serve.")] = 0,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """What the running issuer says of itself."""
    found = status(Folder(directory), wait)
    if as_json:
        show_json(found)
    else:
        for name, value in found.items():
            say(f"{name:8} {value}")


@recipient.command("add")
def recipient_add(
    handle: Annotated[str, typer.Argument(help="A short name, like acme.")],
    key: Annotated[Path, typer.Option(help="Its admin's public key (JWK), which it sent you.")],
    contact: Annotated[str, typer.Option(help="Its security contact.")],
    model: Annotated[list[str], typer.Option(help="A model it may use; repeat for more.")],
    purpose: Annotated[list[str], typer.Option(help="A purpose; repeat for more.")],
    until: Annotated[str, typer.Option(help="When it ends, like 90d or 2027-04-07.")] = "365d",
    network: Annotated[list[str] | None, typer.Option(help="A CIDR block to come from.")] = None,
    tokens_per_day: Annotated[int | None, typer.Option(help="A budget for all of it.")] = None,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Register an organisation and sign its delegation."""
    try:
        jwk = json.loads(key.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read a JWK from `{key}`: {error}") from None
    budget = {"tokens": tokens_per_day, "seconds": 86400} if tokens_per_day else None
    done = act(
        Folder(directory),
        "recipient-add",
        handle=handle,
        contact=contact,
        key=jwk,
        models=model,
        purposes=purpose,
        until=ahead(until, now_ms()),
        networks=network or [],
        budget=budget,
    )
    if as_json:
        show_json(done)
    else:
        say(f"{handle} is {done['recipient']} in the log, its delegation {done['link']}")


@recipient.command("list")
def recipient_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List organisations."""
    register = open_view(Folder(directory)).fold.register
    rows = []
    for pseudonym, found in register.state.recipients.items():
        granted = register.links.get(register.link_of.get(pseudonym, ""))
        rows.append(
            {
                "handle": found.handle,
                "recipient": pseudonym,
                "contact": found.contact,
                "models": ", ".join(granted.models) if granted else "",
                "purposes": ", ".join(granted.purposes) if granted else "",
                "until": show_time(granted.until) if granted else "",
                "link": granted.id if granted else "",
            }
        )
    columns = ("handle", "contact", "models", "purposes", "until")
    show_rows(rows, columns, as_json=as_json, none="no organisation is registered")


@person.command("list")
def person_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List people, whom they work for, and their devices."""
    view = open_view(Folder(directory))
    register = view.fold.register
    rows = []
    for found in register.links.values():
        if found.kind != "person":
            continue
        named = view.people.of(found.subject)
        devices = [x.subject for x in register.links.values() if x.parent == found.id]
        rows.append(
            {
                "name": view.people.name(found.subject),
                "email": named.get("email", ""),
                "person": found.subject,
                "recipient": handle_of(view, register.recipient_of(found.id)),
                "devices": len(devices),
                "device_ids": devices,
                "link": found.id,
                "ended": register.state.links[found.id].ended,
                "until": show_time(found.until),
            }
        )
    columns = ("name", "email", "recipient", "devices", "until", "ended", "person")
    show_rows(rows, columns, as_json=as_json, none="nobody is registered")


@person.command("erase")
def person_erase(
    who: Annotated[str, typer.Argument(help="Id, email or name.")],
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    directory: Dir = Path(),
) -> None:
    """End a person's access and destroy what names them in the log, for good."""
    folder = Folder(directory)
    found = find_person(open_view(folder), who)
    if not yes:
        typer.confirm(f"destroy the name, email and addresses of {who} for good?", abort=True)
    act(folder, "person-erase", person=found, reason=reason)
    say(f"{found} is erased; the log still shows what was done, not by whom")


@hold.command("add")
def hold_add(
    subject: Annotated[
        str,
        typer.Argument(
            help="person:ID-or-email, device:ID, recipient:HANDLE, link:ID, model:NAME, "
            "purpose:NAME, network:CIDR, or everything."
        ),
    ],
    reason: Reason,
    until: Annotated[str | None, typer.Option(help="When it ends by itself.")] = None,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Lock a subject: refused from now on, and cut where it is in flight."""
    folder = Folder(directory)
    ends = ahead(until, now_ms()) if until else 0
    done = act(folder, "hold-add", subject=_subject(folder, subject), reason=reason, until=ends)
    if as_json:
        show_json(done)
    else:
        say(f"{subject} is on hold: {done['hold']}")


@hold.command("lift")
def hold_lift(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="The hold's id.")],
    reason: Reason,
    directory: Dir = Path(),
) -> None:
    """Unlock."""
    act(Folder(directory), "hold-lift", hold=hold_id, reason=reason)
    say(f"lifted {hold_id}")


@hold.command("list")
def hold_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List holds."""
    holds = open_view(Folder(directory)).fold.register.state.holds.values()
    rows = [
        {
            "hold": found.hold,
            "subject": found.subject,
            "reason": found.reason,
            "author": found.author,
            "until": show_time(found.until) if found.until else "lifted",
        }
        for found in holds
    ]
    columns = ("hold", "subject", "reason", "author", "until")
    show_rows(rows, columns, as_json=as_json, none="nothing is on hold")


@link.command("end")
def link_end(
    link_id: Annotated[str, typer.Argument(metavar="LINK", help="The link's id.")],
    reason: Reason,
    directory: Dir = Path(),
) -> None:
    """End a delegation and everything below it, for good."""
    act(Folder(directory), "link-end", link=link_id, reason=reason)
    say(f"ended {link_id} and all below it")


def find_person(view: View, who: str) -> str:
    """The one person with this id, email or name."""
    found = view.people.find(who)
    if len(found) != 1:
        many = f"{len(found)} people are" if found else "nobody is"
        raise BailmentError(f"{many} `{who}`", hint="bailment person list")
    return found[0]


def handle_of(view: View, pseudonym: str) -> str:
    """The name of an organisation."""
    found = view.fold.register.state.recipients.get(pseudonym)
    return found.handle if found else pseudonym


def find_recipient(view: View, handle: str) -> str:
    """The pseudonym of the organisation with this handle or pseudonym."""
    for pseudonym, found in view.fold.register.state.recipients.items():
        if handle in (pseudonym, found.handle):
            return pseudonym
    raise BailmentError(f"there is no recipient `{handle}`", hint="bailment recipient list")


def _subject(folder: Folder, subject: str) -> str:
    """The subject with names replaced by the ids that the log knows."""
    kind, _, name = subject.partition(":")
    if kind == "person":
        return f"person:{find_person(open_view(folder), name)}"
    if kind == "recipient":
        return f"recipient:{find_recipient(open_view(folder), name)}"
    return subject
