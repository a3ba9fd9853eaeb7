"""Findings: what somebody should look at, what was done about it, and what they made of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bailment.access.details import person_of
from bailment.access.drilled import drill_of
from bailment.access.slot import slot_of_subject
from bailment.access.tripwire import CAPABILITY, digest
from bailment.cli.access import Limit, Since
from bailment.cli.console import Dir, act
from bailment.cli.drilled import WithDrills, tell_drills
from bailment.cli.extent import opened
from bailment.cli.output import Column, Json, note, say, show_json, show_rows, titled, warn
from bailment.cli.register import Reason
from bailment.cli.subjects import find_person, name_of, short
from bailment.cli.times import ago, show_time
from bailment.clock import now_ms
from bailment.detect.consequence import cited, named_in
from bailment.errors import BailmentError
from bailment.ledger.detection_records import (
    FindingGrouped,
    FindingJudged,
    FindingRaised,
    StepUpAsked,
)
from bailment.ledger.leaf import decode_leaf
from bailment.ledger.records import HoldAdded
from bailment.settings import load_settings
from bailment.store.folder import Folder
from bailment.store.reader import Record
from bailment.store.view import View, open_view

finding = typer.Typer(no_args_is_help=True, help="What somebody should look at.")
step_up = typer.Typer(no_args_is_help=True, help="Who has to sign in again.")
tripwire = typer.Typer(no_args_is_help=True, help="What is laid out for thieves.")

Id = Annotated[str, typer.Argument(metavar="FINDING", help="Its id, or how that begins.")]
#: Characters of a reason, at the most.
_REASON = 500
_TYPES = {
    one.TYPE for one in (FindingRaised, FindingGrouped, FindingJudged, StepUpAsked, HoldAdded)
}
#: What to do next, by what is done already.
_NEXT = {
    "hold": "ask {}; then `bailment finding judge` and, if it was them, `bailment hold lift`",
    "step-up": "ask {}; the person signs in again, or `bailment finding judge FINDING benign "
    "--reason …` ends that",
}
_USUAL = "ask {}; `bailment hold add` if it was not them, then `finding judge`"


class Verdict(StrEnum):
    """What a finding was."""

    MISUSE = "misuse"
    BENIGN = "benign"
    KNOWN = "known"


@finding.command("list")
def finding_list(
    since: Since = "7d",
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    undecided: Annotated[
        bool, typer.Option("--open", help="Only those that nobody has judged.")
    ] = False,
    drills: WithDrills = True,
    limit: Limit = None,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """List findings. What a drill raised says so once the drill is over, and not before."""
    folder = Folder(directory)
    view = open_view(folder)
    rows = [
        row
        for row in _rows(view, ago(since, now_ms())).values()
        if kind in (None, row["kind"])
        and not (undecided and row["verdict"])
        and (drills or not row["drill"])
    ][-(limit or 0) :]
    none = f"no finding since {since}"
    show_rows(rows, COLUMNS, as_json=as_json, none=none, told="sentence")
    if not as_json:
        tell_drills(rows)
    unmetered = [
        name for name, model in load_settings(folder.settings).models.items() if not model.meter
    ]
    if unmetered:
        warn(
            f"calls around the gateway to {', '.join(unmetered)} are not found: "
            "there is no `meter` in the settings"
        )


@finding.command("show")
def finding_show(name: Id, directory: Dir = Path(), as_json: Json = False) -> None:
    """Show a finding: what was seen and where, what was done, and what to do next."""
    view, row = _find(Folder(directory), name)
    records = [_entry(view, index) for index in row["records"]]
    if as_json:
        show_json({**row, "entries": records})
        return
    say(f"{row['kind']} {row['finding']}, {row['severity'] or 'medium'}, {row['time']}")
    if row["drill"]:
        say(f"of the drill {row['drill']}, which is over: nobody has to do anything about it")
    if row["subject"]:
        say(f"about {_who(row)}" + (f" of {row['recipient']}" if row["recipient"] else ""))
    say(row["sentence"])
    if row["said"]:
        say(f"they say: {row['said']}")
    for name, number in row["numbers"].items():
        say(f"  {name}: {number}")
    for one in records:
        say(f"  entry {one['record']}: {one['type']} at {one['time']}")
    if row["more"]:
        say(f"  and {row['more']} times more since")
    for done in row["done"]:
        say(f"done: {done}")
    if row["verdict"]:
        say(f"judged {row['verdict']} by {row['author']}: {row['reason']}")
    elif not row["drill"]:
        asked = f"{row['recipient']} ({row['contact']})" if row["recipient"] else "whom it is about"
        did = "hold" if row["held"] else row["response"]
        note(f"next: {(_NEXT.get(did, _USUAL) if row['done'] else _USUAL).format(asked)}")


@finding.command("judge")
def finding_judge(
    name: Id,
    verdict: Annotated[Verdict, typer.Argument(help="What it was.")],
    reason: Reason,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Say what a finding was. What was in order is not unusual from then on.

    It can be judged again: each judgement stays on record, and the last one counts. What an earlier
    one ended (signing in again) or taught (what is usual) stays so.
    """
    folder = Folder(directory)
    view, row = _find(folder, name)
    if len(reason) > _REASON:
        raise BailmentError(f"the reason has {len(reason)} characters, and {_REASON} is the most")
    told = {"finding": row["finding"], "record": row["record"]}
    told |= {"verdict": verdict.value, "reason": reason}
    done = act(folder, "finding-judge", **told)
    if as_json:
        show_json(done)
        return
    again = "once more" if row["verdict"] == verdict else f"and no more {row['verdict']}"
    before = f", {again}" if row["verdict"] else ""
    say(f"judged {row['finding'][:8]} {verdict.value}{before}")
    for person in done["freed"]:
        say(f"person:{person} need not sign in again")
    if verdict is not Verdict.MISUSE:
        _still_held(view, row["finding"])


def _still_held(view: View, name: str) -> None:
    """What a finding had put on hold stays so until somebody lifts it."""
    now = now_ms()
    for one in view.fold.register.state.holds.values():
        if named_in(one.reason) == name and not 0 < one.until <= now:
            ends = f" until {show_time(one.until)}" if one.until else ""
            say(f"{one.subject} is still on hold{ends}: bailment hold lift {one.hold} --reason …")


@step_up.command("list")
def step_up_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List who was asked to sign in again, and did not yet."""
    view = open_view(Folder(directory))
    asked = view.fold.register.state.step_ups
    rows = [
        {
            "person": person,
            "name": name_of(view, "person", person),
            "time": show_time(time),
            "finding": found,
        }
        for person, (time, found) in asked.items()
    ]
    columns = titled("person", "name", "time", "finding")
    show_rows(rows, columns, as_json=as_json, none="nobody has to sign in again")


@step_up.command("end")
def step_up_end(
    person: Annotated[str, typer.Argument(help="Their id or email.")],
    reason: Reason,
    directory: Dir = Path(),
) -> None:
    """Ask it of a person no more to sign in again."""
    folder = Folder(directory)
    who = find_person(open_view(folder), person.removeprefix("person:"))
    act(folder, "step-up-end", person=who, reason=reason)
    say(f"person:{who} need not sign in again")


@tripwire.command("honey")
def lay_honey(
    system: Annotated[str, typer.Argument(help="What people call the system it is put in.")],
    directory: Dir = Path(),
) -> None:
    """Make a credential that opens nothing, to put into a shared system.

    It looks like an agent's. Who shows it to the gateway has read what is there.
    """
    secret = CAPABILITY + secrets.token_urlsafe(32)
    _lay(Folder(directory), "honey", secret, system)
    say(secret)
    note(f"put it where only a thief looks in {system}; it is shown only now")


@tripwire.command("model")
def lay_model(
    model: Annotated[str, typer.Argument(help="A name that no model has.")],
    system: Annotated[str, typer.Option(help="What people call the system it is written in.")],
    directory: Dir = Path(),
) -> None:
    """Lay out a model's name that nobody should know: who asks for it read where it stands."""
    folder = Folder(directory)
    if model in open_view(folder).fold.register.state.models:
        raise BailmentError(f"there is a model `{model}`", hint="choose a name that none has")
    _lay(folder, "model", model, system)
    say(f"a request for {model} is a finding from now on")


@tripwire.command("list")
def tripwire_list(
    model: Annotated[str, typer.Option(help="Only the decoy of this name.")] = "",
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """List what is registered: kinds, where, and the hash of each.

    The log does not have the names of decoys: say one with --model to see which it is.
    """
    view = open_view(Folder(directory))
    known = view.fold.register.state.tripwires.values()
    rows = [
        {
            "kind": one.kind,
            "subject": one.subject,
            **_named(view, one.subject),
            "secret": one.secret,
            "model": model if model and one.secret == digest(model.encode()) else "",
        }
        for one in known
    ]
    if model:
        rows = [row for row in rows if row["model"]]
    columns = titled("kind", "recipient", "name", "subject", "secret")
    show_rows(rows, columns, as_json=as_json, none="there are no tripwires")


def _lay(folder: Folder, kind: str, secret: str, system: str) -> None:
    act(folder, "tripwire-lay", kind=kind, secret=digest(secret.encode()), system=system)


def _find(folder: Folder, name: str) -> tuple[View, dict[str, Any]]:
    with opened(folder) as (view, incidents):
        _, time, facts = incidents.finding(name)
    return view, _rows(view, time)[facts.finding]


def _rows(view: View, since: int) -> dict[str, dict[str, Any]]:
    """Findings since then, with what came of each."""
    rows: dict[str, dict[str, Any]] = {}
    for record in _records(view, since):
        match record.facts:
            case FindingRaised():
                rows[record.facts.finding] = _row(view, record, record.facts)
            case FindingGrouped(finding=name, count=count) if name in rows:
                rows[name]["more"] += count
            case FindingGrouped() as grouped if not grouped.finding:
                rows[f"grouped-{record.index}"] = _flooded(view, record, grouped)
            case FindingJudged(finding=name) as judged if name in rows:
                rows[name] |= {
                    "verdict": judged.verdict,
                    "reason": judged.reason,
                    "author": judged.author,
                }
            case StepUpAsked(person=person) as asked if cited(asked) in rows:
                rows[cited(asked)]["done"].append(f"person:{person} was asked to sign in again")
            case HoldAdded() as hold if (name := named_in(hold.reason)) in rows:
                ends = show_time(hold.until) if hold.until else "it is lifted"
                rows[name]["done"].append(f"{hold.subject} is on hold until {ends}")
                rows[name]["held"] = True
    return rows


def _named(view: View, subject: str) -> dict[str, str]:
    """What people call a subject, and its organisation and whom to ask there."""
    register = view.fold.register
    kind, _, name = subject.partition(":")
    path = register.path(name if kind == "link" else register.link_of.get(name, ""))
    person = person_of(path)
    top = register.organisations.get(path[0].subject if path else "")
    called = name_of(view, kind, name)
    return {
        "name": "" if called == name else called,
        "person": person,
        "person_name": name_of(view, "person", person) if person else "",
        "recipient": top.handle if top else "",
        "contact": top.contact if top else "",
        "drill": drill_of(register, slot_of_subject(subject, register)),
    }


def _who(row: dict[str, Any]) -> str:
    """A subject as people call it, with its id."""
    names = dict.fromkeys((row["person_name"], row["name"]))
    called = ", ".join(name for name in names if name)
    return f"{called} ({row['subject']})" if called else row["subject"]


def _whom(row: dict[str, Any]) -> str:
    """Whom a finding is about, as short as people can tell them apart."""
    names = (row["person_name"], row["name"], row["recipient"])
    called = ", ".join(dict.fromkeys(filter(None, names))) or short(row["subject"])
    return f"{called} (drill)" if row["drill"] else called


def _sentence(row: dict[str, Any]) -> str:
    """What was seen, and what came of it since."""
    since = [f"{row['more']} times more since"] if row["more"] else []
    since += [f"judged {row['verdict']}"] if row["verdict"] else []
    return f"{row['sentence']} ({', '.join(since)})" if since else str(row["sentence"])


#: What a list shows of a finding: columns that are short, and the sentence.
COLUMNS: dict[str, Column] = {
    "finding": lambda row: row["finding"][:8],
    **titled("time", "kind"),
    "severity": lambda row: row["severity"] or "medium",
    "whom": _whom,
    "sentence": _sentence,
}


def _row(view: View, record: Record, facts: FindingRaised) -> dict[str, Any]:
    return {
        "time": show_time(record.leaf.time),
        "kind": facts.kind,
        "subject": facts.subject or "",
        **_named(view, facts.subject or ""),
        "sentence": facts.sentence,
        "severity": facts.severity,
        "model": facts.model,
        "numbers": facts.numbers,
        "others": list(facts.others),
        "response": facts.response,
        "finding": facts.finding,
        "record": record.index,
        "records": list(facts.records),
        "said": _said(view, record, facts),
        "more": 0,
        "done": [],
        "held": False,
        "verdict": "",
        "reason": "",
        "author": "",
    }


def _said(view: View, record: Record, facts: FindingRaised) -> str:
    """What a recipient's admin said in words; empty once its person was erased."""
    request = view.people.at(record.index).get("request", "") if facts.proof else ""
    return str(msgspec.json.decode(request)["text"]) if request else ""


def _flooded(view: View, record: Record, facts: FindingGrouped) -> dict[str, Any]:
    sentence = f"{facts.count} more of {facts.subjects} subjects, too many to be told one by one"
    told = FindingRaised("", facts.kind, sentence, facts.since, facts.until, records=facts.records)
    return _row(view, record, told)


def _records(view: View, since: int) -> Iterator[Record]:
    for stored in view.reader.stored(view.reader.first_since(since)):
        leaf = decode_leaf(stored.entry)
        if leaf.type in _TYPES and leaf.time >= since:
            yield view.reader.open(stored)


def _entry(view: View, index: int) -> dict[str, Any]:
    stored = next(view.reader.stored(index, index + 1))
    leaf = decode_leaf(stored.entry)
    return {"record": index, "type": leaf.type, "time": show_time(leaf.time)}
