"""The log, for whoever wants to check it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from bailment.auditor.audit import AuditReport, audit_export
from bailment.auditor.findings import Finding
from bailment.auditor.view import verify_view
from bailment.cli.console import Dir
from bailment.cli.output import (
    Exit,
    Json,
    following,
    note,
    say,
    show_json,
    show_rows,
    titled,
    write,
)
from bailment.cli.subjects import find_recipient, read_jwk
from bailment.cli.times import show_time
from bailment.errors import ConfigurationError, FormatError, VerificationError
from bailment.ledger.cosignature import Witness
from bailment.ledger.cosignature import merge as merge_cosignatures
from bailment.ledger.leaf import decode_leaf
from bailment.ledger.note import Verifier
from bailment.ledger.receipt import parse_receipt, verify_receipt
from bailment.ledger.tree import leaf_hash
from bailment.store.export import export_log, export_view
from bailment.store.folder import Folder
from bailment.store.receipts import make_receipt
from bailment.store.view import open_view

app = typer.Typer(no_args_is_help=True, help="The log, for whoever wants to check it.")

Key = Annotated[str, typer.Option("--key", help="The log's vkey that you pinned, or a file of it.")]


@app.command()
def vkey(directory: Dir = Path()) -> None:
    """Print the log's public key, for others to pin."""
    say(open_view(Folder(directory)).verifier.vkey)


@app.command()
def checkpoint(directory: Dir = Path(), as_json: Json = False) -> None:
    """Print the log's latest signed checkpoint."""
    view = open_view(Folder(directory))
    if as_json:
        found = view.checkpoint
        show_json({"origin": found.origin, "size": found.size, "root": found.root.hex()})
    else:
        write(view.note)


@app.command()
def receipt(
    index: Annotated[int, typer.Argument(help="The record's index in the log.")],
    out: Annotated[Path | None, typer.Option(help="Where to write it.")] = None,
    directory: Dir = Path(),
) -> None:
    """Write a record's receipt: a proof that anybody can verify offline."""
    view = open_view(Folder(directory))
    made = make_receipt(view.folder, view.reader, view.verifier, index).encode()
    if out is None:
        write(made)
    else:
        out.write_bytes(made)
        say(f"wrote {out}")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt.")], key: Key, as_json: Json = False
) -> None:
    """Verify a receipt against the log's pinned key. Needs nothing of the issuer's."""
    try:
        found = parse_receipt(_read(file))
    except FormatError as error:
        raise FormatError(f"`{file}` is not a receipt: {error}") from None
    if not found.extra:
        raise VerificationError("the receipt does not carry its record")
    proven = verify_receipt(found, leaf_hash(found.extra), pinned(key))
    leaf = decode_leaf(found.extra)
    if as_json:
        show_json(
            {
                "record": found.index,
                "size": proven.size,
                "type": leaf.type,
                "time": show_time(leaf.time),
            }
        )
    else:
        say(
            f"verified: record {found.index} of {proven.origin} is a `{leaf.type}` of "
            f"{show_time(leaf.time)}, in the signed tree of {proven.size} records"
        )


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="A new folder, or with --recipient a new file.")],
    recipient: Annotated[
        str | None, typer.Option(help="Only what this organisation may see of the log.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="With --recipient: and what its people are called.")
    ] = False,
    directory: Dir = Path(),
) -> None:
    """Export the log for an auditor, facts opened; or one recipient's view of it."""
    if names and recipient is None:
        raise ConfigurationError("names are for nobody but their organisation", hint="--recipient")
    view = open_view(Folder(directory))
    slot = find_recipient(view, recipient) if recipient is not None else ""
    with following("exporting") as follow:
        arguments = (view.folder, view.reader, view.verifier)
        if recipient is None:
            done = export_log(*arguments, out, progress=lambda at, of: follow("", at, of))
            withheld = f", {done.withheld} of them without facts" if done.withheld else ""
            text = f"wrote {done.checkpoint.size} records to {out}{withheld}"
        else:
            shown = export_view(
                *arguments, slot, out, names=names, progress=lambda at, of: follow("", at, of)
            )
            text = f"wrote {shown.records} records of {recipient} to {out}"
    say(text)
    own = f" --recipient {slot}" if slot else ""
    note(f"check it with: bailment log audit {out} --key '{view.verifier.vkey}'{own}")


@app.command()
def audit(
    path: Annotated[Path, typer.Argument(metavar="EXPORT", help="An export, or a view.")],
    key: Key,
    since: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint that you kept from before.")
    ] = None,
    receipt: Annotated[
        list[Path] | None, typer.Option(help="A receipt that you kept from before.")
    ] = None,
    recipient: Annotated[
        str, typer.Option(metavar="PSEUDONYM", help="Of a view: your own, that you kept.")
    ] = "",
    admin: Annotated[
        Path | None,
        typer.Option(metavar="JWK", help="Of a view: your admin's public key, admin.jwk."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a log without trusting who keeps it: verify the tree, make every decision again.

    Needs the export and the key that you pinned, and nothing of the issuer's.
    """
    if path.is_file():
        _audit_view(path, key, recipient, admin, as_json=as_json)
        return
    if recipient or admin:
        raise ConfigurationError(
            f"`{path}` is not a view", hint="leave out --recipient and --admin to audit an export"
        )
    with following("auditing") as follow:
        verifier = pinned(key)
        kept = [_read(one) for one in since or ()], [_read(one) for one in receipt or ()]
        try:
            report = audit_export(path, verifier, since=kept[0], receipts=kept[1], progress=follow)
        except FormatError as error:  # what the signed checkpoint promises is not there to be read
            raise VerificationError(f"`{path}` is incomplete: {error}", hint=error.hint) from None
    if as_json:
        show_json(_as_dict(report))
    else:
        _tell(report)
    if not report.clean:
        raise typer.Exit(Exit.UNVERIFIED)


@app.command()
def credential(
    name: Annotated[str, typer.Argument(help="The auditor's name.")],
) -> None:
    """Make an auditor's credential for reading entry bundles over HTTP; nothing is stored."""
    secret = secrets.token_urlsafe(32)
    say(secret)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    note("give that to the auditor; it is not shown again. In bailment.toml, under [auditors]:")
    note(f'{name} = "{digest}"')


@app.command()
def merge(
    checkpoint: Annotated[Path, typer.Argument(help="A signed checkpoint.")],
    lines: Annotated[Path, typer.Argument(help="What witnesses answered.")],
    witness: Annotated[list[str], typer.Option(help="A witness's vkey; repeat for more.")],
) -> None:
    """Merge witnesses' cosignatures into a checkpoint, after verifying them, and print it."""
    witnesses = [Witness.parse(one) for one in witness]
    write(merge_cosignatures(_read(checkpoint), _read(lines), witnesses))


def _audit_view(path: Path, key: str, recipient: str, admin: Path | None, *, as_json: bool) -> None:
    """Check what one recipient was shown. That it is complete is said of no later time than the
    log has proven it for."""
    ours = read_jwk(admin) if admin is not None else None
    report = verify_view(path, pinned(key), recipient=recipient, admin=ours)
    if as_json:
        show_json(
            {
                "recipient": report.recipient,
                "size": report.checkpoint.size,
                "records": report.records,
                "covered": report.covered,
                "until": show_time(report.until) if report.until else None,
                "named": report.named,
                "clean": report.clean,
                "findings": _findings(report.findings),
            }
        )
    else:
        size = report.checkpoint.size
        say(f"{report.recipient}: {report.records} records shown of the signed tree of {size}")
        _show_findings(report.findings, sum(report.counts.values()))
        if report.clean:
            until, later = show_time(report.until), report.records - report.covered
            say(
                f"verified: nothing of yours was left out up to {until} ({report.covered} records),"
                " and nothing shown was changed"
            )
            if report.named:
                say(f"{report.named} people are named as their delegations say")
            say(f"not proven yet: that the {later} shown since then are all since then")
    if not report.clean:
        raise typer.Exit(Exit.UNVERIFIED)


def _tell(report: AuditReport) -> None:
    head, seconds = report.checkpoint, max(report.seconds, 1e-9)
    say(f"{head.origin}: {head.size} records under the signed root {head.root.hex()[:16]}…")
    say(
        f"made {report.decisions} decisions again, {report.decisions / seconds:.0f} a second; "
        f"{report.agreed} agree with the log"
    )
    if report.standings:
        say(f"derived {report.standings} standings again, from the spec and the evidence")
    if report.unjudged:
        told = ", ".join(f"{number} {what}" for what, number in report.unjudged.items())
        say(f"could not judge, since the spec that they follow from is not known: {told}")
    say(f"{report.accesses} accesses, {len(report.open)} still open at the end of the log")
    _show_findings(report.findings, sum(report.counts.values()))
    if report.clean:
        say("verified: the log is what it claims to be, and no access should not have been")


def _show_findings(findings: Iterable[Finding], total: int) -> None:
    rows = _findings(findings)
    if rows:
        show_rows(rows, titled(*rows[0]), as_json=False, none="")
        say(f"NOT as it should be: {total} findings")


def _findings(findings: Iterable[Finding]) -> list[dict[str, object]]:
    return [{"record": f.index, "kind": f.kind.value, "sentence": f.sentence} for f in findings]


def _as_dict(report: AuditReport) -> dict[str, object]:
    head = report.checkpoint
    return {
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "types": report.types,
        "decisions": report.decisions,
        "agreed": report.agreed,
        "standings": report.standings,
        "unjudged": report.unjudged,
        "accesses": report.accesses,
        "open": report.open,
        "clean": report.clean,
        "counts": {kind.value: count for kind, count in report.counts.items()},
        "findings": _findings(report.findings),
        "milliseconds": round(report.seconds * 1000),
    }


def pinned(key: str) -> Verifier:
    """The verifier of a vkey given as text or in a file."""
    text = key if "+" in key else _read(Path(key)).decode("utf-8", "replace").strip()
    try:
        return Verifier.parse(text)
    except FormatError as error:
        raise ConfigurationError(
            f"`{key[:200]}` is not a log's key: {error}",
            hint="it is one line, as `bailment log vkey` prints it",
        ) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read `{path}`: {error.strerror}") from None
