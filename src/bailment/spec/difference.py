"""What differs between two specs, member by member."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from bailment import canonical
from bailment.spec.document import Document
from bailment.spec.reading import Path, pointer


class Change(msgspec.Struct, frozen=True):
    """One member or item that is there on one side only, or differs.

    path is a JSON pointer; to a list for what is added to it or removed from it, since the place in
    a list means nothing.
    """

    what: Literal["added", "removed", "changed"]
    path: str
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        match self.what:
            case "added":
                return f"+ {self.path} {_short(self.after)}"
            case "removed":
                return f"- {self.path} {_short(self.before)}"
            case _:
                return f"~ {self.path} {_short(self.before)} → {_short(self.after)}"


def differences(before: Document | None, after: Document) -> tuple[Change, ...]:
    """The changes from one spec, or none at all, to another, in the order of their paths.

    Empty exactly where the digests are the same.
    """
    new = _value(after)
    old = {key: {} for key in new} if before is None else _value(before)
    return tuple(_between(old, new, ()))


def _value(document: Document) -> Any:
    return json.loads(canonical.encode(document))


def _between(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            here = (*path, key)
            if key not in after:
                yield Change("removed", pointer(here), before=before[key])
            elif key not in before:
                yield Change("added", pointer(here), after=after[key])
            else:
                yield from _between(before[key], after[key], here)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, path)
    elif before != after:
        yield Change("changed", pointer(path), before, after)


def _lists(before: list[Any], after: list[Any], path: Path) -> Iterator[Change]:
    gone = [item for item in before if item not in after]
    come = [item for item in after if item not in before]
    if len(gone) == len(come) == 1 and len(before) == len(after):
        yield from _between(gone[0], come[0], (*path, after.index(come[0])))
        return
    yield from (Change("removed", pointer(path), before=item) for item in gone)
    yield from (Change("added", pointer(path), after=item) for item in come)
    if before != after and not gone and not come:
        yield Change("changed", pointer(path), before, after)


def _short(value: Any) -> str:
    """In one line; of a mapping with a title or a name, that."""
    if isinstance(value, dict):
        value = value.get("title", value.get("name", value))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
