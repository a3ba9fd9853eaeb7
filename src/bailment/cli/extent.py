"""`bailment blast-radius`: how far something reaches; and what the other commands of an incident
share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.cli.console import Dir
from bailment.cli.output import Json, following, note, say, show_json, show_rows, titled, warn
from bailment.cli.subjects import find_network, find_person, find_recipient, handle_of, name_of
from bailment.cli.times import ago, show_time
from bailment.clock import now_ms, steady_ms
from bailment.errors import BailmentError
from bailment.incident.blast_radius import Node, totals
from bailment.incident.graph import Step
from bailment.incident.window import Window
from bailment.store.folder import Folder
from bailment.store.incidents import Extended, Incidents
from bailment.store.view import View, open_view

#: More rows than this nobody reads on a terminal.
_SHOWN = 40


@contextmanager
def opened(folder: Folder) -> Iterator[tuple[View, Incidents]]:
    """The log as it is now, and its incidents, with the index brought up to date."""
    view = open_view(folder)
    incidents = Incidents(folder, view.reader, view.fold.register)
    try:
        with following("counting accesses") as follow:
            incidents.follow(lambda done: follow("", done, view.checkpoint.size))
        yield view, incidents
    finally:
        incidents.close()


def find_any(view: View, subject: str) -> str:
    """A subject with names replaced by the ids that the log knows."""
    kind, _, name = subject.partition(":")
    if not name:
        raise BailmentError(
            f"`{subject}` is no subject",
            hint="write kind:id, like person:maria@acme.example, vendor:NAME or finding:ID",
        )
    if kind == "person":
        return f"person:{find_person(view, name)}"
    if kind in ("recipient", "subcontractor"):
        found = find_recipient(view, name)
        top = view.fold.register.organisations[found].recipient == found
        return f"{'recipient' if top else 'subcontractor'}:{found}"
    if kind == "network" and "/" in name:
        return f"network:{find_network(view, name)}"
    return subject


def named(view: View, node: str) -> str:
    """A node as people call it."""
    kind, _, name = node.partition(":")
    if kind == "link":
        link = view.fold.register.links.get(name)
        return f"the delegation of {named(view, f'{link.kind}:{link.subject}')}" if link else node
    return f"{kind} {name_of(view, kind, name)}"


def blast_radius(
    subject: Annotated[
        str,
        typer.Argument(
            help="person:ID-or-email, device:ID, key:THUMBPRINT, link:ID, recipient:HANDLE, "
            "subcontractor:HANDLE, workload:ID, vendor:NAME, system:HANDLE, network:CIDR-or-AS, "
            "model:NAME, finding:ID or incident:ID."
        ),
    ],
    since: Annotated[
        str, typer.Option(help="Where you would begin to look, like 2026-04-07.")
    ] = "",
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """List all that could be reached from a subject, and all that was.

    The window begins at the first exposure. One that is asked for and begins later is answered, and
    what it would miss is said.
    """
    with opened(Folder(directory)) as (view, incidents):
        found = find_any(view, subject)
        began = steady_ms()
        extended = incidents.extent([found], ago(since, now_ms()) if since else 0)
        took = round(steady_ms() - began, 1)
        told = tell(view, extended) | {"subject": found, "milliseconds": took}
    if as_json:
        show_json(told)
    else:
        _show(told)


def tell(view: View, extended: Extended) -> dict[str, Any]:
    """The extent of something as JSON has it."""
    radius, window = extended.radius, extended.window
    return {
        "starts": radius.starts,
        "names": [named(view, one) for one in radius.starts],
        "window": _window(window),
        "reached": [_node(view, one) for one in radius.reached],
        "through": [_node(view, one) for one in radius.through],
        "beside": [_node(view, one) for one in radius.beside],
        "used": _totals(radius.uses),
        "clusters": [
            {"network": network, "client": client} for network, client in extended.clusters
        ],
        "misused": _totals(extended.misused) if extended.clusters else None,
    }


def _window(window: Window) -> dict[str, Any]:
    return {
        "since": show_time(window.since) if window.since else None,
        "since_ms": window.since,
        "record": window.entry if window.entry >= 0 else None,
        "why": window.why,
        "asked": show_time(window.asked) if window.asked else None,
        "misses_exposure": window.misses,
        "accesses_before": window.before,
    }


def _node(view: View, one: Node) -> dict[str, Any]:
    return {
        "node": one.node,
        "kind": one.node.partition(":")[0],
        "name": named(view, one.node),
        "recipient": handle_of(view, one.recipient) if one.recipient else "",
        "why": _why(view, one.path),
        "accesses": sum(use.count for use in one.uses),
        "tokens": sum(use.tokens for use in one.uses),
        "first": show_time(min(use.began for use in one.uses)) if one.uses else None,
        "last": show_time(max(use.ended for use in one.uses)) if one.uses else None,
        "records": [min(use.first for use in one.uses), max(use.last for use in one.uses)]
        if one.uses
        else None,
    }


def _why(view: View, path: Iterable[Step]) -> list[str]:
    return [
        f"{named(view, step.node)}: {step.why}" if step.why else named(view, step.node)
        for step in path
    ]


def _totals(uses: Iterable[Any]) -> dict[str, Any]:
    found = totals(uses)
    for name in ("began", "ended"):
        found[name] = show_time(found[name]) if found[name] else None
    return found


def _show(told: dict[str, Any]) -> None:
    window, used = told["window"], told["used"]
    say(f"about {', '.join(told['names'])}")
    if window["since"]:
        say(f"exposed since {window['since']}: {window['why']}")
    if window["misses_exposure"]:
        warn(
            f"a window from {window['asked']} MISSES the exposure: it began {window['since']}, and "
            f"at least {window['accesses_before']} accesses lie before what you asked for"
        )
    counts: dict[str, int] = {}
    for row in told["reached"]:
        counts[row["kind"]] = counts.get(row["kind"], 0) + 1
    reached = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    say(f"could be reached: {reached or 'nothing'}")
    shown = [row for row in told["reached"] if row["kind"] != "link"]
    columns = {
        **titled("name", "recipient", "accesses", "last"),
        "why": lambda row: " > ".join(row["why"][-2:]),
    }
    shown.sort(key=lambda row: -row["accesses"])
    show_rows(shown[:_SHOWN], columns, as_json=False, none="")
    if len(shown) > _SHOWN:
        note(f"and {len(shown) - _SHOWN} more: --json has all")
    models = ", ".join(f"{name} ({number})" for name, number in used["models"].items())
    say(f"was done: {used['accesses']} accesses, {used['tokens']} tokens; {models or 'no model'}")
    if told["misused"]:
        bad = told["misused"]
        say(f"from where the findings were: {bad['accesses']} accesses by {bad['devices']} devices")
    for title, rows in (("may have been lost through", "through"), ("exposed beside", "beside")):
        names = [row["name"] for row in told[rows] if row["kind"] != "link"]
        if names:
            say(f"{title}: {', '.join(names[:_SHOWN])}")
    note(f"{told['milliseconds']} ms")
