"""An organisation's admin delegates: to people, devices, subcontractors and workloads."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from bailment.access.text import hidden
from bailment.cli.console import author
from bailment.cli.output import Json, agreed, note, say, show_json, warn
from bailment.cli.times import ahead, show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.ledger.records import Budget

if TYPE_CHECKING:
    from bailment.agent.admin import Delegated, Pending


def short(text: str) -> str:
    """What the gateway takes for a name."""
    if len(text) > 200:
        raise typer.BadParameter("at most 200 characters")
    if found := hidden(text):
        raise typer.BadParameter(f"it holds {found}, which a reader would not see")
    return text


def name_given(text: str) -> str:
    if not text:
        raise typer.BadParameter("say whose")
    return short(text)


delegate = typer.Typer(no_args_is_help=True, help="For an organisation's admin: delegate access.")

AdminFolder = Annotated[Path, typer.Option("--admin", help="The folder of the admin's key.")]
Gateway = Annotated[str, typer.Option(envvar="BAILMENT_GATEWAY", help="The gateway's URL.")]
Until = Annotated[
    str, typer.Option(help="When it ends, like 30d or 2027-04-07; else as late as may be.")
]
Models = Annotated[list[str] | None, typer.Option("--model", help="Only this; repeat for more.")]
Purposes = Annotated[
    list[str] | None, typer.Option("--purpose", help="Only for this; repeat for more.")
]
Networks = Annotated[
    list[str] | None, typer.Option("--network", help="Only from this CIDR block; repeat for more.")
]
Tokens = Annotated[int | None, typer.Option("--tokens-per-day", min=1, help="A budget.")]


class _Narrower(TypedDict):
    """What every delegation may be narrowed to."""

    until: int
    models: tuple[str, ...]
    purposes: tuple[str, ...]
    networks: tuple[str, ...]
    budget: Budget | None


def _narrower(
    until: str,
    model: list[str] | None,
    purpose: list[str] | None,
    network: list[str] | None,
    tokens_per_day: int | None,
) -> _Narrower:
    return {
        "until": ahead(until, now_ms()) if until else 0,
        "models": tuple(model or ()),
        "purposes": tuple(purpose or ()),
        "networks": tuple(network or ()),
        "budget": Budget(tokens_per_day, 86400) if tokens_per_day else None,
    }


def _attributes(pairs: list[str] | None) -> dict[str, str]:
    found = dict(pair.partition("=")[::2] for pair in pairs or ())
    if not all(found.values()):
        raise typer.BadParameter("write an attribute like jurisdiction=DE")
    return found


@delegate.command("person")
def delegate_person(
    name: Annotated[str, typer.Argument(help="The person's name.", callback=name_given)],
    admin: AdminFolder,
    gateway: Gateway,
    email: Annotated[str, typer.Option(help="The person's email address.", callback=short)] = "",
    account: Annotated[
        str, typer.Option(help="The person's `sub` at your provider.", callback=short)
    ] = "",
    sponsor: Annotated[
        str, typer.Option(help="Who answers for naming the person.", callback=short)
    ] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="What you vouch for, like jurisdiction=DE; repeat for more."),
    ] = None,
    until: Until = "",
    model: Models = None,
    purpose: Purposes = None,
    network: Networks = None,
    tokens_per_day: Tokens = None,
    as_json: Json = False,
) -> None:
    """Delegate to a person, and get the one-use invitation for a device of theirs."""
    from bailment.agent.admin import Admin

    async def run() -> Delegated:
        async with Admin(admin, gateway) as client:
            return await client.sign_person_link(
                name,
                email,
                account=account,
                sponsor=sponsor,
                attributes=_attributes(attribute),
                **_narrower(until, model, purpose, network, tokens_per_day),
            )

    done = asyncio.run(run())
    if as_json:
        show_json(done)
    elif done.invitation is not None:
        say(done.invitation.url)
        expires = show_time(done.invitation.expires)
        note(f"give it to {name} alone, until {expires}: `bailment enrol` asks for it")


@delegate.command("device")
def delegate_device(
    code: Annotated[str, typer.Argument(help="The code that the device shows, like ABCD-EFGH.")],
    admin: AdminFolder,
    gateway: Gateway,
    by: Annotated[
        str,
        typer.Option(
            envvar="BAILMENT_ADMIN",
            help="Who you are, by name or email; without it, your user name. On record, for those "
            "who may see names.",
            callback=short,
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Confirm a person's device, after the person told you its code."""
    from bailment.agent.admin import Admin

    async def look() -> Pending:
        async with Admin(admin, gateway) as client:
            return await client.pending(code)

    async def confirm() -> Delegated:
        async with Admin(admin, gateway) as client:
            return await client.confirm(pending, by=by or author())

    pending = asyncio.run(look())
    # Asked while no event loop runs, which would keep Ctrl-C from ending the question.
    if pending.signed_in is None:
        warn("nobody signed in for this device: your organisation has no identity provider here")
    if not yes and not agreed(
        f"{pending.person_name}'s device `{pending.name}`, key class {pending.key_class}: "
        f"did that person tell you the code {code}?"
    ):
        raise BailmentError("nothing was confirmed")
    done = asyncio.run(confirm())
    if as_json:
        show_json(done)
    else:
        say(f"the device is confirmed, by link {done.link}")


@delegate.command("subcontractor")
def delegate_subcontractor(
    handle: Annotated[str, typer.Argument(help="What you call it: a short name, like vendor.")],
    key: Annotated[Path, typer.Option(help="Its admin's public key (JWK), which it sent you.")],
    admin: AdminFolder,
    gateway: Gateway,
    contact: Annotated[str, typer.Option(help="Its security contact.", callback=short)] = "",
    depth: Annotated[
        int, typer.Option(min=0, max=8, help="To how many more it may delegate in turn.")
    ] = 0,
    until: Until = "",
    model: Models = None,
    purpose: Purposes = None,
    network: Networks = None,
    tokens_per_day: Tokens = None,
    as_json: Json = False,
) -> None:
    """Delegate to another organisation, which names its own people and proves what you must."""
    from bailment.agent.admin import Admin
    from bailment.cli.subjects import read_jwk

    public = read_jwk(key)

    async def run() -> Delegated:
        async with Admin(admin, gateway) as client:
            return await client.sign_subcontractor_link(
                handle,
                public,
                contact,
                depth=depth,
                **_narrower(until, model, purpose, network, tokens_per_day),
            )

    done = asyncio.run(run())
    if as_json:
        show_json(done)
    else:
        say(f"{handle} is {done.organisation} in the log, by link {done.link}")
        note("its admin names people with `bailment delegate person`; it must meet the tier itself")


@delegate.command("workload")
def delegate_workload(
    owner: Annotated[str, typer.Argument(help="The id of the person who answers for it.")],
    issuer: Annotated[str, typer.Option(help="Who issues its job tokens (`iss`), an https URL.")],
    audience: Annotated[str, typer.Option(help="Whom they are for (`aud`).")],
    subject: Annotated[str, typer.Option(help="Which job it is (`sub`), exactly.")],
    admin: AdminFolder,
    gateway: Gateway,
    until: Until = "",
    model: Models = None,
    purpose: Purposes = None,
    network: Networks = None,
    tokens_per_day: Tokens = None,
    as_json: Json = False,
) -> None:
    """Delegate to jobs (CI, agents) that a person answers for; they need no secret of their own."""
    from bailment.access.chain import Job
    from bailment.agent.admin import Admin

    async def run() -> Delegated:
        async with Admin(admin, gateway) as client:
            return await client.sign_workload_link(
                Job(issuer, audience, subject),
                owner,
                **_narrower(until, model, purpose, network, tokens_per_day),
            )

    done = asyncio.run(run())
    if as_json:
        show_json(done)
    else:
        say(f"the workload is {done.workload} in the log, by link {done.link}")
        note(f"its jobs exchange their tokens at {gateway}/oauth/token with that as client_id")
