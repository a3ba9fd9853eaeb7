"""The records of people in the control plane: who they are, what they propose and approve.

An operator is a random id here; the name is in the personal part of the invitation.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from bailment.ledger.facts import Facts

#: What an operator may do; the last two only look, or act for their own organisation.
Role = Literal["issuer-security", "issuer-approver", "recipient-admin", "auditor"]


class Assertion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a passkey signed (Web Authentication Level 3, section 7.2); each member base64url."""

    credential: str
    client_data: str
    authenticator_data: str
    signature: str


class OperatorInvited(Facts, frozen=True):
    """Somebody may register a passkey by a one-use invitation, of which this is the SHA-256.

    `organisation` is the recipient (or subcontractor) that a `recipient-admin` acts for. `approver`
    and `person` say who this is elsewhere: the approver's name, or the person's id, if the same
    human is one, so that nobody is two people. `claim` commits to the account at the issuer's own
    identity provider, where that is an alternative way to sign in.
    """

    TYPE: ClassVar[str] = "operator.invited"
    REGISTERS: ClassVar[bool] = True
    operator: str
    role: Role
    organisation: str
    invitation: str
    until: int
    author: str
    approver: str = ""
    person: str = ""
    claim: str = ""


class OperatorRegistered(Facts, frozen=True):
    """An operator's passkey: its id, public key (a JWK), model (`aaguid`) and signature counter."""

    TYPE: ClassVar[str] = "operator.registered"
    REGISTERS: ClassVar[bool] = True
    operator: str
    credential: str
    key: dict[str, str]
    aaguid: str
    counter: int
    author: str
    approval: str | UnsetType = UNSET


class OperatorEnded(Facts, frozen=True):
    """An operator is none any more; what they signed still stands."""

    TYPE: ClassVar[str] = "operator.ended"
    REGISTERS: ClassVar[bool] = True
    operator: str
    reason: str
    author: str
    approval: str | UnsetType = UNSET


class OperatorSignedIn(Facts, frozen=True):
    """An operator signed in, by passkey or, with an empty `assertion`, at the identity provider."""

    TYPE: ClassVar[str] = "operator.signed_in"
    REGISTERS: ClassVar[bool] = True
    operator: str
    assertion: Assertion | UnsetType = UNSET


class ActProposed(Facts, frozen=True):
    """Something that takes more people than who asked for it, as all of them are to see it.

    `act` has the `record` type and the `facts` that are to be written, the `proposal`'s id, `until`
    when it can be approved, and what was `shown` of its effects. `digest` is the SHA-256 of its
    canonical JSON: what is signed. Names are in the personal part.
    """

    TYPE: ClassVar[str] = "act.proposed"
    REGISTERS: ClassVar[bool] = True
    proposal: str
    act: dict[str, Any]
    digest: str
    at: int
    until: int
    author: str


class ActApproved(Facts, frozen=True):
    """One person's signature under a proposal: an operator's passkey, or an approver's key.

    `by` is `operator:<id>` or `approver:<name>`; the assertion's challenge is the act's digest, the
    JWS is over it (`formats/approvals.md`).
    """

    TYPE: ClassVar[str] = "act.approved"
    REGISTERS: ClassVar[bool] = True
    proposal: str
    by: str
    assertion: Assertion | UnsetType = UNSET
    signature: str | UnsetType = UNSET


class ActWithdrawn(Facts, frozen=True):
    """A proposal is over without having been done."""

    TYPE: ClassVar[str] = "act.withdrawn"
    REGISTERS: ClassVar[bool] = True
    proposal: str
    reason: str
    author: str


OPERATOR_RECORDS: tuple[type[Facts], ...] = (
    OperatorInvited,
    OperatorRegistered,
    OperatorEnded,
    OperatorSignedIn,
    ActProposed,
    ActApproved,
    ActWithdrawn,
)
