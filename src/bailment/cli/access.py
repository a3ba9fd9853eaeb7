"""Who did what: accesses, refusals and findings, read from the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.cli.console import Dir
from bailment.cli.issuer import find_person, find_recipient, handle_of
from bailment.cli.output import Json, show_rows
from bailment.cli.times import ago, show_time
from bailment.clock import now_ms
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    AccessRefused,
    FindingRaised,
    TokenIssued,
)
from bailment.store.folder import Folder
from bailment.store.reader import Record
from bailment.store.view import View, open_view

app = typer.Typer(no_args_is_help=True, help="Who did what.")
finding = typer.Typer(no_args_is_help=True, help="What somebody should look at.")

Since = Annotated[str, typer.Option(help="How far back: 2h, 7d, 2026-04-07.")]


@app.command("list")
def access_list(
    since: Since = "24h",
    recipient: Annotated[str | None, typer.Option(help="Only of this organisation.")] = None,
    person: Annotated[str | None, typer.Option(help="Only of this person.")] = None,
    refused: Annotated[bool, typer.Option(help="Show refusals too.")] = True,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """List accesses and refusals: who, from which organisation, which model, how it ended."""
    view = open_view(Folder(directory))
    slot = find_recipient(view, recipient) if recipient else ""
    who = find_person(view, person) if person else ""
    rows = [
        row
        for row in _rows(view, ago(since, now_ms()))
        if (not slot or row["slot"] == slot)
        and (not who or row["person"] == who)
        and (refused or row["what"] == "access")
    ]
    columns = ("time", "recipient", "name", "purpose", "action", "model", "outcome", "tokens")
    show_rows(rows, columns, as_json=as_json, none=f"no access since {since}")


@finding.command("list")
def finding_list(since: Since = "7d", directory: Dir = Path(), as_json: Json = False) -> None:
    """List findings."""
    view = open_view(Folder(directory))
    rows = [
        {
            "time": show_time(record.leaf.time),
            "kind": record.facts.kind,
            "sentence": record.facts.sentence,
            "finding": record.facts.finding,
            "index": record.index,
            "numbers": record.facts.numbers,
        }
        for record in _since(view, ago(since, now_ms()))
        if isinstance(record.facts, FindingRaised)
    ]
    columns = ("time", "kind", "sentence")
    show_rows(rows, columns, as_json=as_json, none=f"no finding since {since}")


def _since(view: View, time: int) -> Iterator[Record]:
    records = view.reader.records(view.reader.first_since(time))
    return (record for record in records if record.leaf.time >= time)


def _rows(view: View, time: int) -> Iterator[dict[str, Any]]:
    """One row for each access (once closed, or still open at the end) and each refusal."""
    open_rows: dict[str, dict[str, Any]] = {}
    tokens = dict(view.fold.admission.counted.tokens)
    for record in view.reader.records(view.reader.first_since(time - 600_000)):
        facts = record.facts
        if isinstance(facts, TokenIssued):
            tokens[facts.token] = facts
        elif record.leaf.time < time:
            continue
        elif isinstance(facts, AccessOpened):
            open_rows[facts.access] = _opened(view, record, facts, tokens.get(facts.token))
        elif isinstance(facts, AccessClosed) and facts.access in open_rows:
            row = open_rows.pop(facts.access)
            row["outcome"] = facts.outcome + (f" ({facts.reason})" if facts.reason else "")
            row["tokens"] = f"{facts.input}+{facts.output}" + ("" if facts.measured else "?")
            row["closed"] = record.index
            yield row
        elif isinstance(facts, AccessRefused):
            yield _refused(view, record, facts, tokens.get(facts.token))
    yield from open_rows.values()


def _opened(view: View, record: Record, facts: AccessOpened, token: Any) -> dict[str, Any]:
    person = token.person if token else ""
    return {
        "time": show_time(record.leaf.time),
        "what": "access",
        "recipient": handle_of(view, record.leaf.recipient),
        "slot": record.leaf.recipient,
        "name": view.people.name(person) if person else "",
        "person": person,
        "device": token.device if token else "",
        "purpose": token.purpose if token else "",
        "action": facts.action,
        "model": facts.model,
        "outcome": "open",
        "tokens": "",
        "access": facts.access,
        "opened": record.index,
    }


def _refused(view: View, record: Record, facts: AccessRefused, token: Any) -> dict[str, Any]:
    times = f" x{facts.count}" if facts.count > 1 else ""
    return {
        "time": show_time(record.leaf.time),
        "what": "refusal",
        "recipient": handle_of(view, record.leaf.recipient),
        "slot": record.leaf.recipient,
        "name": view.people.name(facts.person),
        "person": facts.person,
        "device": facts.device,
        "purpose": token.purpose if token else "",
        "action": facts.action,
        "model": facts.model,
        "outcome": f"refused: {facts.reason}{times}",
        "tokens": "",
        "index": record.index,
    }
