"""What takes more people than who asked: read it, sign it with your key, or withdraw it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bailment import canonical
from bailment.access import jws
from bailment.access.approval import ACT, sign_approval
from bailment.access.state import Proposal
from bailment.access.two_person import agreed, needed, record_of
from bailment.cli import approver
from bailment.cli.console import Dir, act
from bailment.cli.output import Exit, Json, note, say, show_json, show_rows, titled
from bailment.cli.output import agreed as assented
from bailment.cli.times import show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError, FormatError
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

app = typer.Typer(no_args_is_help=True, help="Sign what takes more people than who asked for it.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The proposal's id, or how it begins.")]
_MOST = 2**20
#: What a proposed record is about: the first of these members that it has.
_ABOUT = ("subject", "hold", "operator")


class Carried(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A proposal in a file, to be signed on another machine: the act, and signatures by name."""

    act: dict[str, Any]
    approvals: dict[str, str] = {}

    @property
    def digest(self) -> str:
        """What is signed."""
        return canonical.digest(canonical.encode(self.act))


@app.command("list")
def show_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List what waits for signatures."""
    view, now = open_view(Folder(directory)), now_ms()
    rows = [
        _row(view, name, one)
        for name, one in view.fold.register.state.proposals.items()
        if now < one.until
    ]
    columns = {
        "id": lambda row: row["proposal"][:8],
        **titled("record", "about", "author", "signed", "missing", "until"),
    }
    show_rows(rows, columns, as_json=as_json, none="nothing waits for anybody")


@app.command()
def show(
    proposal: Id,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Save it, to sign it elsewhere.")
    ] = None,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Show all that is signed."""
    view = open_view(Folder(directory))
    name, found = _find(view, proposal)
    if out is not None:
        with out.open("xb") as stream:
            stream.write(_spelt(Carried(found.act)))
        say(f"wrote {out}")
        note(f"sign it anywhere: bailment approve sign {out} --key FOLDER")
    elif as_json:
        show_json({**_row(view, name, found), "act": found.act})
    else:
        _tell(found.act, found.digest)
        say(f"signed by: {', '.join(found.by) or 'nobody'}")


@app.command()
def sign(
    target: Annotated[
        str, typer.Argument(metavar="ID|FILE", help="The proposal's id, or a file of `show -o`.")
    ],
    key: Annotated[Path, typer.Option(help="The folder of your approver's key.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    directory: Dir = Path(),
) -> None:
    """Read it and sign it. It is done as soon as enough have signed.

    With a file nothing is asked of the issuer: hand the file in afterwards.
    """
    private, thumbprint = approver.load(key)
    file = Path(target)
    if file.is_file():
        carried = _read(file)
        _ask(carried.act, carried.digest, yes=yes)
        signed = sign_approval(ACT, _told(carried.act), private, thumbprint)
        approvals = {**carried.approvals, thumbprint: signed}
        file.write_bytes(_spelt(msgspec.structs.replace(carried, approvals=approvals)))
        say(f"signed; hand it in: bailment approve hand-in {file}")
        return
    view = open_view(Folder(directory))
    name, found = _find(view, target)
    who = _approver(view, thumbprint)
    _ask(found.act, found.digest, yes=yes)
    signed = sign_approval(ACT, _told(found.act), private, thumbprint)
    if _hand_in(view.folder, name, who, signed):
        raise typer.Exit(Exit.PENDING)


@app.command("hand-in")
def hand_in(
    file: Annotated[Path, typer.Argument(help="The signed file.")], directory: Dir = Path()
) -> None:
    """Hand in the signatures that a file has."""
    carried, view = _read(file), open_view(Folder(directory))
    if not carried.approvals:
        raise BailmentError(f"nobody signed `{file}`", hint=f"bailment approve sign {file} --key …")
    name, missing = str(carried.act.get("proposal")), 1
    for thumbprint, signed in carried.approvals.items():
        if missing:
            missing = _hand_in(view.folder, name, _approver(view, thumbprint), signed)
    if missing:
        raise typer.Exit(Exit.PENDING)


@app.command()
def withdraw(
    proposal: Id,
    reason: Annotated[str, typer.Option(help="Why; it goes into the log.")],
    directory: Dir = Path(),
) -> None:
    """End a proposal undone."""
    folder = Folder(directory)
    name, _ = _find(open_view(folder), proposal)
    act(folder, "act-withdraw", proposal=name, reason=reason)
    say(f"withdrew {name}")


def _hand_in(folder: Folder, name: str, who: str, signed: str) -> int:
    """How many people must still sign."""
    done = act(folder, "act-sign", proposal=name, approver=who, signature=signed)
    if done["missing"]:
        say(f"signed by {who}; it takes {done['missing']} more")
    else:
        say(f"signed by {who}, and done: {name}")
    for what, value in done["done"].items():
        say(f"{what}: {value}")
    return int(done["missing"])


def _row(view: View, name: str, found: Proposal) -> dict[str, Any]:
    register = view.fold.register
    record = record_of(found.act)
    number = needed(register, record)
    signed = len(agreed(register, found, record))
    facts = found.act["facts"]
    return {
        "proposal": name,
        "record": found.act["record"],
        "about": next((facts[one] for one in _ABOUT if facts.get(one)), None)
        or (found.act.get("shown") or {}).get("organisation", ""),
        "author": found.author,
        "signed": found.by,
        "missing": max(0, number - signed) if isinstance(number, int) else str(number.detail),
        "until": show_time(found.until),
        "digest": found.digest,
    }


def _find(view: View, proposal: str) -> tuple[str, Proposal]:
    found = [
        (name, one)
        for name, one in view.fold.register.state.proposals.items()
        if name.startswith(proposal) and now_ms() < one.until
    ]
    if len(found) != 1:
        what = "several proposals begin so" if found else "there is no such proposal, or no more"
        raise BailmentError(what, hint="bailment approve list")
    return found[0]


def _approver(view: View, thumbprint: str) -> str:
    """Whose key this is."""
    register = view.fold.register
    for name, key in register.state.approvers.items():
        if key and register.key(key).thumbprint == thumbprint:
            return name
    raise BailmentError(
        "the key is no registered approver's", hint="bailment approver add NAME --key approver.jwk"
    )


def _told(value: dict[str, Any]) -> dict[str, str]:
    digest = canonical.digest(canonical.encode(value))
    return {"proposal": str(value.get("proposal")), "digest": digest}


def _ask(value: dict[str, Any], digest: str, *, yes: bool) -> None:
    _tell(value, digest)
    if not yes and not assented("sign this?"):
        raise typer.Abort


def _tell(value: dict[str, Any], digest: str) -> None:
    """All that is signed."""
    say(f"proposal:  {value.get('proposal')}")
    say(f"record:    {value.get('record')}")
    for name, said in value.get("facts", {}).items():
        text = said if isinstance(said, str) else canonical.encode(said).decode()
        long = len(text) > 400
        say(f"  {name}: {'sha256 ' + canonical.digest(canonical.encode(said)) if long else text}")
    for name, said in value.get("shown", {}).items():
        say(f"  effect, {name}: {canonical.encode(said).decode()[:400]}")
    say(f"until:     {show_time(value.get('until', 0))}")
    say(f"digest:    sha256 {digest}")


def _read(file: Path) -> Carried:
    with file.open("rb") as stream:
        data = stream.read(_MOST)
    try:
        carried = msgspec.convert(canonical.parse_unique(data), Carried)
        for signed in carried.approvals.values():
            jws.parse(signed)
    except (FormatError, msgspec.ValidationError) as error:
        raise FormatError(
            f"`{file}` is no proposal: {error}", hint="bailment approve show ID -o FILE writes one"
        ) from None
    return carried


def _spelt(carried: Carried) -> bytes:
    return msgspec.json.format(canonical.encode(carried), indent=2) + b"\n"
