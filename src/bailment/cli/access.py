"""Who did what: accesses and refusals, read from the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.cli.console import Dir
from bailment.cli.output import Json, show_rows, titled
from bailment.cli.subjects import find_person, find_recipient, handle_of, name_of
from bailment.cli.times import ago, show_time
from bailment.clock import now_ms
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    AccessRefused,
    TokenIssued,
)
from bailment.store.folder import Folder
from bailment.store.reader import Record
from bailment.store.view import View, open_view

app = typer.Typer(no_args_is_help=True, help="Who did what.")

Since = Annotated[str, typer.Option(help="How far back: 2h, 7d, 2026-04-07.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")]

#: A token lives no longer, so the record of one that was used then is not further back (ms).
_TOKEN_LIFE = 600_000


@app.command("list")
def access_list(
    since: Since = "24h",
    recipient: Annotated[str | None, typer.Option(help="Only of this organisation.")] = None,
    person: Annotated[str | None, typer.Option(help="Only of this person.")] = None,
    refused: Annotated[bool, typer.Option(help="Show refusals too.")] = True,
    limit: Limit = None,
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
    columns = {
        **titled("time", "recipient", "name", "purpose", "action", "model"),
        "outcome": _outcome,
        "tokens": _tokens,
    }
    none = f"no access since {since}"
    show_rows(rows[-(limit or 0) :], columns, as_json=as_json, none=none)


def _since(view: View, time: int) -> Iterator[Record]:
    records = view.reader.records(view.reader.first_since(time))
    return (record for record in records if record.leaf.time >= time)


def _rows(view: View, time: int) -> list[dict[str, Any]]:
    """One row for each access and each refusal since then, in log order."""
    rows = []
    accesses: dict[str, dict[str, Any]] = {}
    tokens = dict(view.fold.admission.counted.tokens)
    for record in view.reader.records(view.reader.first_since(time - _TOKEN_LIFE)):
        facts = record.facts
        if isinstance(facts, TokenIssued):
            tokens[facts.token] = facts
        elif isinstance(facts, AccessClosed) and facts.access in accesses:
            accesses[facts.access] |= {
                "outcome": facts.outcome,
                "reason": facts.reason,
                "input": facts.input,
                "output": facts.output,
                "measured": facts.measured,
                "closed": record.index,
            }
        elif record.leaf.time < time:
            continue
        elif isinstance(facts, AccessOpened):
            rows.append(_opened(view, record, facts, tokens.get(facts.token)))
            accesses[facts.access] = rows[-1]
        elif isinstance(facts, AccessRefused):
            rows.append(_refused(view, record, facts, tokens.get(facts.token)))
    return rows


def _opened(
    view: View, record: Record, facts: AccessOpened, token: TokenIssued | None
) -> dict[str, Any]:
    person, device = (token.person, token.device) if token else ("", "")
    return {
        "what": "access",
        **_subject(view, record, person, device, token),
        "action": facts.action,
        "model": facts.model,
        "outcome": "open",
        "reason": "",
        "count": 1,
        "input": None,
        "output": None,
        "measured": False,
        "ceiling": facts.ceiling,
        "access": facts.access,
        "record": record.index,
        "closed": None,
    }


def _refused(
    view: View, record: Record, facts: AccessRefused, token: TokenIssued | None
) -> dict[str, Any]:
    return {
        "what": "refusal",
        **_subject(view, record, facts.person, facts.device, token),
        "action": facts.action,
        "model": facts.model,
        "outcome": "refused",
        "reason": facts.reason,
        "count": facts.count,
        "input": None,
        "output": None,
        "measured": False,
        "ceiling": None,
        "access": None,
        "record": record.index,
        "closed": None,
    }


def _subject(
    view: View, record: Record, person: str, device: str, token: TokenIssued | None
) -> dict[str, Any]:
    return {
        "time": show_time(record.leaf.time),
        "recipient": handle_of(view, record.leaf.recipient),
        "slot": record.leaf.recipient,
        "name": name_of(view, "person", person),
        "person": person,
        "device": device,
        "purpose": token.purpose if token else "",
    }


def _outcome(row: dict[str, Any]) -> str:
    times = f" x{row['count']}" if row["count"] > 1 else ""
    why = row["reason"]
    if row["what"] == "refusal":
        return f"refused: {why}{times}"
    return f"{row['outcome']} ({why})" if why else str(row["outcome"])


def _tokens(row: dict[str, Any]) -> str:
    if row["input"] is None:
        return ""
    seen = f"{row['input']}+{row['output']}"
    return seen if row["measured"] else f"{seen}, at most {row['ceiling']}"
