"""The records of who is behind a device: providers, sign-ins, certificates, signals, tripwires.

People, devices and organisations are named by their random ids; what a provider or a signal calls
them is in the personal part, or committed to by a hash.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from bailment.ledger.facts import Facts


class ProviderRegistered(Facts, frozen=True):
    """The identity provider at which an organisation's people sign in (OpenID Connect).

    `claim` says by which claim of the ID token a person is known (`sub` or `email`), `auth` how we
    prove to it who we are; `proof` is the organisation's admin's DPoP proof over the request, whose
    digest is `body`. An empty `issuer` ends it.
    """

    TYPE: ClassVar[str] = "provider.registered"
    REGISTERS: ClassVar[bool] = True
    organisation: str
    issuer: str
    client: str
    claim: str
    proof: str
    body: str
    auth: str = "none"
    approval: str | UnsetType = UNSET


class PersonSignedIn(Facts, frozen=True):
    """A person signed in at the employer's provider; times in ms.

    `acr`, `amr` and `auth_time` are the ID token's (OpenID Connect Core 1.0, section 2), `token`
    its SHA-256. `account` commits to who the person is there, `key` is the thumbprint of the device
    key that asked. `invitation` is that which this sign-in made usable, empty for a later one.
    """

    TYPE: ClassVar[str] = "person.signed_in"
    REGISTERS: ClassVar[bool] = True
    person: str
    issuer: str
    auth_time: int
    token: str
    account: str
    key: str
    acr: str = ""
    amr: tuple[str, ...] = ()
    invitation: str = ""


class DeviceCertified(Facts, frozen=True):
    """A certificate over a device's key, for mTLS (RFC 8705), by its `x5t#S256`; `until` in ms.

    `proof` is the DPoP proof by the device's key with which it asked.
    """

    TYPE: ClassVar[str] = "device.certified"
    REGISTERS: ClassVar[bool] = True
    device: str
    certificate: str
    until: int
    proof: str


class TokenRevoked(Facts, frozen=True):
    """A token, by its hash, is over (RFC 7009)."""

    TYPE: ClassVar[str] = "token.revoked"
    REGISTERS: ClassVar[bool] = True
    token: str
    device: str
    reason: str
    author: str


class SignalReceived(Facts, frozen=True):
    """What a recipient's own system reported (RFC 8417 event, SCIM operation), and what it did.

    `source` names the stream or the SCIM client, `event` the event's URI or the operation,
    `subject` whom it is about as for a hold, empty where nobody is known by that name; `digest` is
    the SHA-256 of what came, `effect` the type of the record that it led to, or why it led to none.
    `jti` is the SHA-256 of the event's own id, by which it is known again; empty where it has none.
    `issued` is when its transmitter says that it made it, ms; 0 where nothing does.
    """

    TYPE: ClassVar[str] = "signal.received"
    REGISTERS: ClassVar[bool] = True
    organisation: str
    source: str
    event: str
    subject: str
    digest: str
    effect: str
    jti: str = ""
    issued: int = 0


class SignalSource(Facts, frozen=True):
    """A recipient's system that reports to us: `kind` is `ssf` or `scim`. `issuer` and `audience`
    are those of its events, `credential` the SHA-256 of what it authenticates with. An empty kind
    ends it."""

    TYPE: ClassVar[str] = "signal.source"
    REGISTERS: ClassVar[bool] = True
    source: str
    organisation: str
    kind: str
    issuer: str
    audience: str
    credential: str
    author: str


class SourceSilent(Facts, frozen=True):
    """A recipient's system has not been heard for too long (`silent`), or is heard again."""

    TYPE: ClassVar[str] = "signal.silent"
    REGISTERS: ClassVar[bool] = True
    source: str
    silent: bool
    since: int


class SignInsEnded(Facts, frozen=True):
    """A person's sign-ins up to now count no more, by the word of their organisation's system:
    their tokens are over, and who had signed in at the employer's provider signs in again."""

    TYPE: ClassVar[str] = "person.sign_ins_ended"
    REGISTERS: ClassVar[bool] = True
    person: str
    source: str
    reason: str


class WebhookRegistered(Facts, frozen=True):
    """Where an organisation is told of what is held, lifted, ended or found of its own. An empty
    `url` ends it."""

    TYPE: ClassVar[str] = "webhook.registered"
    REGISTERS: ClassVar[bool] = True
    organisation: str
    url: str
    author: str


class TripwireSet(Facts, frozen=True):
    """A visible secret that is worthless elsewhere and tells where it leaked: its SHA-256, what it
    is (`capability`, `slug`, `honey`, `model`), and whose (`device:<id>`, `recipient:<id>`) or
    where it was laid (`system:<name>`).

    `proof` is the DPoP proof by the device's key with which its agent registered it.
    """

    TYPE: ClassVar[str] = "tripwire.set"
    REGISTERS: ClassVar[bool] = True
    secret: str
    kind: str
    subject: str
    proof: str | UnsetType = UNSET


IDENTITY_RECORDS: tuple[type[Facts], ...] = (
    ProviderRegistered,
    PersonSignedIn,
    DeviceCertified,
    TokenRevoked,
    SignalReceived,
    SignalSource,
    SourceSilent,
    SignInsEnded,
    WebhookRegistered,
    TripwireSet,
)
