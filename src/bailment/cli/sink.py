"""The issuer's own receivers: where findings and incidents go, and whatever else is to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bailment.cli.console import Dir, act
from bailment.cli.output import Json, note, say, show_json, show_rows, warn
from bailment.cli.times import show_time
from bailment.errors import BailmentError, ConfigurationError
from bailment.store.durable import read_private
from bailment.store.folder import Folder

app = typer.Typer(
    no_args_is_help=True, help="Your own collectors: where findings go, as OCSF events."
)

#: `detect/ocsf_shapes.py` has what is of each; it takes longer to load than a command to run.
CLASSES = ("findings", "incidents", "accesses", "sign-ins", "delegations")

Name = Annotated[str, typer.Argument(help="What you call it, like siem-1.")]


@app.command("add")
def add(
    name: Name,
    kind: Annotated[
        Literal["webhook", "http", "syslog", "file"],
        typer.Option(help="webhook: Standard Webhooks. http: JSON lines. syslog: RFC 5424."),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="A URL; for syslog tls://, tcp:// or udp://host[:port] or unix:///path; "
            "for a file its absolute path."
        ),
    ],
    records: Annotated[
        str,
        typer.Option(help=f"What goes there, with commas: {', '.join(CLASSES)}."),
    ] = "findings,incidents",
    raw: Annotated[bool, typer.Option("--raw", help="The log's own facts, not OCSF.")] = False,
    names: Annotated[
        bool, typer.Option("--names", help="With people's names, and what operators wrote.")
    ] = False,
    secret_file: Annotated[
        Path | None, typer.Option(help="What to show (mode 0600); for webhooks `whsec_…`.")
    ] = None,
    header: Annotated[str, typer.Option(help="For http: where the secret goes.")] = "authorization",
    ca_file: Annotated[
        Path | None, typer.Option(help="Certificates to trust, PEM; else this machine's.")
    ] = None,
    since: Annotated[
        int | None, typer.Option(help="From this entry of the log on; else from now.")
    ] = None,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Send records to a receiver, in the log's order, until it has them."""
    if kind == "file" and not os.path.lexists(Path(to).parent):
        raise BailmentError(f"there is no folder `{Path(to).parent}`", hint="make it before")
    secret = read_private(secret_file).decode().strip() if secret_file else ""
    done = act(
        Folder(directory),
        "sink-add",
        sink=name,
        kind=kind,
        to=to,
        classes=_classes(records),
        form="raw" if raw else "ocsf",
        names=names,
        header=header,
        secret=secret,
        ca=_lines(ca_file) if ca_file else [],
        since=since,
    )
    if as_json:
        show_json(done)
        return
    say(f"{name} is sent {', '.join(done['classes'])} from entry {done['next']} on")
    note(f"see that it takes them: bailment sink test {name}")
    if names:
        warn("it is told names: whoever can read it knows who they are, also after an erasure")


@app.command("list")
def show_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """All of them, and how they stand."""
    columns: dict[str, str | Callable[[Any], str]] = {
        "sink": "name",
        "kind": "kind",
        "to": "to",
        "sent": lambda row: str(row["sent"]),
        "behind": lambda row: str(row["behind"]),
        "state": _state,
    }
    none = "there is no sink: bailment sink add"
    show_rows(_all(directory), columns, as_json=as_json, none=none)


@app.command("show")
def show(name: Name, directory: Dir = Path(), as_json: Json = False) -> None:
    """One of them, in full. Its secret is shown nowhere."""
    for row in _all(directory):
        if row["name"] == name:
            if as_json:
                show_json(row)
            else:
                _tell(row)
            return
    raise BailmentError(f"there is no sink `{name}`", hint="bailment sink list")


@app.command("test")
def test(name: Name, directory: Dir = Path()) -> None:
    """Send it an event that says of itself that it is a test."""
    act(Folder(directory), "sink-change", sink=name, what="test")
    say(f"{name} took it")


@app.command("pause")
def pause(name: Name, directory: Dir = Path()) -> None:
    """Send it nothing for now. Nothing is lost: it goes on where it stood."""
    done = act(Folder(directory), "sink-change", sink=name, what="pause")
    say(f"{name} rests at entry {done['next']}")


@app.command("resume")
def resume(name: Name, directory: Dir = Path()) -> None:
    """Go on, and try at once."""
    done = act(Folder(directory), "sink-change", sink=name, what="resume")
    say(f"{name} goes on from entry {done['next']}")


@app.command("remove")
def remove(name: Name, directory: Dir = Path()) -> None:
    """Forget it and its secret."""
    act(Folder(directory), "sink-change", sink=name, what="remove")
    say(f"{name} is sent nothing any more")


def _all(directory: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = act(Folder(directory), "sink-list")["sinks"]
    return rows


def _classes(records: str) -> list[str]:
    given = [one.strip() for one in records.split(",")]
    for one in given:
        if one not in CLASSES:
            raise BailmentError(f"`{one}` is no class of records", hint=", ".join(CLASSES))
    return given


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except UnicodeDecodeError:
        raise ConfigurationError(f"`{file}` is not PEM") from None


def _state(row: dict[str, Any]) -> str:
    if row["paused"]:
        return "paused"
    if row["stopped"]:
        return f"stopped: {row['error']}; bailment sink resume {row['name']}"
    if row["error"]:
        return f"fails ({row['attempts']}x): {row['error']}"
    return "ok"


def _tell(row: dict[str, Any]) -> None:
    last = show_time(row["last"]) if row["last"] else "never"
    oldest = f", the oldest of {show_time(row['oldest'])}" if row["oldest"] else ""
    facts = {
        "kind": row["kind"],
        "to": row["to"],
        "records": f"{', '.join(row['classes'])}, {'raw' if row['form'] == 'raw' else 'as OCSF'}",
        "names": "told" if row["names"] else "not told",
        "state": _state(row),
        "sent": f"{row['sent']}, last at {last}",
        "position": f"entry {row['next']}, {row['behind']} behind{oldest}",
        "cut": f"{row['cut']} sent shortened",
        "unreadable": f"{row['unreadable']} not sent, since they were erased",
    }
    for name, value in facts.items():
        say(f"{name:10} {value}")
