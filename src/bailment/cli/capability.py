"""What the results of evaluations say about a model's tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.assurance.capability import Measured, Proposal, caveats, propose, show_number
from bailment.assurance.results import MAX_ARCHIVE, Ignored, Reading, Result, read
from bailment.cli import spec as spec_file
from bailment.cli.output import Exit, Json, note, say, show_json, show_rows, titled, warn
from bailment.cli.times import show_time
from bailment.errors import BailmentError, FormatError
from bailment.spec.compiled import CompiledSpec, Threshold, compile_spec
from bailment.spec.terms import TIERS, TierName

app = typer.Typer(no_args_is_help=True, help="Models, and the tiers they belong to.")

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Inspect logs (.eval, .json) or plain results."),
]
SpecFile = Annotated[Path, typer.Option(help="The spec, in YAML or JSON.")]
Evaluated = Annotated[
    str, typer.Option(help="The model, as the results name it; needed where they name several.")
]
Before = Annotated[str, typer.Option(help="The tier that the model has now.")]


@app.command("results")
def show_results(
    files: Files,
    spec: SpecFile,
    model: Evaluated = "",
    before: Before = "",
    as_json: Json = False,
) -> None:
    """Show which thresholds results reach, and the tier that they propose. Works offline.

    Ends with 1 if there is a capability about which no result says anything.
    """
    compiled = compile_spec(spec_file.load(spec))
    readings = read_files(files)
    proposal, ignored = proposal_of(compiled, list(readings.values()), model, before)
    if as_json:
        show_json(_json(proposal, ignored))
    else:
        _tell(proposal, ignored, {one.digest: file for file, one in readings.items()})
    if proposal.unevaluated or not proposal.measured:
        raise typer.Exit(Exit.FAILED)


def read_files(files: Sequence[Path]) -> dict[Path, Reading]:
    """What each file says; FormatError if one cannot be read."""
    return {file: _read(file) for file in files}


def proposal_of(
    spec: CompiledSpec, readings: Sequence[Reading], model: str = "", before: str = ""
) -> tuple[Proposal, tuple[Ignored, ...]]:
    """What results propose, and all that was ignored. BailmentError if they are about several
    models and none is named."""
    results = [result for reading in readings for result in reading.results]
    unread = [one for reading in readings for one in reading.ignored]
    names = sorted({one.model for one in results} | {one.model for one in unread})
    if not model and len(names) > 1:
        raise BailmentError(
            f"the results are about {len(names)} models", hint=f"--model {' or '.join(names)}"
        )
    proposal = propose(
        spec, results, model=model or "".join(names), before=_tier(before) if before else None
    )
    return proposal, (*unread, *proposal.ignored)


def _tier(name: str) -> TierName:
    for tier in TIERS:
        if tier == name:
            return tier
    raise typer.BadParameter(f"`{name}` is no tier; write one of {', '.join(TIERS)}")


def _read(file: Path) -> Reading:
    try:
        with file.open("rb") as stream:
            return read(stream.read(MAX_ARCHIVE + 1))
    except FormatError as error:
        raise FormatError(f"`{file}`: {error}", hint=error.hint) from None


def _tell(proposal: Proposal, ignored: Sequence[Ignored], files: Mapping[str, Path]) -> None:
    columns = titled("tier", "capability", "evaluation", "threshold", "result", "")
    rows = [_row(one) for one in proposal.measured]
    show_rows(rows, columns, as_json=False, none="the spec has no thresholds")
    for one in ignored:
        metric = f" `{one.metric}`" if one.metric else ""
        note(f"{files[one.digest]}: ignored `{one.task}`{metric}: {one.why}")
    for text in _loud(proposal):
        warn(text)
    whom = proposal.model or "the model"
    say(f"proposed for {whom}: {proposal.tier or 'nothing'}; a person decides")


def _row(one: Measured) -> dict[str, Any]:
    return {
        "tier": TIERS[one.threshold.tier - 1],
        "capability": one.title,
        "evaluation": _measure(one.threshold),
        "threshold": _bound(one.threshold),
        "result": _result(one.result) if one.result else "not evaluated",
        "": "reached" if one.reached else "",
    }


def _measure(threshold: Threshold) -> str:
    by = f" by {threshold.scorer}" if threshold.scorer else ""
    return f"{threshold.task} {threshold.metric}{by}"


def _bound(threshold: Threshold) -> str:
    if threshold.least is not None:
        return f"≥ {show_number(threshold.least)}"
    return f"≤ {show_number(threshold.most or 0)}"


def _result(one: Result) -> str:
    samples = f"{one.samples} samples" if one.samples else ""
    about = (one.score or one.scorer, one.reducer, samples, show_time(one.created)[:10])
    return f"{show_number(one.value)} ({', '.join(part for part in about if part)})"


def _loud(proposal: Proposal) -> list[str]:
    titles = {one.capability: one.title for one in proposal.measured}
    missing = [
        f"NOT EVALUATED: {titles[name]} (`{name}`); this neither raises nor lowers the tier"
        for name in proposal.unevaluated
    ]
    partly = [
        f"no result for {_measure(one.threshold)}, at which a model belongs to "
        f"{TIERS[one.threshold.tier - 1]}"
        for one in proposal.measured
        if one.result is None and one.capability not in proposal.unevaluated
    ]
    return [*missing, *partly, *caveats(proposal.cited)]


def _json(proposal: Proposal, ignored: Sequence[Ignored]) -> dict[str, Any]:
    return {
        "model": proposal.model,
        "spec": proposal.spec,
        "before": proposal.before,
        "proposed": proposal.tier,
        "unevaluated": proposal.unevaluated,
        "thresholds": [
            {
                "capability": one.capability,
                "tier": TIERS[one.threshold.tier - 1],
                "task": one.threshold.task,
                "scorer": one.threshold.scorer or None,
                "metric": one.threshold.metric,
                "threshold": _bound(one.threshold),
                "reached": one.reached,
                "result": _result_json(one.result) if one.result else None,
            }
            for one in proposal.measured
        ],
        "ignored": ignored,
    }


def _result_json(one: Result) -> dict[str, Any]:
    return {
        "digest": one.digest,
        "task": one.task,
        "version": one.version,
        "scorer": one.score or one.scorer,
        "reducer": one.reducer or None,
        "value": show_number(one.value),
        "samples": one.samples,
        "created": show_time(one.created),
        "notes": one.notes,
    }
