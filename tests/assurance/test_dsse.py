"""Envelopes: who signed a report, and that nothing but a signature says so."""

from __future__ import annotations

from base64 import b64decode, b64encode, urlsafe_b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bailment.assurance.adapters import dsse
from bailment.assurance.reasons import EvidenceReason
from bailment.assurance.signers import Signer, parse_key
from bailment.errors import FormatError

from .reports import (
    ASSESSOR,
    ED25519,
    EVERY,
    EXECUTIVE,
    P256,
    TENANT,
    attestation,
    data,
    envelope,
    manifest,
    refused,
    report,
    scubagear,
    statement,
    with_,
    without,
)

STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
# protocol.md of secure-systems-lab/dsse, "Test Vectors".
X = 46950820868899156662930047687818585632848591499744589407958293238635476079160
Y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
SIGNATURE = (
    "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
)


def test_the_pre_authentication_encoding_is_that_of_the_standard() -> None:
    kind = "http://example.com/HelloWorld"
    message = dsse.pae(kind, b"hello world")
    assert message == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert dsse.pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "
    key = ec.EllipticCurvePublicNumbers(X, Y, ec.SECP256R1()).public_key()
    signer = Signer("example", "self", key)
    assert signer.verify(b64decode(SIGNATURE), message)
    assert not signer.verify(b64decode(SIGNATURE), message + b"!")


@pytest.mark.parametrize(
    ("key", "der", "signer"),
    [(ED25519, False, ASSESSOR), (P256, False, EXECUTIVE), (P256, True, EXECUTIVE)],
)
def test_a_report_is_signed_by_whoever_signed_it(key: Any, der: bool, signer: Signer) -> None:
    sealed = envelope(scubagear(), key, der=der)
    found = report(sealed, ASSESSOR, EXECUTIVE)
    assert (found.signed, found.signers, found.strangers) == (True, (signer,), 0)
    assert found.checks == {TENANT: {"MS.AAD.3.1v1": "pass"}}
    assert found.report == report(scubagear()).report
    assert found.digest != report(scubagear()).digest


def test_every_format_can_be_signed() -> None:
    for value in EVERY.values():
        found = report(envelope(value, ED25519), ASSESSOR)
        assert found.signers == (ASSESSOR,)


def test_a_key_id_names_a_key_and_decides_nothing() -> None:
    for key_id in ("", "x", EXECUTIVE.key_id, ASSESSOR.key_id):
        found = report(envelope(scubagear(), ED25519, key_ids=[key_id]), ASSESSOR, EXECUTIVE)
        assert found.signers == (ASSESSOR,)


def test_two_who_signed_are_two_and_one_who_signed_twice_is_one() -> None:
    found = report(envelope(scubagear(), ED25519, P256, ED25519), ASSESSOR, EXECUTIVE)
    assert found.signers == (ASSESSOR, EXECUTIVE)


def test_a_signature_by_an_unknown_key_is_counted_as_a_strangers() -> None:
    found = report(envelope(scubagear(), STRANGER, ED25519), ASSESSOR)
    assert (found.signed, found.signers, found.strangers) == (True, (ASSESSOR,), 1)
    assert report(envelope(scubagear(), ED25519)).signers == ()


def test_a_payload_that_was_changed_after_it_was_signed_is_refused() -> None:
    sealed = envelope(manifest(), ED25519, key_ids=[ASSESSOR.key_id])
    changed = with_(sealed, b64encode(data(manifest(exceptions={}))).decode(), "payload")
    found = refused(changed, ASSESSOR)
    assert (found.reason, found.where) == (EvidenceReason.SIGNATURE, "$.signatures[0]")
    assert report(without(changed, "signatures", 0, "keyid"), ASSESSOR).signers == ()


def test_a_signature_for_one_type_is_none_for_another() -> None:
    sealed = envelope(scubagear(), ED25519, kind="application/vnd.in-toto+json")
    changed = with_(sealed, dsse.REPORT_TYPE, "payloadType")
    assert report(changed, ASSESSOR).signers == ()


@pytest.mark.parametrize(
    "kind", ["application/vnd.in-toto+json", "application/vnd.in-toto.test-result+json"]
)
def test_statements_are_signed_as_statements_and_reports_as_reports(kind: str) -> None:
    for value in (statement(), attestation()):
        assert report(envelope(value, ED25519, kind=kind), ASSESSOR).signers == (ASSESSOR,)
        found = refused(envelope(value, ED25519, kind=dsse.REPORT_TYPE), ASSESSOR)
        assert (found.reason, found.where) == (EvidenceReason.SHAPE, "$.payload")
    assert (
        refused(envelope(scubagear(), ED25519, kind=kind), ASSESSOR).reason == EvidenceReason.SHAPE
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (envelope(scubagear()), EvidenceReason.UNSIGNED),
        (envelope(scubagear(), ED25519, kind="application/json"), EvidenceReason.UNRECOGNISED),
        (envelope(scubagear(), ED25519, kind=""), None),
        (
            envelope(statement(), ED25519, kind="application/vnd.in-toto.x+cbor"),
            EvidenceReason.UNRECOGNISED,
        ),
        (with_(envelope(scubagear(), ED25519), "!", "payload"), EvidenceReason.SHAPE),
        (with_(envelope(scubagear(), ED25519), "é", "payload"), EvidenceReason.SHAPE),
        (with_(envelope(scubagear(), ED25519), "A", "signatures", 0, "sig"), EvidenceReason.SHAPE),
        (with_(envelope(scubagear(), ED25519), None, "signatures"), EvidenceReason.SHAPE),
        (envelope(scubagear(), *[ED25519] * 17), EvidenceReason.SHAPE),
        (with_(envelope(scubagear(), ED25519), "x" * 201, "payloadType"), EvidenceReason.SHAPE),
        (envelope(b"\xef\xbb\xbf" + data(statement()), ED25519), EvidenceReason.BYTE_ORDER_MARK),
        (envelope(b"{", ED25519), EvidenceReason.TRUNCATED),
        (envelope(envelope(scubagear(), ED25519), ED25519), EvidenceReason.UNRECOGNISED),
    ],
)  # fmt: skip
def test_an_envelope_that_is_none_is_refused(value: Any, reason: EvidenceReason | None) -> None:
    if reason is None:
        report(value, ASSESSOR)
    else:
        assert refused(value, ASSESSOR).reason == reason


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (envelope(scubagear()), "$.signatures"),
        (envelope(scubagear(), ED25519, kind="application/json"), "$.payloadType"),
        (with_(envelope(scubagear(), ED25519), "!", "payload"), "$.payload"),
        (with_(envelope(scubagear(), ED25519), "e30=?", "payload"), "$.payload"),
        (
            with_(envelope(scubagear(), ED25519), "A", "signatures", 0, "sig"),
            "$.signatures[0].sig",
        ),
    ],
)
def test_where_an_envelope_is_wrong_is_said(value: Any, where: str) -> None:
    assert refused(value, ASSESSOR).where == where


def test_an_envelope_has_no_byte_order_mark_but_its_payload_may() -> None:
    mark = b"\xef\xbb\xbf"
    inside = report(envelope(mark + data(scubagear()), ED25519), ASSESSOR)
    assert inside.notes == ("begins with a byte order mark, as this tool's files do",)
    outside = refused(mark + data(envelope(scubagear(), ED25519)), ASSESSOR)
    assert outside.reason == EvidenceReason.BYTE_ORDER_MARK


def test_base64_may_be_url_safe_or_without_padding() -> None:
    sealed = envelope(scubagear(), ED25519)
    payload = b64decode(sealed["payload"])
    for text in (urlsafe_b64encode(payload).decode(), sealed["payload"].rstrip("=")):
        assert report(with_(sealed, text, "payload"), ASSESSOR).signers == (ASSESSOR,)


def test_a_second_signature_over_the_same_payload_makes_no_new_report() -> None:
    """An ES256 signature can be changed into another valid one; what was signed cannot."""
    first = report(envelope(manifest(), P256), EXECUTIVE)
    second = report(envelope(manifest(), P256, der=True), EXECUTIVE)
    assert first.digest != second.digest
    assert first.report == second.report


def pem(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_keys_are_p_256_or_ed25519_in_pem() -> None:
    for private in (ED25519, P256):
        found = Signer("a", "self", parse_key(pem(private.public_key())))
        assert found.key_id == Signer("b", "self", private.public_key()).key_id
    others = [
        ec.derive_private_key(7, ec.SECP384R1()).public_key(),
        rsa.RSAPublicNumbers(65537, 2**2047 + 1).public_key(),
    ]
    for text in (
        *map(pem, others),
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
    ):
        with pytest.raises(FormatError):
            parse_key(text)


def test_a_signature_of_any_length_is_false_and_no_error() -> None:
    for length in (0, 1, 63, 64, 65, 200):
        for signer in (ASSESSOR, EXECUTIVE):
            assert not signer.verify(b"\0" * length, b"message")
            assert not signer.verify(b"\xff" * length, b"message")
