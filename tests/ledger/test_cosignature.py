"""Cosignatures: made at a time, checked against the checkpoint, merged newest by newest."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bailment.errors import FormatError, VerificationError
from bailment.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from bailment.ledger.cosignature import Witness, WitnessSigner, merge, witnessed
from bailment.ledger.note import Note, Signature, Signer, open_note, parse_note, sign_note

LOG = Signer("log.example/a", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
SIGNERS = [
    WitnessSigner(f"witness.example/{i}", Ed25519PrivateKey.from_private_bytes(bytes([i] * 32)))
    for i in range(5)
]
WITNESSES = [signer.public for signer in SIGNERS]
CHECKPOINT = Checkpoint(LOG.name, 1234, b"\x0f" * 32)
TEXT = CHECKPOINT.text
SIGNED = sign_checkpoint(CHECKPOINT, LOG)
NOW = 1_700_000_000_999

times = st.integers(1000, 2**63 * 1000 - 1)


def cosigned(signer: WitnessSigner, now: int = NOW) -> bytes:
    return signer.cosign(TEXT, now).line.encode()


def test_the_signed_message_is_that_of_the_specification() -> None:
    # The specification's own example of the message, for its example checkpoint.
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    message = f"cosignature/v1\ntime 1679315147\n{text}"
    signature = SIGNERS[0].cosign(text, 1_679_315_147_000).signature
    assert signature[:8].hex() == "00000000641850cb"
    assert signature[8:] == SIGNERS[0].key.sign(message.encode())


@given(times)
def test_a_cosignature_verifies_with_the_second_it_was_made_in(now: int) -> None:
    note = SIGNED + cosigned(SIGNERS[1], now)
    assert witnessed(note, WITNESSES) == {WITNESSES[1]: now // 1000}


@given(st.data())
def test_a_cosignature_with_any_bit_changed_is_refused(data: st.DataObject) -> None:
    signature = SIGNERS[1].cosign(TEXT, NOW)
    bit = data.draw(st.integers(0, 72 * 8 - 1))
    raw = (int.from_bytes(signature.signature) ^ 1 << bit).to_bytes(72)
    line = signature._replace(signature=raw).line.encode()
    with pytest.raises(VerificationError):
        merge(SIGNED, line, WITNESSES)
    assert merge(SIGNED, line, WITNESSES[2:]) == SIGNED


@pytest.mark.parametrize("now", [-1, 0, 999, 2**63 * 1000])
def test_a_time_that_a_cosignature_cannot_have_is_refused(now: int) -> None:
    with pytest.raises(FormatError):
        SIGNERS[0].cosign(TEXT, now)


@pytest.mark.parametrize("text", ["", "no checkpoint\n", TEXT[:-1], TEXT + "\n"])
def test_only_checkpoints_are_cosigned(text: str) -> None:
    with pytest.raises(FormatError):
        SIGNERS[0].cosign(text, NOW)


def test_a_witness_key_does_not_sign_plainly_nor_a_log_key_cosign() -> None:
    plain = Signer(WITNESSES[0].name, SIGNERS[0].key)
    assert witnessed(sign_note(TEXT, LOG, plain), WITNESSES) == {}
    with pytest.raises(VerificationError, match="no known key"):
        open_note(SIGNED + cosigned(SIGNERS[0]), [plain.public])
    disguised = Signature(WITNESSES[0].name, WITNESSES[0].key_id, plain.sign(TEXT).signature)
    with pytest.raises(VerificationError):
        witnessed(SIGNED + disguised.line.encode(), WITNESSES)


cosignings = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=12)


@given(cosignings, cosignings, st.integers(1, 5))
def test_merging_keeps_the_newest_of_each_known_witness_and_the_log(
    first: list[tuple[int, int]], second: list[tuple[int, int]], known: int
) -> None:
    note = SIGNED
    for batch in (first, second):
        lines = b"".join(cosigned(SIGNERS[i], time * 1000) for i, time in batch)
        note = merge(note, lines, WITNESSES[:known])
    newest: dict[Witness, int] = {}
    for i, time in first + second:
        if i < known:
            newest[WITNESSES[i]] = max(time, newest.get(WITNESSES[i], 0))
    assert witnessed(note, WITNESSES) == newest
    assert len(parse_note(note).signatures) == 1 + len(newest)
    assert open_checkpoint(note, LOG.public) == CHECKPOINT


@given(cosignings)
def test_merging_again_changes_nothing(batch: list[tuple[int, int]]) -> None:
    lines = b"".join(cosigned(SIGNERS[i], time * 1000) for i, time in batch)
    once = merge(SIGNED, lines, WITNESSES)
    assert merge(once, lines, WITNESSES) == once


def test_lines_cannot_bring_another_text_in() -> None:
    other = Note("other\n1\nAAAA\n", (SIGNERS[0].cosign(TEXT, NOW),)).encode()
    with pytest.raises(FormatError):
        merge(SIGNED, b"\n" + other, WITNESSES)
    with pytest.raises(FormatError):
        merge(SIGNED, other, WITNESSES)


@pytest.mark.parametrize("lines", [b"", b"\n", b"\xff\n", b"x" * 2**18, "— a b\n".encode()])
def test_what_is_no_signature_line_is_not_merged(lines: bytes) -> None:
    with pytest.raises(FormatError):
        merge(SIGNED, lines, WITNESSES)


def test_a_broken_cosignature_in_the_note_is_not_mended_by_a_good_one() -> None:
    broken = Signature(WITNESSES[0].name, WITNESSES[0].key_id, bytes(72)).line.encode()
    with pytest.raises(VerificationError, match=WITNESSES[0].name):
        merge(SIGNED + broken, cosigned(SIGNERS[0]), WITNESSES)
