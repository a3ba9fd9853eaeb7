"""Holds: lock a subject at once, or unlock it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.access.drilled import drill_of
from bailment.access.reasons import Reason as Refusal
from bailment.access.slot import slot_of_subject
from bailment.cli.console import Dir, act
from bailment.cli.drilled import WithDrills, tell_drills
from bailment.cli.effect import show_effect
from bailment.cli.extent import opened
from bailment.cli.output import Exit, Json, agreed, say, show_json, show_rows, titled
from bailment.cli.register import Reason
from bailment.cli.subjects import find_hold, find_subject, name_of
from bailment.cli.times import ahead, show_time
from bailment.clock import now_ms
from bailment.ledger.records import HoldAdded
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

hold = typer.Typer(no_args_is_help=True, help="Lock a subject at once, or unlock it.")
_WHAT = (
    "person:ID-or-email, device:ID, key:THUMBPRINT, recipient:HANDLE, subcontractor:HANDLE, "
    "workload:ID, link:ID, model:NAME, purpose:NAME, network:CIDR, attribute:NAME=VALUE, or "
    "everything."
)
_HINTS = {
    Refusal.CHAIN_BROKEN: "a subject is written kind:id, like person:maria@acme.example; "
    "`bailment link list` shows ids, `--dry-run` whom a hold covers"
}


@hold.command("add")
def add(
    subject: Annotated[str, typer.Argument(help=_WHAT)],
    reason: Annotated[
        str, typer.Option(help="Why; it goes into the log, for good: name nobody.")
    ] = "",
    until: Annotated[
        str | None, typer.Option(help="When it ends by itself, like 2h or 2027-04-07.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say who would be cut off, and why.")
    ] = False,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Lock a subject: refused from now on, and cut where it is in flight.

    Says so once that is so. A hold on an attribute first lists whom it cuts off.
    """
    if not (reason or dry_run):
        raise typer.BadParameter("say why", param_hint="--reason")
    folder = Folder(directory)
    ends = ahead(until, now_ms()) if until else 0
    found = find_subject(folder, subject)
    told: dict[str, Any] = {}
    if dry_run or found.startswith("attribute:"):
        told = act(folder, "hold-preview", hints=_HINTS, subject=found)
        if not as_json:
            _show_covered(told["covers"])
        elif dry_run:
            show_json(told)
    if dry_run:
        return
    done = act(
        folder,
        "hold-add",
        hints=_HINTS,
        subject=found,
        reason=reason,
        until=ends,
        selects=told.get("selects", ""),
    )
    show_effect(done | told, f"{subject} is on hold: {done['hold']}", as_json=as_json)


def _show_covered(covers: list[dict[str, Any]]) -> None:
    columns = {
        **titled("name"),
        "recipient": "handle",
        "devices": lambda row: str(len(row["devices"])),
        **titled("why"),
        "already": lambda row: f"on hold: {row['held']}" if row["held"] else "",
        **titled("subject"),
    }
    show_rows(covers, columns, as_json=False, none="nobody is covered")


@hold.command("lift")
def lift(
    held: Annotated[
        str,
        typer.Argument(
            metavar="HOLD", help="Its id, how that begins, or its subject as for `add`."
        ),
    ],
    reason: Reason,
    yes: Annotated[
        bool, typer.Option("--yes", help="Even if it contains an incident that is open.")
    ] = False,
    directory: Dir = Path(),
) -> None:
    """Unlock: what this hold alone kept out may come back; what was ended may not."""
    folder = Folder(directory)
    hold_id = find_hold(folder, held)
    if not (yes or _may_end(folder, hold_id)):
        raise typer.Exit(Exit.FAILED)
    hints = {Refusal.CHAIN_BROKEN: "bailment hold list"}
    act(folder, "hold-lift", hints=hints, hold=hold_id, reason=reason)
    say(f"lifted {hold_id}")


def _may_end(folder: Folder, hold_id: str) -> bool:
    """Whether it contains no incident that is open, or somebody says that it may all the same."""
    known = open_view(folder).fold.register.state.incidents.values()
    if all(one.closed for one in known):
        return True
    with opened(folder) as (_, incidents):
        found = incidents.contained_by(hold_id)
    if found is None:
        return True
    name, title = found.opened.incident[:8], found.opened.title
    return agreed(f"it contains the incident {name}, which is open ({title}): lift it?")


@hold.command("list")
def show_list(drills: WithDrills = True, directory: Dir = Path(), as_json: Json = False) -> None:
    """List holds that were not lifted. A drill's say so once the drill is over, and not before."""
    view = open_view(Folder(directory))
    rows = [_hold(view, found) for found in view.fold.register.state.holds.values()]
    rows = [row for row in rows if drills or not row["drill"]]
    columns = {
        "hold": lambda row: row["hold"][:8],
        "ends": lambda row: row["until"] or "when lifted",
        "state": lambda row: row["state"] + (", drill" if row["drill"] else ""),
        **titled("subject", "name", "author", "reason"),
    }
    show_rows(rows, columns, as_json=as_json, none="nothing is on hold", told="reason")
    if not as_json:
        tell_drills(rows)


def _hold(view: View, found: HoldAdded) -> dict[str, Any]:
    register = view.fold.register
    kind, _, subject = found.subject.partition(":")
    name = name_of(view, kind, subject)
    over = 0 < found.until <= now_ms()
    return {
        "hold": found.hold,
        "subject": found.subject,
        "name": "" if name == subject else name,
        "reason": found.reason,
        "author": found.author,
        "until": show_time(found.until) if found.until else None,
        "state": "over" if over else "in force",
        "drill": drill_of(register, slot_of_subject(found.subject, register)),
    }
