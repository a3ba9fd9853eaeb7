"""A log as life makes it, the same on every run but for its salts.

The issuer, three organisations, a subcontractor, their people and devices do what they do through
the real sequencer, with real keys, proofs and tokens: accesses that are allowed, some that are
refused, holds, spent budgets, an erasure, a restart that finds an access open. Nothing but HTTP
and the clock is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import UNSET

from bailment.access import jwk
from bailment.access.chain import Link, commit_person, sign_link
from bailment.access.decision import LIST_MODELS, Allowed, Request, decide, standing
from bailment.access.proof import Proof, make_proof, read_proof, replay_key
from bailment.access.reasons import Refused
from bailment.access.token import AccessDetail, Claims, Confirmation, sign_token, token_hash
from bailment.ledger.facts import Facts
from bailment.ledger.note import Signer
from bailment.ledger.records import (
    RESTARTED,
    AccessClosed,
    AccessOpened,
    AccessRefused,
    DelegationEnded,
    DelegationGranted,
    EnrolmentRequested,
    HoldAdded,
    HoldLifted,
    InvitationIssued,
    LogStarted,
    ModelRegistered,
    PersonErased,
    Policy,
    RecipientRegistered,
    SpecApplied,
    TokenIssued,
)
from bailment.store.durable import Files
from bailment.store.folder import Folder
from bailment.store.log import Log, open_log
from bailment.store.secrets import Secrets
from bailment.store.sequencer import Sequenced
from bailment.store.vault import person_key

ORIGIN = "log.example/bailment"
URL = "https://issuer.example"
MODELS = ("aspen", "birch", "cedar")
NETWORK = "192.0.2.0/24"
START = 1_790_000_000_000
YEAR = 365 * 86_400_000
MINUTE = 60_000
PATH = "/v1/messages"
TOKEN_FORM = b"grant_type=client_credentials"


class Unsynced(Files):
    """A test's log need not survive a power cut."""

    def sync(self, descriptor: int) -> None:
        pass


@dataclass
class Key:
    """A key pair that follows from its name."""

    name: str

    def __post_init__(self) -> None:
        number = int.from_bytes(sha256(self.name.encode()).digest()) >> 1 | 1
        self.private = ec.derive_private_key(number, ec.SECP256R1())
        self.public = jwk.from_key(self.private.public_key())


@dataclass
class Party(Key):
    """Whoever signs links. `recipient` is the pseudonym of the organisation it belongs to."""

    recipient: str = ""
    link: str = ""


@dataclass
class Person:
    """A person of a party's; `link` is the person's."""

    id: str
    party: Party
    link: str


@dataclass
class Device(Key):
    """A device, where it calls from, and the token it has, as text and as record."""

    person: Person = field(kw_only=True)
    id: str = ""
    networks: tuple[str, ...] = ()
    token: str = ""
    issued: TokenIssued | None = None


class World:
    """An issuer's folder, its clock, and everybody who deals with it. Use as a context manager."""

    def __init__(self, root: Path, *, snapshot_every: int = 10**9) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = Folder(root)
        self.now = START
        self.random = Random(7)
        self.issuer = Party("issuer")
        seed = sha256(b"log").digest()
        self.secrets = Secrets(
            Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(seed)),
            self.issuer.private,
            sha256(b"kek").digest(),
        )
        self.devices: list[Device] = []
        self._snapshot_every = snapshot_every
        self._ids = 0

    async def __aenter__(self) -> World:
        self.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.log.close()

    def open(self) -> None:
        self.log: Log = open_log(
            self.folder,
            self.secrets,
            lambda: self.now,
            files=Unsynced(),
            snapshot_every=self._snapshot_every,
        )

    @contextmanager
    def at(self, time: int) -> Iterator[None]:
        """Do what is inside at another time."""
        now, self.now = self.now, time
        try:
            yield
        finally:
            self.now = now

    def id(self) -> str:
        """A fresh id."""
        self._ids += 1
        return sha256(b"id %d" % self._ids).hexdigest()[:32]

    async def append(self, facts: Facts, recipient: str = "", **more: Any) -> int:
        """Append a record that nothing stands against; its index."""
        answer = await self.log.sequencer.append(self.log.sequencer.draft(facts, recipient, **more))
        assert isinstance(answer, Sequenced), answer
        return answer.index

    # Who there is

    async def begin(self, policy: Policy | None = None) -> None:
        """The first records."""
        await self.append(LogStarted(ORIGIN, URL, self.issuer.public.jwk), self.id())
        await self.append(SpecApplied(policy or Policy(contact="help@issuer.example"), "owner"))
        for model in MODELS:
            await self.append(ModelRegistered(model, 4096, 1024, self.now, "owner"))

    async def recipient(self, name: str, models: Iterable[str], **link: Any) -> Party:
        """Register an organisation and grant it models."""
        party = Party(name, self.id(), self.id())
        registered = RecipientRegistered(
            party.recipient, name, f"ops@{name}.example", party.public.jwk, "owner"
        )
        await self.append(registered, party.recipient)
        await self.grant(
            self.issuer, party, "recipient", party.recipient, party.public.jwk,
            id=party.link, models=tuple(models), purposes=("research", "defence"), **link,
        )  # fmt: skip
        return party

    async def subcontractor(self, name: str, above: Party) -> Party:
        party = Party(name, above.recipient, self.id())
        await self.grant(
            above, party, "subcontractor", self.id(), party.public.jwk,
            id=party.link, parent=above.link,
        )  # fmt: skip
        return party

    async def person(self, name: str, party: Party, **link: Any) -> Person:
        person = Person(self.id(), party, self.id())
        salt = sha256(person.id.encode()).hexdigest()[:32]
        personal = {"name": name, "email": f"{name}@{party.name}.example", "salt": salt}
        compact = self.sign(
            party, "person", person.id, None,
            id=person.link, parent=party.link, personal=commit_person(personal), **link,
        )  # fmt: skip
        facts = DelegationGranted(compact)
        await self.append(facts, party.recipient, person=person.id, personal=personal)
        return person

    async def device(self, name: str, person: Person) -> Device:
        """Invite, enrol and confirm a device."""
        device = Device(name, person=person, id=self.id())
        recipient, until = person.party.recipient, self.now + 15 * MINUTE
        invitation = sha256(device.id.encode()).hexdigest()
        await self.append(InvitationIssued(invitation, person.link, until), recipient)
        proof = self.proof(device, b"{}", path="/enrol/requests")
        enrolled = EnrolmentRequested(
            device.id, invitation, name, device.public.jwk, "software", proof, until
        )
        await self.append(enrolled, recipient)
        await self.grant(
            person.party, person.party, "device", device.id, device.public.jwk,
            id=self.id(), parent=person.link,
        )  # fmt: skip
        self.devices.append(device)
        return device

    async def grant(
        self, by: Party, to: Party, kind: Any, subject: str, key: dict[str, str], **link: Any
    ) -> None:
        compact = self.sign(by, kind, subject, key, **link)
        await self.append(DelegationGranted(compact), to.recipient)

    def sign(
        self, by: Party, kind: Any, subject: str, key: dict[str, str] | None, **link: Any
    ) -> str:
        """A link as `by` signs it."""
        span = {"start": START - YEAR, "until": START + YEAR}
        made = Link(**({"parent": "", "kind": kind, "subject": subject, "key": key} | span | link))
        return sign_link(made, by.private, by.public.thumbprint)

    # What devices do

    def proof(
        self, device: Device, body: bytes, *, token: str | None = None, **changes: Any
    ) -> str:
        """A DPoP proof; `changes` are method, path and now_s."""
        path = changes.pop("path", PATH)
        given: dict[str, Any] = {
            "method": "POST",
            "target": URL + path,
            "body_sha256": sha256(body).digest(),
            "token": token,
            "nonce": "n" * 22,
            "jti": self.id(),
            "now_s": self.now // 1000,
        }
        return make_proof(device.private, device.public, **(given | changes))

    async def token(self, device: Device, purpose: str = "research") -> TokenIssued:
        """A fresh token, decided and on the record as the token endpoint does it."""
        register = self.log.fold.register
        links = tuple(link.id for link in register.path(register.link_of[device.id]))
        seconds, life = self.now // 1000, register.policy.token_ms // 1000
        detail = AccessDetail(type="bailment_access", purpose=purpose)
        claims = Claims(
            URL, URL, device.person.id, device.id, seconds, seconds + life, self.id(),
            Confirmation(device.public.thumbprint), links, "software", (detail,),
        )  # fmt: skip
        device.token = sign_token(claims, self.issuer.private)
        proof = self.proof(device, TOKEN_FORM, path="/oauth/token")
        facts = device.issued = TokenIssued(
            token_hash(device.token), device.id, device.person.id, links, (), purpose,
            "software", device.public.thumbprint, seconds * 1000, (seconds + life) * 1000,
            self.now, proof, sha256(TOKEN_FORM).hexdigest(), device.networks,
            ratchet=sha256(device.token.encode()).hexdigest(),
            previous=device.issued.ratchet if device.issued is not None else UNSET,
        )  # fmt: skip
        request = Request(facts, LIST_MODELS, "", device.networks, 0)
        allowed = standing(request, register, self.now)
        assert isinstance(allowed, Allowed), allowed
        await self.append(facts, allowed.recipient, epoch=allowed.epoch, replay=replay_of(proof))
        return facts

    def facts(self, device: Device, model: str, *, ceiling: int = 100, **more: Any) -> AccessOpened:
        """What the record of a generation would say; `more` replaces its members."""
        body = f"{model} {self.id()}".encode()
        token = device.issued
        assert token is not None
        given: dict[str, Any] = {
            "access": self.id(),
            "action": "generate",
            "kind": "dpop-body",
            "token": token.token,
            "proof": self.proof(device, body, token=device.token),
            "method": "POST",
            "path": PATH,
            "body": sha256(body).hexdigest(),
            "model": model,
            "stream": True,
            "ceiling": ceiling,
            "networks": device.networks,
            "decided": self.now,
        }
        return AccessOpened(**(given | more))

    async def access(self, device: Device, model: str, **more: Any) -> AccessOpened | Refused:
        """Decide and open, as the gateway's journal does; a refusal goes on the record."""
        facts = self.facts(device, model, **more)
        assert device.issued is not None
        request = Request(device.issued, facts.action, model, facts.networks, facts.ceiling)
        decided = decide(request, self.log.fold.register, self.now)
        if isinstance(decided, Allowed):
            draft = self.log.sequencer.draft(
                facts, decided.recipient, person=device.person.id,
                personal={"address": "192.0.2.7", "client": "sdk/1"},
                epoch=decided.epoch, replay=replay_of(facts.proof), budgets=decided.budgets,
            )  # fmt: skip
            answer = await self.log.sequencer.append(draft)
            if isinstance(answer, Sequenced):
                return facts
            assert isinstance(answer, Refused), answer
            decided = answer
        await self.append(
            AccessRefused(
                device.id, decided.reason.value, 1, self.now, self.now,
                facts.action, model, device.person.id, facts.token,
            ),
            device.person.party.recipient,
        )  # fmt: skip
        return decided

    async def close(self, device: Device, opened: AccessOpened, **more: Any) -> None:
        usage = {"input": 12, "output": 30, "measured": True, "bytes": 900}
        given: dict[str, Any] = {"outcome": "complete", "status": 200, **usage} | more
        await self.append(AccessClosed(opened.access, **given), device.person.party.recipient)

    # What the issuer does

    async def hold(self, subject: str, recipient: str = "") -> str:
        hold = HoldAdded(self.id(), subject, "a test", "owner")
        await self.append(hold, recipient, urgent=True)
        return hold.hold

    async def lift(self, hold: str, recipient: str = "") -> None:
        await self.append(HoldLifted(hold, "over", "owner"), recipient)

    async def erase(self, person: Person) -> None:
        """End a person's access and destroy the key of everything personal."""
        recipient = person.party.recipient
        await self.append(DelegationEnded(person.link, "owner", "left"), recipient)
        await self.append(PersonErased(person.id, "owner", "asked for"), recipient)
        self.log.vault.destroy(person_key(person.id))

    async def restart(self) -> None:
        """Close the log, open it again, and close what was left open."""
        await self.log.close()
        self.open()
        for access, opened in dict(self.log.fold.admission.open).items():
            closed = AccessClosed(access, "aborted", reason=RESTARTED)
            await self.append(closed, opened.recipient)


def read(proof: str) -> Proof:
    """A proof taken apart."""
    found = read_proof(proof)
    assert isinstance(found, Proof)
    return found


def replay_of(proof: str) -> bytes:
    """The replay key of a proof."""
    return replay_key(read(proof).thumbprint, read(proof).claims.jti)
