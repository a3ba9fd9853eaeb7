"""Reading the log back: full bundles from files, the rest from the staging table.

Works beside the process that writes: the staged rows are read first, in one consistent view, and
a row is deleted only after its bundle is on disk, so nothing falls between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bailment.errors import VerificationError
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf, decode_leaf, open_body
from bailment.ledger.records import decode_facts
from bailment.ledger.tiles import WIDTH, decode_bundle, entries_path
from bailment.store.folder import Folder
from bailment.store.publisher import bodies_path
from bailment.store.staging import Staging, unframe
from bailment.store.vault import Erased, Vault


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as stored: its bytes and its sealed bodies."""

    index: int
    entry: bytes
    facts: bytes
    personal: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """An entry opened. `body` is what opens the leaf's commitment to the facts."""

    index: int
    entry: bytes
    leaf: Leaf
    body: bytes
    facts: Facts


class LogReader:
    """Reads one issuer's log."""

    def __init__(self, folder: Folder, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault

    def stored(self, start: int = 0, stop: int | None = None) -> Iterator[Stored]:
        """The entries from `start` up to `stop` or the end."""
        staging = Staging(self._folder.staging, read_only=True)
        try:
            staged = staging.first()
            batches = [] if stop is not None and stop <= staged else staging.since(start)
        finally:
            staging.close()
        if batches:
            staged = batches[0].first
        # Whole bundles before the first staged row; a batch may begin inside a bundle.
        index = start
        while index < staged and (stop is None or index < stop):
            for item in self._bundle(index // WIDTH):
                if index == item.index and index < staged and (stop is None or index < stop):
                    yield item
                    index += 1
        for batch in batches:
            columns = zip(
                unframe(batch.leaves), unframe(batch.facts), unframe(batch.personal), strict=True
            )
            for offset, (entry, facts, personal) in enumerate(columns):
                if batch.first + offset == index and (stop is None or index < stop):
                    yield Stored(index, entry, facts, personal)
                    index += 1

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[Record]:
        """The entries with their facts opened and checked against the commitment."""
        return map(self.open, self.stored(start, stop))

    def open(self, stored: Stored) -> Record:
        """One entry with its facts; VerificationError if body and commitment disagree."""
        leaf = decode_leaf(stored.entry)
        body = self._vault.open(stored.facts, leaf.facts)
        facts = decode_facts(leaf.type, open_body(leaf.facts, body))
        return Record(stored.index, stored.entry, leaf, body, facts)

    def personal(self, stored: Stored) -> bytes | None:
        """The JSON of the personal part; None if there is none or its key was destroyed."""
        body = self.personal_body(stored)
        if not body:
            return None
        return open_body(decode_leaf(stored.entry).personal, body, personal=True)

    def personal_body(self, stored: Stored) -> bytes:
        """What opens the commitment to the personal part; empty where `personal` is None."""
        leaf = decode_leaf(stored.entry)
        if not leaf.personal:
            return b""
        try:
            return self._vault.open(stored.personal, leaf.personal)
        except Erased:
            return b""

    def first_since(self, time: int) -> int:
        """The index of a bundle's first entry at or before the first entry at `time` or later."""
        low, high = 0, self._bundles()
        while low < high:
            middle = (low + high) // 2
            if decode_leaf(next(self._bundle(middle)).entry).time < time:
                low = middle + 1
            else:
                high = middle
        return max(0, low - 1) * WIDTH

    def _bundles(self) -> int:
        staging = Staging(self._folder.staging, read_only=True)
        try:
            return -(-staging.first() // WIDTH)
        finally:
            staging.close()

    def _bundle(self, bundle: int) -> Iterator[Stored]:
        try:
            entries = (self._folder.log / entries_path(bundle)).read_bytes()
            bodies = bodies_path(self._folder, bundle).read_bytes()
        except FileNotFoundError as error:
            raise VerificationError(f"`{error.filename}` is missing from the log") from None
        columns = [decode_bundle(entries, WIDTH), *map(unframe, unframe(bodies))]
        if [len(column) for column in columns] != [WIDTH] * 3:
            raise VerificationError(f"the bodies of bundle {bundle} are not those of its entries")
        for offset, row in enumerate(zip(*columns, strict=True)):
            yield Stored(bundle * WIDTH + offset, *row)
