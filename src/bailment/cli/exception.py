"""Exceptions: asked for in writing, signed by approvers on their own machines, then granted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bailment import canonical
from bailment.access import jws
from bailment.access.approval import EXCEPTION, sign_approval
from bailment.access.text import hidden
from bailment.assurance.grant import Grant, objection
from bailment.cli import approver
from bailment.cli.console import Dir, act
from bailment.cli.output import Json, agreed, note, say, show_rows, titled
from bailment.cli.subjects import find_recipient, handle_of
from bailment.cli.times import ahead, show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError, FormatError
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

app = typer.Typer(no_args_is_help=True, help="Excuse a recipient from a requirement, for a while.")

File = Annotated[Path, typer.Argument(help="The exception's file.", metavar="FILE")]
_MOST = 64 * 1024
#: The longest reason, characters.
_LONGEST = 4000


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: what is asked for, which each approver signs, and the signatures so far.

    `handle` is what the lab calls the recipient, and `keys` are the thumbprints of the approvers'
    keys by their names: for approvers to read and be told by, not signed.
    """

    recipient: str
    grant: Grant
    text: str
    handle: str
    keys: dict[str, str]
    approvals: tuple[str, ...] = ()

    @property
    def told(self) -> dict[str, Any]:
        """What an approver signs."""
        value: dict[str, Any] = canonical.decode(canonical.encode(self))
        return {name: value[name] for name in ("recipient", "grant", "text")}


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
    _check_text("reason", reason)
    for measure in compensating or ():
        _check_text("compensating", measure)
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
    keys = _keys(view)
    for name in grant.approvers:
        if name not in keys:
            raise BailmentError(
                f"`{name}` is no registered approver",
                hint=f"bailment approver add NAME --key FILE; there are {_named(keys)}",
            )
    asked = Asked(
        recipient, grant, reason, handle_of(view, recipient), {n: keys[n] for n in grant.approvers}
    )
    with file.open("xb") as stream:
        stream.write(_spelt(asked))
    say(f"wrote {file}")
    note(f"each approver reads and signs it: bailment exception sign {file} --key FOLDER")


@app.command()
def sign(
    file: File,
    key: Annotated[Path, typer.Option(help="The folder of the approver's key.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Read an exception, and sign it, as an approver. Works offline."""
    asked = _read(file)
    private, thumbprint = approver.load(key)
    names = {thumb: name for name, thumb in asked.keys.items()}
    name = names.get(thumbprint)
    if name is None or name not in asked.grant.approvers:
        raise BailmentError(
            f"the key in `{key}` is none of those of {_named(asked.grant.approvers)}",
            hint="give the folder of one of them, or: bailment exception request, naming you",
        )
    signed = [names.get(thumb, thumb) for thumb in _signers(asked)]
    if name in signed:
        raise BailmentError(f"{name} has signed already", hint=f"bailment exception grant {file}")
    _tell(asked, signed)
    if not yes and not agreed(f"sign this as {name}?"):
        raise typer.Abort
    approvals = (*asked.approvals, sign_approval(EXCEPTION, asked.told, private, thumbprint))
    file.write_bytes(_spelt(msgspec.structs.replace(asked, approvals=approvals)))
    say(f"signed by {name}")
    missing = sorted(set(asked.grant.approvers) - {*signed, name})
    follows = f"{_named(missing)} to sign" if missing else f"bailment exception grant {file}"
    note(f"signatures: {len(approvals)}; next: {follows}")


@app.command("grant")
def grant_it(file: File, directory: Dir = Path()) -> None:
    """Grant an exception that its approvers have signed."""
    asked, folder = _read(file), Folder(directory)
    view = open_view(folder)
    names = {thumb: name for name, thumb in _keys(view).items()}
    signed = {names.get(thumb, f"the key {thumb}") for thumb in _signers(asked)}
    if surplus := sorted(signed - set(asked.grant.approvers)):
        raise BailmentError(
            f"{_named(surplus)} signed and is not among {_named(asked.grant.approvers)}",
            hint="bailment exception request anew, naming just those who sign",
        )
    if missing := sorted(set(asked.grant.approvers) - signed):
        raise BailmentError(
            f"still to be signed by {_named(missing)}",
            hint=f"bailment exception sign {file} --key FOLDER, each on their own machine",
        )
    act(folder, "exception-grant", **asked.told, approvals=asked.approvals)
    handle, until = handle_of(view, asked.recipient), show_time(asked.grant.until)
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


def _tell(asked: Asked, signed: Sequence[str]) -> None:
    """All that is signed, and by whom else."""
    grant = asked.grant
    say(f"recipient:    {asked.handle} ({asked.recipient})")
    say(f"requirement:  {grant.requirement}")
    say(f"from, until:  {show_time(grant.from_)}, {show_time(grant.until)}")
    say(f"reason:       {asked.text}")
    for measure in grant.compensating or ("none",):
        say(f"compensating: {measure}")
    say(f"approvers:    {_named(grant.approvers)}")
    say(f"signed by:    {_named(signed)}")


def _signers(asked: Asked) -> list[str]:
    """The thumbprints that the signatures so far name; the issuer verifies them.

    BailmentError if one is under anything else: what was signed is what this file says.
    """
    found = []
    for compact in asked.approvals:
        signed = jws.parse(compact)
        thumbprint = str(signed.header.get("kid", ""))
        if signed.payload != canonical.encode(asked.told):
            names = {thumb: name for name, thumb in asked.keys.items()}
            raise BailmentError(
                f"{names.get(thumbprint, thumbprint)} did not sign this: it was changed since",
                hint="bailment exception request writes another, for all to sign",
            )
        found.append(thumbprint)
    return found


def _keys(view: View) -> dict[str, str]:
    """The thumbprints of registered approvers' keys, by name."""
    register = view.fold.register
    return {
        name: register.key(key).thumbprint for name, key in register.state.approvers.items() if key
    }


def _check_text(option: str, text: str) -> None:
    if not 0 < len(text) <= _LONGEST:
        raise typer.BadParameter(f"--{option} has 1 to {_LONGEST} characters")
    if found := hidden(text):
        raise typer.BadParameter(f"--{option} holds {found}, which a reader would not see")


def _named(names: Iterable[str]) -> str:
    return " and ".join(names) or "nobody"
