"""Checkpoints, the signed heads of a log: C2SP tlog-checkpoint 1.0."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bailment.errors import FormatError, VerificationError
from bailment.ledger.note import (
    Signer,
    Verifier,
    decode_base64,
    encode_base64,
    open_note,
    sign_note,
)
from bailment.ledger.tree import HASH_SIZE, MAX_SIZE

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's claim: the first `size` entries under `origin` have this root hash.

    We write no extension lines and keep those we read, since they are signed.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note text; FormatError if a member has no place in it."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        text = "".join(f"{line}\n" for line in lines)
        if parse_checkpoint(text) != self:
            raise FormatError("a line of the checkpoint holds a newline")
        return text


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint that a note text states; FormatError if it states none."""
    *lines, end = text.split("\n")
    if end or len(lines) < 3 or not all(lines):
        raise FormatError("a checkpoint has three or more lines, none of them empty")
    origin, size, root, *extensions = lines
    checkpoint = Checkpoint(origin, parse_decimal(size), decode_base64(root), tuple(extensions))
    if len(checkpoint.root) != HASH_SIZE:
        raise FormatError("the root hash is not 32 bytes long")
    return checkpoint


def parse_decimal(text: str) -> int:
    """A size or index below 2^63, without leading zeroes; or FormatError."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise FormatError(f"`{text[:80]}` is not a number below 2^63 in plain decimal")
    return int(text)


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """The checkpoint as a signed note.

    FormatError unless the key's name is the origin: we hold the specification's SHOULD.
    """
    if signer.name != checkpoint.origin:
        raise FormatError(f"the key of `{signer.name}` does not sign for `{checkpoint.origin}`")
    return sign_note(checkpoint.text, signer)


def open_checkpoint(data: bytes, log: Verifier) -> Checkpoint:
    """The checkpoint in a note that the log signed; other keys' signatures are ignored.

    FormatError if `data` is no checkpoint; VerificationError if the log's signature is missing
    or does not hold, or if the origin is not the name of the log's key.
    """
    checkpoint = parse_checkpoint(open_note(data, [log]).text)
    if checkpoint.origin != log.name:
        raise VerificationError(f"the checkpoint is for `{checkpoint.origin[:200]}`")
    return checkpoint
