"""Who signs evidence: public keys that the issuer knows, and what their word is worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from bailment.errors import FormatError
from bailment.spec.terms import Independence

_ECDSA = ec.ECDSA(SHA256())


@dataclass(frozen=True, slots=True)
class Signer:
    """A key and whose it is.

    `holder` is the stable id of who collects under it, `independence` what its signature gives a
    report: `third-party` for an assessor, `self` for the recipient's own executive. It vouches for
    evidence of these `kinds` only, for all where there are none. A demonstration's assessor is
    `simulated`, and so is all that it signs.
    """

    holder: str
    independence: Independence
    key: ec.EllipticCurvePublicKey | Ed25519PublicKey = field(repr=False)
    kinds: frozenset[str] = frozenset()
    simulated: bool = False

    @property
    def key_id(self) -> str:
        """SHA-256 of the DER SubjectPublicKeyInfo, as hex: what DSSE tools write as `keyid`."""
        return sha256(
            self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()

    def vouches_for(self, kind: str) -> bool:
        """Whether evidence of this kind is the signer's to sign."""
        return not self.kinds or kind in self.kinds

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether this key signed the message, by Ed25519 (RFC 8032) or ES256.

        An ES256 signature is r‖s, as in DSSE's own test vector, or DER, as most DSSE tools write.
        """
        try:
            if isinstance(self.key, Ed25519PublicKey):
                self.key.verify(signature, message)
            else:
                if len(signature) == 64:
                    r, s = signature[:32], signature[32:]
                    signature = encode_dss_signature(
                        int.from_bytes(r, "big"), int.from_bytes(s, "big")
                    )
                self.key.verify(signature, message, _ECDSA)
        except InvalidSignature:
            return False
        return True


def parse_key(pem: bytes) -> ec.EllipticCurvePublicKey | Ed25519PublicKey:
    """The P-256 or Ed25519 public key of a PEM text (RFC 7468); FormatError if it is none."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise FormatError("not a public key in PEM") from None
    if isinstance(key, Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return key
    raise FormatError("the public key is neither P-256 nor Ed25519")
