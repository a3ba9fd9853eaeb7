"""JSON (RFC 8259) as tokens with their places."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator

from bailment.spec.tokens import REFUSED, Place, Token, Unreadable, integer

_TOKEN = re.compile(
    r"""[ \t\n\r:,]*(?:(?P<begin>[{\[])|(?P<end>[}\]])
    |(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")|(?P<word>[^ \t\n\r:,{}\[\]"]+))""",
    re.X,
)
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_WORDS = {"true": True, "false": False, "null": None}


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a JSON text, in order. Raises Unreadable where it is none."""
    _parse(text)
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    for found in _TOKEN.finditer(text):
        what = found.lastgroup or ""
        word, offset = found[what], found.start(what)
        line = bisect_right(starts, offset)
        place = Place(line, offset - starts[line - 1] + 1)
        if what == "begin":
            yield Token("begin", place, word)
        elif what == "end":
            yield Token("end", place)
        elif what == "string":
            value = json.loads(word)
            if re.search("[\ud800-\udfff]", value):
                raise Unreadable(place, "half of a surrogate pair", "write the character itself")
            yield Token("scalar", place, value)
        elif word in _WORDS:
            yield Token("scalar", place, _WORDS[word])
        elif _INTEGER.match(word):
            yield integer(word, place)
        else:
            quoted = f'write an integer, or in quotes: `"{word[:40]}"`'
            yield Token(
                "scalar", place, REFUSED, (f"`{word[:40]}` is not an integer", quoted), word
            )


def _parse(text: str) -> None:
    """Only to know that it is JSON: the values are not looked at."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise Unreadable(
            Place(error.lineno, error.colno),
            f"not JSON: {error.msg.lower()}",
            "mend it, or write the spec in YAML without braces around the whole",
        ) from None
    except RecursionError:
        raise Unreadable(Place(1, 1), "nested too deeply", "write it flatter") from None
