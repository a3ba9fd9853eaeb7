"""From the bytes of a spec to a JSON value that knows where each part of it stands.

A spec is JSON, or YAML restricted to what maps onto JSON in the same way for every reader. What is
refused is a value, a `Problem`, and all that can be found are found: see `formats/spec.md`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from bailment.spec import json_text, yaml_text
from bailment.spec.tokens import REFUSED, Place, Token, Unreadable, place_at

MAX_BYTES = 1 << 20
MAX_DEPTH = 24

Path = tuple[str | int, ...]
# Characters that an editor does not show, or that change the order in which the others are shown.
_HIDDEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ufff9-\ufffb\ufffe\uffff]"
)


class Problem(msgspec.Struct, frozen=True, order=True):
    """What is wrong with a spec, where, and what to write instead.

    path is a JSON pointer (RFC 6901), `line` and `column` count from 1. A warning does not keep
    the spec from use.
    """

    line: int
    column: int
    path: str
    what: str
    remedy: str
    warning: bool = False


class Reading:
    """What was read: `value`, REFUSED if nothing can be said about it, and where its parts are."""

    def __init__(self) -> None:
        self.value: Any = REFUSED
        self.problems: list[Problem] = []
        self._values: dict[Path, Place] = {}
        self._keys: dict[Path, Place] = {}
        self._refused: dict[Path, tuple[int, str]] = {}
        self._unknown: set[Path] = set()

    def complain(self, path: Path, what: str, remedy: str, *, of_key: bool = False) -> None:
        """Note a problem at the value there, or at its key; or at what stands around it."""
        place = self._keys.get(path) if of_key else None
        upward = path
        while place is None:
            place = self._values.get(upward, None if upward else Place(1, 1))
            upward = upward[:-1]
        self.problems.append(Problem(*place, pointer(path), what, remedy))

    def warn(self, path: Path, what: str, remedy: str) -> None:
        """Note, at a key, what is odd but does no harm."""
        self.complain(path, what, remedy, of_key=True)
        self.problems[-1] = msgspec.structs.replace(self.problems[-1], warning=True)

    def refused(self, path: Path) -> str | None:
        """The word that was refused there, for which something else may be meant."""
        return self._refused[path][1] if path in self._refused else None

    def amend(self, path: Path, remedy: str) -> None:
        """Say more aptly what to write where a word was refused."""
        at = self._refused[path][0]
        self.problems[at] = msgspec.structs.replace(self.problems[at], remedy=remedy)

    def unknown(self, path: Path, key: str, remedy: str) -> None:
        """Note a key that nothing is known by."""
        self._unknown.add(path)
        self.complain((*path, key), f"unknown key `{key}`", remedy, of_key=True)

    def has_unknown(self, path: Path) -> bool:
        """Whether there is such a key in the mapping there."""
        return path in self._unknown

    def build(self, tokens: Iterator[Token]) -> None:
        """Take the value from the tokens of one document."""
        self.value = self._value(next(tokens), tokens, ())
        for token in tokens:
            raise Unreadable(token.place, "more than one value", "keep one in a file")

    def _value(self, token: Token, tokens: Iterator[Token], path: Path) -> Any:
        self._values[path] = token.place
        if token.refusal:
            if token.word is not None:
                self._refused[path] = len(self.problems), token.word
            self.complain(path, *token.refusal)
            return REFUSED
        if token.what == "scalar":
            return self._visible(token.value, path)
        if len(path) >= MAX_DEPTH:
            raise Unreadable(
                token.place, f"nested deeper than {MAX_DEPTH} levels", "write it flatter"
            )
        return self._mapping(tokens, path) if token.value == "{" else self._list(tokens, path)

    def _visible(self, value: Any, path: Path) -> Any:
        """The value, unless it smuggles in by an escape what the text may not hold: it could not
        be read back from its canonical JSON."""
        hidden = _HIDDEN.search(value) if isinstance(value, str) else None
        if hidden is None:
            return value
        self.complain(path, _invisible(hidden), "remove it")
        return REFUSED

    def _list(self, tokens: Iterator[Token], path: Path) -> list[Any]:
        items: list[Any] = []
        while (token := next(tokens)).what != "end":
            items.append(self._value(token, tokens, (*path, len(items))))
        return items

    def _mapping(self, tokens: Iterator[Token], path: Path) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while (token := next(tokens)).what != "end":
            key = token.value if isinstance(token.value, str) else f"#{len(members)}"
            below = (*path, key)
            refusal = self._key_refusal(token, below)
            if refusal:
                named = below if isinstance(token.value, str) else path
                self.problems.append(Problem(*token.place, pointer(named), *refusal))
                self._value(next(tokens), tokens, (*path, f"{key} on line {token.place.line}"))
            else:
                self._keys[below] = token.place
                members[key] = self._value(next(tokens), tokens, below)
        return members

    def _key_refusal(self, token: Token, path: Path) -> tuple[str, str] | None:
        """Why this cannot be a key, and what to write."""
        key = token.value
        if token.what != "scalar":
            raise Unreadable(token.place, "a key is not text", "give it a key of one word")
        if token.refusal:
            return token.refusal
        if not isinstance(key, str):
            word = json.dumps(key)
            return f"the key `{word}` is not text", f'write it in quotes: `"{word}"`'
        if not key.isascii():
            return f"the key `{key}` is not ASCII", "name it in ASCII"
        if path in self._keys:
            first = self._keys[path].line
            return f"the key `{key}` appears twice, first on line {first}", "keep one of the two"
        return None


def read(data: bytes) -> Reading:
    """The value and where it stands, or why not. Never raises.

    Text that begins with `{` is JSON (RFC 8259), all other YAML.
    """
    reading = Reading()
    try:
        text = _text(data)
        reader = json_text if text.lstrip(" \t\r\n").startswith("{") else yaml_text
        reading.build(reader.tokens(text))
    except Unreadable as error:
        reading.value = REFUSED
        reading.problems.append(Problem(*error.place, "", str(error), error.remedy))
    return reading


def pointer(path: Path) -> str:
    """The path as a JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _invisible(found: re.Match[str]) -> str:
    return f"an invisible character, U+{ord(found[0]):04X}"


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise Unreadable(
            Place(1, 1), f"longer than {MAX_BYTES >> 10} KiB", "leave out what is not the spec"
        )
    try:
        text = data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        read = data[: error.start].decode().removeprefix("\ufeff").replace("\r\n", "\n")
        raise Unreadable(
            place_at(read, len(read)), "the text is not UTF-8", "save it as UTF-8"
        ) from None
    hidden = _HIDDEN.search(text)
    if hidden:
        raise Unreadable(
            place_at(text, hidden.start()),
            _invisible(hidden),
            "remove it",
        )
    if not text.strip():
        raise Unreadable(Place(1, 1), "the text is empty", "begin with `apiVersion: bailment/v1`")
    return text
