"""Saying how soon an act took access away: nothing is called effective that is not enforced."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bailment.cli.output import say, show_json
from bailment.errors import BailmentError


def show_effect(done: dict[str, Any], what: str, *, as_json: bool) -> None:
    """Print what was done and when it was; BailmentError if something of it is still open."""
    if as_json:
        show_json(done)
    else:
        say(what)
        say(_times(done))
    if not done["effective"]:
        raise BailmentError(
            f"NOT effective: {done['left']} of {done['cut']} streams are not closed yet",
            hint="bailment kill-switch on",
        )


def _times(done: dict[str, Any]) -> str:
    accepted = datetime.fromtimestamp(done["accepted"] / 1000, UTC)
    at = accepted.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    number = done["cut"]
    streams = "no stream was open"
    if number:
        last = "" if done["cut_after"] is None else f", the last after {done['cut_after']} ms"
        streams = f"{number} {'stream' if number == 1 else 'streams'} cut{last}"
    end = ": effective" if done["effective"] else ""
    return f"accepted {at}, refused from {done['refused_after']} ms after; {streams}{end}"
