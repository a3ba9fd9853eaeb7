"""Whether a value has the shape of a document: every member known, present and of its type."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect

from bailment.spec.document import Document
from bailment.spec.reading import MAX_BYTES, Path, Reading
from bailment.spec.tokens import REFUSED

_DOCUMENT = inspect.type_info(Document)
_NAMES = {dict: "a mapping", list: "a list", str: "text", int: "a number", bool: "a boolean"}
_WRITE: dict[type, str] = {
    dict: "write its members below it, indented",
    list: "write its items in brackets: `[one, two]`",
    str: "write a word",
    int: "write an integer without quotes",
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

    def checked(self, kind: inspect.Type, value: Any, path: Path, *, of_key: bool = False) -> Any:
        """The value without its unknown members. `whole` falls if it is not of this type."""
        if value is REFUSED:
            self.whole = False
            return value
        extra: dict[str, Any] = {}
        if isinstance(kind, inspect.Metadata):
            extra, kind = kind.extra_json_schema or {}, kind.type
        match kind:
            case inspect.StructType():
                return self._struct(kind, value, path)
            case inspect.DictType():
                return self._dict(kind, value, path)
            case inspect.VarTupleType():
                return self._list(kind, value, path)
            case inspect.LiteralType():
                self._literal([str(word) for word in kind.values], value, path, of_key)
            case inspect.StrType():
                self._string(kind, value, path, extra, of_key)
            case inspect.IntType():
                self._int(kind, value, path)
            case _:
                raise TypeError(f"a document has no {kind}")
        return value

    def _struct(self, kind: inspect.StructType, value: Any, path: Path) -> Any:
        if not self._is(dict, value, path):
            return value
        fields = {field.encode_name: field for field in kind.fields}
        free = [name for name in fields if name not in value]
        meant = set()
        for key in value.keys() - fields.keys():
            self._reading.complain(
                (*path, key), f"unknown key `{key}`", nearest(key, free or fields), of_key=True
            )
            meant.add(_meant(key, free))
        for name in free:
            if fields[name].required:
                self.whole = False
                if name not in meant:
                    missing = f"`{name}` is missing"
                    self._reading.complain(path, missing, f"add `{name}:`", of_key=True)
        return {
            name: self.checked(field.type, value[name], (*path, name))
            for name, field in fields.items()
            if name in value
        }

    def _dict(self, kind: inspect.DictType, value: Any, path: Path) -> Any:
        if not self._is(dict, value, path):
            return value
        self._length(kind, len(value), path)
        for key in value:
            self.checked(kind.key_type, key, (*path, key), of_key=True)
        return {
            key: self.checked(kind.value_type, item, (*path, key)) for key, item in value.items()
        }

    def _list(self, kind: inspect.VarTupleType, value: Any, path: Path) -> Any:
        if not self._is(list, value, path):
            return value
        self._length(kind, len(value), path)
        return [self.checked(kind.item_type, item, (*path, at)) for at, item in enumerate(value)]

    def _literal(self, words: list[str], value: Any, path: Path, of_key: bool) -> None:
        if self._is(str, value, path) and value not in words:
            remedy = nearest(value, words) if len(words) > 1 else f"write `{words[0]}`"
            self._refuse(path, f"`{value}` does not belong here", remedy, of_key=of_key)

    def _string(
        self,
        kind: inspect.StrType,
        value: Any,
        path: Path,
        words: dict[str, Any],
        of_key: bool,
    ) -> None:
        title, like = words["title"], f"write one like `{words['examples'][0]}`"
        what = f"{'an' if title[0] in 'aeiou' else 'a'} {title}"
        if not isinstance(value, str):
            self._refuse(path, f"{_name(value)} stands where {what} must", like)
        elif not re.search(kind.pattern or "", value):
            self._refuse(path, f"`{value[:80]}` is not {what}", like, of_key=of_key)
        elif len(value) > (kind.max_length or MAX_BYTES):
            more = f"longer than {kind.max_length} characters"
            self._refuse(path, more, "say it in fewer", of_key=of_key)

    def _int(self, kind: inspect.IntType, value: Any, path: Path) -> None:
        if not self._is(int, value, path):
            return
        if (kind.ge is not None and value < kind.ge) or (kind.le is not None and value > kind.le):
            self._refuse(
                path, f"`{value}` is out of bounds", f"write a number from {kind.ge} to {kind.le}"
            )

    def _length(self, kind: Any, length: int, path: Path) -> None:
        if length < (kind.min_length or 0):
            self._refuse(path, "nothing is in it", "write at least one, or leave out its key")
        elif kind.max_length is not None and length > kind.max_length:
            self._refuse(path, f"more than {kind.max_length}", "write fewer")

    def _is(self, wanted: type, value: Any, path: Path) -> bool:
        if type(value) is wanted:
            return True
        self._refuse(path, f"{_name(value)} stands where {_NAMES[wanted]} must", _WRITE[wanted])
        return False

    def _refuse(self, path: Path, what: str, remedy: str, *, of_key: bool = False) -> None:
        self.whole = False
        self._reading.complain(path, what, remedy, of_key=of_key)


def _name(value: Any) -> str:
    return _NAMES.get(type(value), "null")
