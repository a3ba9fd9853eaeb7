"""The spec, from the built-in catalogue and to other forms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bailment import canonical
from bailment.cli import catalogue
from bailment.cli.output import say
from bailment.cli.spec import File, load
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.spec import oscal
from bailment.spec.markdown import annex
from bailment.spec.oscal_references import unresolved


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.", metavar="FILE")],
    carried: Annotated[
        Path | None, typer.Option("--oscal", help="Take it from this OSCAL catalog instead.")
    ] = None,
) -> None:
    """Write out the built-in spec, with its comments, to make your own."""
    if carried is None:
        data = catalogue.spec_text().encode()
    else:
        spec = oscal.spec_of(canonical.parse_unique(carried.read_bytes()))
        data = msgspec.json.format(spec, indent=2) + b"\n"
    with file.open("xb") as stream:
        stream.write(data)
    say(f"wrote {file}; edit it, then try: bailment spec validate {file}")


def export(
    file: File,
    folder: Annotated[
        Path | None, typer.Option("--oscal", help="Folder for a catalog, profiles and the spec.")
    ] = None,
    page: Annotated[Path | None, typer.Option("--markdown", help="File for the annex.")] = None,
) -> None:
    """Write a spec as OSCAL 1.2, or as an annex that people read."""
    if folder is None and page is None:
        raise typer.BadParameter("name --oscal DIR, --markdown FILE or both")
    document = load(file)
    if folder is not None:
        files = oscal.export(document, now_ms())
        if wrong := unresolved({name: msgspec.json.decode(data) for name, data in files.items()}):
            raise BailmentError(f"the spec has no OSCAL form: {wrong[0]}")
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        say(f"wrote {len(files)} files into {folder}")
    if page is not None:
        page.write_text(annex(document), encoding="utf-8")
        say(f"wrote {page}")
