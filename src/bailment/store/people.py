"""What people and their devices are called, from the personal parts of their records; gone once
their key is destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby

import msgspec

from bailment.access.chain import commit_person
from bailment.access.register import Register
from bailment.ledger.tiles import WIDTH
from bailment.store.reader import LogReader


class People:
    """Looks up what is known by random ids everywhere else."""

    def __init__(self, register: Register, reader: LogReader) -> None:
        self._register = register
        self._reader = reader
        #: By the index of the record; of somebody erased it is empty.
        self._known: dict[int, dict[str, str]] = {}
        self._devices: dict[int, dict[str, str]] = {}

    def of(self, person: str) -> dict[str, str]:
        """`name` and `email` of a person; empty once erased.

        Where it is not what the admin signed, the name is `misnamed:` and the id's beginning.
        """
        return self.of_link(self._register.link_of.get(person, ""))

    def of_link(self, link: str) -> dict[str, str]:
        """The same, as one of the person's links has it, with whatever else the admin said."""
        at = self._named_by(link)
        if at is None:
            return {}
        index, signed = at
        person = self._register.links[link].subject
        if index not in self._known:
            found = self._read(index, person, signed)
            if found is None:
                return {}
            self._known[index] = found
        return self._known[index]

    async def load(self, people: Iterable[str]) -> None:
        """Read what `of` is to tell of many, beside the event loop."""
        records = [(at, person) for person in people if (at := self._record(person))]
        wanted = [(*at, person) for at, person in records if at[0] not in self._known]

        def read() -> dict[int, dict[str, str] | None]:
            return {index: self._read(index, person, signed) for index, signed, person in wanted}

        for index, found in (await asyncio.to_thread(read) if wanted else {}).items():
            if found is not None:  # and unless its person was erased meanwhile
                self._known.setdefault(index, found)

    def prefetch(self, people: Iterable[str] = (), devices: Iterable[str] = ()) -> None:
        """Read what many are called, in the log's order: each by itself takes a bundle."""
        records = [(at, person) for person in people if (at := self._record(person))]
        sought = {at: (person, signed) for (at, signed), person in records if at not in self._known}
        enrolled = self._register.state.enrolled
        named = {enrolled[one] for one in devices if one in enrolled} - self._devices.keys()
        for index, found in self._personals(sought.keys() | named):
            if index in sought:
                self._known[index] = _checked(found, *sought[index])
            else:
                self._devices[index] = found

    def name(self, person: str) -> str:
        """What to print for a person: the name, or the id of somebody erased."""
        return self.of(person).get("name") or f"erased:{person[:8]}"

    def device(self, device: str) -> str:
        """What its person called a device; empty once the person was erased."""
        state = self._register.state
        if device in state.enrolled:
            index = state.enrolled[device]
            if index not in self._devices:
                self._devices[index] = self._personal(index) or {}
            return self._devices[index].get("device", "")
        known = state.devices.get(device)
        return known.name if known is not None else ""

    def find(self, text: str) -> list[str]:
        """The ids of people with this id, email or name."""
        people = [link.subject for link in self._register.links.values() if link.kind == "person"]
        if text in people:
            return [text]
        self.prefetch(people)
        return sorted({p for p in people if text in (self.of(p).get(k) for k in _SOUGHT)})

    def known(self) -> Iterator[str]:
        """Every name and email; goes through everybody."""
        for link in self._register.links.values():
            if link.kind == "person":
                yield from filter(None, (self.of(link.subject).get(k, "") for k in _SOUGHT))

    def forget(self, person: str) -> None:
        """This person was erased."""
        self._devices.clear()
        for link in self._register.links.values():
            if (link.kind, link.subject) == ("person", person):
                self._known[self._register.state.links[link.id].index] = {}

    def _record(self, person: str) -> tuple[int, str] | None:
        """The index of the record that names a person, and what its admin signed of that."""
        return self._named_by(self._register.link_of.get(person, ""))

    def _named_by(self, link: str) -> tuple[int, str] | None:
        """The index of a person's link's record, and what its admin signed of who that is."""
        granted = self._register.state.links.get(link)
        if granted is None:
            return None
        return granted.index, self._register.links[link].personal

    def _read(self, index: int, person: str, signed: str) -> dict[str, str] | None:
        """What `of` tells of a person, from the record; looks at nothing that changes."""
        found = self._personal(index)
        return found if found is None else _checked(found, person, signed)

    def at(self, index: int) -> dict[str, str]:
        """The personal part of the record at this index; empty if there is none any more."""
        return self._personal(index) or {}

    def _personal(self, index: int) -> dict[str, str] | None:
        """The personal part of a record; empty if its key was destroyed, None if there is none."""
        return next((found for _, found in self._personals({index})), None)

    def _personals(self, indices: Collection[int]) -> Iterator[tuple[int, dict[str, str]]]:
        """The personal parts of the records at these indices, bundle by bundle."""
        for _, some in groupby(sorted(indices), lambda index: index // WIDTH):
            wanted = set(some)
            for stored in self._reader.stored(min(wanted), max(wanted) + 1):
                if stored.index in wanted:
                    personal = self._reader.personal(stored)
                    read = msgspec.json.decode(personal, type=dict[str, str]) if personal else {}
                    yield stored.index, read


def _checked(found: dict[str, str], person: str, signed: str) -> dict[str, str]:
    """What is said of a person, unless it is not what the admin signed."""
    if found and signed and signed != commit_person(found):
        return {"name": f"misnamed:{person[:8]}"}
    return found


_SOUGHT = ("email", "name")
