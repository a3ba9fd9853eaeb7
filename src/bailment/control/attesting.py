"""`POST /enrol/attestations`: a device with its key in a TPM is challenged before it enrols.

It shows its key, an attestation key, and the certificates of its TPM's endorsement key. If they
lead to a root that the issuer chose, the challenge holds a secret that only the TPM with that
endorsement key can read, and only while it has that very attestation key (TPM2_MakeCredential, TCG
TPM 2.0 Library, Part 1, section 24). So the attestation key is in that TPM.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.requests import Request
from starlette.responses import Response

from bailment.access import attestation, base64url
from bailment.access.attestation import read_attester, read_device_key
from bailment.access.endorsement import MAX_DER, MAX_SHOWN, Roots, endorsed, read_roots
from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.control.actions import Actions, invitation_hash
from bailment.control.requests import answer, proven, refusal
from bailment.errors import ConfigurationError, FormatError, VerificationError
from bailment.ledger.key_evidence import KeyEvidence
from bailment.ledger.records import KeyClass

_MAX_DER_TEXT = MAX_DER * 4 // 3 + 4
_Octets = Annotated[str, msgspec.Meta(max_length=800)]
_Der = Annotated[str, msgspec.Meta(max_length=_MAX_DER_TEXT)]


class AttestationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /enrol/attestations`; all but the invitation in base64url."""

    invitation: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    key: _Octets
    attester: _Octets
    certificates: Annotated[tuple[_Der, ...], msgspec.Meta(max_length=MAX_SHOWN)] = ()


class Attested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a device answers to its challenge, when it enrols; `activated` is empty where the
    challenge held no secret."""

    attest: _Octets
    signature: _Octets
    activated: _Octets = ""


@dataclass(frozen=True, slots=True)
class Believed:
    """What is believed of a key, and why: for the record, and for its personal part."""

    key_class: KeyClass
    evidence: KeyEvidence
    digest: str
    personal: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Challenge:
    """What was shown, and what is expected; `root` is empty where nobody vouches for the TPM."""

    thumbprint: str
    key: str
    attester: str
    certificates: list[bytes]
    nonce: bytes
    secret: bytes
    root: str


@dataclass(frozen=True, slots=True)
class Attesting:
    """The handler, and the challenges that are out: the newest for each invitation."""

    actions: Actions
    nonces: Nonces
    roots: Roots
    _out: dict[str, _Challenge] = field(default_factory=dict)

    async def challenge(self, request: Request) -> Response:
        """Challenge the TPM of a device that proves its key."""
        register = self.actions.log.fold.register
        contact = register.policy.contact
        sent = await proven(request, self.actions.log.fold, self.nonces)
        if isinstance(sent, Refused):
            return refusal(sent, contact)
        try:
            body = msgspec.json.decode(sent.body, type=AttestationBody)
        except msgspec.DecodeError as error:
            return refusal(Refused(Reason.BODY_MALFORMED, str(error)), contact)
        now = now_ms()
        self._forget(now)
        hashed = invitation_hash(body.invitation)
        if not self._live(hashed, now):
            told = Refused(Reason.CHAIN_BROKEN, "the invitation is unknown, used or expired")
            return refusal(told, contact)
        try:
            read_device_key(base64url.decode(body.key), sent.proof.header.key)
            attester = read_attester(base64url.decode(body.attester))
            certificates = [base64url.decode(one) for one in body.certificates]
        except (FormatError, VerificationError) as error:
            return refusal(attestation.wrong(str(error)), contact)
        nonce, secret = os.urandom(32), os.urandom(32)
        root, sealed, why = "", (b"", b""), "it shows no certificate of its maker"
        if certificates:
            try:
                found = endorsed(certificates, self.roots, now)
                root, why, certificates = found.root, "", list(found.path)
                sealed = make_credential(found.key, attester.name, secret)
            except (FormatError, VerificationError) as error:
                why = str(error)
        self._out[hashed] = _Challenge(
            sent.proof.thumbprint, body.key, body.attester, certificates, nonce, secret, root
        )
        blob, sealed_seed = map(base64url.encode, sealed)
        told_all = {"nonce": base64url.encode(nonce), "credential": blob, "secret": sealed_seed}
        return answer(told_all | {"unattested": why}, 201)

    def believe(self, hashed: str, thumbprint: str, shown: Attested) -> Believed | Refused:
        """What follows from the answer to a challenge, which is over with it."""
        out = self._out.pop(hashed, None)
        if out is None or out.thumbprint != thumbprint:
            return attestation.wrong("this key was not challenged for this invitation")
        if out.root:
            try:
                activated = base64url.decode(shown.activated)
            except FormatError as error:
                return attestation.wrong(str(error))
            if not hmac.compare_digest(activated, out.secret):
                return attestation.wrong("the attestation key is not in the TPM that was endorsed")
        nonce = base64url.encode(out.nonce)
        evidence = KeyEvidence(
            out.key, out.attester, shown.attest, shown.signature, nonce, out.root
        )
        salt = os.urandom(16).hex()
        certificates = attestation.certificates_text(out.certificates)
        return Believed(
            "hw-attested" if out.root else "hw-unattested",
            evidence,
            attestation.digest(evidence, certificates, salt),
            {"certificates": certificates, "salt": salt},
        )

    def _live(self, hashed: str, now: int) -> bool:
        invitation = self.actions.log.fold.register.state.invitations.get(hashed)
        return invitation is not None and not invitation.used and now < invitation.until

    def _forget(self, now: int) -> None:
        """So there are never more challenges than invitations that can be used."""
        for hashed in [one for one in self._out if not self._live(one, now)]:
            del self._out[hashed]


def load_roots(files: Iterable[str], folder: Path) -> Roots:
    """Whom the settings believe about TPMs; ConfigurationError if a file cannot be read."""
    found = Roots()
    for name in files:
        try:
            more = read_roots((folder / name).read_bytes())
        except (OSError, FormatError) as error:
            raise ConfigurationError(f"tpm.roots: `{name}`: {error}") from None
        found = Roots(found.roots + more.roots, found.between + more.between)
    return found


def make_credential(ek: rsa.RSAPublicKey, name: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """TPM2_MakeCredential for the key `name`: a TPM2B_ID_OBJECT and a TPM2B_ENCRYPTED_SECRET.

    The endorsement key is one of the default RSA template: AES-128 in CFB, SHA-256."""
    seed = os.urandom(32)
    oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), b"IDENTITY\0")
    storage = kdfa(seed, b"STORAGE", name, 128)
    cipher = Cipher(algorithms.AES(storage), CFB(bytes(16))).encryptor()
    identity = cipher.update(_sized(secret)) + cipher.finalize()
    mac = hmac.digest(kdfa(seed, b"INTEGRITY", b"", 256), identity + name, "sha256")
    return _sized(_sized(mac) + identity), _sized(ek.encrypt(seed, oaep))


def kdfa(key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """KDFa (TPM 2.0 Library, Part 1, 11.4.10.2) with SHA-256, of at most 256 bits."""
    one = (1).to_bytes(4, "big")
    text = one + label + b"\0" + context + bits.to_bytes(4, "big")
    return hmac.new(key, text, sha256).digest()[: bits // 8]


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data
