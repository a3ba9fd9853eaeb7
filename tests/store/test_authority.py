"""The authority over devices' certificates: made once, private, and no looser than it must be."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from bailment.access import jwk
from bailment.errors import ConfigurationError
from bailment.store.authority import FILE, Authority, open_authority
from bailment.store.durable import Files
from bailment.store.folder import Folder

NOW = 1_790_000_000_000
DEVICE = "ab" * 16


def opened(root: Path) -> Authority:
    return open_authority(Folder(root), Files(), "lab.example/log", NOW)


def test_it_is_made_once_and_loaded_again(tmp_path: Path) -> None:
    made = opened(tmp_path)
    assert opened(tmp_path).der == made.der
    path = tmp_path / "secrets" / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert b"PRIVATE KEY" in path.read_bytes()
    assert "key" not in repr(made).replace("public_key", "")


def test_it_may_sign_devices_certificates_and_nothing_else(tmp_path: Path) -> None:
    found = opened(tmp_path).certificate
    constraints = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert isinstance(found.public_key(), ec.EllipticCurvePublicKey)


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_a_device_is_certified_for_tls_clients_alone(tmp_path: Path, kind: str) -> None:
    authority = opened(tmp_path)
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "EC"
        else rsa.generate_private_key(65537, 2048)
    )
    public = jwk.from_key(key.public_key())
    made = authority.certify(DEVICE, public, NOW, NOW + 3_600_999)
    made.verify_directly_issued_by(authority.certificate)
    assert made.public_key() == key.public_key()
    assert made.subject.rfc4514_string() == f"CN={DEVICE}"
    began = datetime.fromtimestamp(NOW / 1000, UTC)
    assert made.not_valid_after_utc == began + timedelta(hours=1)  # not a moment longer
    assert made.not_valid_before_utc < began
    extensions = made.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    again = authority.certify(DEVICE, public, NOW, NOW + 3_600_999)
    assert again.serial_number != made.serial_number


def test_one_that_others_may_read_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "secrets" / FILE).chmod(0o640)
    with pytest.raises(ConfigurationError, match=FILE):
        opened(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----\nAA==\n"])
def test_one_that_is_damaged_is_refused(tmp_path: Path, data: bytes) -> None:
    opened(tmp_path)
    (tmp_path / "secrets" / FILE).write_bytes(data)
    with pytest.raises(ConfigurationError, match="damaged"):
        opened(tmp_path)


def test_a_key_that_is_not_the_certificates_is_refused(tmp_path: Path) -> None:
    made = opened(tmp_path)
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "secrets" / FILE
    path.write_bytes(pem + made.certificate.public_bytes(Encoding.PEM))
    with pytest.raises(ConfigurationError, match="not that of the certificate"):
        opened(tmp_path)


def test_a_key_on_another_curve_is_refused(tmp_path: Path) -> None:
    made = opened(tmp_path)
    other = ec.generate_private_key(ec.SECP384R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "secrets" / FILE
    path.write_bytes(pem + made.certificate.public_bytes(Encoding.PEM))
    with pytest.raises(ConfigurationError, match="P-256"):
        opened(tmp_path)
