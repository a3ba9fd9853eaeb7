"""The log, for whoever wants to check it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bailment.cli.console import Dir
from bailment.cli.output import Json, say, show_json
from bailment.cli.times import show_time
from bailment.errors import ConfigurationError, VerificationError
from bailment.ledger.leaf import decode_leaf
from bailment.ledger.note import Verifier
from bailment.ledger.receipt import parse_receipt, verify_receipt
from bailment.ledger.tree import leaf_hash
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
        say(view.note.decode().rstrip("\n"))


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
        say(made.decode().rstrip("\n"))
    else:
        out.write_bytes(made)
        say(f"wrote {out}")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt.")], key: Key, as_json: Json = False
) -> None:
    """Verify a receipt against the log's pinned key. Needs nothing of the issuer's."""
    found = parse_receipt(_read(file))
    if not found.extra:
        raise VerificationError("the receipt does not carry its record")
    proven = verify_receipt(found, leaf_hash(found.extra), pinned(key))
    leaf = decode_leaf(found.extra)
    if as_json:
        show_json({"index": found.index, "size": proven.size, "type": leaf.type, "time": leaf.time})
    else:
        say(
            f"verified: record {found.index} of {proven.origin} is a `{leaf.type}` of "
            f"{show_time(leaf.time)}, in the signed tree of {proven.size} records"
        )


def pinned(key: str) -> Verifier:
    """The verifier of a vkey given as text or in a file."""
    if "+" not in key:
        key = _read(Path(key)).decode("utf-8", "replace").strip()
    return Verifier.parse(key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read `{path}`: {error.strerror}") from None
