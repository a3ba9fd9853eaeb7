"""What the register knows, and how rules and decisions read it.

The state is a plain struct that encodes to canonical JSON: a part of each snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from bailment import canonical
from bailment.access import jwk as jwks
from bailment.access.chain import GRANTORS, Kind, Link, read_link
from bailment.access.jwk import PublicKey
from bailment.assurance.grant import Grant
from bailment.assurance.item import Item
from bailment.assurance.standing import Standing
from bailment.ledger.identity_records import (
    DeviceCertified,
    PersonSignedIn,
    ProviderRegistered,
    SignalSource,
    TripwireSet,
)
from bailment.ledger.incident_records import NoticeSent, RotationDemanded
from bailment.ledger.records import (
    EnrolmentRequested,
    HoldAdded,
    ModelRegistered,
    Policy,
    RecipientRegistered,
)
from bailment.spec.compiled import CompiledSpec, compile_spec
from bailment.spec.conditions import Conditions
from bailment.spec.document import Document
from bailment.spec.validation import load

_NO_SPEC = Conditions()


class Organisation(msgspec.Struct, frozen=True):
    """A recipient, or a subcontractor somewhere below one.

    `handle` is what people call it: `acme`, or `acme/vendor`; `recipient` is the pseudonym of the
    recipient at the top, its own where it is one.
    """

    id: str
    kind: Kind
    handle: str
    contact: str
    recipient: str


class Invitation(msgspec.Struct):
    """Who may enrol with it, until when, and whether somebody did.

    `key` is the thumbprint of the device key for which the person signed in.
    """

    link: str
    until: int
    used: bool = False
    key: str | UnsetType = UNSET


class Granted(msgspec.Struct):
    """A link in the register: as signed, at which entry of the log, and whether it was ended.

    `paired`: another person than who signed it approved of it.
    """

    compact: str
    index: int
    ended: bool = False
    paired: bool = False


#: Whether what a recipient should have lost by expiry is held, a person let it take effect, or it
#: does since the hold is over.
Hold = Literal["", "held", "released", "over"]


class Proven(msgspec.Struct):
    """What a recipient has shown, and what it holds by that.

    `scopes` are the ids of its enclave, by `tenant`, `account` and `org`; `unmet` has for each tier
    what keeps it from being held, as last evaluated; `hold` is that of a mass change, which began
    at `since` (ms); `stale` has for kinds of evidence since when (ms) all that is older counts no
    more.
    """

    scopes: dict[str, tuple[str, ...]] = {}
    items: list[Item] = []
    grants: list[Grant] = []
    standing: Standing | None = None
    unmet: dict[str, dict[str, str]] = {}
    hold: Hold = ""
    since: int = 0
    stale: dict[str, int] | UnsetType = UNSET


class Operator(msgspec.Struct, omit_defaults=True):
    """Somebody in the control plane, invited at entry `index`; `key` is their passkey's JWK."""

    role: str
    organisation: str
    invitation: str
    until: int
    index: int
    approver: str = ""
    person: str = ""
    claim: str = ""
    credential: str = ""
    key: dict[str, str] = {}
    counter: int = 0
    ended: bool = False

    @property
    def active(self) -> bool:
        """Whether they may sign in."""
        return bool(self.credential) and not self.ended


class Proposal(msgspec.Struct, omit_defaults=True):
    """An act that waits, proposed at entry `index`, and who signed it.

    `organisation` is whose operators confirm it, `concerns` the person whom it is about.
    """

    act: dict[str, Any]
    digest: str
    until: int
    author: str
    index: int
    organisation: str = ""
    concerns: str = ""
    by: list[str] = []


class Webhook(msgspec.Struct, frozen=True):
    """Where an organisation is told of its holds, and since when, ms."""

    url: str
    since: int


class Noticed(msgspec.Struct):
    """A notice, when it was sent and when acknowledged (ms), 0 if it was not."""

    sent: NoticeSent
    at: int
    acknowledged: int = 0


class Incident(msgspec.Struct):
    """The findings that an incident cites, and when it was closed (ms), 0 while it is open."""

    findings: list[str] = []
    closed: int = 0


class State(msgspec.Struct, omit_defaults=True):
    """Everything there is to know. Keys of every table are ids in ASCII.

    `document` is the distribution spec as it was applied, empty where there is none; `tiers` has
    the rank of each model's tier, `proven` what each recipient has shown.
    """

    origin: str = ""
    url: str = ""
    issuer: dict[str, str] = {}
    policy: Policy = Policy()
    spec: str = ""
    epoch: int = 0
    models: dict[str, ModelRegistered] = {}
    recipients: dict[str, RecipientRegistered] = {}
    links: dict[str, Granted] = {}
    invitations: dict[str, Invitation] = {}
    devices: dict[str, EnrolmentRequested] = {}
    holds: dict[str, HoldAdded] = {}
    enrolled: dict[str, int] = {}  # devices whose name is in the personal part of this entry
    erased: dict[str, int] = {}  # people, and the entry at which each was erased
    document: dict[str, Any] = {}
    approvers: dict[str, dict[str, str]] = {}
    tiers: dict[str, int] = {}
    decided: dict[str, int] = {}  # when each model's tier was decided, ms
    proven: dict[str, Proven] = {}
    providers: dict[str, ProviderRegistered] = {}  # by organisation
    signed_in: dict[str, PersonSignedIn] = {}  # the newest of each person
    certificates: dict[str, list[DeviceCertified]] = {}  # the two newest of each device
    revoked: dict[str, int] = {}  # tokens, by hash, and when each was revoked
    sources: dict[str, SignalSource] = {}
    silent: dict[str, int] = {}  # sources that are not heard, and since when
    heard: dict[str, int] = {}  # sources, and when each was last heard, ms
    events: dict[str, int] = {}  # events that came, by the SHA-256 of their ids, and when, ms
    signed_out: dict[str, int] = {}  # people, and until when their sign-ins are void, ms
    step_ups: dict[str, tuple[int, str]] = {}  # people asked to sign in again: when, ms; finding
    holding: dict[str, int] = {}  # `SOURCE SUBJECT`, and the newest event that held it, ms
    webhooks: dict[str, Webhook] = {}  # by organisation
    tripwires: dict[str, TripwireSet] = {}  # by the SHA-256 of the secret
    maintenance: int = 0  # until when silence of the log's writer is excused, ms
    submitted: dict[str, str] = {}  # what every report is known again by, and whose it was
    operators: dict[str, Operator] = {}
    incidents: dict[str, Incident] = {}
    notices: dict[str, Noticed] = {}
    rotations: dict[str, RotationDemanded] = {}  # not done, by subject
    drilled: dict[str, str] = {}  # recipients of drills that are over, and which
    proposals: dict[str, Proposal] = {}  # not done yet; those that expired go with the next


class Indexed:
    """The state with what rules and decisions look up in it. It only reads; `Register` writes."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self.links: dict[str, Link] = {}
        self.link_of: dict[str, str] = {}  # subject id → its link (a device has one)
        self.holds_on: dict[str, list[HoldAdded]] = {}
        self.networks: tuple[str, ...] = ()
        self.spec: CompiledSpec | None = None
        if self.state.document:
            self.spec = compile_spec(read_spec(self.state.document))
        self._keys: dict[str, PublicKey] = {}
        self._links_of: dict[str, list[Link]] = {}
        self._confirmed: dict[tuple[str, ...], str] = {}  # key → the device that has or had it
        #: All that may prove something and pass access on, by id.
        self.organisations: dict[str, Organisation] = {}
        for recipient in self.state.recipients.values():
            self.register_recipient(recipient)
        for granted in sorted(self.state.links.values(), key=lambda granted: granted.index):
            self.index(read_link(granted.compact))
        for hold in self.state.holds.values():
            self.holds_on.setdefault(hold.subject, []).append(hold)

    @property
    def epoch(self) -> int:
        """Entries of the log up to and including the last that changed the register."""
        return self.state.epoch

    @property
    def policy(self) -> Policy:
        return self.state.policy

    @property
    def conditions(self) -> Conditions:
        """What the spec in force asks of callers, gateway and operators; the least without one."""
        return self.spec.conditions if self.spec is not None else _NO_SPEC

    def proven(self, recipient: str) -> Proven:
        """What a recipient has shown; nothing if it has not been heard of."""
        return self.state.proven.get(recipient) or Proven()

    def path(self, link_id: str) -> list[Link]:
        """The links from the issuer's down to this one; stops short where one is missing."""
        path: list[Link] = []
        while link_id and (link := self.links.get(link_id)) is not None and len(path) < 16:
            path.append(link)
            link_id = link.parent
        path.reverse()
        return path

    def links_of(self, subject: str) -> Sequence[Link]:
        """All links of a subject, the oldest first: a person may have several."""
        return self._links_of.get(subject, ())

    def recipient_of(self, link_id: str) -> str:
        """The pseudonym of the organisation at the top of the chain; empty if it is broken."""
        path = self.path(link_id)
        return path[0].subject if path and not path[0].parent else ""

    def confirmed_with(self, jwk: dict[str, str]) -> str:
        """The device that was confirmed with this key, ever; empty if none was."""
        return self._confirmed.get(_key_of(jwk), "")

    def key(self, jwk: dict[str, str]) -> PublicKey:
        """The parsed key of a JWK that the register holds."""
        name = jwk.get("x", "") + jwk.get("n", "")
        found = self._keys.get(name)
        if found is None or found.jwk != jwk:
            found = self._keys[name] = jwks.parse(jwk)
        return found

    def grantor_key(self, parent: str) -> PublicKey | None:
        """The key that must sign a link under `parent`: of the nearest organisation above."""
        if not parent:
            return self.key(self.state.issuer) if self.state.issuer else None
        for link in reversed(self.path(parent)):
            if link.kind in GRANTORS and link.key is not None:
                return self.key(link.key)
        return None

    def handle_of(self, link: Link) -> str:
        """What a subcontractor with this link is called."""
        above = self.organisations[self.links[link.parent].subject]
        return f"{above.handle}/{link.handle or link.subject[:8]}"

    def register_recipient(self, facts: RecipientRegistered) -> None:
        """Make a recipient findable."""
        self.organisations[facts.recipient] = Organisation(
            facts.recipient, "recipient", facts.handle, facts.contact, facts.recipient
        )

    def index(self, link: Link) -> None:
        """Make a link findable."""
        self.links[link.id] = link
        self.link_of[link.subject] = link.id
        self._links_of.setdefault(link.subject, []).append(link)
        if link.kind == "device" and link.subject in self.state.devices:
            self._confirmed[_key_of(self.state.devices[link.subject].key)] = link.subject
        if link.kind == "subcontractor":
            above = self.organisations[self.links[link.parent].subject]
            self.organisations[link.subject] = Organisation(
                link.subject,
                link.kind,
                self.handle_of(link),
                link.contact or above.contact,
                above.recipient,
            )
        new = tuple(block for block in link.networks if block not in self.networks)
        self.networks += new


def _key_of(jwk: dict[str, str]) -> tuple[str, ...]:
    """What two keys have in common only if they are one: a strict JWK has no more members."""
    return tuple(jwk[name] for name in sorted(jwk))


def read_spec(document: dict[str, Any]) -> Document:
    """A spec as it stands in a record; FormatError if it has an error."""
    return load(canonical.encode(document))
