"""`bailment drill run`: the breach replayed, live or in a lab."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailment.cli.console import Dir, act
from bailment.cli.output import Exit, Json, note, say, show_json, show_rows
from bailment.errors import BailmentError, ConfigurationError
from bailment.settings import Settings, load_settings
from bailment.store.folder import Folder

if TYPE_CHECKING:
    from bailment.cli.serve import Issuer
    from bailment.drills.breach.result import Outcome, Result, Signal
    from bailment.drills.breach.variants import Variant

_NAMES = ("breach-2026",)
_REPORT = "a --report is of a --live drill with every variant, and about a --scope"


def run(
    name: Annotated[str, typer.Argument(help="Which: breach-2026.")],
    live: Annotated[
        bool, typer.Option("--live", help="On the running issuer, with canary recipients.")
    ] = False,
    lab: Annotated[
        bool, typer.Option("--lab", help="On a separate log, SIMULATED, with a fleet's weeks.")
    ] = False,
    variant: Annotated[
        list[str] | None, typer.Option(help="Only this variant; repeat for more.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, help="How long a group goes on at the most (live).")
    ] = 60,
    pace: Annotated[
        float, typer.Option(min=0.05, help="Seconds between one's requests (live).")
    ] = 1.5,
    model: Annotated[str, typer.Option(help="The canary to ask; else the first (live).")] = "",
    recipients: Annotated[int, typer.Option(min=1, help="Of the fleet (lab).")] = 50,
    weeks: Annotated[float, typer.Option(min=0.2, help="Of the fleet (lab).")] = 3,
    seed: Annotated[int, typer.Option(help="Of the fleet (lab).")] = 1,
    plot: Annotated[Path | None, typer.Option(help="Draw it into this SVG file.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write what `evidence submit` takes (live).")
    ] = None,
    kind: Annotated[str, typer.Option(help="Of that evidence.")] = "drill.breach",
    scope: Annotated[str, typer.Option(help="The organisation that it is about.")] = "",
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Replay a breach with everything that it could have been, and say what came of each variant.

    It ends with 1 if something went unnoticed that should not have.
    """
    if name not in _NAMES:
        raise BailmentError(f"there is no drill `{name[:40]}`", hint=f"one of {', '.join(_NAMES)}")
    chosen = _chosen(variant or ())
    if live == lab:
        raise typer.BadParameter("say which: --live or --lab")
    if report is not None and (lab or not scope or variant):
        raise typer.BadParameter(_REPORT)
    _writable(plot, report)
    if live:
        result = _live(Folder(directory), chosen, model, seconds, pace)
    else:
        result = _lab(chosen, recipients, weeks, seed)
    if as_json:
        from msgspec import to_builtins

        show_json(to_builtins(result))
    else:
        _show(result)
    if report is not None:
        from bailment.drills.breach.report import report_of

        report.write_bytes(report_of(result, kind, scope))
    if plot is not None:
        _draw(result, plot)
    if not result.as_expected:
        raise typer.Exit(Exit.FAILED)


def end(directory: Dir = Path()) -> None:
    """Finish a live drill whose process was killed: end its recipients' links and note it.

    The next `drill run --live` does that too."""
    from bailment.drills.breach.begun import alone
    from bailment.drills.breach.live import end as finish

    folder = Folder(directory)
    with alone(folder):
        if not finish(folder, partial(act, folder), note):
            note("no drill was broken off")


def _live(folder: Folder, chosen: list[Variant], model: str, seconds: float, pace: float) -> Result:
    from bailment.drills.breach.live import Live

    folder.require()
    settings = load_settings(folder.settings)
    drill = Live(
        folder, settings, partial(act, folder), note, _canary(settings, model), seconds, pace
    )
    return drill.run(chosen)


def _lab(chosen: list[Variant], recipients: int, weeks: float, seed: int) -> Result:
    import logging

    import structlog
    from rich.console import Console
    from rich.progress import Progress

    from bailment.drills.breach.lab import Lab

    quiet = structlog.make_filtering_bound_logger(logging.ERROR)
    structlog.configure(wrapper_class=quiet)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("SIMULATED", total=1.0)

        def tell(stage: str, share: float) -> None:
            bar.update(task, description=f"SIMULATED, {stage}", completed=share)

        return Lab(_served, tell, seed, recipients, weeks).run(chosen)


@asynccontextmanager
async def _served(folder: Folder, settings: str) -> AsyncIterator[Issuer]:
    """A new issuer, which serves in this process."""
    from bailment.cli.serve import initialise, listening, opened
    from bailment.cli.serve import run as serve

    await initialise(folder, settings, "lab.example/drill", "the drill")
    asked, ready = asyncio.Event(), asyncio.Event()
    async with opened(folder) as issuer:
        with listening(issuer.settings.listen) as listener:
            serving = asyncio.create_task(serve(issuer, listener, asked, ready))
            waiting = asyncio.create_task(ready.wait())
            await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
            try:
                if not serving.done():
                    yield issuer
            finally:
                asked.set()
                waiting.cancel()
                await serving


def _draw(result: Result, path: Path) -> None:
    from bailment.drills.breach.plot import draw

    path.write_text(draw(result))


def _writable(plot: Path | None, report: Path | None) -> None:
    """Said before the drill, which takes minutes, and not after it."""
    if plot is not None and plot.suffix.lower() != ".svg":
        raise BailmentError(
            f"`{plot}`: a plot is drawn as SVG", hint="name it drill.svg, or the like"
        )
    for path in filter(None, (plot, report)):
        if path.is_dir():
            raise BailmentError(f"`{path}` is a folder", hint="name a file in it")
        if not path.parent.is_dir():
            raise BailmentError(f"there is no folder `{path.parent}`", hint="make it before")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise BailmentError(f"`{path}` cannot be written")


def _chosen(names: list[str] | tuple[str, ...]) -> list[Variant]:
    from bailment.drills.breach.variants import NAMES, VARIANTS

    for name in names:
        if name not in NAMES:
            raise BailmentError(f"there is no variant `{name[:40]}`", hint=", ".join(NAMES))
    return [one for one in VARIANTS if not names or one.name in names]


def _canary(settings: Settings, name: str) -> str:
    found = [model for model, one in settings.models.items() if one.canary]
    if name and name not in found:
        raise ConfigurationError(f"`{name[:80]}` is no canary", hint=", ".join(found))
    if not found:
        raise ConfigurationError(
            "no model is a canary, and a drill asks no other",
            hint="`canary = true` in a model's settings makes one",
        )
    return name or found[0]


def _show(result: Result) -> None:
    label = "SIMULATED, " if result.simulated else ""
    say(f"{result.name}, {label}{result.form}: {result.geography}")
    rows = [row_of(one, simulated=result.simulated) for one in result.variants]
    show_rows(rows, {key: key for key in rows[0]}, as_json=False, none="")
    for one in result.variants:
        if one.outcome == "unseen" and one.unseen:
            say(f"{one.variant}: {one.unseen}")
        elif not one.as_expected:
            say(f"{one.variant}: WENT UNNOTICED, and should not have")
    seen = result.background
    kinds = ", ".join(f"{kind} {count}" for kind, count in seen.findings.items())
    weekly = seen.false_alerts / max(seen.recipients * seen.weeks, 1e-9)
    failed = f", {seen.failed} without an answer" * bool(seen.failed)
    fate = "not tried at the gate" if result.simulated else f"{seen.refused} refused{failed}"
    rate = f", {weekly:.2f} a recipient and week" if result.simulated else ""
    say(
        f"background: {seen.recipients} recipients, {seen.requests} requests, {fate}, "
        f"{seen.false_alerts} false alerts{rate}" + (f" ({kinds})" if kinds else "")
    )
    if seen.weekly:
        say(f"false alerts by week: {', '.join(map(str, seen.weekly))}")
    for text in result.notes:
        say(text)
    if not result.simulated:
        note(f"on record as the drill {result.drill}; the recipients' links are ended")


def row_of(one: Outcome, *, simulated: bool) -> dict[str, str]:
    """A variant as it is shown: columns and their texts."""
    row = {
        "variant": one.variant,
        "outcome": one.outcome,
        "by": _by(one),
        "request": str(one.signal.request) if one.signal else f"none of {one.requests}",
        "after": _span(one.signal),
        "contained": f"{one.contained.name}, {_span(one.contained)}" if one.contained else "",
        "got": f"{one.answers} answers, {one.tokens} tokens",
    }
    return row | ({"with shared static keys": _static(one)} if simulated else {})


def _static(one: Outcome) -> str:
    if one.static is None:
        return f"let in, unseen, {one.static_answers} answers"
    return f"let in; {one.static.name}, request {one.static.request}, {_span(one.static)}"


def _by(one: Outcome) -> str:
    told = [one.refused.name] if one.outcome == "refused" and one.refused else []
    return ", ".join(dict.fromkeys((*told, *one.findings)))


def _span(signal: Signal | None) -> str:
    """Seconds, minutes or hours."""
    if signal is None:
        return ""
    seconds = signal.after / 1000
    for most, unit, name in ((60, 1, "s"), (3600, 60, "min")):
        if seconds < most:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 3600:.1f} h"
