"""Signed notes: known answers of Go's sumdb/note, and what must be refused."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st

from bailment.errors import FormatError, VerificationError
from bailment.ledger.cosignature import Witness, WitnessSigner
from bailment.ledger.note import (
    MAX_NOTE,
    Note,
    Signature,
    Signer,
    Verifier,
    check_name,
    decode_base64,
    encode_base64,
    open_note,
    parse_note,
    parse_signatures,
    sign_note,
)

# The example of golang.org/x/mod/sumdb/note.
SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
    "KE6RyyBwJnAM=\n"
)

PETER = Signer.parse(SKEY)

names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1
).filter(lambda name: "+" not in name)
signers = st.builds(
    Signer,
    names,
    st.binary(min_size=32, max_size=32).map(Ed25519PrivateKey.from_private_bytes),
)
CONTROLS = "".join(map(chr, range(32)))
texts = st.text(st.characters(codec="utf-8", exclude_characters=CONTROLS)).map(
    lambda text: text.replace("|", "\n") + "\n"
)


def line_of(name: str, signature: str) -> str:
    return f"— {name} {signature}\n"


def test_the_known_answer_of_go_is_reproduced() -> None:
    assert PETER.public == Verifier.parse(VKEY)
    assert (PETER.text, PETER.public.vkey) == (SKEY, VKEY)
    assert sign_note(TEXT, PETER) == f"{TEXT}\n{LINE}".encode()


@given(signers)
def test_a_key_is_read_as_it_was_written(signer: Signer) -> None:
    assert Verifier.parse(signer.public.vkey) == signer.public
    assert Signer.parse(signer.text).public == signer.public


@given(texts, st.lists(signers, min_size=1, max_size=4))
def test_a_note_opens_with_the_text_and_the_signatures_it_was_given(
    text: str, keys: list[Signer]
) -> None:
    data = sign_note(text, *keys)
    note = parse_note(data)
    assert note == open_note(data, [key.public for key in keys])
    assert (note.text, note.encode()) == (text, data)
    assert [signature.name for signature in note.signatures] == [key.name for key in keys]


@given(texts, st.data())
def test_a_note_with_any_byte_changed_is_refused(text: str, data: st.DataObject) -> None:
    note = bytearray(sign_note(text, PETER))
    at = data.draw(st.integers(0, len(note) - 1))
    note[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((FormatError, VerificationError)):
        open_note(bytes(note), [PETER.public])


@given(texts, st.data())
def test_a_truncated_note_is_refused(text: str, data: st.DataObject) -> None:
    note = sign_note(text, PETER)
    with pytest.raises((FormatError, VerificationError)):
        open_note(note[: data.draw(st.integers(0, len(note) - 1))], [PETER.public])


@given(st.binary(max_size=300) | st.text("— +=\nAa/\t\u00a0", max_size=60).map(str.encode))
def test_whatever_is_read_as_a_note_is_written_the_same(data: bytes) -> None:
    try:
        note = parse_note(data)
    except FormatError:
        return
    assert note.encode() == data


def test_every_part_and_every_mangling_of_a_key_is_refused() -> None:
    for key, parse in ((VKEY, Verifier.parse), (SKEY, Signer.parse)):
        parts = {key[i:j] for i in range(len(key)) for j in range(i, len(key) + 1)} - {key}
        manglings = {key[:i] + chr(ord(ch) + 1) + key[i + 1 :] for i, ch in enumerate(key)}
        for bad in parts | manglings:
            with pytest.raises(FormatError):
                parse(bad)


def test_the_seed_is_in_no_message() -> None:
    for text in (SKEY[:-1], SKEY[12:], SKEY + "A", SKEY.replace("+c74f20a3", ""), SKEY[34:]):
        with pytest.raises(FormatError) as refused:
            Signer.parse(text)
        assert "YEKFALVFGyN" not in f"{refused.value} {refused.value.hint}"
    assert "YEKFALVFGyN" not in repr(PETER)


def test_a_key_of_one_signature_type_is_not_one_of_another() -> None:
    witness = WitnessSigner(PETER.name, PETER.key)
    assert witness.public.raw == PETER.public.raw
    assert witness.public.key_id != PETER.public.key_id
    with pytest.raises(FormatError):
        Verifier.parse(witness.public.vkey)
    with pytest.raises(FormatError):
        Witness.parse(VKEY)
    with pytest.raises(FormatError):
        WitnessSigner.parse(SKEY)


@given(st.text(max_size=4))
def test_a_key_name_is_what_a_note_can_hold(name: str) -> None:
    # Go's rule: not empty, valid UTF-8, no unicode.IsSpace, no plus; and the note's: no control.
    spaces = r"\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    allowed = re.fullmatch(rf"[^+\x00-\x1f\ud800-\udfff{spaces}]+", name) is not None
    try:
        check_name(name)
    except FormatError:
        assert not allowed
    else:
        assert allowed
        line = Signature(name, b"\0" * 4, b"?").line
        assert parse_signatures(line.encode())[0].name == name


@pytest.mark.parametrize("name", ["", " ", "a b", "a+b", "a\u0085b", "a\u3000", "a\x1f", "a\ud800"])
def test_a_key_has_no_name_that_a_note_cannot_hold(name: str) -> None:
    with pytest.raises(FormatError):
        Signer(name, PETER.key)
    with pytest.raises(FormatError):
        Verifier(name, PETER.public.raw)


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "nul\0\n", "\r\n"])
def test_what_no_note_can_hold_is_not_signed(text: str) -> None:
    with pytest.raises(FormatError):
        sign_note(text, PETER)


def test_a_note_without_a_signer_is_not_made() -> None:
    with pytest.raises(FormatError):
        sign_note(TEXT)


def test_a_note_has_at_most_a_hundred_signatures() -> None:
    good = f"{TEXT}\n" + LINE * 100
    assert len(open_note(good.encode(), [PETER.public]).signatures) == 100
    with pytest.raises(FormatError, match="101"):
        open_note((good + LINE).encode(), [PETER.public])


def test_a_note_has_at_most_128_kib() -> None:
    most = "x" * (MAX_NOTE - len(LINE.encode()) - 2) + "\n"
    assert len(sign_note(most, PETER)) == MAX_NOTE == 131_072
    with pytest.raises(FormatError, match="131073"):
        sign_note("x" + most, PETER)


def test_sixteen_post_quantum_signatures_fit() -> None:
    lines = "".join(line_of(f"pq.example/{i}", encode_base64(b"?" * 4900)) for i in range(16))
    note = f"{TEXT}\n{LINE}{lines}".encode()
    assert open_note(note, [PETER.public]).signatures == (parse_signatures(LINE.encode())[0],)


def test_only_the_signatures_of_known_keys_come_back() -> None:
    other = Signer("Someone", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
    note = open_note(sign_note(TEXT, other, PETER), [PETER.public])
    assert note == Note(TEXT, (PETER.sign(TEXT),))


def test_a_second_and_broken_signature_of_a_known_key_refuses_the_note() -> None:
    broken = Signature(PETER.name, PETER.public.key_id, bytes(64)).line
    for lines in (LINE + broken, broken + LINE):
        with pytest.raises(VerificationError, match="PeterNeumann"):
            open_note(f"{TEXT}\n{lines}".encode(), [PETER.public])


@given(st.binary(max_size=40))
def test_base64_is_read_as_it_was_written(data: bytes) -> None:
    assert decode_base64(encode_base64(data)) == data


@given(st.text("ABab01+/=_- \n\u0660", max_size=12))
def test_base64_has_one_form_only(text: str) -> None:
    try:
        data = decode_base64(text)
    except FormatError:
        return
    assert encode_base64(data) == text


@pytest.mark.parametrize(
    "text", ["AA", "AAA", "AB==", "AAB=", "A A=", "AA==AA==", "AA-_", "=", "\u0660" * 4]
)
def test_base64_that_is_not_strict_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        decode_base64(text)


@given(texts, texts)
def test_a_signature_is_for_one_text(text: str, other: str) -> None:
    assume(text != other)
    assert not PETER.public.verify(other, PETER.sign(text).signature)
