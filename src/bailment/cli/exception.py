"""Exceptions: asked for in writing, signed by approvers on their own machines, then granted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bailment import canonical
from bailment.access.approval import EXCEPTION
from bailment.assurance.grant import Grant, objection
from bailment.cli import approver
from bailment.cli.console import Dir, act
from bailment.cli.output import Json, note, say, show_rows, titled
from bailment.cli.subjects import find_recipient, handle_of
from bailment.cli.times import ahead, show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError, FormatError
from bailment.store.folder import Folder
from bailment.store.view import open_view

app = typer.Typer(no_args_is_help=True, help="Excuse a recipient from a requirement, for a while.")

File = Annotated[Path, typer.Argument(help="The exception's file.", metavar="FILE")]
_MOST = 64 * 1024


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: what is asked for, which each approver signs, and the signatures so far."""

    recipient: str
    grant: Grant
    text: str
    approvals: tuple[str, ...] = ()

    @property
    def told(self) -> dict[str, Any]:
        """What an approver signs."""
        value: dict[str, Any] = canonical.decode(canonical.encode(self))
        del value["approvals"]
        return value


@app.command()
def request(
    handle: Annotated[str, typer.Argument(help="The recipient.")],
    requirement: Annotated[str, typer.Argument(help="The requirement, like AM-01.")],
    file: File,
    until: Annotated[str, typer.Option(help="When it ends, like 14d or 2027-04-07.")],
    reason: Annotated[str, typer.Option(help="Why; it is signed and goes into the log.")],
    approver_: Annotated[
        list[str], typer.Option("--approver", help="Who will sign; repeat for each.")
    ],
    compensating: Annotated[
        list[str] | None, typer.Option(help="A measure that stands in; repeat for more.")
    ] = None,
    directory: Dir = Path(),
) -> None:
    """Write an exception down, for approvers to read and sign."""
    view = open_view(Folder(directory))
    register = view.fold.register
    recipient, now = find_recipient(view, handle), max(now_ms(), view.fold.time)
    if register.spec is None:
        raise BailmentError(
            "no spec is in force to be excused from", hint="bailment spec plan FILE"
        )
    known = {one.id for tier in register.spec.tiers for one in tier.requirements}
    if requirement not in known:
        raise BailmentError(f"no tier asks for `{requirement}`", hint="bailment why HANDLE TIER")
    grant = Grant(
        id=os.urandom(16).hex(),
        requirement=requirement,
        from_=now,
        until=ahead(until, now),
        approvers=tuple(sorted(approver_)),
        compensating=tuple(compensating or ()),
    )
    why = objection(grant, register.spec.exceptions, register.proven(recipient).grants)
    if why:
        raise BailmentError(f"the spec does not allow this: {why}")
    with file.open("xb") as stream:
        stream.write(_spelt(Asked(recipient, grant, reason)))
    say(f"wrote {file}")
    note(f"each approver reads and signs it: bailment exception sign {file} --key FOLDER")


@app.command()
def sign(
    file: File,
    key: Annotated[Path, typer.Option(help="The folder of the approver's key.")],
) -> None:
    """Sign an exception, as an approver. Works offline."""
    asked = _read(file)
    approval = approver.sign(EXCEPTION, asked.told, key)
    approvals = tuple(dict.fromkeys((*asked.approvals, approval)))
    file.write_bytes(_spelt(msgspec.structs.replace(asked, approvals=approvals)))
    grant = asked.grant
    say(f"signed: excused from {grant.requirement} until {show_time(grant.until)}: {asked.text}")
    note(f"signatures: {len(approvals)}; then: bailment exception grant {file}")


@app.command("grant")
def grant_it(file: File, directory: Dir = Path()) -> None:
    """Grant an exception that its approvers have signed."""
    asked, folder = _read(file), Folder(directory)
    act(folder, "exception-grant", **asked.told, approvals=asked.approvals)
    handle = handle_of(open_view(folder), asked.recipient)
    until = show_time(asked.grant.until)
    say(f"{handle} is excused from {asked.grant.requirement} until {until}")


@app.command("list")
def show_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List exceptions, those that are over included."""
    view = open_view(Folder(directory))
    now = max(now_ms(), view.fold.time)
    rows = [
        {
            "recipient": handle_of(view, recipient),
            "requirement": grant.requirement,
            "from": show_time(grant.from_),
            "until": show_time(grant.until),
            "approvers": grant.approvers,
            "compensating": grant.compensating,
            "state": "in force" if grant.from_ <= now < grant.until else "over",
            "exception": grant.id,
        }
        for recipient, proven in view.fold.register.state.proven.items()
        for grant in proven.grants
    ]
    columns = titled("recipient", "requirement", "until", "approvers", "compensating", "state")
    show_rows(rows, columns, as_json=as_json, none="nobody is excused from anything")


def _read(file: Path) -> Asked:
    with file.open("rb") as stream:
        data = stream.read(_MOST)
    try:
        return msgspec.convert(canonical.parse_unique(data), Asked)
    except (FormatError, msgspec.ValidationError) as error:
        raise FormatError(
            f"`{file}` is no exception: {error}", hint="bailment exception request writes one"
        ) from None


def _spelt(asked: Asked) -> bytes:
    return msgspec.json.format(canonical.encode(asked), indent=2) + b"\n"
