"""Who vouches for a TPM: the certificate over its endorsement key, up to a root that the issuer
chose (TCG EK Credential Profile for TPM Family 2.0).

An endorsement certificate names no host and no person, and often nobody at all, so the profile by
which the web's certificates are judged does not take it. This is RFC 5280's path validation, with
what such chains have: no policies, no name constraints, SHA-2 only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from bailment.errors import FormatError, VerificationError

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

#: A certificate's size, and how many a device may show: its own and what leads to a root.
MAX_DER, MAX_SHOWN = 4096, 4
_MAX_PATH = 6

#: tcg-kp-EKCertificate: the certificate is over an endorsement key.
_EK = x509.ObjectIdentifier("2.23.133.8.1")
_HASHES = frozenset(("sha256", "sha384", "sha512"))
_KNOWN = frozenset(
    kind.oid
    for kind in (
        x509.BasicConstraints,
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.SubjectAlternativeName,
    )
)
#: What the library says of certificates that it cannot read.
_BROKEN = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class Roots:
    """Whom the issuer believes about TPMs: roots, and other certificates on the way to them."""

    roots: tuple[x509.Certificate, ...] = ()
    between: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Endorsed:
    """An endorsement key (RSA of 2048 bits), and the certificates (DER) from its own to a root."""

    key: rsa.RSAPublicKey
    path: tuple[bytes, ...]

    @property
    def root(self) -> str:
        """The SHA-256 (hex) of the root."""
        return sha256(self.path[-1]).hexdigest()


def read_roots(pem: bytes) -> Roots:
    """The certificates in a PEM file: those that are their own issuers are roots, the others may
    stand between. FormatError if one cannot be read."""
    try:
        found = x509.load_pem_x509_certificates(pem)
        roots = [one for one in found if one.issuer == one.subject]
    except _BROKEN:
        raise FormatError("not certificates in PEM") from None
    return Roots(tuple(roots), tuple(one for one in found if one not in roots))


def endorsed(certificates: list[bytes], roots: Roots, now_ms: int) -> Endorsed:
    """The endorsement key that the first certificate (DER) is over, if it leads to a root at that
    time; the others may stand between. FormatError or VerificationError say why not."""
    if not 0 < len(certificates) <= MAX_SHOWN or max(map(len, certificates)) > MAX_DER:
        raise FormatError(f"1 to {MAX_SHOWN} certificates of at most {MAX_DER} octets")
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    try:
        first, *others = (x509.load_der_x509_certificate(one) for one in certificates)
        key = _endorsement_key(first, now)
        path = _climb(first, (*others, *roots.between), roots.roots, now)
        return Endorsed(key, tuple(one.public_bytes(Encoding.DER) for one in path))
    except _BROKEN:
        raise FormatError("a certificate cannot be read") from None


def check_path(path: list[bytes], root: str, now_ms: int) -> None:
    """Check that certificates (DER), from an endorsement key's to the root of this SHA-256 (hex),
    vouch for the key at that time; FormatError or VerificationError say why not."""
    if not 1 < len(path) <= _MAX_PATH + 1 or sha256(path[-1]).hexdigest() != root:
        raise VerificationError("the certificates do not lead to the root on record")
    try:
        between = tuple(x509.load_der_x509_certificate(one) for one in path[1:])
    except _BROKEN:
        raise FormatError("a certificate cannot be read") from None
    endorsed(path[:1], Roots(between[-1:], between[:-1]), now_ms)


def _endorsement_key(certificate: x509.Certificate, now: datetime) -> rsa.RSAPublicKey:
    _check_common(certificate, now)
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.ExtendedKeyUsage)
    if (constraints is not None and constraints.ca) or usage is None or _EK not in usage:
        raise VerificationError("the certificate is not one of an endorsement key")
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != 2048:
        raise VerificationError("the endorsement key is not RSA of 2048 bits")
    return key


def _climb(
    first: x509.Certificate,
    between: tuple[x509.Certificate, ...],
    roots: tuple[x509.Certificate, ...],
    now: datetime,
) -> tuple[x509.Certificate, ...]:
    """The path from a certificate to a root: depth first, never twice through the same."""
    paths: list[tuple[x509.Certificate, ...]] = [(first,)]
    while paths:
        path = paths.pop()
        for above in (*between, *roots):
            if above in path or not _issued(path[-1], above, len(path) - 1, now):
                continue
            if above in roots:
                return (*path, above)
            if len(path) < _MAX_PATH:
                paths.append((*path, above))
    raise VerificationError("no root that the issuer believes vouches for this TPM")


def _issued(below: x509.Certificate, above: x509.Certificate, depth: int, now: datetime) -> bool:
    """Whether `above` may sign certificates, with `depth` authorities below it, and signed it."""
    if below.issuer != above.subject:
        return False
    try:
        _check_common(above, now)
        below.verify_directly_issued_by(above)
    except (VerificationError, InvalidSignature, *_BROKEN):
        return False
    constraints = _extension(above, x509.BasicConstraints)
    usage = _extension(above, x509.KeyUsage)
    if constraints is None or not constraints.ca:
        return False
    deep = constraints.path_length is not None and depth > constraints.path_length
    return not deep and (usage is None or usage.key_cert_sign)


def _check_common(certificate: x509.Certificate, now: datetime) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise VerificationError("a certificate is not valid now")
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None or algorithm.name not in _HASHES:
        raise VerificationError("a certificate is signed by a hash that is not SHA-2")
    unknown = [one for one in certificate.extensions if one.critical and one.oid not in _KNOWN]
    if unknown:
        raise VerificationError(f"a certificate demands `{unknown[0].oid.dotted_string}`")


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
