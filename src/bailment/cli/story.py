"""`bailment demo`."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    once: Annotated[bool, typer.Option("--once", help="Check the whole story, then end.")] = False,
) -> None:
    """The whole story on this machine, with a real local model."""
    from bailment.drills.demo import demo as tell

    tell(once=once)
