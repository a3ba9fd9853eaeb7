"""The issuer's register: organisations, people, and delegations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from bailment.access.chain import Link
from bailment.access.link_state import state_of
from bailment.access.reasons import Reason as Refusal
from bailment.cli.console import Dir, act
from bailment.cli.effect import show_effect
from bailment.cli.output import Json, agreed, note, say, show_json, show_rows, titled
from bailment.cli.subjects import (
    find_person,
    handle_of,
    name_of,
    read_jwk,
)
from bailment.cli.times import ahead, show_time
from bailment.clock import now_ms
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

recipient = typer.Typer(
    no_args_is_help=True, help="Organisations that may use models; `key` is for their admins."
)
person = typer.Typer(no_args_is_help=True, help="People whom organisations have named.")
link = typer.Typer(no_args_is_help=True, help="Delegations, from the issuer down to devices.")

Reason = Annotated[str, typer.Option(help="Why; it goes into the log, for good: name nobody.")]


@recipient.command("add")
def recipient_add(
    handle: Annotated[str, typer.Argument(help="A short name, like acme.")],
    key: Annotated[Path, typer.Option(help="Its admin's public key (JWK), which it sent you.")],
    contact: Annotated[str, typer.Option(help="Its security contact.")],
    model: Annotated[list[str], typer.Option(help="A model it may use; repeat for more.")],
    purpose: Annotated[list[str], typer.Option(help="A purpose; repeat for more.")],
    until: Annotated[str, typer.Option(help="When it ends, like 90d or 2027-04-07.")] = "365d",
    network: Annotated[
        list[str] | None, typer.Option(help="A CIDR block to come from; repeat for more.")
    ] = None,
    tokens_per_day: Annotated[
        int | None, typer.Option(min=1, help="A budget for all of it, input and output together.")
    ] = None,
    depth: Annotated[
        int, typer.Option(min=0, max=8, help="How many subcontractors may follow below it.")
    ] = 0,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Register an organisation and sign its delegation."""
    done = act(
        Folder(directory),
        "recipient-add",
        hints={
            Refusal.MODEL_OUTSIDE_CHAIN: "add it to bailment.toml and start the issuer again",
            Refusal.CHAIN_BROKEN: "bailment recipient list",
        },
        handle=handle,
        contact=contact,
        key=read_jwk(key).jwk,
        models=model,
        purposes=purpose,
        until=ahead(until, now_ms()),
        networks=network or [],
        budget={"tokens": tokens_per_day, "seconds": 86400} if tokens_per_day else None,
        depth=depth,
    )
    if as_json:
        show_json(done)
    else:
        say(f"{handle} is {done['recipient']} in the log, its delegation {done['link']}")
        note(f"{done['base_url']} is its clients' own address; it is shown once")


@recipient.command("list")
def recipient_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List organisations and what they may use."""
    register = open_view(Folder(directory)).fold.register
    rows = []
    for pseudonym, found in register.state.recipients.items():
        granted = register.links.get(register.link_of.get(pseudonym, ""))
        rows.append(
            {
                "handle": found.handle,
                "recipient": pseudonym,
                "contact": found.contact,
                "models": granted.models if granted else (),
                "purposes": granted.purposes if granted else (),
                "networks": granted.networks if granted else (),
                "budget": granted.budget if granted else None,
                "until": show_time(granted.until) if granted else None,
                "state": state_of(register, granted.id, now_ms()) if granted else "no link",
                "link": granted.id if granted else None,
            }
        )
    columns = titled("handle", "contact", "models", "purposes", "until", "state")
    show_rows(rows, columns, as_json=as_json, none="no organisation is registered")


@person.command("list")
def person_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List people, whom they work for, and their devices."""
    view = open_view(Folder(directory))
    below = _by_parent(view)
    rows = [
        {
            "name": view.people.name(found.subject),
            "email": view.people.of(found.subject).get("email", ""),
            "person": found.subject,
            "recipient": handle_of(view, view.fold.register.recipient_of(found.id)),
            "devices": [
                {
                    "name": name_of(view, "device", device.subject),
                    "device": device.subject,
                    "state": state_of(view.fold.register, device.id, now_ms()),
                }
                for device in below[found.id]
            ],
            "until": show_time(found.until),
            "state": state_of(view.fold.register, found.id, now_ms()),
            "link": found.id,
        }
        for found in view.fold.register.links.values()
        if found.kind == "person"
    ]
    columns = {
        **titled("name", "email", "recipient"),
        "devices": lambda row: ", ".join(device["name"] for device in row["devices"]),
        **titled("until", "state", "person"),
    }
    show_rows(rows, columns, as_json=as_json, none="nobody is registered")


@person.command("erase")
def person_erase(
    who: Annotated[str, typer.Argument(help="Id, email or name.")],
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    directory: Dir = Path(),
) -> None:
    """End a person's access and destroy what names them in the log, for good."""
    folder = Folder(directory)
    found = find_person(open_view(folder), who)
    if not yes and not agreed(f"destroy the name, email and addresses of {who} for good?"):
        raise typer.Abort
    act(folder, "person-erase", person=found, reason=reason)
    say(f"{found} is erased; the log still shows what was done, not by whom")


@link.command("list")
def link_list(
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """List delegations, each above those that stand under it."""
    view = open_view(Folder(directory))
    rows = [
        {
            "kind": found.kind,
            "name": name_of(view, found.kind, found.subject),
            "subject": found.subject,
            "recipient": handle_of(view, view.fold.register.recipient_of(found.id)),
            "until": show_time(found.until),
            "state": state_of(view.fold.register, found.id, now_ms()),
            "link": found.id,
            "parent": found.parent or None,
            "depth": depth,
        }
        for depth, found in _tree(_by_parent(view), "")
    ]
    columns = {
        "who": lambda row: "  " * row["depth"] + row["name"],
        **titled("kind", "until", "state", "link", "subject"),
    }
    show_rows(rows, columns, as_json=as_json, none="nothing is delegated")


@link.command("end")
def link_end(
    link_id: Annotated[str, typer.Argument(metavar="LINK", help="The link's id.")],
    reason: Reason,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """End a delegation and everything below it, for good."""
    hints = {Refusal.LINK_UNKNOWN: "bailment link list"}
    done = act(Folder(directory), "link-end", hints=hints, link=link_id, reason=reason)
    show_effect(done, f"ended {link_id} and all below it", as_json=as_json)


def _by_parent(view: View) -> Mapping[str, list[Link]]:
    below: dict[str, list[Link]] = defaultdict(list)
    for found in view.fold.register.links.values():
        below[found.parent].append(found)
    return below


def _tree(
    below: Mapping[str, list[Link]], parent: str, depth: int = 0
) -> Iterator[tuple[int, Link]]:
    for found in below[parent]:
        yield depth, found
        yield from _tree(below, found.id, depth + 1)
