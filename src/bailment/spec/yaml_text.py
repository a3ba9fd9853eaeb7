"""YAML as tokens with their places, restricted to what has one meaning.

A plain scalar that some reader takes for something else than text (YAML 1.1 types, YAML 1.2 core
schema §10.3) is refused unless it is JSON's own spelling of null, true, false or an integer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from bailment.spec.tokens import REFUSED, Place, Token, Unreadable, integer

_WORDS = {"true": True, "false": False, "null": None}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_IN_QUOTES = "write it in quotes: `{q}`"
#: What a plain scalar may not look like: the first that matches says why.
_REFUSED = [
    (re.compile(pattern, re.I), why, remedy)
    for pattern, why, remedy in (
        (r"\Z", "nothing stands here", "write a value, or leave out its key"),
        (r"(?:~|null)\Z", "some readers take `{}` for null", _IN_QUOTES),
        (
            r"(?:y|n|yes|no|on|off|true|false)\Z",
            "some readers take `{}` for a boolean",
            _IN_QUOTES,
        ),
        (
            r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?\Z",
            "a date is written as text",
            _IN_QUOTES,
        ),
        (r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z", "`{}` is sixty-based", _IN_QUOTES),
        (r"[-+]?0(?:[0-9_]+|[xob][0-9a-f_]+)\Z", "`{}` is not a decimal number", _IN_QUOTES),
        (
            r"[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:e[-+]?[0-9]+)?\Z",
            "`{}` is not a plain integer",
            "write an integer such as `10`, or in quotes: `{q}`",
        ),
        (r"(?:[-+]?\.inf|\.nan)\Z", "`{}` is not a number", _IN_QUOTES),
        (r"<<\Z", "a merge key", "write out what it would merge"),
        (r"=\Z", "some readers take `=` for a default", _IN_QUOTES),
    )
]

#: By what libyaml says: what to do.
_MENDED = (
    ("cannot start any token", "write text that begins with `{sign}` in quotes"),
    ("mapping values are not allowed", "write text with `: ` in it in quotes"),
    ("expected ',' or", "close the bracket that opens on line {line}"),
    ("expected ':'", "write `key: value`, with a space after the colon"),
    ("unexpected end of stream", "close the quotes that open on line {line}"),
    ("escape character", "write two backslashes for one, or single quotes around the text"),
)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of one YAML document. Raises Unreadable where it is none."""
    documents = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            place = _place(event.start_mark)
            _one_meaning(event, place)
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise Unreadable(place, "a second document", "keep one in a file")
                    if event.version or event.tags:
                        raise Unreadable(place, "a directive", "remove the line that begins with %")
                case yaml.MappingStartEvent():
                    yield Token("begin", place, "{")
                case yaml.SequenceStartEvent():
                    yield Token("begin", place, "[")
                case yaml.CollectionEndEvent():
                    yield Token("end", place)
                case yaml.ScalarEvent():
                    yield _scalar(event, place)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(mark) if mark else Place(1, 1)
        what = f"not YAML: {error.problem or error.context}"
        raise Unreadable(place, what, _mend(error, text, place)) from None
    except yaml.YAMLError:
        raise Unreadable(Place(1, 1), "not YAML", "save it as plain UTF-8 text") from None
    if not documents:
        raise Unreadable(Place(1, 1), "no document", "begin with `apiVersion: bailment/v1`")


def _mend(error: yaml.MarkedYAMLError, text: str, place: Place) -> str:
    """What to do about what libyaml finds, by its own words."""
    said = str(error.problem)
    line = (text.splitlines()[place.line - 1 : place.line] or [""])[0]
    sign = line[place.column - 1 : place.column]
    opened = error.context_mark.line + 1 if error.context_mark else place.line
    if sign == "\t" or "tab character" in said:
        return "indent by spaces, not by tabs"
    for words, remedy in _MENDED:
        if words in said:
            return remedy.replace("{sign}", sign).replace("{line}", str(opened))
    return "indent it like the lines beside it, and write text with `: ` or ` #` in quotes"


def _one_meaning(event: Any, place: Place) -> None:
    if isinstance(event, yaml.AliasEvent):
        raise Unreadable(place, f"the alias `*{event.anchor}`", "write out what it stands for")
    if getattr(event, "anchor", None):
        instead = f"remove it, and write out what `*{event.anchor}` stands for"
        raise Unreadable(place, f"the anchor `&{event.anchor}`", instead)
    if getattr(event, "tag", None):
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        raise Unreadable(place, f"the tag `{tag}`", "remove it")


def _scalar(event: Any, place: Place) -> Token:
    value: str = event.value
    if event.style:  # in quotes, or a block
        return Token("scalar", place, value)
    if value in _WORDS:
        return Token("scalar", place, _WORDS[value])
    if _INTEGER.match(value):
        return integer(value, place)
    for pattern, why, remedy in _REFUSED:
        if pattern.match(value):
            quoted = json.dumps(value, ensure_ascii=False)
            refusal = why.replace("{}", value), remedy.replace("{q}", quoted)
            return Token("scalar", place, REFUSED, refusal, value)
    return Token("scalar", place, value)


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)
