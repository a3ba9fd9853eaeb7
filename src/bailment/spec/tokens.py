"""What the readers of JSON and of YAML both make of a text."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from bailment.canonical import MAX_INTEGER

_SMALLER = "write a smaller number, or one in quotes"

#: Stands where a part was refused, so that nothing more is said about it.
REFUSED: Any = object()


class Place(NamedTuple):
    """Where something begins: line and column, both from 1."""

    line: int
    column: int


class Token(NamedTuple):
    """A piece of the text: `begin` and `end` of a mapping (its value is `{`) or a list (`[`), or a
    scalar. Where a scalar is refused, `refusal` says why and what to write, and `word` is what
    stands there, if something else may be meant."""

    what: Literal["begin", "end", "scalar"]
    place: Place
    value: Any = None
    refusal: tuple[str, str] | None = None
    word: str | None = None


class Unreadable(Exception):
    """Nothing more can be read. Raised and caught within this room."""

    def __init__(self, place: Place, what: str, remedy: str) -> None:
        super().__init__(what)
        self.place = place
        self.remedy = remedy


def integer(word: str, place: Place) -> Token:
    """The token of an integer as JSON spells it; canonical JSON goes to 2^53 - 1."""
    value = int(word) if len(word) < 20 else MAX_INTEGER + 1
    if abs(value) > MAX_INTEGER:
        return Token("scalar", place, REFUSED, (f"`{word[:20]}` is beyond 2^53 - 1", _SMALLER))
    return Token("scalar", place, value)


def place_at(text: str, offset: int) -> Place:
    """The line and column of a character."""
    start = text.rfind("\n", 0, offset) + 1
    return Place(text.count("\n", 0, start) + 1, offset - start + 1)
