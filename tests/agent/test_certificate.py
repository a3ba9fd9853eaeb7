"""What a gateway sends for a certificate: it is over the device's own key, or it is refused."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.agent.certificate import MAX_PEM, certificate, read_certificate
from bailment.agent.profile import Device, Profile
from bailment.errors import ConfigurationError, FormatError

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a device")])


def over(key: Any) -> x509.Certificate:
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    signer = ec.generate_private_key(ec.SECP256R1())
    return x509.CertificateBuilder(
        NAME, NAME, key, x509.random_serial_number(), start, start + datetime.timedelta(days=1)
    ).sign(signer, SHA256())


def device(folder: Path = Path("/nowhere")) -> Device:
    profile = Profile(
        gateway="https://gateway.example",
        device="ab" * 16,
        person="cd" * 16,
        key_class="software",
        status="active",
    )
    return Device(folder, profile, ec.generate_private_key(ec.SECP256R1()))


MINE = device()
GOOD = over(MINE.public.raw).public_bytes(Encoding.PEM)


def test_a_certificate_over_the_devices_key_is_read() -> None:
    assert read_certificate(GOOD, MINE).public_key() == MINE.public.raw


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())]
)
def test_a_certificate_over_another_key_is_refused(key: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(FormatError, match="another key"):
        read_certificate(over(key.public_key()).public_bytes(Encoding.PEM), MINE)


def test_a_certificate_of_any_length_is_not_read() -> None:
    with pytest.raises(FormatError, match="longer"):
        read_certificate(GOOD + b"\n" * MAX_PEM, MINE)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_certificate_is_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    der = bytearray(x509.load_pem_x509_certificate(GOOD).public_bytes(Encoding.DER))
    for _ in range(data.draw(st.integers(1, 8))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(der[: data.draw(st.integers(0, len(der)))])
    try:
        armoured = _pem(changed)
        found = read_certificate(armoured, MINE)
    except FormatError:
        return
    assert found.public_key() == MINE.public.raw


@given(st.binary(max_size=2000))
def test_any_octets_are_a_certificate_or_refused(octets: bytes) -> None:
    for pem in (octets, _pem(octets), GOOD.replace(b"\n", octets[:3], 1)):
        try:
            found = read_certificate(pem, MINE)
        except FormatError:
            continue
        assert found.public_key() == MINE.public.raw


def test_a_key_in_hardware_gets_no_certificate(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="hardware"):
        certificate(device(tmp_path))


def _pem(der: bytes) -> bytes:
    from base64 import encodebytes

    return b"-----BEGIN CERTIFICATE-----\n" + encodebytes(der) + b"-----END CERTIFICATE-----\n"
