"""The first pass of an audit: the tree.

Root and hash tiles are computed from the entries alone. Earlier checkpoints and receipts that
the auditor kept are held against the same tree: whoever removes, alters or reorders a record and
signs everything anew is found here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bailment.auditor.export import Export
from bailment.auditor.findings import Findings, Kind
from bailment.errors import FormatError, VerificationError
from bailment.ledger.checkpoint import Checkpoint, open_checkpoint
from bailment.ledger.leaf import SALT_SIZE
from bailment.ledger.note import Verifier
from bailment.ledger.receipt import Receipt, parse_receipt
from bailment.ledger.records import LogSnapshot, decode_facts
from bailment.ledger.tiles import WIDTH, Tile, new_bundles, tile_root
from bailment.ledger.tree import Frontier, leaf_hash, verify_inclusion

#: Called with the step's name, entries done and entries in all.
Progress = Callable[[str, int, int], None]

_SNAPSHOT = f'"type":"{LogSnapshot.TYPE}"'.encode()


@dataclass(frozen=True, slots=True)
class Kept:
    """What the auditor has from before: checkpoints, receipts, and the checkpoints in those."""

    checkpoints: tuple[Checkpoint, ...] = ()
    receipts: tuple[tuple[Receipt, Checkpoint], ...] = ()


def read_kept(since: Sequence[bytes], receipts: Sequence[bytes], log: Verifier) -> Kept:
    """Parse what was kept; FormatError or VerificationError if the log did not sign it."""
    parsed = [parse_receipt(data) for data in receipts]
    pairs = tuple((receipt, open_checkpoint(receipt.checkpoint, log)) for receipt in parsed)
    earlier = (*(open_checkpoint(note, log) for note in since), *(seen for _, seen in pairs))
    return Kept(earlier, pairs)


def check_tree(
    export: Export, checkpoint: Checkpoint, kept: Kept, findings: Findings, progress: Progress
) -> frozenset[int]:
    """Check the tree; returns the sizes of which `log.snapshot` records state the digest."""
    size = checkpoint.size
    tiles = _Tiles(export, findings)
    sizes: set[int] = set()
    for seen in kept.checkpoints:
        if seen.size > size:
            findings.add(
                None,
                Kind.REMOVED_RECORD,
                f"the log had {seen.size} records before and is shown with {size}",
            )
    for bundle in new_bundles(0, size):
        first = bundle.index * WIDTH
        entries = export.entries(bundle)
        hashes = [leaf_hash(entry) for entry in entries]
        ends = [seen for seen in kept.checkpoints if first < seen.size <= first + bundle.width]
        for seen in ends:
            if seen.size < first + WIDTH:
                _check_earlier(seen, tiles.root(seen.size, hashes[: seen.size - first]), findings)
        tiles.push(hashes)
        for seen in ends:
            if seen.size == first + WIDTH:
                _check_earlier(seen, tiles.root(seen.size, []), findings)
        for receipt, seen in kept.receipts:
            if first <= receipt.index < first + bundle.width:
                _check_receipt(receipt, seen, hashes[receipt.index - first], findings)
        sizes |= _snapshots(export, bundle, entries)
        progress("tree", first + bundle.width, size)
    if tiles.finish(size) != checkpoint.root:
        findings.add(None, Kind.WRONG_ROOT, "the entries do not have the root of the checkpoint")
    return frozenset(sizes)


def _check_earlier(seen: Checkpoint, root: bytes, findings: Findings) -> None:
    if root != seen.root:
        findings.add(
            None,
            Kind.REMOVED_RECORD,
            f"the first {seen.size} records are not those that the log signed before: one was "
            "removed, altered, added or moved",
        )


def _check_receipt(receipt: Receipt, seen: Checkpoint, leaf: bytes, findings: Findings) -> None:
    try:
        verify_inclusion(leaf, receipt.index, seen.size, receipt.proof, seen.root)
    except VerificationError:
        findings.add(
            receipt.index,
            Kind.REMOVED_RECORD,
            "this is not the record for which the log gave the receipt",
        )


def _snapshots(export: Export, bundle: Tile, entries: list[bytes]) -> set[int]:
    found = [offset for offset, entry in enumerate(entries) if _SNAPSHOT in entry]
    if not found:
        return set()
    bodies = export.bodies(bundle)
    sizes = set()
    for offset in found:
        try:
            facts = decode_facts(LogSnapshot.TYPE, bodies[offset][SALT_SIZE:])
        except FormatError:
            continue  # the second pass names it
        if isinstance(facts, LogSnapshot):
            sizes.add(facts.size)
    return sizes


class _Tiles:
    """Hash tiles built from leaves and compared with the export's; holds one tile a level."""

    def __init__(self, export: Export, findings: Findings) -> None:
        self._export = export
        self._findings = findings
        self._levels: list[list[bytes]] = []  # the hashes of each level's last tile
        self._full: list[int] = []  # and the number of full tiles before it

    def push(self, hashes: list[bytes]) -> None:
        """Add the leaves of a bundle, of which only the last may be partial."""
        self._add(0, hashes)

    def root(self, size: int, leaves: list[bytes]) -> bytes:
        """The root of the first `size` leaves: those of all full bundles pushed, and `leaves`."""
        edge: list[bytes] = []
        for hashes in (*reversed(self._levels[1:]), leaves):
            frontier = Frontier()
            for hash_ in hashes:
                frontier.push(hash_)
            edge += frontier.hashes
        return Frontier(size, edge).root()

    def finish(self, size: int) -> bytes:
        """Compare the partial tiles; the root of all leaves."""
        for level, hashes in enumerate(self._levels):
            if hashes:
                self._compare(Tile(level, self._full[level], len(hashes)), hashes)
        return self.root(size, self._levels[0] if self._levels else [])

    def _add(self, level: int, hashes: list[bytes]) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._full.append(0)
        self._levels[level] += hashes
        if len(self._levels[level]) < WIDTH:
            return
        full, self._levels[level] = self._levels[level], []
        tile = Tile(level, self._full[level])
        self._full[level] += 1
        self._compare(tile, full)
        self._add(level + 1, [tile_root(b"".join(full))])

    def _compare(self, tile: Tile, hashes: list[bytes]) -> None:
        try:
            same = self._export.tile(tile) == b"".join(hashes)
        except FormatError:
            same = False
        if not same:
            self._findings.add(
                None, Kind.WRONG_TILE, f"`{tile.path}` is not the tile of these entries"
            )
