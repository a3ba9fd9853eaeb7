"""Whether a value has the shape of a document: every member known, present and of its type."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect

from bailment.spec.document import Document, Rule
from bailment.spec.mending import instead, integer_instead, what_must
from bailment.spec.reading import MAX_BYTES, Path, Reading
from bailment.spec.terms import RANK
from bailment.spec.tokens import REFUSED

_DOCUMENT = inspect.type_info(Document)
_NAMES = {dict: "a mapping", list: "a list", str: "text", int: "a number", bool: "a boolean"}
_BEGIN = "begin with `apiVersion: bailment/v1`"
#: What others call it.
_CALLED = {
    **dict.fromkeys(("any", "anyOf", "any_of", "oneOf", "one_of", "or"), "at_least: 1` and `of"),
    **dict.fromkeys(("allOf", "all_of", "and"), "all"),
}


def document_of(reading: Reading) -> Document | None:
    """The document that was read; all that keeps it from being one is noted in the reading.

    Unknown keys are noted too, and do not keep the rest from being looked at.
    """
    shape = _Shape(reading)
    value = shape.checked(_DOCUMENT, reading.value, ())
    return msgspec.convert(value, Document) if shape.whole else None


def nearest(word: str, known: Iterable[str], most: int = 12) -> str:
    """What to write for a word that nobody knows: the one that was meant, or some of the known."""
    names = list(known)
    meant = _meant(word, names)
    if meant:
        return f"did you mean `{meant}`?"
    some = ", ".join(f"`{name}`" for name in names[:most])
    return f"known are {some}" + (" and others" if len(names) > most else "")


def _meant(word: str, names: list[str]) -> str:
    same = [name for name in names if name.casefold() == word.casefold()]
    return next(iter(same or get_close_matches(word, names, n=1)), "")


class _Shape:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.whole = True

    def checked(
        self,
        kind: inspect.Type,
        value: Any,
        path: Path,
        *,
        of_key: bool = False,
        optional: bool = False,
    ) -> Any:
        """The value without its unknown members. `whole` falls if it is not of this type."""
        extra: dict[str, Any] = {}
        if isinstance(kind, inspect.Metadata):
            extra, kind = kind.extra_json_schema or {}, kind.type
        if value is REFUSED:
            self.whole = False
            self._mend(kind, path, extra, optional)
            return value
        match kind:
            case inspect.StructType():
                return self._struct(kind, value, path)
            case inspect.DictType():
                return self._dict(kind, value, path, optional)
            case inspect.VarTupleType():
                return self._list(kind, value, path, optional)
            case inspect.LiteralType():
                self._literal(_words(kind), value, path, of_key)
            case inspect.StrType():
                self._string(kind, value, path, extra, of_key)
            case inspect.IntType():
                self._int(kind, value, path)
            case _:
                raise TypeError(f"a document has no {kind}")
        return value

    def _mend(self, kind: inspect.Type, path: Path, extra: dict[str, Any], optional: bool) -> None:
        """Where a word was refused, say what this type has in its place."""
        word = self._reading.refused(path)
        match kind:
            case inspect.StrType() if word is not None:
                remedy = instead(extra, kind.pattern or "", word)
            case inspect.IntType() if word:
                remedy = integer_instead(word, path)
            case inspect.LiteralType() if word is not None:
                remedy = _one_of(word, _words(kind))
            case inspect.StructType() | inspect.DictType() if word is not None:
                remedy = _below(kind)
            case inspect.VarTupleType() if word is not None:
                remedy = _in_brackets(word)
            case _:
                return
        self._reading.amend(path, remedy + (", or leave it out" if optional and not word else ""))

    def _struct(self, kind: inspect.StructType, value: Any, path: Path) -> Any:
        fields = {field.encode_name: field for field in kind.fields}
        if type(value) is not dict:
            self._misplaced(dict, value, path, _below(kind) if path else _BEGIN)
            return value
        free = [name for name in fields if name not in value]
        meant = set()
        for key in value.keys() - fields.keys():
            remedy = _known(key, free)
            if kind.cls is Rule and key in _CALLED:
                remedy = f"write `{_CALLED[key]}`"
            self._reading.unknown(path, key, remedy)
            meant.add(_meant(key, free))
        for name in free:
            if fields[name].required:
                self.whole = False
                if name not in meant:
                    missing = f"`{name}` is missing"
                    self._reading.complain(path, missing, f"add `{name}:`", of_key=True)
        return {
            name: self.checked(field.type, value[name], (*path, name), optional=not field.required)
            for name, field in fields.items()
            if name in value
        }

    def _dict(self, kind: inspect.DictType, value: Any, path: Path, optional: bool) -> Any:
        if type(value) is not dict:
            self._misplaced(dict, value, path, _below(kind))
            return value
        self._length(kind, len(value), path, optional)
        for key in value:
            self.checked(kind.key_type, key, (*path, key), of_key=True)
        return {
            key: self.checked(kind.value_type, item, (*path, key)) for key, item in value.items()
        }

    def _list(self, kind: inspect.VarTupleType, value: Any, path: Path, optional: bool) -> Any:
        if type(value) is not list:
            self._misplaced(list, value, path, _in_brackets(value))
            return value
        self._length(kind, len(value), path, optional)
        return [self.checked(kind.item_type, item, (*path, at)) for at, item in enumerate(value)]

    def _literal(self, words: list[str], value: Any, path: Path, of_key: bool) -> None:
        if not isinstance(value, str):
            self._misplaced(str, value, path, _one_of("", words))
        elif value not in words:
            remedy = _one_of(value, words)
            self._refuse(path, f"`{value}` does not belong here", remedy, of_key=of_key)

    def _string(
        self,
        kind: inspect.StrType,
        value: Any,
        path: Path,
        words: dict[str, Any],
        of_key: bool,
    ) -> None:
        if not isinstance(value, str):
            what = f"{_name(value)} stands where {what_must(words, quoted=True)} must"
            self._refuse(path, what, instead(words, kind.pattern or "", value))
        elif not re.search(kind.pattern or "", value):
            remedy = instead(words, kind.pattern or "", value)
            what = f"`{value[:80]}` is not {what_must(words)}"
            self._refuse(path, what, remedy, of_key=of_key)
        elif len(value) > (kind.max_length or MAX_BYTES):
            more = f"longer than {kind.max_length} characters"
            self._refuse(path, more, "say it in fewer", of_key=of_key)

    def _int(self, kind: inspect.IntType, value: Any, path: Path) -> None:
        if type(value) is not int:
            text = value if isinstance(value, str) else ""
            self._misplaced(int, value, path, integer_instead(text, path))
        elif not (kind.ge is None or kind.ge <= value) or not (kind.le is None or value <= kind.le):
            self._refuse(
                path, f"`{value}` is out of bounds", f"write a number from {kind.ge} to {kind.le}"
            )

    def _length(self, kind: Any, length: int, path: Path, optional: bool) -> None:
        if length < (kind.min_length or 0):
            # A rule may be without each of its lists, and not without its form.
            out = optional and path[-1] not in ("of", "all")
            remedy = "write at least one" + (", or leave out its key" if out else "")
            self._refuse(path, "nothing is in it", remedy)
        elif kind.max_length is not None and length > kind.max_length:
            self._refuse(path, f"more than {kind.max_length}", "write fewer")

    def _misplaced(self, wanted: type, value: Any, path: Path, remedy: str) -> None:
        self._refuse(path, f"{_name(value)} stands where {_NAMES[wanted]} must", remedy)

    def _refuse(self, path: Path, what: str, remedy: str, *, of_key: bool = False) -> None:
        self.whole = False
        self._reading.complain(path, what, remedy, of_key=of_key)


def _name(value: Any) -> str:
    return _NAMES.get(type(value), "null")


def _below(kind: inspect.StructType | inspect.DictType) -> str:
    """How a mapping is written."""
    if isinstance(kind, inspect.StructType):
        names = [field.encode_name for field in kind.fields if field.required]
        some = ", ".join(f"`{name}:`" for name in names[:4] or [kind.fields[0].encode_name])
        return f"write below it, indented: {some}"
    key = kind.key_type
    extra = (key.extra_json_schema or {}) if isinstance(key, inspect.Metadata) else {}
    return f"write them below it, indented, each by its {extra.get('title', 'tier')}"


def _in_brackets(value: Any) -> str:
    """How a list is written."""
    if isinstance(value, dict):
        return "write each item on lines of its own, after `- `"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._/-]{1,40}", value):
        return f"write it in brackets: `[{value}]`"
    return "write its items in brackets: `[one, two]`"


def _words(kind: inspect.LiteralType) -> list[str]:
    """The words that may stand somewhere; rungs of the ladder as they rise."""
    return sorted(map(str, kind.values), key=lambda word: (RANK.get(word, 0), word))


def _one_of(word: str, words: list[str]) -> str:
    return nearest(word, words) if len(words) > 1 else f"write `{words[0]}`"


def _known(key: str, free: list[str]) -> str:
    """What to do about an unknown key, where these can still be written."""
    if not free:
        return "remove it"
    return nearest(key, free) if _meant(key, free) else f"remove it; {nearest(key, free)}"
