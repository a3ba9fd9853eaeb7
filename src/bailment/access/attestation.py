"""What a TPM 2.0 says of a device's key, read and judged: who checks an enrolment uses this, and
who audits one.

The structures are those of the TCG's TPM 2.0 Library, Part 2, big-endian. Of everything that a TPM
can say, one form is taken: P-256 keys with SHA-256, certified by a restricted P-256 key.

What follows from it: the key of that name is in the same TPM as the attestation key, was made
there and cannot leave it. That the attestation key is in a TPM at all, and not in a program that
says so, follows from the TPM's endorsement alone: see `endorsement`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

from msgspec import UNSET

from bailment import canonical
from bailment.access import base64url, jwk
from bailment.access.endorsement import check_path
from bailment.access.jwk import PublicKey
from bailment.access.reasons import Reason, Refused
from bailment.errors import FormatError, VerificationError
from bailment.ledger.key_evidence import KeyEvidence
from bailment.ledger.records import EnrolmentRequested

#: Where a device shows its endorsement and is challenged.
PATH = "/enrol/attestations"

GENERATED, ST_ATTEST_CERTIFY = 0xFF544347, 0x8017
ALG_SHA256, ALG_NULL, ALG_ECDSA, ALG_ECC = 0x000B, 0x0010, 0x0018, 0x0023
ECC_NIST_P256 = 0x0003

# TPMA_OBJECT
FIXED_TPM, FIXED_PARENT, SENSITIVE_DATA_ORIGIN = 1 << 1, 1 << 4, 1 << 5
USER_WITH_AUTH, NO_DA = 1 << 6, 1 << 10
RESTRICTED, DECRYPT, SIGN = 1 << 16, 1 << 17, 1 << 18
#: In one TPM, made there, never to leave it.
BOUND = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN

#: TPM_RH_ENDORSEMENT, with which the qualified names of keys in that hierarchy begin.
ENDORSEMENT = bytes.fromhex("4000000b")

_CONTEXT = b"bailment attestation\0"
_MOST = 600


@dataclass(frozen=True, slots=True)
class Public:
    """A TPMT_PUBLIC of a P-256 key; `name` is the TPM's for it."""

    attributes: int
    scheme: int
    key: PublicKey
    name: bytes


@dataclass(frozen=True, slots=True)
class Certified:
    """A TPMS_ATTEST of TPM2_Certify: which name was certified, and for which challenge.

    `signer` is the qualified name of who did, which says where in its TPM that key stands.
    """

    signer: bytes
    qualification: bytes
    name: bytes


class Reader:
    """Takes a structure apart from its beginning; FormatError where it ends too soon."""

    def __init__(self, data: bytes, most: int = _MOST) -> None:
        if len(data) > most:
            raise FormatError(f"a TPM's structure is longer than {most} octets")
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next octets."""
        if self._at + size > len(self._data):
            raise FormatError("a TPM's structure ends too soon")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        """The next unsigned integer."""
        return int.from_bytes(self.take(size), "big")

    def sized(self, most: int) -> bytes:
        """A TPM2B: two octets of size, then as many, at most `most`."""
        size = self.number(2)
        if size > most:
            raise FormatError(f"a part of a TPM's structure is longer than {most} octets")
        return self.take(size)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise FormatError("something follows a TPM's structure")


def read_public(data: bytes) -> Public:
    """The P-256 key in a TPMT_PUBLIC; FormatError if it is none."""
    reader = Reader(data)
    if (reader.number(2), reader.number(2)) != (ALG_ECC, ALG_SHA256):
        raise FormatError("the TPM's key is not an elliptic one that is named by SHA-256")
    attributes = reader.number(4)
    reader.sized(32)  # what authorises its use, which is not ours to judge
    if reader.number(2) != ALG_NULL:
        raise FormatError("the TPM's key is one for storage")
    scheme = reader.number(2)
    if scheme not in (ALG_NULL, ALG_ECDSA) or (
        scheme == ALG_ECDSA and reader.number(2) != ALG_SHA256
    ):
        raise FormatError("the TPM's key is not for ECDSA with SHA-256")
    if (reader.number(2), reader.number(2)) != (ECC_NIST_P256, ALG_NULL):
        raise FormatError("the TPM's key is not one on P-256")
    x, y = (base64url.encode(reader.sized(32).rjust(32, b"\0")) for _ in "xy")
    reader.end()
    key = jwk.parse({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    return Public(attributes, scheme, key, _named(data))


def read_certified(data: bytes) -> Certified:
    """What a TPMS_ATTEST certifies; FormatError if it is none by TPM2_Certify.

    Its first octets keep a restricted key from being had to sign the like from outside.
    """
    reader = Reader(data)
    if reader.number(4) != GENERATED:
        raise FormatError("the attestation was not generated by a TPM")
    if reader.number(2) != ST_ATTEST_CERTIFY:
        raise FormatError("the attestation does not certify a key")
    signer, qualification = reader.sized(66), reader.sized(66)
    reader.take(8 + 4 + 4)  # how long the TPM has run, and how often it began to
    if reader.number(1) > 1:
        raise FormatError("the attestation's `safe` is neither yes nor no")
    reader.take(8)  # its firmware
    name = reader.sized(66)
    reader.sized(66)
    reader.end()
    return Certified(signer, qualification, name)


def read_signature(data: bytes) -> bytes:
    """The r‖s (64 octets, as in a JWS) of a TPMT_SIGNATURE by ECDSA with SHA-256."""
    reader = Reader(data)
    if (reader.number(2), reader.number(2)) != (ALG_ECDSA, ALG_SHA256):
        raise FormatError("the TPM's signature is not ECDSA with SHA-256")
    r, s = (reader.sized(32).rjust(32, b"\0") for _ in "rs")
    reader.end()
    return r + s


def qualification(nonce: bytes, thumbprint: str, invitation: str) -> bytes:
    """What the TPM signs with the certification: this challenge, this key, and this invitation (its
    SHA-256 in hex), which is used once. So one attestation is good for one enrolment."""
    return sha256(_CONTEXT + nonce + thumbprint.encode() + invitation.encode()).digest()


def read_device_key(data: bytes, key: PublicKey) -> Public:
    """The TPMT_PUBLIC of the device's `key`; VerificationError unless it is that key and bound to
    its TPM."""
    public = read_public(data)
    if public.key != key:
        raise VerificationError("the TPM speaks of another key than the device's")
    if public.attributes & BOUND != BOUND:
        raise VerificationError("the device's key may leave its TPM, or came from outside")
    if public.attributes & (SIGN | RESTRICTED | DECRYPT) != SIGN:
        raise VerificationError("the device's key is not one that signs, and does nothing else")
    return public


def read_attester(data: bytes) -> Public:
    """An attestation key; VerificationError unless it signs nothing but what its TPM says."""
    public = read_public(data)
    wanted = BOUND | RESTRICTED | SIGN
    if public.attributes & (wanted | DECRYPT) != wanted or public.scheme != ALG_ECDSA:
        raise VerificationError("the attestation key would sign what its TPM did not say")
    return public


def verify(evidence: KeyEvidence, key: PublicKey, invitation: str) -> None:
    """Check that a TPM's restricted key certified the device's `key` for this enrolment.

    FormatError or VerificationError say what is wrong."""
    device = read_device_key(base64url.decode(evidence.key), key)
    attester = read_attester(base64url.decode(evidence.attester))
    attest, nonce = base64url.decode(evidence.attest), base64url.decode(evidence.nonce)
    certified = read_certified(attest)
    signature = read_signature(base64url.decode(evidence.signature))
    if not attester.key.verify("ES256", signature, attest):
        raise VerificationError("the attestation is not signed by the attestation key")
    if not compare_digest(certified.signer, _named(ENDORSEMENT + attester.name)):
        raise VerificationError("the attestation key is no primary key of the TPM's endorsement")
    if len(nonce) != 32 or not compare_digest(
        certified.qualification, qualification(nonce, key.thumbprint, invitation)
    ):
        raise VerificationError("the attestation was made for another challenge")
    if not compare_digest(certified.name, device.name):
        raise VerificationError("the attestation certifies another key")
    if compare_digest(attester.name, device.name):
        raise VerificationError("the key vouches for itself")


def digest(evidence: KeyEvidence, certificates: str, salt: str) -> str:
    """The SHA-256 (hex) that commits to all that was shown, the TPM's own certificates included,
    which are personal; the salt keeps it from telling which TPM it is."""
    shown = {"certificates": certificates, "evidence": evidence, "salt": salt}
    return sha256(canonical.encode(shown)).hexdigest()


def certificates_text(certificates: Iterable[bytes]) -> str:
    """Certificates (DER) as the personal part has them: base64, a space between each two."""
    return " ".join(b64encode(one).decode() for one in certificates)


def check_shown(facts: EnrolmentRequested, personal: Mapping[str, str], now_ms: int) -> None:
    """Check that the personal part shows what the facts commit to, and that it vouches for the TPM.

    FormatError or VerificationError say what is wrong.
    """
    if facts.evidence is UNSET:
        return
    certificates = personal.get("certificates", "")
    if digest(facts.evidence, certificates, personal.get("salt", "")) != facts.attestation:
        raise VerificationError("the TPM's certificates are not those committed to")
    if facts.evidence.root:
        try:
            path = [b64decode(one, validate=True) for one in certificates.split(" ")]
        except ValueError:
            raise FormatError("the TPM's certificates cannot be read") from None
        check_path(path, facts.evidence.root, now_ms)


def believed(facts: EnrolmentRequested, key: PublicKey) -> Refused | None:
    """Why the record may not say that the device's key is of its class, or None."""
    if facts.evidence is UNSET or facts.attestation is UNSET:
        bare = facts.evidence is UNSET and facts.attestation is UNSET
        if bare and facts.key_class == "software":
            return None
        return wrong(f"a key is not {facts.key_class} without the evidence for it")
    follows = "hw-attested" if facts.evidence.root else "hw-unattested"
    if facts.key_class != follows:
        return wrong(f"the evidence is for a key that is {follows}")
    try:
        verify(facts.evidence, key, facts.invitation)
    except (FormatError, VerificationError) as error:
        return wrong(str(error))
    return None


def _named(data: bytes) -> bytes:
    """What a TPM calls something whose names are by SHA-256."""
    return ALG_SHA256.to_bytes(2, "big") + sha256(data).digest()


def wrong(detail: str) -> Refused:
    """The refusal."""
    return Refused(Reason.ATTESTATION_WRONG, detail)
