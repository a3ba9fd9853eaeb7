"""A device's key that lives in the machine's TPM: made there, used there, never seen outside.

The profile holds what the TPM gave out: the key's public part, and its private part encrypted for
that TPM alone. Elsewhere both are worth nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from weakref import WeakValueDictionary

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from bailment import canonical
from bailment.access import attestation, base64url
from bailment.access.endorsement import MAX_SHOWN
from bailment.agent import private
from bailment.agent.tpm import RH_ENDORSEMENT, RH_OWNER, Created, Tpm, TpmError, tpm_path
from bailment.errors import ConfigurationError, FormatError

T = TypeVar("T")

KEY = "device.tpm"

_SHA256, _NULL, _AES, _CFB = 0x000B, 0x0010, 0x0006, 0x0043
_ATTRIBUTES = attestation.BOUND | attestation.USER_WITH_AUTH | attestation.NO_DA | attestation.SIGN
#: Where makers keep the endorsement key's certificate (RSA 2048), and those above it.
_EK_CERTIFICATE, _EK_CHAIN = 0x01C00002, 0x01C00100


def _numbers(*words: int) -> bytes:
    return b"".join(word.to_bytes(2, "big") for word in words)


def _elliptic(attributes: int, scheme: bytes, unique: bytes) -> bytes:
    """The template of a P-256 key (TPMT_PUBLIC)."""
    head = _numbers(0x0023, _SHA256) + attributes.to_bytes(4, "big") + _numbers(0)
    return head + scheme + _numbers(0x0003, _NULL) + unique


#: The storage key of the owner: template H-2 of the TCG EK Credential Profile, which most systems
#: use. It is made anew from the TPM's own seed whenever it is needed.
_STORAGE = (
    _numbers(0x0023, _SHA256)
    + (0x00030472).to_bytes(4, "big")
    + _numbers(0, _AES, 128, _CFB, _NULL, 0x0003, _NULL)
    + _numbers(32)
    + bytes(32)
    + _numbers(32)
    + bytes(32)
)
_DEVICE = _elliptic(_ATTRIBUTES, _numbers(_NULL, _NULL), _numbers(0, 0))
#: The endorsement key: template L-1 of that profile (RSA 2048).
_ENDORSEMENT = (
    _numbers(0x0001, _SHA256)
    + (0x000300B2).to_bytes(4, "big")
    + _numbers(32)
    + bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
    + _numbers(_AES, 128, _CFB, _NULL, 2048, 0, 0)
    + _numbers(256)
    + bytes(256)
)


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device.tpm`: TPMT_PUBLIC and TPM2B_PRIVATE, without its size, in base64url."""

    public: str
    private: str


class TpmKey(ec.EllipticCurvePrivateKey):
    """A P-256 key in a TPM, which stays loaded while this lives. Threads may share it."""

    def __init__(self, path: str, public: bytes, wrapped: bytes) -> None:
        self.public = public
        self._path = path
        self._wrapped = wrapped
        self._key = attestation.read_public(public).key.raw
        self._lock = threading.Lock()
        self._tpm, self._handle = self._load()

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """The DER signature by ECDSA with SHA-256, which is all that this key does."""
        if not (
            isinstance(signature_algorithm, ec.ECDSA)
            and isinstance(signature_algorithm.algorithm, SHA256)
        ):
            raise UnsupportedAlgorithm("the TPM's key signs by ECDSA with SHA-256")
        digest = sha256(data).digest()
        r_s = attestation.read_signature(self.use(lambda tpm, key: tpm.sign(key, digest)))
        return encode_dss_signature(
            int.from_bytes(r_s[:32], "big"), int.from_bytes(r_s[32:], "big")
        )

    def use(self, does: Callable[[Tpm, int], T]) -> T:
        """Do something with the loaded key; once more, after loading it anew, if the TPM has lost
        it, as it has after the machine slept."""
        with self._lock:
            try:
                return does(self._tpm, self._handle)
            except TpmError as error:
                if not error.lost:
                    raise
                self._tpm.close()
                self._tpm, self._handle = self._load()
                return does(self._tpm, self._handle)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public part."""
        assert isinstance(self._key, ec.EllipticCurvePublicKey)  # noqa: S101 - it was read as one
        return self._key

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        """In bits."""
        return 256

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """It signs, and nothing else."""
        raise UnsupportedAlgorithm("the TPM's key does not agree on keys")

    def private_numbers(self) -> NoReturn:
        """It has none outside its TPM."""
        raise UnsupportedAlgorithm("the key does not leave its TPM")

    def private_bytes(self, *_: object, **__: object) -> NoReturn:
        """It has none outside its TPM."""
        raise UnsupportedAlgorithm("the key does not leave its TPM")

    def __copy__(self) -> TpmKey:
        return self

    def __deepcopy__(self, memo: object) -> TpmKey:
        return self

    def _load(self) -> tuple[Tpm, int]:
        tpm = Tpm(self._path)
        try:
            parent = tpm.create_primary(RH_OWNER, _STORAGE).handle
            handle = tpm.load(parent, self.public, self._wrapped)
            tpm.flush(parent)
        except TpmError as error:
            tpm.close()
            raise _loading(error, self._path) from None
        return tpm, handle


class Attester:
    """A key of the TPM's that signs what the TPM says, made for one enrolment."""

    def __init__(self, key: TpmKey) -> None:
        self._key = key
        restricted = _ATTRIBUTES | attestation.RESTRICTED
        scheme = _numbers(_NULL, attestation.ALG_ECDSA, _SHA256)
        # What is random here makes it a key that no other enrolment has: it links nothing.
        unique = (_numbers(32) + os.urandom(32)) * 2
        self._template = _elliptic(restricted, scheme, unique)
        self._made: Created = key.use(self._make)
        self.public = self._made.public

    def certificates(self) -> list[bytes]:
        """The certificate (DER) of the endorsement key, and those above it, as far as the TPM has
        them; empty if its maker put none there."""
        first = self._key.use(lambda tpm, _: tpm.nv_read(_EK_CERTIFICATE))
        if first is None:
            return []
        found = _certificates(first)
        for index in range(_EK_CHAIN, _EK_CHAIN + 2):
            more = self._key.use(lambda tpm, _, at=index: tpm.nv_read(at))  # type: ignore[misc]
            found += _certificates(more or b"")
        return found[:MAX_SHOWN]

    def certify(self, qualification: bytes) -> tuple[bytes, bytes]:
        """The TPM's word for the key (TPMS_ATTEST), and its signature (TPMT_SIGNATURE)."""
        return self._key.use(lambda tpm, key: tpm.certify(key, self._made.handle, qualification))

    def activate(self, credential: bytes, secret: bytes) -> bytes:
        """What was sealed for this key in the TPM with the endorsement key."""

        def run(tpm: Tpm, _: int) -> bytes:
            endorsement = tpm.create_primary(RH_ENDORSEMENT, _ENDORSEMENT).handle
            try:
                return tpm.activate_credential(self._made.handle, endorsement, credential, secret)
            finally:
                tpm.flush(endorsement)

        return self._key.use(run)

    def forget(self) -> None:
        """Have the TPM forget it."""
        self._key.use(lambda tpm, _: tpm.forget(self._made.handle))

    def _make(self, tpm: Tpm, _: int) -> Created:
        return tpm.create_primary(RH_ENDORSEMENT, self._template)


_LOADED: WeakValueDictionary[tuple[str, bytes], TpmKey] = WeakValueDictionary()


def make_key(path: Path) -> TpmKey:
    """A new key in this machine's TPM, and its blob in a new file of mode 0600."""
    where = tpm_path()
    tpm = Tpm(where)
    try:
        parent = tpm.create_primary(RH_OWNER, _STORAGE).handle
        public, wrapped = tpm.create(parent, _DEVICE)
    finally:
        tpm.close()
    key = TpmKey(where, public, wrapped)
    stored = _Stored(base64url.encode(public), base64url.encode(wrapped))
    private.write(path, canonical.encode(stored) + b"\n")
    _LOADED[where, public] = key
    return key


def load_key(path: Path) -> TpmKey:
    """The key of a stored blob, shared in this process.

    ConfigurationError if the file is damaged, TpmError if it is for another TPM than this."""
    try:
        stored = msgspec.convert(canonical.parse_unique(private.read(path)), _Stored)
        public, wrapped = base64url.decode(stored.public), base64url.decode(stored.private)
        attestation.read_public(public)
    except (FormatError, msgspec.ValidationError):
        raise ConfigurationError(f"the key in `{path}` is damaged") from None
    where = tpm_path()
    found = _LOADED.get((where, public))
    if found is None:
        found = _LOADED[where, public] = TpmKey(where, public, wrapped)
    return found


def _loading(error: TpmError, path: str) -> TpmError:
    """What it means that a TPM does not take a key."""
    if not error.code:
        return error
    return TpmError(
        f"the TPM at `{path}` does not know this device's key: {error}",
        hint="a key is for one TPM: enrol this machine anew, under another --profile",
        code=error.code,
    )


def _certificates(data: bytes) -> list[bytes]:
    """The DER certificates that data begins with; makers fill up what is left."""
    found = []
    while data[:2] == b"\x30\x82":
        size = 4 + int.from_bytes(data[2:4], "big")
        found.append(data[:size])
        data = data[size:]
    return found
