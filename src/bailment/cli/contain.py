"""`bailment contain`: plan what stops an incident, see whom that cuts off, do it, try the keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bailment.cli.console import Dir, act
from bailment.cli.extent import named, opened
from bailment.cli.incident import Id
from bailment.cli.output import Json, note, say, show_json, show_rows, titled, warn
from bailment.cli.subjects import handle_of
from bailment.cli.trying import refuses_token
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.incident.containment import Cut, Plan, plan, read_plan
from bailment.store.folder import Folder
from bailment.store.view import View

_WEEK = 7 * 86_400_000


def contain(
    incident: Id,
    plan_out: Annotated[
        Path | None, typer.Option("--plan-out", "-o", help="Save the plan, to execute it.")
    ] = None,
    execute: Annotated[
        Path | None, typer.Option("--execute", help="Do exactly what this saved plan says.")
    ] = None,
    try_token: Annotated[
        list[Path] | None,
        typer.Option(help="A file with an old access token; it is tried afterwards."),
    ] = None,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Plan the containment of an incident, and show whom it cuts off besides; or execute a plan.

    Nothing is done without `--execute`. Afterwards each credential is decided about again, and old
    tokens are shown to the public port: all must be refused.
    """
    folder = Folder(directory)
    with opened(folder) as (view, incidents):
        found = incidents.incident(incident)
        name = found.opened.incident
        if execute is None:
            graph, extended = incidents.graph_of([f"incident:{name}"])
            now, register = now_ms(), view.fold.register
            recent = incidents.index.since(now - _WEEK)
            rotate_ms = register.conditions.response.rotate_ms
            made = plan(register, graph, extended.radius, name, recent, rotate_ms, now)
            told = _told(view, made)
        else:
            made = _read(execute)
            if made.incident != name:
                raise BailmentError(f"the plan is for the incident {made.incident[:8]}")
            told = _told(view, made)
        url = view.fold.register.state.url
    if execute is None:
        _plan(folder, made, plan_out)
        told["saved"] = str(plan_out) if plan_out else None
    else:
        told |= _execute(folder, made)
        tried = [refuses_token(url, path) for path in try_token or ()]
        told["verified"] = _verify(folder, made, tried)
    if as_json:
        show_json(told)
    else:
        _show(told)
    if execute is not None and not told["verified"]["contained"]:
        raise BailmentError("NOT contained: see above", hint="bailment kill-switch on")


def _plan(folder: Folder, made: Plan, out: Path | None) -> None:
    if out is None:
        return
    with out.open("xb") as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    act(
        folder,
        "containment-plan",
        incident=made.incident,
        plan=made.digest,
        acts=len(made.acts),
        cut=len(made.cut),
        beside=len(made.beside),
    )


def _read(path: Path) -> Plan:
    try:
        return read_plan(path.read_bytes())
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BailmentError(f"`{path}` is no plan: {error}") from None


def _execute(folder: Folder, made: Plan) -> dict[str, Any]:
    done = act(
        folder,
        "containment-execute",
        incident=made.incident,
        plan=made.digest,
        acts=msgspec.to_builtins(made.acts),
    )
    return {"executed": done}


def _verify(folder: Folder, made: Plan, tried: list[bool]) -> dict[str, Any]:
    devices = [one for cut in made.cut for one in _credentials(cut)]
    return act(
        folder,
        "containment-verify",
        incident=made.incident,
        plan=made.digest,
        devices=devices,
        tried=len(tried),
        dead=sum(tried),
    )


def _credentials(cut: Cut) -> tuple[str, ...]:
    kind, _, name = cut.subject.partition(":")
    return (name,) if kind == "workload" else cut.devices


def _told(view: View, made: Plan) -> dict[str, Any]:
    return {
        "incident": made.incident,
        "plan": made.digest,
        "acts": [
            {"act": one.act, "subject": one.subject, "name": named(view, one.subject)}
            | {"why": one.why}
            for one in made.acts
        ],
        "cut": [
            {
                "name": named(view, one.subject),
                "subject": one.subject,
                "recipient": handle_of(view, one.recipient),
                "devices": one.devices,
                "why": one.why,
                "per_day": one.per_day,
                "already": one.already,
            }
            for one in made.cut
        ],
        "beside": len(made.beside),
    }


def _show(told: dict[str, Any]) -> None:
    show_rows(told["acts"], titled("act", "name", "why"), as_json=False, none="nothing is to do")
    columns = {
        **titled("name", "recipient"),
        "devices": lambda row: str(len(row["devices"])),
        "accesses a day": lambda row: str(row["per_day"]),
        "why": lambda row: _WHY[row["why"]] + (", on hold already" if row["already"] else ""),
    }
    show_rows(told["cut"], columns, as_json=False, none="nobody is cut off")
    if told["beside"]:
        warn(f"{told['beside']} of them are not exposed and are cut off all the same")
    done = told.get("executed")
    if done is None:
        if told["saved"]:
            brief = told["incident"][:8]
            note(f"do it: bailment contain {brief} --execute {told['saved']}")
        else:
            note("nothing was done; --plan-out FILE saves the plan")
        return
    for one in done["acts"]:
        if one.get("proposal"):
            warn(
                f"{one['act']} {one['subject']} waits: bailment approve sign {one['proposal'][:8]}"
            )
        elif one.get("failed"):
            warn(f"{one['act']} {one['subject']} was not done: {one['failed']}")
    seen = told["verified"]
    say(f"{seen['refused']} of {seen['decided']} credentials refused; {seen['open']} accesses open")
    for one in seen["allowed"]:
        warn(f"{one} is NOT refused")


_WHY = {
    "subject": "the incident is about it",
    "exposed": "could be reached from there",
    "beside": "not exposed",
}
