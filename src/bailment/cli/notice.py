"""Notices of incidents: the lab sends each recipient its own; its admin reads and acknowledges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bailment.access.notices import told_before
from bailment.cli.console import Dir, act
from bailment.cli.delegate import AdminFolder, Gateway
from bailment.cli.extent import opened
from bailment.cli.incident import Id
from bailment.cli.output import Json, say, show_json, show_rows, titled, warn
from bailment.cli.signals import asked_by
from bailment.cli.subjects import handle_of
from bailment.cli.times import show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.incident.notices import concerned, drafts
from bailment.ledger.records import AccessOpened
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

app = typer.Typer(no_args_is_help=True, help="What recipients are told of an incident.")

Notice = Annotated[str, typer.Argument(help="Its id, or how that begins.")]


@app.command()
def send(
    incident: Id,
    check: Annotated[
        list[str] | None, typer.Option(help="What to look at besides; repeat for more.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be sent.")
    ] = False,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Send every recipient of whose something is concerned its own notice: what of theirs, from
    when, what to check, what to replace, by when. Who was told of it before is not told again."""
    folder = Folder(directory)
    with opened(folder) as (view, incidents):
        name = incidents.incident(incident).opened.incident
        register, found = view.fold.register, incidents.extent([f"incident:{name}"])
        whom = concerned(register, found.radius, found.misused)
        told = [one for one in whom if told_before(register, name, one.organisation)]
        whom = [one for one in whom if one not in told]
        entries = {entry for one in whom for entry in one.entries}
        made = drafts(register, whom, found.window, _accesses(view, entries), now_ms())
        made = [msgspec.structs.replace(one, check=(*one.check, *(check or ()))) for one in made]
        before = [handle_of(view, one.organisation) for one in told]
        rows = [
            {"recipient": handle_of(view, one.organisation)}
            | msgspec.to_builtins(one)
            | {"since": show_time(one.since) if one.since else None}
            for one in made
        ]
    if before:
        warn(f"told of this incident before, and not again: {', '.join(before)}")
    if made and not dry_run:
        notices = msgspec.to_builtins(made)
        done = act(folder, "notice-send", incident=name, notices=notices)
        for row, notice in zip(rows, done["notices"], strict=True):
            row["notice"] = notice
    columns = titled("recipient", "since", "accesses") | {
        "concerned": lambda row: str(len(row["subjects"])),
        "to replace": lambda row: str(len(row["rotate"])),
        "notice": lambda row: row.get("notice", "not sent")[:8],
    }
    nobody = "nothing of any other recipient's" if before else "nothing of any recipient's"
    show_rows(rows, columns, as_json=as_json, none=f"{nobody} is concerned")


@app.command("list")
def show_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """For the lab: which notices were acknowledged, and which are overdue."""
    view, now = open_view(Folder(directory)), now_ms()
    rows = [
        {
            "notice": one.sent.notice,
            "incident": one.sent.incident,
            "recipient": handle_of(view, one.sent.organisation),
            "sent": show_time(one.at),
            "due": show_time(one.sent.due),
            "acknowledged": show_time(one.acknowledged) if one.acknowledged else None,
            "state": "acknowledged"
            if one.acknowledged
            else ("overdue" if one.sent.due <= now else "sent"),
            "chases": one.sent.chases or None,
        }
        for one in view.fold.register.state.notices.values()
    ]
    columns = {
        "notice": lambda row: row["notice"][:8],
        **titled("recipient", "sent", "due", "state"),
    }
    show_rows(rows, columns, as_json=as_json, none="no notice was sent")


@app.command("mine")
def show_mine(admin: AdminFolder, gateway: Gateway, as_json: Json = False) -> None:
    """For a recipient's admin: your notices."""
    rows = asked_by(admin, gateway, lambda asking: asking.notices())
    shown = [_row(one) for one in rows]
    columns = {"notice": lambda row: row["notice"][:8]}
    columns |= titled("sent", "since", "accesses", "until", "acknowledged")  # type: ignore[arg-type]
    show_rows(shown, columns, as_json=as_json, none="you have no notice")


@app.command()
def show(notice: Notice, admin: AdminFolder, gateway: Gateway, as_json: Json = False) -> None:
    """For a recipient's admin: all of a notice."""
    row = _row(_find(admin, gateway, notice))
    if as_json:
        show_json(row)
        return
    say(f"notice {row['notice']}, of the incident {row['incident'][:8]}")
    since = f"exposed since {row['since']}" if row["since"] else "since when is not known"
    say(f"{since}; accesses made with what is concerned: {row['accesses']}")
    for title in ("subjects", "check", "rotate"):
        for one in row[title]:
            say(f"{_TITLES[title]}: {one}")
    if row["rotate"]:
        say(f"replace them by {row['until']}: have them enrolled with new keys")
    say(f"answer, or ask: {row['contact'] or 'whoever gave you access'}")
    whose = [one for one in row["subjects"] if one.partition(":")[0] in _REPORTED]
    how = f"bailment report-misuse {whose[0] if whose else 'SUBJECT'} TEXT --access ID --since TIME"
    say(f"what was none of yours, or what you saw too: {how} --admin {admin} --gateway {gateway}")
    if row["acknowledged"]:
        say(f"acknowledged at {row['acknowledged']}")
    else:
        how = f"bailment notice acknowledge {row['notice'][:8]} --admin {admin} --gateway {gateway}"
        say(f"say by {row['due']} that you read this: {how}")


@app.command()
def acknowledge(
    notice: Notice, admin: AdminFolder, gateway: Gateway, as_json: Json = False
) -> None:
    """For a recipient's admin: say that you have read it. Your signed request goes on record."""
    found = _find(admin, gateway, notice)
    name, before = found["notice"], found["acknowledged"]
    done = {"notice": name}
    if not before:
        done = asked_by(admin, gateway, lambda asking: asking.acknowledge(name))
    if as_json:
        show_json(done)
    else:
        say(f"acknowledged {name}" + (f" before, at {show_time(before)}" if before else ""))


def _accesses(view: View, entries: set[int]) -> dict[int, AccessOpened]:
    """The accesses that were opened in these entries."""
    records = (one for at in sorted(entries) for one in view.reader.records(at, at + 1))
    return {one.index: one.facts for one in records if isinstance(one.facts, AccessOpened)}


#: Of what `report-misuse` takes reports.
_REPORTED = ("person", "device", "workload")
_TITLES = {"subjects": "concerned", "check": "look at", "rotate": "replace"}


def _find(admin: Path, gateway: str, notice: str) -> dict[str, Any]:
    rows = asked_by(admin, gateway, lambda asking: asking.notices())
    found = [row for row in rows if row["notice"].startswith(notice)]
    if len(found) != 1:
        begins = "several of your notices begin" if found else "no notice of yours begins"
        how = f"bailment notice mine --admin {admin} --gateway {gateway}"
        raise BailmentError(f"{begins} with `{notice}`", hint=how)
    return found[0]


def _row(told: dict[str, Any]) -> dict[str, Any]:
    times = ("since", "until", "due", "sent", "acknowledged")
    shown = {name: show_time(told[name]) if told.get(name) else None for name in times}
    empty: dict[str, Any] = {"subjects": [], "check": [], "rotate": []}
    empty |= {"accesses": 0, "contact": ""}
    return {**empty, **told, **shown}
