"""Receipts: proofs, verifiable offline, that a log holds an entry: C2SP tlog-proof v1."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bailment.errors import FormatError, VerificationError
from bailment.ledger.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    parse_decimal,
)
from bailment.ledger.cosignature import Witness, witnessed
from bailment.ledger.note import Verifier, decode_base64, encode_base64, parse_note
from bailment.ledger.tree import HASH_SIZE, verify_inclusion

MAX_RECEIPT = 2**18
MAX_PROOF = 63

_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Receipt:
    """An entry's index, its inclusion proof (leaf's sibling first), and the signed checkpoint.

    `extra` is for the application and not authenticated by anything in the receipt.
    """

    index: int
    proof: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def encode(self) -> bytes:
        """The bytes of the receipt."""
        lines = [_HEADER, f"index {self.index}", *map(encode_base64, self.proof), "\n"]
        if self.extra:
            lines.insert(1, f"extra {encode_base64(self.extra)}")
        return "\n".join(lines).encode() + self.checkpoint


def parse_receipt(data: bytes) -> Receipt:
    """The receipt without verifying anything; FormatError if `data` is none."""
    if len(data) > MAX_RECEIPT:
        raise FormatError(f"a receipt of `{len(data)}` bytes is longer than {MAX_RECEIPT}")
    head, _, note = data.partition(b"\n\n")
    parse_checkpoint(parse_note(note).text)
    try:
        header, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise FormatError("the receipt is not ASCII before its checkpoint") from None
    if header != _HEADER:
        raise FormatError(f"a receipt begins with `{_HEADER}`")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise FormatError("the receipt's extra line is empty")
    if not lines or not lines[0].startswith("index "):
        raise FormatError("the receipt has no index")
    index, *proof = lines
    hashes = tuple(map(decode_base64, proof))
    if len(hashes) > MAX_PROOF or any(len(hash_) != HASH_SIZE for hash_ in hashes):
        raise FormatError(f"a proof is at most {MAX_PROOF} hashes of {HASH_SIZE} bytes")
    return Receipt(parse_decimal(index.removeprefix("index ")), hashes, note, extra)


def verify_receipt(
    receipt: Receipt,
    leaf: bytes,
    log: Verifier,
    witnesses: Iterable[Witness] = (),
    quorum: int = 0,
) -> Checkpoint:
    """The checkpoint under which the entry with leaf hash `leaf` is at `receipt.index`.

    VerificationError unless the log signed it for its own origin, every known witness's
    cosignature holds, at least `quorum` of the known witnesses (counted by name) cosigned, and
    the inclusion proof holds.
    """
    checkpoint = open_checkpoint(receipt.checkpoint, log)
    names = {witness.name for witness in witnessed(receipt.checkpoint, witnesses)}
    if len(names) < quorum:
        raise VerificationError(f"`{len(names)}` witnesses cosigned, `{quorum}` are wanted")
    verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    return checkpoint
