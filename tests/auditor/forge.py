"""The operator as the adversary: takes a log apart, changes it, and signs everything anew.

`Forgery` holds the records of a log as an operator could rewrite them. `write` makes an export of
them in which every counter, hash, register position, heads root, tile and signature is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bailment import canonical
from bailment.ledger.checkpoint import Checkpoint, sign_checkpoint
from bailment.ledger.export import bodies_path, encode_bodies
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import SALT_SIZE, Leaf, commit_facts, encode_leaf
from bailment.ledger.note import Signer
from bailment.ledger.records import LogHeads, SpecApplied, spec_digest
from bailment.ledger.slots import Slots
from bailment.ledger.tiles import WIDTH, Tile, encode_bundle, new_bundles, new_tiles, tile_root
from bailment.ledger.tree import Frontier, leaf_hash
from bailment.store.reader import LogReader

F = TypeVar("F", bound=Facts)


@dataclass
class Row:
    """A record: its leaf as it was, its facts, and what the operator says instead of what follows.

    `leaf` overrides members of the leaf made for it; `body` and `entry`, if not None, are written
    as they are.
    """

    was: Leaf
    facts: Facts
    salt: bytes
    leaf: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    entry: bytes | None = None
    committed: bytes | None = None

    def change(self, **members: Any) -> None:
        """Replace members of the facts."""
        self.facts = msgspec.structs.replace(self.facts, **members)

    def copy(self, facts: Facts) -> Row:
        """A record like this one in time and slot, with other facts."""
        return Row(
            msgspec.structs.replace(self.was, type=facts.TYPE, personal=""), facts, self.salt
        )


class Forgery:
    """The records of a log, to be changed."""

    def __init__(self, reader: LogReader) -> None:
        self.rows = [
            Row(record.leaf, record.facts, record.body[:SALT_SIZE]) for record in reader.records()
        ]

    def of(self, kind: type[F], test: Callable[[F], bool] = lambda facts: True) -> Iterator[int]:
        """Where the records of a type are."""
        for index, row in enumerate(self.rows):
            if isinstance(row.facts, kind) and test(row.facts):
                yield index

    def first(self, kind: type[F], test: Callable[[F], bool] = lambda facts: True) -> int:
        return next(self.of(kind, test))

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Entries and bodies, in which everything that follows from the records is right."""
        slots, epoch, spec = Slots(), 0, ""
        for index, row in enumerate(self.rows):
            body = row.committed or row.salt + canonical.encode(row.facts)
            recipient = row.leaf.get("recipient", row.was.recipient)
            head = slots.head(recipient)
            heads = ""
            if isinstance(row.facts, LogHeads):
                heads = slots.root(bytes.fromhex(row.facts.secret)).hex()
            leaf = Leaf(
                row.facts.TYPE, row.was.time, recipient, head.count, head.last, spec, epoch,
                commit_facts(body), 1, row.was.personal, heads,
            )  # fmt: skip
            entry = row.entry or encode_leaf(msgspec.structs.replace(leaf, **row.leaf))
            slots.push(recipient, leaf_hash(entry))
            if row.facts.REGISTERS:
                epoch = index + 1
            if isinstance(row.facts, SpecApplied):
                spec = spec_digest(row.facts)
            yield entry, body if row.body is None else row.body

    def write(self, out: Path, signer: Signer) -> Path:
        """An export of the forged log."""
        return write_export(out, list(self.entries()), signer)


def write_export(out: Path, rows: list[tuple[bytes, bytes]], signer: Signer) -> Path:
    """An export of entries and bodies, signed."""

    def put(path: str, data: bytes) -> None:
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(data)

    size, frontier = len(rows), Frontier()
    for bundle in new_bundles(0, size):
        first = bundle.index * WIDTH
        part = rows[first : first + bundle.width]
        hashes = [leaf_hash(entry) for entry, _ in part]
        put(bundle.path, encode_bundle(entry for entry, _ in part))
        put(bodies_path(bundle), encode_bodies(body for _, body in part))
        put(Tile(0, bundle.index, bundle.width).path, b"".join(hashes))
        for hash_ in hashes:
            frontier.push(hash_)
    for tile in new_tiles(0, size):
        if tile.level:
            below = (Tile(tile.level - 1, tile.index * WIDTH + i) for i in range(tile.width))
            put(tile.path, b"".join(tile_root((out / t.path).read_bytes()) for t in below))
    put("checkpoint", sign_checkpoint(Checkpoint(signer.name, size, frontier.root()), signer))
    return out
