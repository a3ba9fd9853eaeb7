"""What a record says: one struct of facts for each type, and the personal part beside it.

Facts are all that the register's fold, the decision and the auditor read. They name people and
devices by random ids only. Names and raw addresses are in the personal part, which nothing
folds, so that erasing it changes no decision (`formats/log.md`, sections 6 and 7).

Fields are append-only and never change the meaning of an old record: a new one is `UNSET` unless it
is written, so that what was logged before encodes, and so digests, as it did.
Times are integer milliseconds since the epoch, ids 32 hex digits, hashes 64 hex digits, except
where a JOSE RFC speaks base64url.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from bailment import canonical
from bailment.errors import FormatError
from bailment.ledger.context import Context
from bailment.ledger.counters import CountersRead
from bailment.ledger.detection_records import DETECTION_RECORDS
from bailment.ledger.drill_records import DRILL_RECORDS
from bailment.ledger.enforcement_records import ENFORCEMENT_RECORDS
from bailment.ledger.evidence_records import EVIDENCE_RECORDS
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import IDENTITY_RECORDS
from bailment.ledger.incident_records import INCIDENT_RECORDS
from bailment.ledger.key_evidence import KeyEvidence
from bailment.ledger.operator_records import OPERATOR_RECORDS

#: Where a device's key lives: proven in hardware, in hardware by its own word, or in a file.
KeyClass = Literal["hw-attested", "hw-unattested", "software"]


#: The reason in the `access.closed` of what a process before this one left open.
RESTARTED = "the gateway restarted"


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers that decisions obey; logged, so that an auditor applies the same ones."""

    token_ms: int = 300_000
    proof_ms: int = 60_000
    skew_ms: int = 5_000
    #: How long after the decision the log may still accept the access.
    decision_ms: int = 2_000
    invitation_ms: int = 900_000
    #: At most this long after a record, a `log.heads` record follows.
    heads_ms: int = 60_000
    contact: str = ""


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `tokens` (input and output together) in each window of `seconds`."""

    tokens: int
    seconds: int


class LogStarted(Facts, frozen=True):
    """The first record: who keeps this log. `issuer` is the public JWK that signs tokens.

    It lies in the issuer's own slot, whose pseudonym it thereby names.
    """

    TYPE: ClassVar[str] = "log.started"
    REGISTERS: ClassVar[bool] = True
    origin: str
    url: str
    issuer: dict[str, str]


class SpecApplied(Facts, frozen=True):
    """The policy from here on, and the distribution spec (`formats/spec.md`) that says it.

    `document` is the spec's JSON, `signature` the issuer's over its digest; both are left out where
    there is no spec yet, and recipients need prove nothing. `plan` is the digest of the plan that
    was applied.
    """

    TYPE: ClassVar[str] = "spec.applied"
    REGISTERS: ClassVar[bool] = True
    policy: Policy
    author: str
    document: dict[str, Any] | UnsetType = UNSET
    signature: str | UnsetType = UNSET
    plan: str | UnsetType = UNSET
    approval: str | UnsetType = UNSET


class ModelRegistered(Facts, frozen=True):
    """A model: `context` and `output` are its limits in tokens, the ceiling of one access.

    A `canary` knows nothing worth keeping. Recipients rehearse with it, so it asks for no tier.
    """

    TYPE: ClassVar[str] = "model.registered"
    REGISTERS: ClassVar[bool] = True
    model: str
    context: int
    output: int
    created: int
    author: str
    canary: bool | UnsetType = UNSET


class RecipientRegistered(Facts, frozen=True):
    """An organisation; `recipient` is its fixed random pseudonym, `key` its admin's JWK."""

    TYPE: ClassVar[str] = "recipient.registered"
    REGISTERS: ClassVar[bool] = True
    recipient: str
    handle: str
    contact: str
    key: dict[str, str]
    author: str


class DelegationGranted(Facts, frozen=True):
    """A link of a chain, as the delegating party signed it (`formats/access.md`)."""

    TYPE: ClassVar[str] = "delegation.granted"
    REGISTERS: ClassVar[bool] = True
    link: str
    approval: str | UnsetType = UNSET


class DelegationEnded(Facts, frozen=True):
    """A link and everything below it is over, for good. `approval` is the proposal that it was, of
    a recipient's own where that takes two people."""

    TYPE: ClassVar[str] = "delegation.ended"
    REGISTERS: ClassVar[bool] = True
    link: str
    author: str
    reason: str
    approval: str | UnsetType = UNSET


class InvitationIssued(Facts, frozen=True):
    """A one-use invitation to enrol a device under a person's link; `invitation` is its hash."""

    TYPE: ClassVar[str] = "invitation.issued"
    REGISTERS: ClassVar[bool] = True
    invitation: str
    link: str
    until: int


class EnrolmentRequested(Facts, frozen=True):
    """A device showed the invitation and proved its key; it waits for a person's confirmation.

    Its `name` is empty but in old records: it is the person's, and in the personal part. The
    `attestation` is the SHA-256 of what proves the class of a key in hardware: of the `evidence`,
    and of the TPM's certificates in the personal part (`formats/access.md`, section 8).
    """

    TYPE: ClassVar[str] = "enrolment.requested"
    REGISTERS: ClassVar[bool] = True
    device: str
    invitation: str
    name: str
    key: dict[str, str]
    key_class: KeyClass
    proof: str
    until: int
    attestation: str | UnsetType = UNSET
    evidence: KeyEvidence | UnsetType = UNSET


class HoldAdded(Facts, frozen=True):
    """A lock on `subject` (`person:<id>`, `model:<id>`, …, or `everything`); `until` 0: no end.

    `approval` is the proposal that a second person approved, where the spec asks for one.
    """

    TYPE: ClassVar[str] = "hold.added"
    REGISTERS: ClassVar[bool] = True
    hold: str
    subject: str
    reason: str
    author: str
    until: int = 0
    approval: str | UnsetType = UNSET


class HoldLifted(Facts, frozen=True):
    """The end of a hold; `approval` as in the hold."""

    TYPE: ClassVar[str] = "hold.lifted"
    REGISTERS: ClassVar[bool] = True
    hold: str
    reason: str
    author: str
    approval: str | UnsetType = UNSET


class TokenIssued(Facts, frozen=True):
    """An access token, by its hash (RFC 9449 `ath`), with what it allows and the key it binds.

    `proof` is the DPoP proof with which the device asked; `body` the digest of its form; `networks`
    the declared networks that it asked from.

    A token that is bound to a `certificate` (its `x5t#S256`, RFC 8705) has no proof. `ratchet` is
    the SHA-256 of the handle that came with it, `previous` of the one that was shown for it.
    `budget` and `within` (networks) narrow the chain for this token. `job` is what a workload's job
    token is known again by. `signed_in` says of a person's last sign-in at the employer's provider
    whether it was `resistant` to phishing or `other`; where there was none it is left out.
    """

    TYPE: ClassVar[str] = "token.issued"
    token: str
    device: str
    person: str
    links: tuple[str, ...]
    models: tuple[str, ...]
    purpose: str
    key_class: str
    thumbprint: str
    issued: int
    until: int
    decided: int
    proof: str
    body: str
    networks: tuple[str, ...] = ()
    certificate: str | UnsetType = UNSET
    ratchet: str | UnsetType = UNSET
    previous: str | UnsetType = UNSET
    budget: Budget | UnsetType = UNSET
    within: tuple[str, ...] | UnsetType = UNSET
    job: str | UnsetType = UNSET
    signed_in: str | UnsetType = UNSET


class AccessOpened(Facts, frozen=True):
    """One access, allowed: everything from which the decision can be made again.

    `token` is the hash of the token, whose record came before; `proof` the client's signed DPoP
    proof over method, path and body; `ceiling` the tokens reserved; `networks` the declared
    networks that the caller's address lies in; `context` what else is told of where it came from,
    on which no decision depends. `kind` is `dpop-body`, or `mtls`: then the proof is empty, and
    `certificate` (`x5t#S256`) is that of the connection.
    """

    TYPE: ClassVar[str] = "access.opened"
    access: str
    action: str
    kind: str
    token: str
    proof: str
    method: str
    path: str
    body: str
    model: str
    stream: bool
    ceiling: int
    networks: tuple[str, ...]
    decided: int
    certificate: str | UnsetType = UNSET
    context: Context | UnsetType = UNSET


class AccessClosed(Facts, frozen=True):
    """How an access ended. `measured` false: usage is unknown and the ceiling was charged."""

    TYPE: ClassVar[str] = "access.closed"
    access: str
    outcome: str
    status: int = 0
    input: int = 0
    output: int = 0
    measured: bool = False
    bytes: int = 0
    reason: str = ""


class AccessRefused(Facts, frozen=True):
    """`count` refusals of one subject for one reason between `since` and `until`.

    `model`, `action` and `context` are those of the first. The subject is the device whose token
    was shown; whether the caller *is* that device is just what was not proved. What the caller was
    told beyond the reason is not here, since it may quote the body.
    """

    TYPE: ClassVar[str] = "access.refused"
    device: str
    reason: str
    count: int
    since: int
    until: int
    action: str = ""
    model: str = ""
    person: str = ""
    token: str = ""
    context: Context | UnsetType = UNSET


class PersonErased(Facts, frozen=True):
    """A person's key was destroyed: from here on the personal parts under it cannot be opened."""

    TYPE: ClassVar[str] = "person.erased"
    REGISTERS: ClassVar[bool] = True
    person: str
    author: str
    reason: str


class LogHeads(Facts, frozen=True):
    """A head of every slot, over all entries before this one; the leaf carries the root.

    `secret` salts the slots' heads: auditors recompute the root with it, a recipient is given
    its own slot's salt only.
    """

    TYPE: ClassVar[str] = "log.heads"
    secret: str


class LogSnapshot(Facts, frozen=True):
    """The digest of the state folded from the first `size` entries."""

    TYPE: ClassVar[str] = "log.snapshot"
    size: int
    digest: str


_RECORDS: tuple[type[Facts], ...] = (
    LogStarted,
    SpecApplied,
    ModelRegistered,
    RecipientRegistered,
    DelegationGranted,
    DelegationEnded,
    InvitationIssued,
    EnrolmentRequested,
    HoldAdded,
    HoldLifted,
    TokenIssued,
    AccessOpened,
    AccessClosed,
    AccessRefused,
    PersonErased,
    LogHeads,
    LogSnapshot,
    CountersRead,
    *EVIDENCE_RECORDS,
    *IDENTITY_RECORDS,
    *OPERATOR_RECORDS,
    *ENFORCEMENT_RECORDS,
    *DETECTION_RECORDS,
    *INCIDENT_RECORDS,
    *DRILL_RECORDS,
)
TYPES: dict[str, type[Facts]] = {cls.TYPE: cls for cls in _RECORDS}

_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(cls) for name, cls in TYPES.items()
}


def decode_facts(record_type: str, data: bytes) -> Facts:
    """The facts of a record; FormatError for an unknown type or an unknown or missing field."""
    decoder = _decoders.get(record_type)
    if decoder is None:
        raise FormatError(f"unknown record type `{record_type[:40]}`")
    try:
        facts: Facts = decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise FormatError(f"the facts of a `{record_type}` are wrong: {error}") from None
    return facts


def spec_digest(applied: SpecApplied) -> str:
    """The spec digest in each leaf: SHA-256 over the spec's canonical JSON, or over the policy's
    where there is no spec; hex."""
    told = applied.policy if applied.document is UNSET else applied.document
    return canonical.digest(canonical.encode(told))
