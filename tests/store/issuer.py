"""An issuer in a folder, with a clock that a test sets: one organisation, its people, its devices.

Everything enters through the sequencer as it does in production; only HTTP is left out.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access import jwk
from bailment.access.chain import Link, sign_link
from bailment.access.decision import Allowed, Request, decide
from bailment.access.fold import proof_claims
from bailment.access.proof import make_proof, replay_key
from bailment.access.reasons import Refused
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    Budget,
    DelegationGranted,
    EnrolmentRequested,
    HoldAdded,
    InvitationIssued,
    LogStarted,
    ModelRegistered,
    Policy,
    RecipientRegistered,
    SpecApplied,
    TokenIssued,
)
from bailment.store.durable import Files
from bailment.store.folder import Folder
from bailment.store.log import Log, open_log
from bailment.store.secrets import Secrets, load_secrets, make_secrets
from bailment.store.sequencer import Draft, Sequenced

ORIGIN = "log.example/bailment"
URL = "https://issuer.example"
MODEL = "glasswing-1"
START = 1_790_000_000_000
YEAR = 365 * 86_400_000


@dataclass
class Clock:
    """Milliseconds since the epoch, as the test wants them."""

    now: int = START

    def __call__(self) -> int:
        return self.now


@dataclass
class Device:
    """A device, the person it belongs to, and the token it has."""

    id: str
    person: str
    recipient: str
    key: ec.EllipticCurvePrivateKey
    public: jwk.PublicKey
    token: TokenIssued | None = None


@dataclass
class Party:
    """Whoever signs links: an organisation, or the issuer for organisations."""

    key: ec.EllipticCurvePrivateKey
    public: jwk.PublicKey
    link: str = ""
    pseudonym: str = ""

    @classmethod
    def new(cls) -> Party:
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(key, jwk.from_key(key.public_key()))


@dataclass
class Issuer:
    """An issuer's folder and clock; `open` opens its log as `serve` does."""

    folder: Folder
    secrets: Secrets
    clock: Callable[[], int] = field(default_factory=Clock)

    @classmethod
    def make(cls, root: Path) -> Issuer:
        root.mkdir(mode=0o700, exist_ok=True)
        folder = Folder(root)
        return cls(folder, make_secrets(folder, ORIGIN, Files()))

    @classmethod
    def at(cls, root: Path, clock: Callable[[], int] | None = None) -> Issuer:
        """The issuer whose folder is there already."""
        folder = Folder(root)
        return cls(folder, load_secrets(folder), clock or Clock())

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Log]:
        log = open_log(self.folder, self.secrets, self.clock, **options)
        try:
            yield log
        finally:
            await log.close()

    async def begin(self, log: Log, policy: Policy | None = None) -> None:
        """The first records of a log."""
        started = LogStarted(ORIGIN, URL, self.secrets.issuer_key.jwk)
        await must(log, log.sequencer.draft(started, os.urandom(16).hex()))
        await must(log, log.sequencer.draft(SpecApplied(policy or Policy(), "owner")))
        await must(log, log.sequencer.draft(ModelRegistered(MODEL, 4096, 1024, START, "owner")))

    async def recipient(self, log: Log, budget: Budget | None = None) -> Party:
        """Register an organisation."""
        party = Party.new()
        party.pseudonym, party.link = os.urandom(16).hex(), os.urandom(16).hex()
        handle = f"org-{party.pseudonym[:6]}"
        facts = RecipientRegistered(
            party.pseudonym, handle, "ops@org.example", party.public.jwk, "owner"
        )
        await must(log, log.sequencer.draft(facts, party.pseudonym))
        link = Link(
            party.link,
            "",
            "recipient",
            party.pseudonym,
            START - YEAR,
            START + YEAR,
            party.public.jwk,
            (MODEL,),
            ("research",),
            budget=budget,
        )
        top = Party(self.secrets.issuer, self.secrets.issuer_key)
        await self.grant(log, top, link, party.pseudonym)
        return party

    async def grant(
        self, log: Log, by: Party, link: Link, recipient: str, person: str = "", name: str = ""
    ) -> None:
        compact = sign_link(link, by.key, by.public.thumbprint)
        personal = {"name": name, "email": f"{name}@org.example"} if person else None
        draft = log.sequencer.draft(
            DelegationGranted(compact), recipient, person=person, personal=personal
        )
        await must(log, draft)

    async def person(
        self,
        log: Log,
        party: Party,
        name: str = "ada",
        budget: Budget | None = None,
        subject: str = "",
    ) -> str:
        """Grant a person's link; returns its id. The person's own id is the link's subject."""
        subject = subject or os.urandom(16).hex()
        link = self._below(party, party.link, "person", subject, None, budget)
        await self.grant(log, party, link, party.pseudonym, link.subject, name)
        return link.id

    async def device(self, log: Log, party: Party, person_link: str) -> Device:
        """Invite, enrol and confirm a device."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = jwk.from_key(key.public_key())
        person = log.fold.register.links[person_link].subject
        device = Device(os.urandom(16).hex(), person, party.pseudonym, key, public)
        invitation, until = os.urandom(32).hex(), self.clock() + 900_000
        invited = InvitationIssued(invitation, person_link, until)
        await must(log, log.sequencer.draft(invited, party.pseudonym))
        proof = self.proof(device, "/enrol/requests", b"{}", None)
        asked = EnrolmentRequested(
            device.id, invitation, "laptop", public.jwk, "software", proof, until
        )
        await must(log, log.sequencer.draft(asked, party.pseudonym))
        link = self._below(party, person_link, "device", device.id, public.jwk, None)
        await self.grant(log, party, link, party.pseudonym)
        return device

    def _below(
        self,
        party: Party,
        parent: str,
        kind: Any,
        subject: str,
        key: dict[str, str] | None,
        budget: Budget | None,
    ) -> Link:
        return Link(
            os.urandom(16).hex(),
            parent,
            kind,
            subject,
            START - YEAR,
            START + YEAR,
            key,
            (MODEL,),
            ("research",),
            budget=budget,
        )

    def proof(self, device: Device, path: str, body: bytes, token: str | None) -> str:
        return make_proof(
            device.key,
            device.public,
            method="POST",
            target=URL + path,
            body_sha256=sha256(body).digest(),
            token=token,
            nonce="n" * 22,
            jti=os.urandom(16).hex(),
            now_s=self.clock() // 1000,
        )

    def token_facts(self, log: Log, device: Device, life_ms: int = 300_000) -> TokenIssued:
        register = log.fold.register
        path = register.path(register.link_of[device.id])
        now = self.clock()
        return TokenIssued(
            os.urandom(32).hex()[:43],
            device.id,
            device.person,
            tuple(link.id for link in path),
            (),
            "research",
            "software",
            device.public.thumbprint,
            now,
            now + life_ms,
            now,
            self.proof(device, "/oauth/token", b"grant_type=client_credentials", None),
            sha256(b"grant_type=client_credentials").hexdigest(),
        )

    async def token(self, log: Log, device: Device, life_ms: int = 300_000) -> TokenIssued:
        """Issue a token on the record."""
        facts = self.token_facts(log, device, life_ms)
        replay = replay_key(device.public.thumbprint, jti_of(facts.proof))
        draft = log.sequencer.draft(
            facts, device.recipient, replay=replay, epoch=log.fold.register.epoch
        )
        await must(log, draft)
        device.token = facts
        return facts

    def opening(
        self, log: Log, device: Device, ceiling: int = 100, proof: str = ""
    ) -> Draft | Refused:
        """Decide on an access and draft its record, as the gateway's journal does."""
        assert device.token is not None
        now, body = self.clock(), os.urandom(8)
        proof = proof or self.proof(device, "/v1/messages", body, device.token.token)
        request = Request(device.token, "generate", MODEL, (), ceiling)
        allowed = decide(request, log.fold.register, now)
        if not isinstance(allowed, Allowed):
            return allowed
        facts = AccessOpened(
            os.urandom(16).hex(),
            "generate",
            "dpop-body",
            device.token.token,
            proof,
            "POST",
            "/v1/messages",
            sha256(body).hexdigest(),
            MODEL,
            True,
            ceiling,
            (),
            now,
        )
        return log.sequencer.draft(
            facts,
            allowed.recipient,
            person=device.person,
            personal={"address": "192.0.2.7", "client": "sdk/1"},
            epoch=allowed.epoch,
            replay=replay_key(device.public.thumbprint, jti_of(proof)),
            budgets=allowed.budgets,
        )

    async def ready(self, log: Log, budget: Budget | None = None) -> Device:
        """A log with one device that has a token."""
        await self.begin(log)
        party = await self.recipient(log, budget)
        device = await self.device(log, party, await self.person(log, party))
        await self.token(log, device)
        return device


def closing(log: Log, opened: Draft, **usage: Any) -> Draft:
    """The record of the end of an access."""
    assert isinstance(opened.facts, AccessOpened)
    usage = {"input": 10, "output": 20, "measured": True, "bytes": 512} | usage
    closed = AccessClosed(opened.facts.access, "complete", 200, **usage)
    return log.sequencer.draft(closed, opened.recipient)


def note(number: int) -> Facts:
    """A record that has no conditions and changes no state."""
    return FindingRaised(f"{number:032x}", "test", "a sentence", 0, 0, {"number": number})


def hold(subject: str) -> HoldAdded:
    return HoldAdded(os.urandom(16).hex(), subject, "to test", "owner")


def jti_of(proof: str) -> str:
    return str(proof_claims(proof)["jti"])


async def must(log: Log, draft: Draft | Refused) -> Sequenced:
    """Append a record that nothing stands against."""
    assert isinstance(draft, Draft), draft
    answer = await log.sequencer.append(draft)
    assert isinstance(answer, Sequenced), answer
    return answer
