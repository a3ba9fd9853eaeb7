"""Checkpoints: strict text, signed and opened for one origin."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bailment.errors import FormatError, VerificationError
from bailment.ledger.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    parse_decimal,
    sign_checkpoint,
)
from bailment.ledger.note import Signer, decode_base64, sign_note
from bailment.ledger.tree import EMPTY_ROOT, MAX_SIZE

LOG = Signer("log.example/a", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))

CONTROLS = "".join(map(chr, range(32)))
lines = st.text(st.characters(codec="utf-8", exclude_characters=CONTROLS), min_size=1)
roots = st.binary(min_size=32, max_size=32)
checkpoints = st.builds(
    Checkpoint,
    lines,
    st.integers(0, MAX_SIZE),
    roots,
    st.lists(lines, max_size=3).map(tuple),
)


@given(checkpoints)
def test_a_checkpoint_is_read_as_it_was_written(checkpoint: Checkpoint) -> None:
    assert parse_checkpoint(checkpoint.text) == checkpoint


@given(st.integers(0, MAX_SIZE), roots)
def test_a_signed_checkpoint_opens_as_it_was_signed(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(LOG.name, size, root)
    assert open_checkpoint(sign_checkpoint(checkpoint, LOG), LOG.public) == checkpoint


@given(st.data())
def test_a_signed_checkpoint_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    note = bytearray(sign_checkpoint(Checkpoint(LOG.name, 1234, b"\x0f" * 32), LOG))
    note[data.draw(st.integers(0, len(note) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((FormatError, VerificationError)):
        open_checkpoint(bytes(note), LOG.public)


@given(st.text("a\n01A=\u0660 +", max_size=30) | lines)
def test_whatever_is_read_as_a_checkpoint_is_written_the_same(text: str) -> None:
    try:
        checkpoint = parse_checkpoint(text)
    except FormatError:
        return
    assert checkpoint.text == text


def test_the_text_is_the_example_of_the_specification() -> None:
    root = bytes.fromhex("0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62")
    assert Checkpoint("example.com/behind-the-sofa", 20852163, root).text == (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )


def test_a_checkpoint_that_another_implementation_signed_is_reproduced() -> None:
    # From the test log of transparency-dev/tessera, with its test key.
    signer = Signer.parse(
        "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg"
    )
    root = decode_base64("rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=")
    note = (
        "example.com/log/testdata\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n\n"
        "— example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uE"
        "WP6zdkdIQzd/fmwlM/dlPWF74ewI=\n"
    ).encode()
    checkpoint = Checkpoint("example.com/log/testdata", 15, root)
    assert sign_checkpoint(checkpoint, signer) == note
    assert open_checkpoint(note, signer.public) == checkpoint


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("", 1, bytes(32)),
        Checkpoint("a\nb", 1, bytes(32)),
        Checkpoint("a", -1, bytes(32)),
        Checkpoint("a", 2**63, bytes(32)),
        Checkpoint("a", 1, bytes(31)),
        Checkpoint("a", 1, bytes(32), ("",)),
        Checkpoint("a", 1, bytes(32), ("b\nc",)),
    ],
)
def test_what_has_no_place_in_a_checkpoint_is_not_written(checkpoint: Checkpoint) -> None:
    with pytest.raises(FormatError):
        _ = checkpoint.text


def test_a_key_signs_for_the_origin_of_its_name_only() -> None:
    with pytest.raises(FormatError, match=r"log\.example/b"):
        sign_checkpoint(Checkpoint("log.example/b", 0, EMPTY_ROOT), LOG)


def test_a_checkpoint_of_another_origin_is_refused_though_the_key_signed_it() -> None:
    note = sign_note(Checkpoint("log.example/b", 0, EMPTY_ROOT).text, LOG)
    with pytest.raises(VerificationError, match=r"log\.example/b"):
        open_checkpoint(note, LOG.public)


def test_a_number_is_plain_decimal_below_two_to_the_63() -> None:
    assert [parse_decimal(text) for text in ("0", "7", "10", str(MAX_SIZE))] == [0, 7, 10, MAX_SIZE]
    for text in ("", "00", "07", "-1", "+1", " 1", "1 ", "1\n", "1.0", "1e3", "0x1", "1_0",
                 "\u0663", "\u00b2", "\U0001d7d9", str(2**63), "9" * 19, "1" * 10**5):  # fmt: skip
        with pytest.raises(FormatError):
            parse_decimal(text)
