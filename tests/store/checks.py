"""What must hold of a log after anything: the checks that every test of faults ends with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from bailment.access.fold import Fold
from bailment.access.reasons import Refused
from bailment.ledger.tree import leaf_hash
from bailment.store.log import Log
from bailment.store.sequencer import Draft, Sequenced

from .c2sp import read_log, read_note, roots
from .issuer import Issuer, must, note


@dataclass
class Seen:
    """What the world was told: acknowledged records, and every checkpoint it could get."""

    acknowledged: dict[int, str] = field(default_factory=dict)
    checkpoints: set[bytes] = field(default_factory=set)

    async def append(self, log: Log, draft: Draft) -> bool:
        """Append; whether the record was acknowledged."""
        answer = await log.sequencer.append(draft)
        if isinstance(answer, Sequenced):
            assert answer.index not in self.acknowledged
            self.acknowledged[answer.index] = draft.commitment
            self.look(log)
            return True
        assert isinstance(answer, Refused), answer
        return False

    def look(self, log: Log) -> None:
        """Take what a client could fetch now."""
        self.checkpoints.add(log.sequencer.checkpoint)
        published = log.folder.log / "checkpoint"
        if published.exists():
            self.checkpoints.add(published.read_bytes())


async def recheck(issuer: Issuer, seen: Seen) -> list[bytes]:
    """Open the log by the ordinary path, hold all of it against what was seen, and go on.

    Returns the entries.
    """
    published = issuer.folder.log / "checkpoint"
    if published.exists():
        read_log(issuer.folder.log, issuer.secrets.log.public.vkey)
        seen.checkpoints.add(published.read_bytes())
    async with issuer.open() as log:
        seen.checkpoints.add(log.sequencer.checkpoint)
        check(log, seen, issuer)
        assert await seen.append(log, log.sequencer.draft(note(999_999)))
        await must(log, log.sequencer.draft(note(1_000_000)))
        entries = check(log, seen, issuer)
    size, _, read = read_log(issuer.folder.log, issuer.secrets.log.public.vkey)
    assert (size, read) == (len(entries), entries)
    return entries


def check(log: Log, seen: Seen, issuer: Issuer) -> list[bytes]:
    """All leaves, the root, the chains, every checkpoint seen, every record acknowledged."""
    records = list(log.reader.records())
    entries = [record.entry for record in records]
    assert [record.index for record in records] == list(range(len(entries)))
    hashes = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
    prefixes = roots(hashes)
    vkey = issuer.secrets.log.public.vkey
    for checkpoint in filter(None, {log.sequencer.checkpoint, *seen.checkpoints}):
        _, size, root = read_note(checkpoint, vkey)
        assert size <= len(entries), "a checkpoint covers entries that are gone"
        assert prefixes[size] == root, f"the checkpoint over {size} entries is another log's"
    if entries:
        assert read_note(log.sequencer.checkpoint, vkey)[1] == len(entries)
    leaves = [json.loads(entry) for entry in entries]
    for index, commitment in seen.acknowledged.items():
        assert index < len(leaves), f"acknowledged entry {index} was lost"
        assert leaves[index]["facts"] == commitment
    _check_chains(leaves, hashes)
    fold = Fold()
    for record in records:
        fold.follow(record.leaf, leaf_hash(record.entry), record.facts)
    assert fold.encode() == log.fold.encode()
    return entries


def _check_chains(leaves: list[dict], hashes: list[bytes]) -> None:  # type: ignore[type-arg]
    heads: dict[str, tuple[int, str]] = {}
    time = 0
    for leaf, digest in zip(leaves, hashes, strict=True):
        count, previous = heads.get(leaf["recipient"], (0, "0" * 64))
        assert (leaf["counter"], leaf["previous"]) == (count, previous)
        heads[leaf["recipient"]] = (count + 1, digest.hex())
        assert leaf["time"] >= time
        time = leaf["time"]
