"""Taking a log out of its folder: an export for auditors, a view for one recipient.

Neither holds keys, personal parts or secrets of the issuer. Both are read beside the process that
writes the log (`formats/log.md`, sections 9 and 10).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bailment.errors import ConfigurationError, VerificationError
from bailment.ledger.checkpoint import Checkpoint, open_checkpoint
from bailment.ledger.export import (
    Shown,
    ShownHeads,
    ViewHead,
    bodies_path,
    encode_bodies,
    encode_line,
)
from bailment.ledger.identity_records import PersonSignedIn
from bailment.ledger.leaf import decode_leaf
from bailment.ledger.note import Verifier, encode_base64
from bailment.ledger.records import DelegationGranted, EnrolmentRequested, LogHeads
from bailment.ledger.slots import Slots
from bailment.ledger.tiles import (
    WIDTH,
    Tile,
    encode_bundle,
    frontier,
    new_bundles,
    new_tiles,
    tile_reader,
    tile_root,
)
from bailment.ledger.tree import Read, inclusion_proof, leaf_hash
from bailment.store.folder import Folder, fetch_from
from bailment.store.reader import LogReader, Record, Stored
from bailment.store.staging import Staging
from bailment.store.vault import Erased

#: Called with entries done and entries in all.
Progress = Callable[[int, int], None]

#: The records whose personal part is a name, or an account by which somebody is known.
_NAMING = frozenset((DelegationGranted.TYPE, EnrolmentRequested.TYPE, PersonSignedIn.TYPE))

_README = """\
This is the log `{origin}` at {size} entries, root {root}.

    bailment log audit FOLDER --key KEY

checks it and decides every access again. KEY is the log's key: take it from where you have it
from, not from whoever gave you this folder. To see that nothing was removed since you looked last,
hold the log against what you kept: `--since CHECKPOINT`, `--receipt FILE`.

checkpoint   the log's signed head (C2SP tlog-checkpoint)
tile/        hash tiles and entry bundles (C2SP tlog-tiles)
facts/       what opens each entry's commitment to its facts

Names, addresses and prompts are not in it. Bailment's formats/log.md, section 9, has the form.
"""


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was exported; `withheld` counts the entries whose facts could not be opened."""

    checkpoint: Checkpoint
    withheld: int


@dataclass(frozen=True, slots=True)
class ViewSummary:
    """What a recipient is shown; of its `records`, `covered` are under a heads record."""

    checkpoint: Checkpoint
    records: int
    covered: int


def export_log(
    folder: Folder,
    reader: LogReader,
    verifier: Verifier,
    out: Path,
    *,
    progress: Progress = lambda done, total: None,
) -> ExportSummary:
    """Export the log up to its stored head into `out`, which must be empty or not be there.

    ConfigurationError if `out` is in use or there is nothing to export; VerificationError if the
    stored entries do not have the root of the signed head.
    """
    note, checkpoint = _stored_head(folder, verifier)
    size = checkpoint.size
    _claim(out)
    stored = reader.stored(0, size)
    withheld = 0
    for bundle in new_bundles(0, size):
        rows = list(islice(stored, bundle.width))
        bodies = [_facts(reader, row) for row in rows]
        withheld += bodies.count(b"")
        hashes = b"".join(leaf_hash(row.entry) for row in rows)
        _write(out / bundle.path, encode_bundle(row.entry for row in rows))
        _write(out / bodies_path(bundle), encode_bodies(bodies))
        _write(out / Tile(0, bundle.index, bundle.width).path, hashes)
        progress(rows[-1].index + 1, size)
    for tile in new_tiles(0, size):
        if tile.level:
            below = (Tile(tile.level - 1, tile.index * WIDTH + i) for i in range(tile.width))
            _write(out / tile.path, b"".join(tile_root((out / t.path).read_bytes()) for t in below))
    if frontier(size, fetch_from(out)).root() != checkpoint.root:
        raise VerificationError("the stored entries do not have the root of the signed checkpoint")
    root = encode_base64(checkpoint.root)
    readme = _README.format(origin=checkpoint.origin, size=size, root=root)
    _write(out / "README", readme.encode())
    _write(out / "checkpoint", note)
    return ExportSummary(checkpoint, withheld)


def export_view(
    folder: Folder,
    reader: LogReader,
    verifier: Verifier,
    recipient: str,
    out: Path,
    *,
    names: bool = False,
    progress: Progress = lambda done, total: None,
) -> ViewSummary:
    """Write to the new file `out` what a recipient is shown of the published log.

    With `names` also what its people and their devices are called, but nobody's address.
    ConfigurationError if nothing is published, the recipient has no records or `out` exists.
    """
    note, checkpoint = _published_head(folder, verifier)
    size = checkpoint.size
    read = tile_reader(size, fetch_from(folder.log))
    indexes, heads = _scan(reader, recipient, size, read, progress)
    if not indexes:
        raise ConfigurationError(f"the recipient `{recipient}` has no records in the log")
    head = ViewHead(1, recipient, note.decode(), len(indexes), heads)
    lines = _shown(reader, indexes, size, read, _NAMING if names else frozenset())
    try:
        with open(out, "xb", opener=_private) as file:
            file.write(encode_line(head))
            file.writelines(encode_line(line) for line in lines)
    except FileExistsError:
        raise ConfigurationError(f"`{out}` exists already") from None
    covered = sum(index < heads.index for index in indexes) if heads is not None else 0
    return ViewSummary(checkpoint, len(indexes), covered)


def _scan(
    reader: LogReader, recipient: str, size: int, read: Read, progress: Progress
) -> tuple[list[int], ShownHeads | None]:
    """Where the recipient's records are, and the last heads record with its slot under it."""
    slots, indexes = Slots(), []
    last: tuple[Stored, Slots] | None = None
    for stored in reader.stored(0, size):
        leaf = decode_leaf(stored.entry)
        if leaf.type == LogHeads.TYPE and recipient in slots.heads:
            last = stored, Slots(dict(slots.heads))
        if leaf.recipient == recipient:
            indexes.append(stored.index)
        slots.push(leaf.recipient, leaf_hash(stored.entry))
        if stored.index % WIDTH == 0:
            progress(stored.index, size)
    progress(size, size)
    if last is None:
        return indexes, None
    record, before = reader.open(last[0]), last[1]
    proof = before.prove(recipient, _secret(record))
    heads = ShownHeads(
        record.index,
        record.entry.decode(),
        tuple(inclusion_proof(record.index, size, read)),
        proof.index,
        proof.slots,
        proof.salt,
        proof.path,
    )
    return indexes, heads


def _shown(
    reader: LogReader, indexes: list[int], size: int, read: Read, naming: frozenset[str]
) -> Iterator[Shown]:
    """The records at these indexes, those of the types `naming` with their personal part."""
    wanted = set(indexes)
    for stored in reader.stored(indexes[0], size):
        if stored.index in wanted:
            proof = tuple(inclusion_proof(stored.index, size, read))
            named = decode_leaf(stored.entry).type in naming
            personal = reader.personal_body(stored) if named else b""
            facts = _facts(reader, stored)
            yield Shown(stored.index, stored.entry.decode(), facts, proof, personal)


def _facts(reader: LogReader, stored: Stored) -> bytes:
    """The facts body; empty if its key was destroyed."""
    try:
        return reader.open(stored).body
    except Erased:
        return b""


def _secret(record: Record) -> bytes:
    if not isinstance(record.facts, LogHeads):
        raise VerificationError(f"entry {record.index} is not the heads record that it says")
    return bytes.fromhex(record.facts.secret)


def _stored_head(folder: Folder, verifier: Verifier) -> tuple[bytes, Checkpoint]:
    staging = Staging(folder.staging, read_only=True)
    try:
        head = staging.head()
    finally:
        staging.close()
    if head is None:
        raise ConfigurationError(f"the log in `{folder.root}` is empty")
    return head.checkpoint, open_checkpoint(head.checkpoint, verifier)


def _published_head(folder: Folder, verifier: Verifier) -> tuple[bytes, Checkpoint]:
    try:
        note = (folder.log / "checkpoint").read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(f"nothing is published in `{folder.log}` yet") from None
    return note, open_checkpoint(note, verifier)


def _claim(out: Path) -> None:
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise ConfigurationError(f"`{out}` is not empty", hint="name a new folder")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "xb", opener=_private) as file:
        file.write(data)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
