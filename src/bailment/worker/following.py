"""Reads an issuer's log beside the process that writes it, and takes no lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

from bailment.access.register import Register
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import decode_leaf
from bailment.ledger.records import TYPES
from bailment.store.folder import Folder
from bailment.store.log import newest_snapshot
from bailment.store.reader import LogReader, Record, Stored
from bailment.store.secrets import load_kek
from bailment.store.staging import Staging
from bailment.store.vault import Vault

#: The types of records that change the register.
_REGISTERING = tuple(name for name, facts in TYPES.items() if facts.REGISTERS)


class Following:
    """One issuer's log, as far as it goes just now; `alive` is called at every 256th entry."""

    def __init__(self, folder: Folder, alive: Callable[[], None] = lambda: None) -> None:
        self._alive = alive
        folder.require()
        self._folder = folder
        self._opened = ExitStack()
        vault = Vault(folder.keys, load_kek(folder), read_only=True)
        self._opened.enter_context(closing(vault))
        self._staging = self._opened.enter_context(closing(Staging(folder.staging, read_only=True)))
        self.reader = LogReader(folder, vault)

    def end(self) -> int:
        """How many entries there are."""
        return self._staging.end()

    def register_at(self, position: int) -> Register:
        """The register after the first so many entries."""
        fold = newest_snapshot(self._folder, self.reader, self.end(), position)
        for record in self.of_types(_REGISTERING, fold.size, position):
            fold.register.apply(record.index, record.facts, record.leaf.time)
        return fold.register

    def of_types(self, types: tuple[str, ...], start: int, stop: int) -> Iterator[Record]:
        """The entries of these types; only theirs are decrypted."""
        for stored in self._stored(start, stop):
            if decode_leaf(stored.entry).type in types:
                yield self.reader.open(stored)

    def records(self, start: int, stop: int) -> Iterator[Record]:
        """The entries, opened."""
        return map(self.reader.open, self._stored(start, stop))

    def _stored(self, start: int, stop: int) -> Iterator[Stored]:
        for stored in self.reader.stored(start, stop):
            if not stored.index % 256:
                self._alive()
            yield stored

    def facts(self, types: tuple[type[Facts], ...], start: int, stop: int) -> Iterator[Facts]:
        """What the entries of these types say."""
        names = tuple(one.TYPE for one in types)
        return (record.facts for record in self.of_types(names, start, stop))

    def close(self) -> None:
        self._opened.close()
