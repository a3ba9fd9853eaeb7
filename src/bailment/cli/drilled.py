"""Lists in which drills that are over lie beside what is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from bailment.cli.output import note

WithDrills = Annotated[
    bool, typer.Option("--drills/--no-drills", help="Also what is of drills that are over.")
]


def tell_drills(rows: Sequence[Mapping[str, Any]]) -> None:
    """How many rows are a drill's, so that nobody takes them for misuse."""
    if count := sum(row["drill"] != "" for row in rows):
        note(f"{count} of {len(rows)} are of drills that are over; --no-drills leaves them out")
