"""Standing: what recipients hold, why, and what is ahead of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import starmap, zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.access.account import Account, account
from bailment.access.assured import evaluated
from bailment.access.drilled import is_drill
from bailment.access.staling import ended, marks
from bailment.assurance.calendar import calendar
from bailment.assurance.explanation import explain
from bailment.assurance.screen import screen
from bailment.assurance.wording import span
from bailment.cli.console import Dir, act
from bailment.cli.output import Column, Json, note, say, show_json, show_rows, titled, write
from bailment.cli.subjects import find_recipient, handle_of
from bailment.cli.times import show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.spec.compiled import CompiledSpec, TierOf, rank_of
from bailment.spec.terms import TIERS
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

app = typer.Typer(no_args_is_help=True, help="What recipients hold, and what is ahead of them.")

Handle = Annotated[str, typer.Argument(help="The recipient.")]


def why(
    handle: Handle,
    tier: Annotated[str, typer.Argument(help="A tier of the spec, like T3.")],
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Say on one screen why a recipient holds a tier or does not, and what to do next.

    It is derived as of now from what the log has; `in force` is what the gateway goes by.
    """
    view = open_view(Folder(directory))
    register = view.fold.register
    recipient, now = find_recipient(view, handle), max(now_ms(), view.fold.time)
    spec = _spec(view)
    asked = _tier(spec, tier)
    proven = register.proven(recipient)
    found = explain(
        handle_of(view, recipient),
        evaluated(register, recipient, spec, now).evaluation,
        spec,
        asked.rank,
        {item.id: ended(item, marks(proven)) for item in proven.items},
        dict(_names(view, recipient)),
    )
    if as_json:
        show_json(found)
    elif found is not None:  # as it is for every tier of the spec
        for line in screen(found, proven.standing, now).split("\n"):
            say(line)


@app.command("list")
def show_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List what every recipient holds now, until when, and what keeps it from more."""
    view = open_view(Folder(directory))
    now = max(now_ms(), view.fold.time)
    register = view.fold.register
    if not as_json and register.spec is None:
        note("no spec is in force: recipients have to prove nothing")
    found = [
        account(register, recipient, now)
        for recipient in register.organisations
        if not is_drill(register, recipient)
    ]
    columns: dict[str, Column] = {
        "recipient": "recipient",
        "tier": lambda row: row["tier"] or "none",
        "phase": lambda row: row["phase"] + (", held" if row["held_back"] else ""),
        "next": "next",
        "lacking": lambda row: next(starmap(_lacks, row["lacking"].items()), ""),
    }
    show_rows(
        list(map(_row, found)), columns, as_json=as_json, none="no organisation is registered"
    )


@app.command("calendar")
def show_calendar(handle: Handle, directory: Dir = Path()) -> None:
    """Print what is ahead of a recipient as iCalendar, with an alarm for each notice."""
    view = open_view(Folder(directory))
    recipient = find_recipient(view, handle)
    standing = view.fold.register.proven(recipient).standing
    if standing is None:
        raise BailmentError(f"`{handle}` has not been evaluated", hint="bailment spec plan FILE")
    now = max(now_ms(), view.fold.time)
    write(calendar(recipient, handle_of(view, recipient), standing, now))


@app.command("release")
def release(
    reason: Annotated[str, typer.Option(help="Why; it goes into the log.")],
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Let take effect what expired and was held, since too many would have fallen at once.

    Do it once it is known that our own collectors did not fail.
    """
    folder = Folder(directory)
    done = act(folder, "standing-release", reason=reason)
    if as_json:
        show_json(done)
    else:
        view = open_view(folder)
        names = ", ".join(handle_of(view, one) for one in done["recipients"])
        say(f"took effect for {names}" if names else "nothing was held")


@app.command("show")
def show(
    admin: Annotated[Path, typer.Option(help="The folder of the admin's key.")],
    gateway: Annotated[str, typer.Option(envvar="BAILMENT_GATEWAY", help="The gateway's URL.")],
    as_json: Json = False,
) -> None:
    """For a recipient's admin: how the organisation stands with the issuer."""
    from bailment.agent.admin import Admin

    async def run() -> dict[str, Any]:
        async with Admin(admin, gateway) as client:
            return await client.standing()

    told = asyncio.run(run())
    if as_json:
        show_json(told)
        return
    say(f"{told['recipient']}: {told['tier'] or 'no tier'} ({told['phase']}), by {told['spec']}")
    columns = titled("tier", "phase", "from", "ends", "for")
    show_rows(list(_steps(told)), columns, as_json=False, none="")
    focus = next(iter(told["lacking"]), max(told["holding"], default=""))
    for tier, lacking in told["lacking"].items():
        say(f"{tier} lacks {len(lacking)}")
    columns = titled("requirement", "status", "ends", "title")
    show_rows(list(_verdicts(told, focus)), columns, as_json=False, none="")
    columns = titled("kind", "scope", "independence", "dated", "ends")
    rows = [
        {**one, "dated": show_time(one["dated"]), "ends": _ends(one["ends"], told["at"])}
        for one in told["evidence"]
    ]
    show_rows(rows, columns, as_json=False, none="nothing was shown yet")


def _steps(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is in force, and what will be if nothing new arrives, each until the next."""
    now = {name: told[name] for name in ("tier", "phase")} | {"at": told["since"]}
    ahead = [{**step, "tier": _tier_name(step["tier"])} for step in told["ahead"]]
    for step, after in zip_longest([now, *ahead], ahead):
        yield {
            "tier": step["tier"] or "no tier",
            "phase": step["phase"],
            "from": show_time(step["at"]) if step["at"] else "",
            "ends": _ends(after["at"] if after else None, told["at"]),
            "for": step.get("requirements", ()),
        }


def _verdicts(told: dict[str, Any], tier: str) -> Iterator[dict[str, Any]]:
    """The requirements of a tier, first those that keep it from being held."""
    for one in told["lacking"].get(tier, ()):
        yield {**one, "ends": ""}
    lacking = {one["requirement"] for one in told["lacking"].get(tier, ())}
    for one in told["holding"].get(tier, ()):
        if one["requirement"] not in lacking:
            yield {**one, "ends": _ends(one["ends"], told["at"])}


def _ends(at: int | None, now: int) -> str:
    """When something ends, and in how long that is."""
    if at is None:
        return "never"
    how = f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"
    return f"{show_time(at)}, {how}"


def _tier_name(rank: int) -> str | None:
    return TIERS[rank - 1] if rank else None


def _row(found: Account) -> dict[str, Any]:
    ahead = found.ahead[0] if found.ahead else None
    tier = (_tier_name(ahead.tier) or "no tier") if ahead else None
    return {
        "recipient": found.recipient,
        "tier": found.tier,
        "phase": found.phase,
        "since": show_time(found.since) if found.since else None,
        "evaluated": show_time(found.evaluated) if found.evaluated else None,
        "held_back": found.held_back,
        "next": f"{tier} ({ahead.phase}) at {show_time(ahead.at)}" if ahead else None,
        "lacking": {
            tier: [one.requirement for one in lacking] for tier, lacking in found.lacking.items()
        },
    }


def _lacks(tier: str, ids: list[str]) -> str:
    """What keeps the next tier from being held."""
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return f"{tier}: {', '.join(ids[:5])}{more}"


def _spec(view: View) -> CompiledSpec:
    if view.fold.register.spec is None:
        raise BailmentError(
            "no spec is in force: recipients have to prove nothing", hint="bailment spec plan FILE"
        )
    return view.fold.register.spec


def _tier(spec: CompiledSpec, name: str) -> TierOf:
    found = spec.tier(rank_of(name)) if name in TIERS else None
    if found is None:
        names = ", ".join(tier.name for tier in spec.tiers)
        raise BailmentError(f"the spec has no tier `{name}`", hint=f"one of {names}")
    return found


def _names(view: View, recipient: str) -> Iterator[tuple[str, str]]:
    """What the recipient's people are called."""
    register = view.fold.register
    for link in register.links.values():
        if link.kind == "person" and register.recipient_of(link.id) == recipient:
            yield link.subject, view.people.name(link.subject)
