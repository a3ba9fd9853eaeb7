"""A leaf of the log and the commitments it carries (`formats/log.md`, section 6).

The leaf is public to auditors and says nothing about a person: type, time, the recipient's
pseudonym and counter, and salted commitments to the facts and to the personal part. A body is
what opens a commitment: 16 bytes of salt followed by canonical JSON.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from bailment import canonical
from bailment.errors import FormatError, VerificationError

SALT_SIZE = 16
#: `previous` of a recipient's first record.
NO_PREVIOUS = "0" * 64

_FACTS = b"bailment.facts.v1\0"
_PERSONAL = b"bailment.personal.v1\0"


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One entry of the log.

    type       the record type, a key of `records.TYPES`
    time       log time in ms, never less than that of the entry before
    recipient  the pseudonym of the recipient (or of the issuer itself) that it concerns
    counter    how many records this recipient had before
    previous   the leaf hash of the recipient's record before, or zeros
    spec       the digest of the policy in force, empty before the first
    register   the register's position: entries up to and including its last change
    facts      commitment to the facts; `personal` likewise, empty where there is none
    v          the version of this form: 1
    heads      the root over all slots' heads, in a `log.heads` record only
    """

    type: str
    time: int
    recipient: str
    counter: int
    previous: str
    spec: str
    register: int
    facts: str
    v: int
    personal: str = ""
    heads: str = ""


_decoder = msgspec.json.Decoder(Leaf)


def encode_leaf(leaf: Leaf) -> bytes:
    """The entry's bytes: canonical JSON."""
    return canonical.encode(leaf)


def decode_leaf(entry: bytes) -> Leaf:
    """Parse an entry; FormatError unless it is exactly what `encode_leaf` writes."""
    try:
        leaf = _decoder.decode(entry)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise FormatError(f"the entry is not a leaf: {error}") from None
    if leaf.v != 1:
        raise FormatError(f"leaf version `{leaf.v}` is unknown")
    if encode_leaf(leaf) != entry:
        raise FormatError("the leaf is not in canonical form")
    return leaf


def commit_facts(body: bytes) -> str:
    """The commitment to a facts body, as hex."""
    return hashlib.sha256(_FACTS + body).hexdigest()


def commit_personal(body: bytes) -> str:
    """The commitment to a personal body, as hex."""
    return hashlib.sha256(_PERSONAL + body).hexdigest()


def open_body(commitment: str, body: bytes, *, personal: bool = False) -> bytes:
    """The JSON in a body that opens the commitment; VerificationError if it does not."""
    found = commit_personal(body) if personal else commit_facts(body)
    if len(body) < SALT_SIZE or not hmac.compare_digest(found, commitment):
        raise VerificationError("the body does not open the leaf's commitment")
    return body[SALT_SIZE:]
