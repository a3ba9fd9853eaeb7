"""What people and their devices are called, from the personal parts of their records; gone once
their key is destroyed."""

from __future__ import annotations

import msgspec

from bailment.access.chain import commit_person
from bailment.access.register import Register
from bailment.store.reader import LogReader


class People:
    """Looks up what is known by random ids everywhere else."""

    def __init__(self, register: Register, reader: LogReader) -> None:
        self._register = register
        self._reader = reader
        self._known: dict[int, dict[str, str]] = {}

    def of(self, person: str) -> dict[str, str]:
        """`name` and `email` of a person; empty once erased.

        Where it is not what the admin signed, the name is `misnamed:` and the id's beginning.
        """
        link_id = self._register.link_of.get(person, "")
        granted = self._register.state.links.get(link_id)
        if granted is None:
            return {}
        found = self._personal(granted.index)
        signed = self._register.links[link_id].personal
        if found and signed and signed != commit_person(found):
            return {"name": f"misnamed:{person[:8]}"}
        return found

    def name(self, person: str) -> str:
        """What to print for a person: the name, or the id of somebody erased."""
        return self.of(person).get("name") or f"erased:{person[:8]}"

    def device(self, device: str) -> str:
        """What its person called a device; empty once the person was erased."""
        state = self._register.state
        if device in state.enrolled:
            return self._personal(state.enrolled[device]).get("device", "")
        known = state.devices.get(device)
        return known.name if known is not None else ""

    def find(self, text: str) -> list[str]:
        """The ids of people with this id, email or name."""
        people = [link.subject for link in self._register.links.values() if link.kind == "person"]
        return sorted(
            {p for p in people if text == p or text in (self.of(p).get(k) for k in _SOUGHT)}
        )

    def forget(self) -> None:
        """Somebody was erased."""
        self._known.clear()

    def _personal(self, index: int) -> dict[str, str]:
        """The personal part of a record; empty if its key was destroyed."""
        found = self._known.get(index)
        if found is None:
            stored = next(self._reader.stored(index, index + 1), None)
            personal = self._reader.personal(stored) if stored is not None else None
            found = msgspec.json.decode(personal, type=dict[str, str]) if personal else {}
            if found:
                self._known[index] = found
        return found


_SOUGHT = ("email", "name")
