"""What detectors find in a log that is there already."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.auditor.export import Export
from bailment.cli import vectors
from bailment.cli.console import Dir
from bailment.cli.output import Column, Json, following, note, show_rows, titled, warn
from bailment.cli.spec import load
from bailment.cli.times import ago, show_time
from bailment.clock import now_ms
from bailment.detect.catalogue import INLINE, STREAM
from bailment.detect.detector import Detector
from bailment.errors import BailmentError
from bailment.ledger.checkpoint import parse_checkpoint
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import decode_leaf, open_body
from bailment.ledger.note import parse_note
from bailment.ledger.records import decode_facts
from bailment.ledger.tiles import WIDTH, new_bundles
from bailment.spec.compiled import compile_spec
from bailment.spec.detection import DetectionTerms
from bailment.store.folder import Folder
from bailment.worker.following import Following
from bailment.worker.replay import Hit, Replay

app = typer.Typer(no_args_is_help=True, help="What detectors find in a log.")
app.add_typer(vectors.app, name="vectors")

_WEEK_MS = 7 * 86_400_000
_EVERY = 256

Entries = Iterator[tuple[int, int, Facts]]


@app.callback()
def detect() -> None:
    """What detectors find in a log."""


@app.command()
def replay(
    export: Annotated[
        Path | None, typer.Option(help="An export of a log, where the issuer's folder is not.")
    ] = None,
    since: Annotated[
        str,
        typer.Option(help="Show what was found since: 2h, 7d, 2026-04-07. They learn from all."),
    ] = "",
    kind: Annotated[
        list[str] | None, typer.Option(help="Only these detectors; several are possible.")
    ] = None,
    spec: Annotated[
        Path | None, typer.Option(help="With the rules of this spec, and not of those in the log.")
    ] = None,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Run the detectors over the whole log, and show what they would have found.

    Nothing is recorded and nothing is done. An export is believed: audit it first.
    """
    replaying = Replay(_detectors(kind or []), _terms(spec))
    size, entries = _of_log(Folder(directory)) if export is None else _of_export(Export(export))
    began, first, last = time.monotonic(), 0, 0
    with following("replaying") as follow:
        for index, at, facts in entries:
            replaying.take(index, at, facts)
            first, last = first or at, at
            if not index % _EVERY:
                follow(f"{_rate(index, began)}", index, size)
    replaying.end()
    taken = time.monotonic() - began
    start = ago(since, now_ms()) if since else 0
    shown = [hit for hit in replaying.hits if hit.time >= start]
    columns: dict[str, Column] = {
        **titled("time", "kind", "severity", "subject", "count"),
        "on record": lambda row: "yes" if row["recorded"] else "no",
        "sentence": "sentence",
    }
    none = "the detectors find nothing"
    rows = [_row(hit) for hit in shown]
    show_rows(rows, columns, as_json=as_json, none=none, told="sentence")
    note(f"{size} entries, {replaying.events} of them events, {_rate(size, began, taken)}")
    weeks = (last - max(first, start)) / _WEEK_MS * len(replaying.register.state.recipients)
    note(_counted(len(shown), weeks))
    if replaying.untold:
        warn(f"{replaying.untold} more came too thick to be told one by one, and count by kind")


def _counted(findings: int, weeks: float) -> str:
    """How many there are; a rate only where there is enough to have one."""
    told = f"{findings} finding{'' if findings == 1 else 's'}"
    if weeks < 1:
        return f"{told}, in less than one recipient-week"
    return f"{told} in {weeks:.1f} recipient-weeks: {findings / weeks:.2f} each"


def _detectors(kinds: list[str]) -> list[Detector[Any]]:
    known = {one.KIND: one for one in (*INLINE, *STREAM)}
    unknown = [kind for kind in kinds if kind not in known]
    if unknown:
        raise BailmentError(
            f"no detector over records is called `{unknown[0]}`", hint=", ".join(sorted(known))
        )
    return [known[kind] for kind in kinds] if kinds else list(known.values())


def _terms(spec: Path | None) -> DetectionTerms | None:
    if spec is None:
        return None
    return compile_spec(load(spec)).conditions.detection


def _of_log(folder: Folder) -> tuple[int, Entries]:
    """How many entries an issuer's log has just now, and them."""
    log = Following(folder)
    size = log.end()
    return size, ((one.index, one.leaf.time, one.facts) for one in log.records(0, size))


def _of_export(export: Export) -> tuple[int, Entries]:
    """How many entries an export has, and them. Those without their facts are left out."""
    size = parse_checkpoint(parse_note(export.checkpoint()).text).size

    def entries() -> Entries:
        for bundle in new_bundles(0, size):
            pairs = zip(export.entries(bundle), export.bodies(bundle), strict=True)
            for offset, (entry, body) in enumerate(pairs):
                leaf = decode_leaf(entry)
                if body:
                    facts = decode_facts(leaf.type, open_body(leaf.facts, body))
                    yield bundle.index * WIDTH + offset, leaf.time, facts

    return size, entries()


def _row(hit: Hit) -> dict[str, Any]:
    raised = hit.raised
    return {
        "time": show_time(hit.time),
        "kind": raised.kind,
        "severity": raised.severity,
        "subject": raised.subject or "",
        "others": raised.others,
        "count": hit.count,
        "sentence": raised.sentence,
        "numbers": raised.numbers,
        "records": raised.records,
        "response": raised.response,
        "finding": raised.finding,
        "recorded": hit.recorded,
    }


def _rate(entries: int, began: float, taken: float = 0.0) -> str:
    return f"{entries / max(1e-9, taken or time.monotonic() - began):,.0f} entries/s"
