"""Receipts: everything that an entry's owner needs to prove it offline."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bailment.errors import FormatError, VerificationError
from bailment.ledger.checkpoint import Checkpoint, sign_checkpoint
from bailment.ledger.cosignature import WitnessSigner, merge
from bailment.ledger.note import Signer
from bailment.ledger.receipt import MAX_RECEIPT, Receipt, parse_receipt, verify_receipt
from bailment.ledger.tree import Frontier, inclusion_proof, leaf_hash, node_hash

LOG = Signer("log.example/a", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
SIGNERS = [
    WitnessSigner(f"witness.example/{i}", Ed25519PrivateKey.from_private_bytes(bytes([i] * 32)))
    for i in range(3)
]
WITNESSES = [signer.public for signer in SIGNERS]
NOW = 1_700_000_000_000


def entry(index: int) -> bytes:
    return b"entry %d" % index


def read(height: int, index: int) -> bytes:
    if height == 0:
        return leaf_hash(entry(index))
    return node_hash(read(height - 1, 2 * index), read(height - 1, 2 * index + 1))


def receipt(index: int, size: int, witnesses: int = 0, extra: bytes = b"") -> Receipt:
    checkpoint = Checkpoint(LOG.name, size, Frontier.at(size, read).root())
    note = sign_checkpoint(checkpoint, LOG)
    for signer in SIGNERS[:witnesses]:
        note = merge(note, signer.cosign(checkpoint.text, NOW).line.encode(), WITNESSES)
    return Receipt(index, tuple(inclusion_proof(index, size, read)), note, extra)


@given(st.data(), st.integers(1, 40), st.integers(0, 3), st.binary(max_size=100))
def test_a_receipt_is_read_as_it_was_written_and_proves_its_entry(
    data: st.DataObject, size: int, witnesses: int, extra: bytes
) -> None:
    index = data.draw(st.integers(0, size - 1))
    made = receipt(index, size, witnesses, extra)
    assert parse_receipt(made.encode()) == made
    leaf = leaf_hash(entry(index))
    checkpoint = verify_receipt(made, leaf, LOG.public, WITNESSES, witnesses)
    assert (checkpoint.size, checkpoint.origin) == (size, LOG.name)
    with pytest.raises(VerificationError, match="wanted"):
        verify_receipt(made, leaf, LOG.public, WITNESSES, witnesses + 1)
    with pytest.raises(VerificationError):
        verify_receipt(made, leaf_hash(b"another"), LOG.public)


@given(st.data())
def test_a_receipt_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    raw = bytearray(receipt(6, 11, witnesses=1).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((FormatError, VerificationError)):
        verify_receipt(
            parse_receipt(bytes(raw)), leaf_hash(entry(6)), LOG.public, WITNESSES, quorum=1
        )


@given(st.data())
def test_a_truncated_receipt_is_refused(data: st.DataObject) -> None:
    raw = receipt(6, 11).encode()
    with pytest.raises(FormatError):
        parse_receipt(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(st.binary(max_size=60), st.text("c2sp.org/tlog-proof@v1 extraindex06A=\n", max_size=80))
def test_whatever_is_read_as_a_receipt_is_written_the_same(junk: bytes, text: str) -> None:
    good = receipt(1, 2).encode()
    head, _, note = good.partition(b"\n\n")
    for raw in (junk, text.encode(), good + junk, text.encode() + b"\n\n" + note,
                head + b"\n" + text.encode() + b"\n\n" + note):  # fmt: skip
        try:
            read_back = parse_receipt(raw)
        except FormatError:
            continue
        assert read_back.encode() == raw


def test_a_receipt_for_a_tree_of_one_has_no_hashes() -> None:
    made = receipt(0, 1)
    assert made.proof == ()
    assert made.encode().startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example/a\n1\n")
    verify_receipt(parse_receipt(made.encode()), leaf_hash(entry(0)), LOG.public)


def test_the_extra_data_is_not_authenticated() -> None:
    made = receipt(1, 2, extra=b"one")
    other = Receipt(made.index, made.proof, made.checkpoint, b"another")
    verify_receipt(other, leaf_hash(entry(1)), LOG.public)


def test_witnesses_do_not_stand_in_for_the_log() -> None:
    made = receipt(1, 2, witnesses=2)
    stranger = Signer(LOG.name, Ed25519PrivateKey.from_private_bytes(b"\2" * 32))
    with pytest.raises(VerificationError):
        verify_receipt(made, leaf_hash(entry(1)), stranger.public, WITNESSES, quorum=2)


def test_a_receipt_has_at_most_256_kib() -> None:
    room = MAX_RECEIPT - len(receipt(1, 2).encode()) - len("extra \n")
    made = receipt(1, 2, extra=bytes(room // 4 * 3))
    assert MAX_RECEIPT - 4 < len(made.encode()) <= MAX_RECEIPT
    assert parse_receipt(made.encode()) == made
    with pytest.raises(FormatError, match="longer"):
        parse_receipt(receipt(1, 2, extra=made.extra + bytes(3)).encode())
