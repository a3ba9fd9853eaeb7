"""Receipts: a record's proof of inclusion, from the published log (C2SP tlog-proof)."""

from __future__ import annotations

from bailment.errors import BailmentError
from bailment.ledger.checkpoint import open_checkpoint
from bailment.ledger.note import Verifier
from bailment.ledger.receipt import Receipt
from bailment.ledger.tiles import tile_reader
from bailment.ledger.tree import inclusion_proof
from bailment.store.folder import Folder, fetch_from
from bailment.store.reader import LogReader


def make_receipt(folder: Folder, reader: LogReader, verifier: Verifier, index: int) -> Receipt:
    """The receipt of the record at `index`; its leaf is in `extra`, where the proof holds it."""
    try:
        note = (folder.log / "checkpoint").read_bytes()
        size = open_checkpoint(note, verifier).size
    except FileNotFoundError:
        note, size = b"", 0
    if not 0 <= index < size:
        raise BailmentError(
            f"record {index} is not in the published checkpoint of size {size}",
            hint="a record is published about a second after it is made",
        )

    tiles = tile_reader(size, fetch_from(folder.log))
    proof = tuple(inclusion_proof(index, size, tiles))
    entry = next(reader.stored(index, index + 1)).entry
    return Receipt(index, proof, note, entry)
