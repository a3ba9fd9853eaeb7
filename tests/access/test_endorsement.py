"""Who vouches for a TPM: paths of certificates, and those that lead nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from bailment.access import attestation, endorsement
from bailment.access.endorsement import Roots, check_path, endorsed, read_roots
from bailment.errors import FormatError, VerificationError
from bailment.ledger.key_evidence import KeyEvidence
from bailment.ledger.records import EnrolmentRequested

VECTORS = json.loads(
    (Path(__file__).parents[2] / "formats" / "vectors" / "attestation.json").read_bytes()
)["path"]
PATH = [bytes.fromhex(one) for one in VECTORS["certificates"]]
NOW = datetime(2026, 11, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
DAY = timedelta(days=1)
TPM = rsa.generate_private_key(65537, 2048)
EK = x509.ObjectIdentifier("2.23.133.8.1")


@dataclass
class Party:
    """Who signs certificates, and their own certificate."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)] if self.name else [])

    def certify(
        self,
        subject: Party,
        key: Any = None,
        *,
        ca: bool | None = True,
        length: int | None = None,
        usages: Iterable[x509.ObjectIdentifier] = (),
        key_cert_sign: bool = True,
        more: x509.ExtensionType | None = None,
        start: datetime = NOW - DAY,
        until: datetime = NOW + DAY,
        hash_: Any = None,
    ) -> x509.Certificate:
        made = x509.CertificateBuilder(
            self.subject,
            subject.subject,
            (key or subject.key).public_key(),
            x509.random_serial_number(),
            start,
            until,
        )
        if ca is not None:
            made = made.add_extension(x509.BasicConstraints(ca, length if ca else None), True)
        if ca:
            usage = dict.fromkeys(
                (
                    *("digital_signature", "content_commitment", "key_encipherment"),
                    *("data_encipherment", "key_agreement", "crl_sign"),
                    *("encipher_only", "decipher_only"),
                ),
                False,
            )
            made = made.add_extension(
                x509.KeyUsage(key_cert_sign=key_cert_sign, **{**usage, "crl_sign": True}), True
            )
        if usages:
            made = made.add_extension(x509.ExtendedKeyUsage(list(usages)), False)
        if more is not None:
            made = made.add_extension(more, True)
        return made.sign(self.key, hash_ or SHA256())


MAKER, BETWEEN, CHIP = Party("maker"), Party("between"), Party("")
ROOT = MAKER.certify(MAKER)
MIDDLE = MAKER.certify(BETWEEN)


def chip(by: Party = BETWEEN, **more: Any) -> x509.Certificate:
    given: dict[str, Any] = {"ca": False, "usages": [EK], "key": TPM, **more}
    return by.certify(CHIP, **given)


def judged(*shown: x509.Certificate, roots: Roots | None = None) -> endorsement.Endorsed:
    ders = [one.public_bytes(Encoding.DER) for one in shown]
    return endorsed(ders, roots or Roots((ROOT,)), NOW_MS)


def test_a_path_by_way_of_an_authority_that_the_tpm_shows() -> None:
    found = judged(chip(), MIDDLE)
    assert found.key.public_numbers() == TPM.public_key().public_numbers()
    assert found.root == sha256(ROOT.public_bytes(Encoding.DER)).hexdigest()
    check_path(list(found.path), found.root, NOW_MS)


def test_a_path_by_way_of_an_authority_that_the_issuer_knows() -> None:
    assert len(judged(chip(), roots=Roots((ROOT,), (MIDDLE,))).path) == 3
    assert len(judged(chip(MAKER)).path) == 2


def test_the_certificate_of_a_software_tpm_leads_to_its_maker() -> None:
    check_path(PATH, VECTORS["root"], VECTORS["now"])


def test_a_file_of_roots_says_which_are_roots() -> None:
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in (MIDDLE, ROOT))
    assert read_roots(pem) == Roots((ROOT,), (MIDDLE,))
    for broken in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(FormatError):
            read_roots(broken)


STRANGER = Party("maker")  # by the maker's name, with a key of its own
FOREIGN = Party("foreign")
OTHER_KIND = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.2")
ODD = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
LEAF_AS_AUTHORITY = MAKER.certify(BETWEEN, ca=False)


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param([chip()], id="nothing leads to a root"),
        pytest.param([chip(), STRANGER.certify(BETWEEN)], id="signed by a maker's namesake"),
        pytest.param([chip(FOREIGN), FOREIGN.certify(FOREIGN)], id="a root that it brought along"),
        pytest.param([chip(BETWEEN), LEAF_AS_AUTHORITY], id="an authority that is none"),
        pytest.param([chip(), MAKER.certify(BETWEEN, ca=None)], id="one that does not say"),
        pytest.param(
            [chip(), MAKER.certify(BETWEEN, key_cert_sign=False)], id="one that may not certify"
        ),
        pytest.param([chip(), MAKER.certify(BETWEEN, until=NOW - DAY / 2)], id="an expired one"),
        pytest.param([chip(), MAKER.certify(BETWEEN, more=ODD)], id="one that demands more"),
        pytest.param([chip(), Party("x").certify(BETWEEN), ROOT], id="a path with a gap"),
        pytest.param([MIDDLE], id="an authority in place of a chip"),
        pytest.param([chip(until=NOW - DAY / 2), MIDDLE], id="an expired chip"),
        pytest.param([chip(start=NOW + DAY / 2), MIDDLE], id="a chip of tomorrow"),
        pytest.param([chip(usages=[]), MIDDLE], id="a certificate for nothing"),
        pytest.param([chip(usages=[OTHER_KIND]), MIDDLE], id="a certificate for a TLS client"),
        pytest.param([chip(ca=True), MIDDLE], id="a chip that is an authority"),
        pytest.param([chip(key=MAKER.key), MIDDLE], id="an endorsement key that is elliptic"),
        pytest.param([chip(more=ODD), MIDDLE], id="a chip that demands more"),
    ],
)
def test_what_does_not_lead_to_a_root_vouches_for_nothing(shown: list[x509.Certificate]) -> None:
    with pytest.raises(VerificationError):
        judged(*shown)


def test_an_authority_vouches_for_no_more_below_it_than_it_may() -> None:
    deep = Party("deep")
    narrow = MAKER.certify(BETWEEN, length=0)
    assert len(judged(chip(), narrow).path) == 3
    with pytest.raises(VerificationError):
        judged(chip(deep), BETWEEN.certify(deep), narrow)
    assert len(judged(chip(deep), BETWEEN.certify(deep), MIDDLE).path) == 4


def test_authorities_that_vouch_for_each_other_end() -> None:
    one, two = Party("one"), Party("two")
    with pytest.raises(VerificationError):
        judged(chip(one), two.certify(one), one.certify(two))


def test_a_hash_that_is_broken_vouches_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library signs with none, so what it takes for SHA-2 is narrowed."""
    monkeypatch.setattr(endorsement, "_HASHES", frozenset(("sha384",)))
    with pytest.raises(VerificationError, match="not SHA-2"):
        judged(chip(), MIDDLE)


def test_too_much_is_not_looked_at() -> None:
    good = chip().public_bytes(Encoding.DER)
    for shown in ([], [good] * 5, [good + bytes(5000)], [b""], [good[:-1]], [good + b"\0"]):
        with pytest.raises(FormatError):
            endorsed(shown, Roots((ROOT,)), NOW_MS)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # which is not what this is about
@given(st.integers(0, len(PATH[0]) * 8 - 1))
def test_no_bit_of_a_tpms_certificate_may_be_another(bit: int) -> None:
    flipped = bytearray(PATH[0])
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises((FormatError, VerificationError)):
        check_path([bytes(flipped), *PATH[1:]], VECTORS["root"], VECTORS["now"])


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.binary(max_size=300))
def test_whatever_comes_is_refused(data: bytes) -> None:
    with pytest.raises((FormatError, VerificationError)):
        endorsed([data], Roots((ROOT,)), NOW_MS)


# What an auditor who sees the personal part checks

EVIDENCE = KeyEvidence("a", "b", "c", "d", "e", VECTORS["root"])
TEXT = attestation.certificates_text(PATH)


def shown(certificates: str = TEXT, salt: str = "5a" * 16, **changes: Any) -> None:
    committed = attestation.digest(EVIDENCE, TEXT, "5a" * 16)
    facts = EnrolmentRequested(
        "d", "i", "", {}, "hw-attested", "p", 0, committed, changes.get("evidence", EVIDENCE)
    )
    personal = {"device": "laptop", "certificates": certificates, "salt": salt}
    attestation.check_shown(facts, personal, changes.get("now", VECTORS["now"]))


def test_the_personal_part_vouches_for_the_tpm() -> None:
    shown()


@pytest.mark.parametrize(
    "changes",
    [
        {"certificates": attestation.certificates_text(PATH[:2])},
        {"certificates": ""},
        {"salt": "00" * 16},
        {"evidence": KeyEvidence("a", "b", "c", "d", "e", "f" * 64)},
        {"now": 0},
    ],
)
def test_a_personal_part_that_was_altered_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(VerificationError):
        shown(**changes)
