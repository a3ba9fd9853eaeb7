"""Names of people, from the personal parts of their links; gone once their key is destroyed."""

from __future__ import annotations

import msgspec

from bailment.access.register import Register
from bailment.store.reader import LogReader


class People:
    """Looks people up by the random ids that everything else knows them by."""

    def __init__(self, register: Register, reader: LogReader) -> None:
        self._register = register
        self._reader = reader
        self._known: dict[str, dict[str, str]] = {}

    def of(self, person: str) -> dict[str, str]:
        """`name` and `email` of a person; empty once erased."""
        found = self._known.get(person) or self._read(person)
        if found:
            self._known[person] = found
        return found

    def name(self, person: str) -> str:
        """What to print for a person: the name, or the id of somebody erased."""
        return self.of(person).get("name") or f"erased:{person[:8]}"

    def find(self, text: str) -> list[str]:
        """The ids of people with this id, email or name."""
        people = [link.subject for link in self._register.links.values() if link.kind == "person"]
        return sorted(
            {p for p in people if text == p or text in (self.of(p).get(k) for k in _SOUGHT)}
        )

    def forget(self, person: str) -> None:
        """The person was erased."""
        self._known.pop(person, None)

    def _read(self, person: str) -> dict[str, str]:
        granted = self._register.state.links.get(self._register.link_of.get(person, ""))
        if granted is None:
            return {}
        stored = next(self._reader.stored(granted.index, granted.index + 1), None)
        personal = self._reader.personal(stored) if stored is not None else None
        return msgspec.json.decode(personal, type=dict[str, str]) if personal else {}


_SOUGHT = ("email", "name")
