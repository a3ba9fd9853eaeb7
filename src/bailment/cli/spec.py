"""The distribution spec: what a recipient must prove, as a file."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated

import typer

from bailment.cli.output import Exit, Json, err, note, say, show_json, show_rows, shown, warn
from bailment.spec.builtin import tiers_from
from bailment.spec.compiled import AtLeast, Join, Node, compile_spec
from bailment.spec.document import Document, digest
from bailment.spec.quantity import show_duration
from bailment.spec.reading import MAX_BYTES, Problem
from bailment.spec.terms import TierName
from bailment.spec.validation import Checked, check
from bailment.spec.vocabulary import VOCABULARIES

app = typer.Typer(no_args_is_help=True, help="The distribution spec: what recipients must prove.")

File = Annotated[Path, typer.Argument(help="The spec, in YAML or JSON.", metavar="FILE")]


@app.command()
def validate(file: File, as_json: Json = False) -> None:
    """Say what is wrong with a spec, where, what to write instead; and what nobody meets yet."""
    checked = _checked(file)
    if as_json:
        document = checked.document
        show_json(
            {
                "valid": document is not None,
                "digest": digest(document) if document else None,
                "problems": checked.problems,
                "unsatisfiable": [
                    {"requirement": id_, "tier": tier}
                    for id_, tier in _unsatisfiable(checked).items()
                ],
            }
        )
    else:
        _complain(file, checked.problems)
        if checked.document:
            say(f"{file} is valid, sha256 {digest(checked.document)}")
            for tier, ids in groupby(_unsatisfiable(checked).items(), key=itemgetter(1)):
                names = ", ".join(id_ for id_, _ in ids)
                warn(f"{tier} asks for what nobody can satisfy yet: {names}")
    if checked.document is None:
        raise typer.Exit(Exit.FAILED)


@app.command("digest")
def show_digest(file: File) -> None:
    """Print the SHA-256 of a spec's canonical JSON: the same however it is spelled."""
    say(digest(load(file)))


@app.command()
def show(file: File, as_json: Json = False) -> None:
    """Show what each tier asks for, those below it included; or the spec's JSON form."""
    document = load(file)
    if as_json:
        show_json(document)
        return
    rows = [
        {
            "tier": f"{tier.name} {tier.title}",
            "requirement": one.id,
            "title": one.title,
            "age": show_duration(min(_ages(one.rule))),
            "excusable": "" if one.excusable else "never excused",
        }
        for tier in compile_spec(document).tiers
        for one in tier.requirements
    ]
    columns = ("tier", "requirement", "title", "evidence at most", "")
    fields = ("tier", "requirement", "title", "age", "excusable")
    show_rows(rows, dict(zip(columns, fields, strict=True)), as_json=False, none="no tier")


def load(file: Path) -> Document:
    """The document in a file; what is wrong with it is printed, and ends the command."""
    checked = _checked(file)
    if checked.document is None:
        _complain(file, checked.problems)
        raise typer.Exit(Exit.FAILED)
    return checked.document


def _checked(file: Path) -> Checked:
    with file.open("rb") as stream:
        return check(stream.read(MAX_BYTES + 1), VOCABULARIES)


def _unsatisfiable(checked: Checked) -> dict[str, TierName]:
    """The requirements that nothing can satisfy yet, and from which tier on each is asked for."""
    asked = tiers_from(checked.document) if checked.document else {}
    return {id_: tier for id_, tier in asked.items() if id_ in checked.unsatisfiable}


def _complain(file: Path, problems: tuple[Problem, ...]) -> None:
    for one in problems:
        kind = "warning" if one.warning else "error"
        err.print(
            f"{shown(str(file))}:{one.line}:{one.column}: {kind}: {shown(one.what)}",
            markup=False,
            soft_wrap=True,
        )
        note(f"  try: {one.remedy}")


def _ages(node: Node) -> list[int]:
    """The most that each piece of evidence may be old, ms."""
    match node:
        case AtLeast():
            return [age for below in node.of for age in _ages(below)]
        case Join():
            return [source.max_age for source in (node.seen, *node.covered_by)]
        case _:
            return [node.source.max_age]
