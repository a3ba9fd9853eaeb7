"""Times on the command line: `2h`, `90d`, `2026-04-07` or `2026-04-07T12:00Z`."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_span(text: str) -> int | None:
    """A span like `15m` in ms; None if it is none."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    return int(found[1]) * _UNITS[found[2]] * 1000 if found else None


def ago(text: str, now: int) -> int:
    """A time in the past, ms: a span back from now, or a date."""
    span = parse_span(text)
    return now - span if span is not None else _date(text)


def ahead(text: str, now: int) -> int:
    """A time in the future, ms: a span from now, or a date."""
    span = parse_span(text)
    when = now + span if span is not None else _date(text)
    if when <= now:
        import typer

        raise typer.BadParameter(f"`{text}` is past")
    return when


def show_time(time: int) -> str:
    """A time as RFC 3339 has it, in UTC to the second."""
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _date(text: str) -> int:
    try:
        when = datetime.fromisoformat(text)
        return int(when.replace(tzinfo=when.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        import typer

        raise typer.BadParameter(
            f"`{text}` is no time; write one like 2h, 90d or 2026-04-07"
        ) from None
