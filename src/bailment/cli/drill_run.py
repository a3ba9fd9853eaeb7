"""`bailment drill run`: the breach replayed, live or in a lab."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailment.cli.console import Dir, act, author
from bailment.cli.output import Exit, Json, note, say, show_json, show_rows
from bailment.errors import BailmentError, ConfigurationError
from bailment.settings import Settings, load_settings
from bailment.store.folder import Folder

if TYPE_CHECKING:
    from bailment.drills.breach.result import Outcome, Result, Signal
    from bailment.drills.breach.variants import Variant

_NAMES = ("breach-2026",)


def run(
    name: Annotated[str, typer.Argument(help="Which: breach-2026.")],
    live: Annotated[
        bool, typer.Option("--live", help="On the running issuer, with canary recipients.")
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
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Replay a breach with everything that it could have been, and say what came of each variant.

    It ends with 1 if something went unnoticed that should not have.
    """
    if name not in _NAMES:
        raise BailmentError(f"there is no drill `{name[:40]}`", hint=f"one of {', '.join(_NAMES)}")
    chosen = _chosen(variant or ())
    result = _live(Folder(directory), chosen, model, seconds, pace)
    if as_json:
        from msgspec import to_builtins

        show_json(to_builtins(result))
    else:
        _show(result)
    if not result.as_expected:
        raise typer.Exit(Exit.FAILED)


def _live(folder: Folder, chosen: list[Variant], model: str, seconds: float, pace: float) -> Result:
    from bailment.drills.breach.live import Live

    folder.require()
    settings = load_settings(folder.settings)
    drill = Live(
        folder, settings, partial(act, folder), note, _canary(settings, model), seconds, pace
    )
    return drill.run(chosen, author())


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
    rows = [_row(one) for one in result.variants]
    show_rows(rows, {key: key for key in rows[0]}, as_json=False, none="")
    for one in result.variants:
        if one.outcome == "unseen" and one.unseen:
            say(f"{one.variant}: {one.unseen}")
        elif not one.as_expected:
            say(f"{one.variant}: WENT UNNOTICED, and should not have")
    seen = result.background
    kinds = ", ".join(f"{kind} {count}" for kind, count in seen.findings.items())
    say(
        f"background: {seen.recipients} recipients, {seen.requests} requests, "
        f"{seen.refused} refused, {seen.false_alerts} false alerts" + (f" ({kinds})" * bool(kinds))
    )
    for text in result.notes:
        note(text)
    if not result.simulated:
        note(f"on record as the drill {result.drill}; the recipients' links are ended")


def _row(one: Outcome) -> dict[str, str]:
    return {
        "variant": one.variant,
        "outcome": one.outcome,
        "by": _by(one),
        "requests": str(one.signal.request) if one.signal else f"none of {one.requests}",
        "after": _span(one.signal),
        "contained": f"{one.contained.name}, {_span(one.contained)}" if one.contained else "",
        "got": f"{one.answers} answers, {one.tokens} tokens",
    }


def _by(one: Outcome) -> str:
    told = [one.refused.name] if one.outcome == "refused" and one.refused else []
    return ", ".join(dict.fromkeys((*told, *one.findings)))


def _span(signal: Signal | None) -> str:
    if signal is None:
        return ""
    return (
        f"{signal.after / 1000:.1f} s"
        if signal.after < 60_000
        else f"{signal.after / 60_000:.1f} min"
    )
