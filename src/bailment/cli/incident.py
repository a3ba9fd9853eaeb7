"""Incidents: open one, see its timeline, add to it, close it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.cli.console import Dir, act
from bailment.cli.extent import opened
from bailment.cli.output import Json, note, say, show_json, show_rows, titled
from bailment.cli.reach import find_any, named
from bailment.cli.register import Reason
from bailment.cli.telling import text_of
from bailment.cli.times import ago, show_time
from bailment.clock import now_ms
from bailment.incident.timeline import Moment, timeline
from bailment.ledger.incident_records import Times
from bailment.spec.detection import REPORTED
from bailment.store.folder import Folder
from bailment.store.incidents import Incident, Incidents
from bailment.store.view import View

app = typer.Typer(no_args_is_help=True, help="What has to be looked into, and what was done.")

Id = Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, or how that begins.")]
About = Annotated[
    list[str] | None,
    typer.Option(
        help="Whom or what it is about: person:…, device:…, subcontractor:HANDLE, vendor:NAME, "
        "system:HANDLE, network:…, finding:ID; repeat for more."
    ),
]
_FINDING = "finding:"
_When = "like 2h (ago) or 2026-04-07."
Occurred = Annotated[str, typer.Option(help=f"When it happened, {_When}")]
Detected = Annotated[str, typer.Option(help=f"When somebody or something noticed, {_When}")]
Aware = Annotated[str, typer.Option(help=f"When one of us first knew, {_When}")]
Classified = Annotated[str, typer.Option(help=f"When its severity was decided, {_When}")]
Determined = Annotated[str, typer.Option(help=f"When cause or extent was found, {_When}")]


@app.command("open")
def open_incident(
    title: Annotated[str, typer.Option(help="One line for the log, for good: name nobody.")] = "",
    finding: Annotated[list[str] | None, typer.Option(help="A finding that it is about.")] = None,
    tip: Annotated[
        str, typer.Option(help="What somebody outside told; `-` reads it from standard input.")
    ] = "",
    about: About = None,
    occurred: Occurred = "",
    detected: Detected = "",
    aware: Aware = "",
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Open an incident: because of a finding, of a tip from outside, or of what a person saw."""
    if not (finding or tip or about):
        raise typer.BadParameter("say --finding, --tip or --about")
    told_text = text_of(tip, "--tip") if tip else ""
    folder = Folder(directory)
    with opened(folder) as (view, incidents):
        found = [incidents.finding(one) for one in _findings(finding, about)]
        subjects = [find_any(view, one) for one in _others(about)]
        incidents.require(subjects)
    now = now_ms()
    times = Times(
        _when(occurred, min((one[2].since for one in found), default=0)),
        _when(detected, min((one[1] for one in found), default=now if tip else 0)),
        _when(aware, now),
    )
    told = tip or any(one[2].kind == REPORTED for one in found)  # a recipient's admin said so
    ours = any(one[2].kind != REPORTED for one in found)
    usual = found[0][2].sentence if found else ("a tip from outside" if tip else "a report")
    done = act(
        folder,
        "incident-open",
        title=(title or usual)[:500],
        source="finding" if ours else ("tip" if told else "person"),
        subjects=subjects,
        findings=[one[2].finding for one in found],
        times=_told(times),
        text=told_text,
    )
    if as_json:
        show_json(done)
        return
    say(f"opened {done['incident']}")
    note(f"next: bailment blast-radius incident:{done['incident'][:8]}")


@app.command("list")
def show_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List incidents."""
    with opened(Folder(directory)) as (view, incidents):
        rows = [_row(view, incidents, one) for one in incidents.incidents()]
    columns = {
        "incident": lambda row: row["incident"][:8],
        **titled("opened", "source", "state", "names", "title"),
    }
    show_rows(rows, columns, as_json=as_json, none="there is no incident", told="title")


@app.command()
def show(incident: Id, directory: Dir = Path(), as_json: Json = False) -> None:
    """Show an incident with its timeline: occurred, detected, aware, classified, determined."""
    with opened(Folder(directory)) as (view, incidents):
        found = incidents.incident(incident)
        moments = timeline(incidents.told_of(found))
        rows = [_moment(view, one) for one in moments]
        told = _row(view, incidents, found)
    if as_json:
        show_json({**told, "timeline": rows})
        return
    say(f"{told['incident']}: {told['title']}")
    say(f"{told['state']}; opened {told['opened']} by {told['author']} ({told['source']})")
    if told["names"]:
        say(f"about {', '.join(told['names'])}")
    columns = {
        **titled("at"),
        "what": lambda row: row["what"] + (f": {row['text']}" if row["text"] else ""),
        "times": lambda row: ", ".join(f"{k} {v}" for k, v in row["times"].items() if v),
        **titled("record"),
    }
    show_rows(rows, columns, as_json=False, none="", told="what")


@app.command("note")
def add_note(
    incident: Id,
    text: Annotated[str, typer.Argument(help="What is to be remembered; `-` reads it.")],
    about: About = None,
    finding: Annotated[list[str] | None, typer.Option(help="A finding that belongs here.")] = None,
    occurred: Occurred = "",
    detected: Detected = "",
    aware: Aware = "",
    classified: Classified = "",
    determined: Determined = "",
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Add to the timeline, or to what it is about. The text may name people."""
    told_text = text_of(text, "TEXT")
    folder = Folder(directory)
    with opened(folder) as (view, incidents):
        name = incidents.incident(incident).opened.incident
        subjects = [find_any(view, one) for one in _others(about)]
        incidents.require(subjects)
        findings = [incidents.finding(one)[2].finding for one in _findings(finding, about)]
    given = (occurred, detected, aware, classified, determined)
    done = act(
        folder,
        "incident-note",
        incident=name,
        text=told_text,
        subjects=subjects,
        findings=findings,
        times=_told(Times(*(_when(one, 0) for one in given))),
    )
    if as_json:
        show_json(done)
    else:
        say(f"noted in entry {done['record']}")


@app.command()
def close(incident: Id, reason: Reason, directory: Dir = Path()) -> None:
    """Close an incident."""
    folder = Folder(directory)
    with opened(folder) as (_, incidents):
        name = incidents.incident(incident).opened.incident
    act(folder, "incident-close", incident=name, reason=reason)
    say(f"closed {name}")


def _when(said: str, usual: int) -> int:
    return ago(said, now_ms()) if said else usual


def _told(times: Times) -> dict[str, int]:
    return {name: getattr(times, name) for name in times.__struct_fields__}


def _findings(finding: list[str] | None, about: list[str] | None) -> list[str]:
    """The findings that somebody says, in either way."""
    said = [one.partition(":")[2] for one in about or () if one.startswith(_FINDING)]
    return [*(finding or ()), *said]


def _others(about: list[str] | None) -> list[str]:
    return [one for one in about or () if not one.startswith(_FINDING)]


def _row(view: View, incidents: Incidents, found: Incident) -> dict[str, Any]:
    first = found.opened
    seen = (incidents.finding(one)[2].subject or "" for one in found.findings)
    about = dict.fromkeys((*found.subjects, *filter(None, seen)))
    return {
        "incident": first.incident,
        "title": first.title,
        "source": first.source,
        "author": first.author,
        "opened": show_time(found.time),
        "subjects": found.subjects,
        "names": [named(view, one) for one in about],
        "findings": found.findings,
        "state": "closed" if found.closed else "open",
        "record": found.index,
    }


def _moment(view: View, one: Moment) -> dict[str, Any]:
    at = view.people.at(one.record) if one.told else {}
    told = _told(one.times).items()
    times = {name: show_time(time) if time else None for name, time in told}
    return {
        "at": show_time(one.at),
        "what": one.what + (f": {named(view, one.whom)}" if one.whom else ""),
        "subject": one.whom,
        "text": at.get("text", ""),
        "times": times,
        "record": one.record,
    }
