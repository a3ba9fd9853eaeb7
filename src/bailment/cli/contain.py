"""`bailment contain`: plan what stops an incident, see whom that cuts off, do it, try the keys."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bailment.cli.console import Dir, act
from bailment.cli.extent import opened
from bailment.cli.incident import Id
from bailment.cli.output import Column, Json, counted, note, say, show_json, show_rows, titled, warn
from bailment.cli.reach import named
from bailment.cli.subjects import find_recipient, handle_of
from bailment.cli.waiting import of_done, sentence, takes, waits, who_may
from bailment.clock import now_ms
from bailment.errors import BailmentError, Waiting
from bailment.incident.containment import Plan, cut_by, plan, read_plan
from bailment.ledger.incident_records import ContainmentExecuted, ContainmentPlanned
from bailment.spec.terms import TIERS
from bailment.store.folder import Folder
from bailment.store.incidents import Incidents
from bailment.store.view import View, open_view

_WEEK = 7 * 86_400_000


def contain(
    incident: Id,
    plan_out: Annotated[
        Path | None, typer.Option("--plan-out", "-o", help="Save the plan, to execute it.")
    ] = None,
    execute: Annotated[
        Path | None, typer.Option("--execute", help="Do exactly what this saved plan says.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Do nothing; only see whether it holds, at any time.")
    ] = False,
    stale: Annotated[
        list[str] | None,
        typer.Option(
            help="Evidence to mark stale: ACME for all there is about it, or ACME:KIND; repeat for "
            "more. It steps down at once to what its other evidence holds."
        ),
    ] = None,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Plan the containment of an incident, and show whom it cuts off besides; or execute a plan.

    Nothing is done without `--execute`. Afterwards, and with `--verify`, each credential in the
    incident's extent, and each that was ever cut because of it, is decided about again: all must
    be refused, and none have an access open.
    """
    if verify and (execute or plan_out):
        raise typer.BadParameter("it makes and executes no plan", param_hint="--verify")
    if stale and (verify or execute):
        raise typer.BadParameter("that is said when a plan is made", param_hint="--stale")
    folder = Folder(directory)
    with opened(folder) as (view, incidents):
        name = _named(incidents, incident, closed=verify)
        marks, done = _marks(view, stale or ()), _executed(incidents, name)
        if execute is not None:
            made = _read(execute, incidents, name)
        elif verify and done:
            made = _left(view, incidents, name)
        else:
            made = _made(view, incidents, name, marks)
        told, tried = _told(view, made), _tried(view, made, done)
        if verify:
            told["waiting"] = of_done(view, done[-1].acts) if done else []
            told["of"] = len(done[-1].acts) if done else 0
    if verify:
        told["verified"] = _verify(folder, made, done[-1].plan if done else "", tried)
    elif execute is None:
        _plan(folder, made, plan_out)
        told["saved"] = str(plan_out) if plan_out else None
    else:
        told |= _execute(folder, made)
        told["verified"] = _verify(folder, made, made.digest, tried)
    if as_json:
        show_json(told)
    else:
        _show(told)
    judge(told)


def _named(incidents: Incidents, incident: str, *, closed: bool) -> str:
    """The id of an incident, which may be closed where nothing is to be done."""
    found = incidents.incident(incident)
    name = found.opened.incident
    if found.closed and not closed:
        raise BailmentError(
            f"the incident {name[:8]} is closed: nothing more is to be done in it",
            hint=f"bailment incident open; or bailment contain {name[:8]} --verify",
        )
    return name


def judge(told: dict[str, Any]) -> None:
    """Fail unless everything was done and everybody is refused; what waits for those who sign is
    neither done nor failed."""
    seen = told.get("verified")
    if seen is None:
        return
    acts = told.get("executed", {}).get("acts", ())
    failed = [one for one in acts if one.get("failed")]
    asked = [one for one in told.get("waiting", ()) if one["waits"]]
    waiting = [one for one in acts if one.get("proposal")] or asked
    if failed:
        raise BailmentError(f"not everything was done: {len(failed)} failed, see above")
    if waiting:
        so_far = "contained by what was done" if seen["contained"] else "NOT contained yet"
        raise Waiting(
            f"{so_far}: {len(waiting)} of {len(acts) or told['of']} acts wait for those who sign",
            hint=f"once they have signed: bailment contain {told['incident'][:8]} --verify",
        )
    if not seen["contained"]:
        if "waiting" in told and not told["of"]:
            how = f"bailment contain {told['incident'][:8]} --plan-out FILE, then --execute FILE"
            raise BailmentError("NOT contained: no plan was executed yet", hint=how)
        raise BailmentError("NOT contained: see above", hint="bailment kill-switch on")
    if not seen["decided"] and not seen.get("tiers"):
        raise BailmentError("no credential was tried, so nothing is shown: see the blast radius")


def _marks(view: View, said: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The kinds of evidence to mark stale, by organisation."""
    register, found = view.fold.register, defaultdict[str, set[str]](set)
    for one in said:
        handle, _, kind = one.partition(":")
        name = find_recipient(view, handle)
        known = {item.kind for item in register.proven(name).items}
        kinds = known & {kind} if kind else known
        if register.spec is None or not kinds:
            there = ", ".join(f"`{one}`" for one in sorted(known)) or "none"
            raise BailmentError(
                f"there is no evidence `{kind}` about {handle}; there is {there}",
                hint=f"bailment evidence list {handle}",
            )
        found[name] |= kinds
    return {name: tuple(sorted(kinds)) for name, kinds in found.items()}


def _made(
    view: View, incidents: Incidents, incident: str, stale: Mapping[str, tuple[str, ...]]
) -> Plan:
    """A plan, as things are now."""
    graph, extended = incidents.graph_of([f"incident:{incident}"])
    now, register = now_ms(), view.fold.register
    recent = incidents.index.since(now - _WEEK)
    rotate_ms = register.conditions.response.rotate_ms
    return plan(register, graph, extended.radius, incident, recent, rotate_ms, now, stale)


def _saved(incidents: Incidents, incident: str) -> set[str]:
    """The digests of the plans that were saved for it."""
    told = (facts for _, _, facts in incidents.index.told(incident))
    return {facts.plan for facts in told if isinstance(facts, ContainmentPlanned)}


def _executed(incidents: Incidents, incident: str) -> list[ContainmentExecuted]:
    """What became of the plans that were executed, the last one last."""
    told = (facts for _, _, facts in incidents.index.told(incident))
    return [facts for facts in told if isinstance(facts, ContainmentExecuted)]


def _left(view: View, incidents: Incidents, incident: str) -> Plan:
    """A plan, as things are now, which may have nothing left: what an incident was about may be in
    the custody map no longer."""
    try:
        return _made(view, incidents, incident, {})
    except BailmentError as error:
        warn(f"{error}: only what was cut before is tried")
        return Plan(incident, now_ms(), view.fold.register.epoch, (), (), (), ())


def _tried(view: View, made: Plan, done: Iterable[ContainmentExecuted]) -> list[str]:
    """The devices and workloads to decide about again: of the extent, and those that this plan or
    one before cut."""
    register = view.fold.register
    acts = (one for executed in done for one in executed.acts if not one.failed)
    subjects = [*(one.subject for one in made.acts), *(one.subject for one in acts)]
    cut = cut_by(register, subjects, now_ms())
    return list(dict.fromkeys((*(one.subject for one in made.credentials), *cut)))


def _plan(folder: Folder, made: Plan, out: Path | None) -> None:
    if out is None:
        return
    try:
        with out.open("xb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    except FileExistsError:
        raise BailmentError(
            f"`{out}` is there already, and no plan is overwritten", hint="name another file"
        ) from None
    act(
        folder,
        "containment-plan",
        incident=made.incident,
        plan=made.digest,
        acts=len(made.acts),
        cut=len(made.cut),
        beside=len(made.beside),
    )


def _read(path: Path, incidents: Incidents, incident: str) -> Plan:
    """A plan that was saved for this incident."""
    try:
        made = read_plan(path.read_bytes())
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BailmentError(
            f"`{path}` is no plan: {error}", hint=f"bailment contain {incident[:8]} --plan-out FILE"
        ) from None
    if made.incident != incident:
        raise BailmentError(f"the plan is for the incident {made.incident[:8]}")
    if made.digest not in _saved(incidents, incident):
        raise BailmentError(
            f"`{path}` is no plan that was saved for this incident: it was changed since",
            hint=f"bailment contain {incident[:8]} --plan-out FILE",
        )
    return made


def _execute(folder: Folder, made: Plan) -> dict[str, Any]:
    done = act(folder, "containment-execute", plan=msgspec.to_builtins(made))
    if any(one.get("proposal") for one in done["acts"]):
        view = open_view(folder)
        for one in done["acts"]:
            one["waits"] = waits(view, one["proposal"]) if one.get("proposal") else None
    return {"executed": done}


def _verify(folder: Folder, made: Plan, digest: str, tried: Iterable[str]) -> dict[str, Any]:
    devices = [one.partition(":")[2] for one in tried]
    lost = {one.organisation: one.left for one in made.lost}
    return act(
        folder,
        "containment-verify",
        incident=made.incident,
        plan=digest,
        devices=devices,
        lost=lost,
    )


def _told(view: View, made: Plan) -> dict[str, Any]:
    return {
        "incident": made.incident,
        "plan": made.digest,
        "acts": [
            {"act": one.act, "subject": one.subject, "name": named(view, one.subject)}
            | {"why": one.why, "takes": takes(view, one)}
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
        "lost": [
            msgspec.structs.asdict(one)
            | {"recipient": handle_of(view, one.organisation)}
            | {"tier": _tier(one.tier), "left": _tier(one.left)}
            for one in made.lost
        ],
        "may_sign": who_may(view),
        "beside": len(made.beside),
        "credentials": msgspec.to_builtins(made.credentials),
    }


def _show(told: dict[str, Any]) -> None:
    if "saved" in told or "executed" in told:
        _show_plan(told)
    if "saved" in told:
        brief = told["incident"][:8]
        if told["saved"]:
            note(f"do it: bailment contain {brief} --execute {told['saved']}")
        else:
            note("nothing was done; --plan-out FILE saves the plan")
        return
    for one in told.get("executed", {}).get("acts", ()):
        was = " already" * one.get("already", False)
        if one.get("proposal"):
            _show_wait(one)
        elif one.get("failed"):
            warn(f"{one['act']} {one['subject']} was not done: {one['failed']}")
        else:
            say(f"{one['act']} {one['subject']}: done{was}")
    for one in told.get("waiting", ()):
        _show_wait(one)
    seen = told["verified"]
    say(f"{seen['refused']} of {seen['decided']} credentials refused; {seen['open']} accesses open")
    for one in seen["allowed"]:
        warn(f"{one} is NOT refused")
    for row in told["lost"]:
        tell = warn if row["organisation"] in seen["above"] else say
        tell(f"{row['recipient']} holds {_tier(seen['tiers'][row['organisation']])} now")


def _show_wait(one: dict[str, Any]) -> None:
    if one["waits"]:
        warn(sentence(one["act"], one["subject"], one["proposal"], one["waits"]))
    else:
        gone = "was not signed: the proposal was withdrawn or has expired; `--execute` asks again"
        warn(f"{one['act']} {one['subject']} {gone}")


def _show_plan(told: dict[str, Any]) -> None:
    show_rows(told["acts"], titled("act", "name", "why"), as_json=False, none="nothing is to do")
    columns = {
        **titled("name", "recipient"),
        "devices": lambda row: str(len(row["devices"])),
        "accesses a day": lambda row: str(row["per_day"]),
        "why": lambda row: _WHY[row["why"]] + (", on hold already" if row["already"] else ""),
    }
    show_rows(told["cut"], columns, as_json=False, none="nobody is cut off")
    if told["lost"]:
        steps: dict[str, Column] = {
            "recipient": "recipient",
            "steps down": lambda row: f"{row['tier']} to {row['left']}, at once",
            "because of": lambda row: ", ".join(row["because"]) or "nothing it rests on",
            "models": lambda row: ", ".join(row["models"]),
            "people": "people",
            "accesses a day": lambda row: str(row["per_day"]),
        }
        show_rows(told["lost"], steps, as_json=False, none="")
    for one in told["acts"]:
        if one["takes"]:
            may = ", ".join(told["may_sign"])
            say(f"{one['act']} {one['name']} is only proposed: {one['takes']} of {may} must sign")
    if told["beside"]:
        warn(f"{told['beside']} of them are not exposed and are cut off all the same")
    states = Counter(one["state"] for one in told["credentials"])
    found = ", ".join(f"{number} {_STATES[state]}" for state, number in states.items())
    extent = counted(len(told["credentials"]), "credential")
    say(f"{extent} in its extent: {found or 'none'}")


def _tier(rank: int) -> str:
    return TIERS[rank - 1] if rank else "none"


_STATES = {"live": "live", "held": "on hold already", "ended": "ended already"}
_WHY = {
    "subject": "the incident is about it",
    "exposed": "could be reached from there",
    "beside": "not exposed",
}
