"""Witnesses' timestamped Ed25519 cosignatures of checkpoints: C2SP tlog-cosignature, type 0x04.

A cosignature says: at this time, this was the largest consistent head of the log that the
witness had seen.
"""

from __future__ import annotations

from collections.abc import Iterable

from bailment.errors import FormatError
from bailment.ledger.checkpoint import parse_checkpoint
from bailment.ledger.note import (
    Note,
    PrivateKey,
    PublicKey,
    Signature,
    ed25519_verify,
    parse_note,
    parse_signatures,
    verify_signatures,
)

_SIZE = 8 + 64  # the time in seconds, big-endian, and the Ed25519 signature
_MAX_TIME = 2**63 - 1


class Witness(PublicKey):
    """A known witness's key."""

    __slots__ = ()
    kind = 0x04

    def verify(self, text: str, signature: bytes) -> bool:
        """Whether `signature` is this witness's, made at some time, for the checkpoint `text`."""
        if len(signature) != _SIZE:
            return False
        try:
            message = _message(text, int.from_bytes(signature[:8]))
        except FormatError:
            return False
        return ed25519_verify(self.raw, signature[8:], message)


class WitnessSigner(PrivateKey):
    """A witness's private key."""

    __slots__ = ()
    kind = 0x04

    @property
    def public(self) -> Witness:
        """The public key."""
        return Witness(self.name, self.key.public_key().public_bytes_raw())

    def cosign(self, text: str, now: int) -> Signature:
        """The cosignature of a checkpoint's note text at `now`, in ms since the epoch.

        FormatError if `text` is no checkpoint. The caller has verified that it is consistent
        with every checkpoint this key has cosigned.
        """
        time = now // 1000
        signature = self.key.sign(_message(text, time))
        return Signature(self.name, self.public.key_id, time.to_bytes(8) + signature)


def witnessed(data: bytes, witnesses: Iterable[Witness]) -> dict[Witness, int]:
    """The witnesses that cosigned the checkpoint note `data`, with their newest times in seconds.

    FormatError if `data` is no note; VerificationError if a known witness's line does not hold.
    """
    note = parse_note(data)
    return {w: _time(s) for w, s in _newest(note.text, note.signatures, witnesses).items()}


def merge(data: bytes, lines: bytes, witnesses: Iterable[Witness]) -> bytes:
    """The checkpoint note `data` with the cosignature `lines` of known witnesses merged in.

    Of each known witness the newest cosignature stays; `data` keeps its other signatures, and
    unknown keys in `lines` are ignored. FormatError if either is malformed; VerificationError if
    a known witness's line does not hold for this checkpoint.
    """
    note = parse_note(data)
    newest = _newest(note.text, (*note.signatures, *parse_signatures(lines)), witnesses)
    known = {(witness.name, witness.key_id) for witness in newest}
    others = (s for s in note.signatures if (s.name, s.key_id) not in known)
    return Note(note.text, (*others, *newest.values())).encode()


def _newest(
    text: str, signatures: Iterable[Signature], witnesses: Iterable[Witness]
) -> dict[Witness, Signature]:
    newest: dict[Witness, Signature] = {}
    for witness, signature in verify_signatures(text, signatures, witnesses):
        if _time(signature) >= _time(newest.setdefault(witness, signature)):
            newest[witness] = signature
    return newest


def _time(signature: Signature) -> int:
    return int.from_bytes(signature.signature[:8])


def _message(text: str, time: int) -> bytes:
    parse_checkpoint(text)
    if not 0 < time <= _MAX_TIME:  # a witness must not omit the time, which 0 would
        raise FormatError(f"`{time}` is not the time of a cosignature")
    return f"cosignature/v1\ntime {time}\n{text}".encode()
