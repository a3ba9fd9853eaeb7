"""What another spec would do, and doing just that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bailment import canonical
from bailment.access.planning import MAX_PLAN, SpecPlan, draw, is_plan, read_plan
from bailment.access.state import read_spec
from bailment.assurance.plan import Because, Effect
from bailment.cli.console import Dir, act
from bailment.cli.output import Exit, Json, note, say, show_json, warn
from bailment.cli.spec import File, load
from bailment.cli.subjects import handle_of
from bailment.cli.times import show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.spec.difference import Change, differences
from bailment.spec.terms import TIERS
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

Saved = Annotated[Path, typer.Argument(help="The plan that was saved.", metavar="PLAN")]


def plan(
    file: File,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Save the plan here.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Save it even over a file that is no plan.")
    ] = False,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Say what changes in the spec, and whose standing, when and why, before it is applied.

    Ends with 10 if there is anything to apply.
    """
    view = open_view(Folder(directory))
    document = msgspec.json.decode(canonical.encode(load(file)))
    now = max(now_ms(), view.fold.time)
    drawn = draw(view.fold.register, document, now)
    if out is not None:
        _save(drawn, out, force=force)
    before = view.fold.register.state.document
    changes = differences(read_spec(before) if before else None, read_spec(document))
    if as_json:
        show_json({**drawn.saved, "spec": drawn.spec, "changes": changes})
    else:
        _tell(view, drawn, changes, out)
    if drawn.pending:
        raise typer.Exit(Exit.PENDING)


def apply(saved: Saved, directory: Dir = Path(), as_json: Json = False) -> None:
    """Put the spec of a saved plan in force, if the plan is still what would happen."""
    with saved.open("rb") as stream:
        read = read_plan(stream.read(MAX_PLAN + 1))
    note(f"applying spec sha256 {read.spec}")
    note(f"plan sha256 {read.digest}")
    done = act(Folder(directory), "spec-apply", plan=msgspec.to_builtins(read))
    if as_json:
        show_json({**done, "plan": read.digest})
    else:
        say(f"in force: sha256 {done['spec']}, by plan {read.digest}")
        note("everybody was evaluated under it; see `bailment standing list`")


def _save(drawn: SpecPlan, out: Path, *, force: bool) -> None:
    if not force and out.exists():
        with out.open("rb") as stream:
            if not is_plan(stream.read(MAX_PLAN + 1)):
                raise BailmentError(
                    f"`{out}` exists, and is no plan", hint="name another file, or say --force"
                )
    out.write_bytes(msgspec.json.format(canonical.encode(drawn.saved), indent=1) + b"\n")


def _tell(view: View, drawn: SpecPlan, changes: tuple[Change, ...], out: Path | None) -> None:
    if not drawn.pending:
        say("this spec is in force already: nothing to apply")
        return
    register, new = view.fold.register, drawn.document["metadata"]
    old = register.spec
    was = f"{old.id} {old.version}" if old else "no spec"
    say(f"from {was} to {new['id']} {new['version']}")
    say(f"spec sha256 {drawn.spec}")
    say(f"plan sha256 {drawn.digest}")
    for change in changes if old else ():  # without a spec before, all of it is new
        say(f"  {change}")
    for effect in drawn.effects:
        say(_effect(view, drawn, effect))
        for because in effect.because:
            say(f"    {why(because)}")
    count = len(register.organisations)
    say(f"{len(drawn.effects)} of {count} recipients would stand otherwise")
    if any(effect.held for effect in drawn.effects):
        warn("so many would fall at once that what expires would be held, and a person paged")
    if old is None:
        for name, model in sorted(register.state.models.items()):
            if model.canary is not True:
                mend = f"bailment model tier {name} TIER --reason WHY --key FOLDER"
                warn(f"until its tier is decided nobody may use `{name}`: {mend}")
    if out is not None:
        note(f"saved; apply just this with: bailment spec apply {out}")


def _effect(view: View, drawn: SpecPlan, effect: Effect) -> str:
    when = "at once" if effect.at <= drawn.at else f"at {show_time(effect.at)}"
    phase = "" if effect.phase == "none" else f" ({effect.phase})"
    who = handle_of(view, effect.recipient)
    return f"  {who}: {_tier(effect.before)} -> {_tier(effect.after)}{phase} {when}"


def why(one: Because) -> str:
    """How a requirement fares otherwise; where it is met all the same, until when."""
    ends = f", until {show_time(one.lapses_after)}" if one.lapses_after is not None else ""
    if one.before == "unasked":
        return f"{one.requirement}: asked for from now on, {one.after}{ends}"
    if one.after == "unasked":
        return f"{one.requirement}: asked for no more, was {one.before}"
    if one.before != one.after:
        return f"{one.requirement}: {one.before} -> {one.after}{ends}"
    was = "for good" if one.lapses_before is None else show_time(one.lapses_before)
    now = ends.removeprefix(", ") or "for good"
    return f"{one.requirement}: still {one.after}, now {now}, was {was}"


def _tier(rank: int) -> str:
    return TIERS[rank - 1] if rank else "no tier"
