"""The issuer's own authority over devices' certificates: the only one that its listener trusts.

It vouches for nothing but that a device's key is the one in the register, which the register says
too: a certificate is worth what its record in the log is, and no longer than that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bailment.access.jwk import PublicKey
from bailment.errors import ConfigurationError
from bailment.store.durable import Files, read_private
from bailment.store.folder import Folder

FILE = "devices.pem"

#: RFC 5280 §4.1.2.5: no well-defined end. It ends when it is replaced.
_NO_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
#: How long before now a certificate begins: clocks are set back now and then.
_LEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Authority:
    """The key that signs devices' certificates, and its own certificate."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The trust anchor."""
        return self.certificate.public_bytes(Encoding.DER)

    def certify(self, device: str, public: PublicKey, now: int, until: int) -> x509.Certificate:
        """A certificate for TLS clients over a device's key; times in ms, kept to the second."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return (
            x509.CertificateBuilder(
                self.certificate.subject, subject, public.raw, x509.random_serial_number()
            )
            .not_valid_before(_at(now) - _LEAD)
            .not_valid_after(_at(until))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public.raw), critical=False)
            .add_extension(_identifier(self.key.public_key()), critical=False)
            .sign(self.key, SHA256())
        )


def open_authority(folder: Folder, files: Files, origin: str, now: int) -> Authority:
    """The authority of an issuer's folder, made where there is none yet.

    Whoever calls owns the folder. ConfigurationError if the file is open to others or damaged.
    """
    path = folder.secrets / FILE
    if not path.exists():
        made = _make(origin, now)
        pem = made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files.write(path, pem + made.certificate.public_bytes(Encoding.PEM))
    data = read_private(path)
    try:
        key = load_pem_private_key(data, None)
        certificate = x509.load_pem_x509_certificate(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(
            f"`{path}` is damaged",
            hint="remove it: another is made, and devices ask for certificates anew",
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ConfigurationError(f"the key in `{path}` is not a P-256 key")
    if key.public_key() != certificate.public_key():
        raise ConfigurationError(f"the key in `{path}` is not that of the certificate beside it")
    return Authority(key, certificate)


def _make(origin: str, now: int) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    # X.520 allows 64 characters.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"devices of {origin}"[:64])])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(_at(now) - _LEAD)
        .not_valid_after(_NO_END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return Authority(key, certificate)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier(public: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)
