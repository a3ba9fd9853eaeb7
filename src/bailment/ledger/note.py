"""Signed notes with Ed25519 keys: C2SP signed-note 1.0.

A note is UTF-8 text that ends in a newline, a blank line, and one or more signature lines
`— <key name> base64(key id || signature)`, where the key id is 4 bytes.
"""

from __future__ import annotations

import base64
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, NamedTuple, Self, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bailment.errors import FormatError, VerificationError

KEY_SIZE = 32
KEY_ID_SIZE = 4
MAX_SIGNATURES = 100
MAX_NOTE = 2**17  # sixteen post-quantum signatures of 5 kB fit

_PRIVATE = "PRIVATE+KEY+"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")


class Signature(NamedTuple):
    """What one signature line says, not whether it holds."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line, with its newline."""
        return f"— {self.name} {encode_base64(self.key_id + self.signature)}\n"


class Note(NamedTuple):
    """A note's text, which ends in a newline, and signatures in their order."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The bytes of the note."""
        return "".join((self.text, "\n", *(s.line for s in self.signatures))).encode()


@dataclass(frozen=True, slots=True)
class PublicKey(ABC):
    """A named Ed25519 key, `raw` being its 32 bytes; a subclass is one signature type."""

    kind: ClassVar[int]
    name: str
    raw: bytes

    def __post_init__(self) -> None:
        check_name(self.name)

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """The key of a vkey, `name+hex key id+base64(type || key)`; or FormatError."""
        name, raw = _parse_key(vkey, cls.kind)
        key = cls(name, raw)
        if key.vkey != vkey:
            raise FormatError(f"`{vkey[:200]}` is not a key: its key id is another key's")
        return key

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || 0x0A || type || key)[:4]."""
        message = self.name.encode() + b"\n" + bytes([self.kind]) + self.raw
        return sha256(message).digest()[:KEY_ID_SIZE]

    @property
    def vkey(self) -> str:
        """The text that `parse` reads."""
        encoded = encode_base64(bytes([self.kind]) + self.raw)
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @abstractmethod
    def verify(self, text: str, signature: bytes) -> bool:
        """Whether `signature` (without the key id) is this key's for the note text."""


@dataclass(frozen=True, slots=True)
class PrivateKey(ABC):
    """A named Ed25519 private key; a subclass is one signature type."""

    kind: ClassVar[int]
    name: str
    key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        check_name(self.name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key of `PRIVATE+KEY+name+hex key id+base64(type || seed)`; or FormatError.

        The form of Go's golang.org/x/mod/sumdb/note. The messages quote none of it.
        """
        if not text.startswith(_PRIVATE):
            raise FormatError(f"a private key begins with `{_PRIVATE}`")
        name, seed = _parse_key(text.removeprefix(_PRIVATE), cls.kind)
        key = cls(name, Ed25519PrivateKey.from_private_bytes(seed))
        if key.text != text:
            raise FormatError("not a private key: its key id is another key's")
        return key

    @property
    def text(self) -> str:
        """The text that `parse` reads. Secret."""
        seed = encode_base64(bytes([self.kind]) + self.key.private_bytes_raw())
        return f"{_PRIVATE}{self.name}+{self.public.key_id.hex()}+{seed}"

    @property
    @abstractmethod
    def public(self) -> PublicKey:
        """The public key."""


_Key = TypeVar("_Key", bound=PublicKey)


class Verifier(PublicKey):
    """A known key that signs note texts as they are (type 0x01)."""

    __slots__ = ()
    kind = 0x01

    def verify(self, text: str, signature: bytes) -> bool:
        """Whether `signature` (without the key id) is this key's for the note text."""
        return ed25519_verify(self.raw, signature, text.encode())


class Signer(PrivateKey):
    """A key that signs note texts as they are (type 0x01)."""

    __slots__ = ()
    kind = 0x01

    @property
    def public(self) -> Verifier:
        """The public key."""
        return Verifier(self.name, self.key.public_key().public_bytes_raw())

    def sign(self, text: str) -> Signature:
        """The signature of a note text."""
        return Signature(self.name, self.public.key_id, self.key.sign(text.encode()))


def sign_note(text: str, *signers: Signer) -> bytes:
    """A note over `text`; FormatError if `text` cannot be a note's."""
    note = Note(text, tuple(signer.sign(text) for signer in signers)).encode()
    if parse_note(note).text != text:
        raise FormatError("the text of a note ends in a newline")
    return note


def open_note(data: bytes, known: Iterable[PublicKey]) -> Note:
    """The note with those of its signatures that known keys made.

    Signatures of unknown keys are ignored and left out. FormatError if `data` is no note;
    VerificationError if a known key's signature does not hold, or no known key signed.
    """
    note = parse_note(data)
    verified = verify_signatures(note.text, note.signatures, known)
    if not verified:
        raise VerificationError("no known key signed the note")
    return Note(note.text, tuple(signature for _, signature in verified))


def verify_signatures(
    text: str, signatures: Iterable[Signature], known: Iterable[_Key]
) -> list[tuple[_Key, Signature]]:
    """The signatures that known keys made, each with its key; VerificationError if one fails."""
    keys = {(key.name, key.key_id): key for key in known}
    verified = []
    for signature in signatures:
        key = keys.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.verify(text, signature.signature):
            raise VerificationError(f"the signature of `{key.name}` does not hold")
        verified.append((key, signature))
    return verified


def parse_note(data: bytes) -> Note:
    """The note without verifying anything; FormatError if `data` is no note."""
    text, blank, lines = _decode(data).rpartition("\n\n")
    if not blank:
        raise FormatError("the note has no blank line before its signatures")
    return Note(text + "\n", _parse_lines(lines))


def parse_signatures(data: bytes) -> tuple[Signature, ...]:
    """Signature lines alone, at least one; or FormatError."""
    return _parse_lines(_decode(data))


def check_name(name: str) -> None:
    """FormatError unless `name` can be a key name: non-empty, no spaces, no plus."""
    if not _NAME.fullmatch(name):
        raise FormatError(f"`{name[:200]}` is not a key name")


def encode_base64(data: bytes) -> str:
    """RFC 4648 section 4."""
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """RFC 4648 section 4, strictly: padded, nothing between, unused bits zero; or FormatError."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if encode_base64(data) != text:
        raise FormatError("not base64 in its one strict form")
    return data


def ed25519_verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is the key's over `message` (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _decode(data: bytes) -> str:
    if len(data) > MAX_NOTE:
        raise FormatError(f"a note of `{len(data)}` bytes is longer than {MAX_NOTE}")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"the note is not UTF-8 at byte {error.start}") from None
    if _CONTROL.search(text):
        raise FormatError("the note holds a control character")
    return text


def _parse_lines(text: str) -> tuple[Signature, ...]:
    *lines, end = text.split("\n")
    if end or not lines:
        raise FormatError("the signature lines do not end in a newline")
    if len(lines) > MAX_SIGNATURES:
        raise FormatError(f"`{len(lines)}` signatures are more than {MAX_SIGNATURES}")
    return tuple(map(_parse_line, lines))


def _parse_line(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—":
        raise FormatError(f"`{line[:200]}` is not a signature line")
    check_name(name)
    raw = decode_base64(encoded)
    if len(raw) <= KEY_ID_SIZE:
        raise FormatError(f"the signature of `{name[:200]}` is too short")
    return Signature(name, raw[:KEY_ID_SIZE], raw[KEY_ID_SIZE:])


def _parse_key(text: str, kind: int) -> tuple[str, bytes]:
    # Base64 may hold a plus, a name may not. That the key id belongs is the caller's to check.
    # The text may be secret, so no message quotes it.
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    raw = decode_base64(encoded)
    if len(raw) != 1 + KEY_SIZE or raw[0] != kind:
        raise FormatError(f"not an Ed25519 key of type `{kind:#04x}` with its name and key id")
    return name, raw[1:]
