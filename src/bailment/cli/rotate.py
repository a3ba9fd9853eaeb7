"""`bailment rotate`: everything shared with somebody, or kept in a shared system, is replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.cli.console import Dir, act
from bailment.cli.extent import opened
from bailment.cli.output import Json, following, note, say, show_json, show_rows, titled, warn
from bailment.cli.reach import find_any, named
from bailment.cli.subjects import handle_of
from bailment.cli.times import parse_span, show_time
from bailment.clock import now_ms
from bailment.incident.containment import credentials
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

#: Credentials in one act, so that progress is seen.
_TOGETHER = 20


def rotate(
    subject: Annotated[
        str,
        typer.Argument(
            help="subcontractor:HANDLE, vendor:NAME, system:HANDLE, person:…, device:ID or "
            "incident:ID; without one, what was not replaced yet is listed."
        ),
    ] = "",
    within: Annotated[
        str, typer.Option(help="By when recipients must, like 4h; else as the spec says.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be.")] = False,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Replace every credential behind a subject, and list what was not.

    Tokens and directories' credentials are worthless at once. Keys on devices only their own
    organisation can replace: it is asked to, and after the deadline the old ones are refused.
    """
    folder = Folder(directory)
    if not subject:
        _outstanding(folder, as_json)
        return
    span = parse_span(within) if within else 0
    if span is None:
        raise typer.BadParameter(f"`{within}` is no time; write one like 4h", param_hint="--within")
    with opened(folder) as (view, incidents):
        found = find_any(view, subject)
        graph, extended = incidents.graph_of([found])
        wanted = [
            {"subject": whose, "organisation": organisation, "why": why}
            for whose, organisation, why in credentials(
                view.fold.register, graph, extended.radius, now_ms()
            )
        ]
        names = {one["subject"]: named(view, one["subject"]) for one in wanted}
        handles = {one["organisation"]: handle_of(view, one["organisation"]) for one in wanted}
        kind, _, name = found.partition(":")
        incident = incidents.incident(name).opened.incident if kind == "incident" else ""
        stay = _addresses(view, handles)
        handles |= {one["organisation"]: one["name"] for one in stay}
    rows: list[dict[str, Any]] = wanted
    if not dry_run:
        rows = _rotated(folder, wanted, span, incident)
    rows += stay
    for row in rows:
        row["recipient"] = handles[row["organisation"]]
        row["name"] = names.get(row["subject"], row.get("name"))
        row["until"] = show_time(row["until"]) if row.get("until") else None
    columns = titled("name", "recipient", "until") | {
        "at once": lambda row: _counted(row.get("at_once", ())),
    }
    show_rows(rows, columns, as_json=as_json, none="no credential is behind it")
    for row in rows:
        if row.get("failed"):
            warn(f"{row['subject']} was NOT rotated: {row['failed']}")
    if not as_json and not dry_run:
        say(f"{sum('rotation' in row for row in rows)} of {len(rows)} are to be replaced")
        note("what was not replaced yet: bailment rotate")


def _addresses(view: View, organisations: Iterable[str]) -> list[dict[str, str]]:
    """What is not replaced: the addresses at which clients of these organisations' recipients reach
    the gateway. They are tripwires, and authenticate nobody."""
    register = view.fold.register
    tops = {register.organisations[one].recipient for one in organisations}
    laid = (one for one in register.state.tripwires.values() if one.kind == "slug")
    found = {one.subject.partition(":")[2] for one in laid} & tops
    return [
        {
            "subject": f"recipient:{top}",
            "organisation": top,
            "name": handle_of(view, top),
            "why": "its clients' address",
            "failed": "the address of its clients (/r/…) stays as it is: it opens nothing, and "
            "tells on whoever else uses it",
        }
        for top in sorted(found)
    ]


def _rotated(
    folder: Folder, wanted: list[dict[str, str]], within: int, incident: str
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with following("rotating") as follow:
        for at in range(0, len(wanted), _TOGETHER):
            some = wanted[at : at + _TOGETHER]
            done = act(folder, "rotate", credentials=some, within=within, incident=incident)
            rows += done["rotated"]
            follow("", len(rows), len(wanted))
    return rows


def _outstanding(folder: Folder, as_json: bool) -> None:
    view, now = open_view(folder), now_ms()
    rows = [_row(view, subject, now) for subject in view.fold.register.state.rotations]
    if as_json:
        show_json(rows)
        return
    columns = titled("name", "recipient", "until", "state")
    show_rows(rows, columns, as_json=False, none="nothing is to be replaced")


def _row(view: View, subject: str, now: int) -> dict[str, Any]:
    one = view.fold.register.state.rotations[subject]
    refused = subject.partition(":")[0] in ("device", "workload")
    late = "overdue, refused" if refused else "OVERDUE"
    return {
        "subject": subject,
        "name": named(view, subject),
        "recipient": handle_of(view, one.organisation),
        "rotation": one.rotation,
        "incident": one.incident,
        "reason": one.reason,
        "until": show_time(one.until),
        "state": "asked" if now < one.until else late,
    }


def _counted(told: Any) -> str:
    return ", ".join(
        what if number == 1 else f"{what} ({number} times)"
        for what, number in Counter(told).items()
    )
