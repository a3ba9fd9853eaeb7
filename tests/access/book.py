"""A log without a store: records in order, folded as they come, and the parties that sign them."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access import base64url, certificate, jwk
from bailment.access.admission import Stale
from bailment.access.chain import Link, sign_link
from bailment.access.decision import Request
from bailment.access.fold import Fold
from bailment.access.proof import make_proof
from bailment.access.reasons import Refused
from bailment.errors import VerificationError
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import DeviceCertified
from bailment.ledger.leaf import Leaf, encode_leaf
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    DelegationGranted,
    EnrolmentRequested,
    HoldAdded,
    InvitationIssued,
    LogHeads,
    LogStarted,
    ModelRegistered,
    Policy,
    RecipientRegistered,
    SpecApplied,
    TokenIssued,
)
from bailment.ledger.tree import leaf_hash

START = 1_780_000_000_000
DAY = 86_400_000
URL = "https://gateway.example"
PURPOSE = "red-team"


@dataclass
class Party:
    """Somebody with a key; `link` is what was granted to them."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    link: Link | None = None

    def __post_init__(self) -> None:
        self.public = jwk.from_key(self.key.public_key())

    @property
    def its(self) -> Link:
        assert self.link is not None
        return self.link


class Book:
    """A log: `fold` is its state, `entries` what was folded."""

    def __init__(self) -> None:
        self.fold = Fold()
        self.entries: list[tuple[Leaf, bytes, Facts]] = []
        self.time = START
        self.issuer = Party()
        self._ids = 0
        self.add(LogStarted("lab.example/log", URL, self.issuer.public.jwk), self.new_id())
        self.add(SpecApplied(Policy(), "tests"))
        for model in ("small", "large"):
            self.add(ModelRegistered(model, 4096, 512, self.time, "tests"))

    @property
    def register(self) -> Any:
        return self.fold.register

    def new_id(self) -> str:
        self._ids += 1
        return sha256(b"%d" % self._ids).hexdigest()[:32]

    def add(self, facts: Facts, recipient: str = "") -> None:
        """Append and fold a record; VerificationError if it cannot stand here."""
        refused = self.register.check(facts, self.time)
        if refused is not None:  # a fold that fails half-way is of no more use
            raise VerificationError(refused.detail)
        recipient = recipient or self.fold.issuer_slot
        head = self.fold.slots.head(recipient)
        heads = ""
        if isinstance(facts, LogHeads):
            heads = self.fold.slots.root(bytes.fromhex(facts.secret)).hex()
        leaf = Leaf(
            facts.TYPE,
            self.time,
            recipient,
            head.count,
            head.last,
            self.register.state.spec,
            self.register.epoch,
            "0" * 64,
            1,
            heads=heads,
        )
        hashed = leaf_hash(encode_leaf(leaf))
        self.fold.follow(leaf, hashed, facts)
        self.entries.append((leaf, hashed, facts))

    def replay(self, fold: Fold, start: int) -> Fold:
        """Fold everything from `start` on into another fold."""
        for leaf, hashed, facts in self.entries[start:]:
            fold.follow(leaf, hashed, facts)
        return fold

    # Parties

    def grant(self, by: Party, kind: str, parent: Link | None, **given: Any) -> Link:
        """A link that `by` signs, as long as its parent lasts."""
        values = {
            "id": self.new_id(),
            "parent": parent.id if parent else "",
            "kind": kind,
            "subject": self.new_id(),
            "start": parent.start if parent else self.time,
            "until": parent.until if parent else self.time + 30 * DAY,
            **given,
        }
        link = Link(**values)
        compact = sign_link(link, by.key, by.public.thumbprint)
        top = self.register.recipient_of(link.parent) if parent else link.subject
        self.add(DelegationGranted(compact), top)
        return link

    def recipient(self, **given: Any) -> Party:
        party, name = Party(), self.new_id()
        self.add(RecipientRegistered(name, name, "c", party.public.jwk, "tests"), name)
        values = {
            "subject": name,
            "key": party.public.jwk,
            "models": ("small", "large"),
            "purposes": (PURPOSE,),
            "depth": 2,
            **given,
        }
        party.link = self.grant(self.issuer, "recipient", None, **values)
        return party

    def subcontractor(self, above: Party, **given: Any) -> Party:
        party = Party()
        values = {"key": party.public.jwk, "depth": above.its.depth - 1, **given}
        party.link = self.grant(above, "subcontractor", above.its, **values)
        return party

    def person(self, by: Party, **given: Any) -> Party:
        return Party(link=self.grant(by, "person", by.its, **given))

    def enrol(self, person: Party) -> tuple[Party, str]:
        """A device of the person's that waits for its link, and its id."""
        device, name, invitation = Party(), self.new_id(), self.new_id()
        until = self.time + 900_000
        self.add(InvitationIssued(invitation, person.its.id, until))
        self.add(
            EnrolmentRequested(
                name, invitation, "laptop", device.public.jwk, "software", "proof", until
            )
        )
        return device, name

    def device(self, by: Party, person: Party, **given: Any) -> Party:
        """A confirmed device."""
        device, name = self.enrol(person)
        values = {"subject": name, "key": device.public.jwk, **given}
        device.link = self.grant(by, "device", person.its, **values)
        return device

    def make_certificate(self, device: Party, /, by: Party | None = None, **given: Any) -> Any:
        """The record of a certificate, not in the log yet; `by` is whose key asked for it."""
        name, signer = device.its.subject, by or device
        values = {
            "device": name,
            "certificate": base64url.encode(sha256(self.new_id().encode()).digest()),
            "until": self.time + DAY,
            "proof": make_proof(
                signer.key,
                signer.public,
                method="POST",
                target=URL + certificate.PATH,
                body_sha256=sha256(certificate.certification_body(name)).digest(),
                token=None,
                nonce=None,
                jti=self.new_id(),
                now_s=self.time // 1000,
            ),
        }
        return DeviceCertified(**{**values, **given})

    def certify(self, device: Party, **given: Any) -> str:
        """A certificate of the device's, on record."""
        facts = self.make_certificate(device, **given)
        self.add(facts, self.register.recipient_of(device.its.id))
        name: str = facts.certificate
        return name

    # Accesses

    def proof(self, device: Party, jti: str = "") -> str:
        return make_proof(
            device.key,
            device.public,
            method="POST",
            target=URL,
            body_sha256=bytes(32),
            token=None,
            nonce=None,
            jti=jti or self.new_id(),
            now_s=self.time // 1000,
        )

    def make_token(self, by: Party, /, **given: Any) -> TokenIssued:
        """The record of a token, not in the log yet."""
        path = self.register.path(by.its.id)
        values = {
            "token": self.new_id(),
            "device": by.its.subject,
            "person": path[-2].subject if len(path) > 1 else "",
            "links": tuple(link.id for link in path),
            "models": (),
            "purpose": PURPOSE,
            "key_class": "software",
            "thumbprint": by.public.thumbprint,
            "issued": self.time,
            "until": self.time + 300_000,
            "decided": self.time,
            "proof": self.proof(by),
            "body": "0" * 64,
        }
        return TokenIssued(**{**values, **given})

    def token(self, device: Party, **given: Any) -> TokenIssued:
        token = self.make_token(device, **given)
        self.add(token, self.register.recipient_of(device.its.id))
        return token

    def make_access(self, device: Party, token: TokenIssued, **given: Any) -> AccessOpened:
        """The record of an access, not in the log yet."""
        values = {
            "access": self.new_id(),
            "action": "generate",
            "kind": "dpop-body",
            "token": token.token,
            "proof": self.proof(device),
            "method": "POST",
            "path": "/v1/messages",
            "body": "0" * 64,
            "model": "small",
            "stream": False,
            "ceiling": 100,
            "networks": (),
            "decided": self.time,
        }
        return AccessOpened(**{**values, **given})

    def admit(self, facts: Facts) -> Refused | Stale | None:
        """Ask as the sequencer does."""
        replay, budgets = self.fold.conditions(facts)
        return self.fold.admission.admit(facts, replay, budgets, self.time, self.register.policy)

    def open(self, device: Party, token: TokenIssued, **given: Any) -> AccessOpened | None:
        """Open an access, if it is admitted."""
        facts = self.make_access(device, token, **given)
        if self.admit(facts) is not None:
            return None
        self.add(facts, self.register.recipient_of(device.its.id))
        return facts

    def close(self, access: str, used: int | None = None) -> None:
        """Close an access that used so many tokens, None if that is unknown."""
        opened = self.fold.admission.open[access]
        measured = used is not None
        closed = AccessClosed(access, "complete", 200, used or 0, 0, measured)
        self.add(closed, opened.recipient)

    def hold(self, subject: str, until: int = 0) -> str:
        hold = self.new_id()
        self.add(HoldAdded(hold, subject, "a test", "tests", until))
        return hold

    def ask(self, token: TokenIssued, **given: Any) -> Request:
        """What the decision is asked for this token."""
        values = {"action": "generate", "model": "small", "networks": (), "ceiling": 100}
        return Request(token, **{**values, **given})
