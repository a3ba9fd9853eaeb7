"""What somebody tells at length: on the command line, or piped in."""

from __future__ import annotations

import sys

import typer

from bailment.ledger.incident_records import MOST_TEXT


def text_of(said: str, param: str) -> str:
    """The text itself, or standard input where it is `-`; at most MOST_TEXT characters and never
    less than was told. BadParameter if it is empty, too long or no text."""
    text = _read(param) if said == "-" else said
    if not text.strip():
        raise typer.BadParameter("there is no text", param_hint=param)
    if len(text) > MOST_TEXT:
        raise _too_long(f"the text has {len(text):,} characters", param)
    return text


def _read(param: str) -> str:
    most = 4 * MOST_TEXT  # UTF-8 takes at most four bytes for a character
    data = sys.stdin.buffer.read(most + 1)
    if len(data) > most:
        raise _too_long(f"standard input has more than {most:,} bytes", param)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(
            f"standard input is no text in UTF-8 (byte {error.start}): say in words what it is, "
            "and where it is kept",
            param_hint=param,
        ) from None


def _too_long(what: str, param: str) -> typer.BadParameter:
    rest = "tell what matters, and where the whole is kept; more notes can follow"
    return typer.BadParameter(f"{what}, and {MOST_TEXT:,} are the most: {rest}", param_hint=param)
