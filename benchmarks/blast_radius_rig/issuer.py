"""An issuer with as many organisations, people and devices as are asked for, in a real log.

Every delegation is signed and every name sealed, as the control plane would; only the rules that it
asks before are not, which would take an hour. Nobody's proof of an enrolment is a real one.
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access import jwk
from bailment.access.chain import Link, commit_person, sign_link
from bailment.access.jwk import PublicKey
from bailment.cli.serve import initialise, opened
from bailment.control.actions import invitation_hash
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import CustodyDeclared
from bailment.ledger.records import (
    DelegationGranted,
    EnrolmentRequested,
    InvitationIssued,
    ModelRegistered,
    RecipientRegistered,
)
from bailment.store.folder import Folder
from bailment.store.log import Log
from bailment.store.sequencer import Sequenced

START = 1_780_000_000_000
DAY = 86_400_000
MODELS, PURPOSES = ("large", "small", "canary"), ("red-team", "audit")
_UNTIL = START + 400 * DAY
_SETTINGS = """
[issuer]
origin = "bench.example/log"
url = "http://127.0.0.1:{port}"
contact = "ops@bench.example"
[listen]
host = "127.0.0.1"
port = {port}
"""


@dataclass
class _Organisation:
    link: Link
    key: ec.EllipticCurvePrivateKey
    public: PublicKey
    recipient: str


@dataclass
class Issuer:
    """A folder, and who is in its log."""

    folder: Folder
    seed: int
    devices: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    organisations: list[str] = field(default_factory=list)
    subcontractors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self._tops: list[_Organisation] = []
        self._waiting: list[Any] = []

    async def build(self, port: int, organisations: int, people: int, systems: int) -> None:
        """Make the folder, and register everybody."""
        text = _SETTINGS.format(port=port)
        await initialise(self.folder, text, "bench.example/log", "benchmark")
        async with opened(self.folder) as issuer:
            for model in MODELS:
                self._add(issuer.log, ModelRegistered(model, 131_072, 8_192, START, "benchmark"))
            for number in range(organisations):
                self._organisation(issuer.log, issuer.secrets, number, people)
                await self._appended()
            for number in range(systems):
                self._add(issuer.log, self._system(number))
            await self._appended()

    def _organisation(self, log: Log, secrets: Any, number: int, people: int) -> None:
        subject, key = os.urandom(16).hex(), ec.generate_private_key(ec.SECP256R1())
        public = jwk.from_key(key.public_key())
        given: dict[str, Any] = {"key": public.jwk}
        if number % 10 == 9:
            above = self._draw.choice(self._tops)
            given |= {"handle": f"sub{number}", "contact": "ops@sub.example"}
            link = _link(above.link.id, "subcontractor", subject, **given)
            signed = sign_link(link, above.key, above.public.thumbprint)
            self.subcontractors.append(subject)
        else:
            models = MODELS if number % 3 else MODELS[1:]
            given |= {"models": models, "purposes": PURPOSES, "depth": 2}
            link = _link("", "recipient", subject, **given)
            signed = sign_link(link, secrets.issuer, secrets.issuer_key.thumbprint)
            about = f"org{number}", "ops@org.example", public.jwk, "benchmark"
            self._add(log, RecipientRegistered(subject, *about), subject)
            self.organisations.append(subject)
        top = above.recipient if number % 10 == 9 else subject
        made = _Organisation(link, key, public, top)
        if number % 10 != 9:
            self._tops.append(made)
        self._add(log, DelegationGranted(signed), top)
        for one in range(people):
            self._person(log, made, f"{one}.{number}", 2 if one % 10 < 2 else 1)

    def _person(self, log: Log, of: _Organisation, number: str, devices: int) -> None:
        subject = os.urandom(16).hex()
        who = {"name": f"Person {number}", "email": f"p{number}@org.example"}
        personal = who | {"salt": os.urandom(16).hex()}
        link = _link(of.link.id, "person", subject, personal=commit_person(personal))
        signed = sign_link(link, of.key, of.public.thumbprint)
        self._add(log, DelegationGranted(signed), of.recipient, subject, personal)
        self.people.append(subject)
        for _ in range(devices):
            device, code = os.urandom(16).hex(), os.urandom(16).hex()
            public = jwk.from_key(ec.generate_private_key(ec.SECP256R1()).public_key())
            invited = InvitationIssued(invitation_hash(code), link.id, _UNTIL)
            self._add(log, invited, of.recipient)
            enrolled = EnrolmentRequested(
                device, invitation_hash(code), "", public.jwk, "software", "p" * 400, _UNTIL
            )
            named = {"device": f"laptop {number}"}
            self._add(log, enrolled, of.recipient, subject, named)
            own = _link(link.id, "device", device, key=public.jwk)
            signed = sign_link(own, of.key, of.public.thumbprint)
            self._add(log, DelegationGranted(signed), of.recipient)
            self.devices.append(device)

    def _system(self, number: int) -> CustodyDeclared:
        """A shared system, with the keys of thirty devices of everybody."""
        stored = tuple(f"device:{one}" for one in self._draw.sample(self.devices, 30))
        reached = (f"subcontractor:{self._draw.choice(self.subcontractors)}",)
        runs = f"vendor:v{number % 20}"
        about = f"system{number}", "secrets", runs, "benchmark"
        return CustodyDeclared(*about, reached, stored, since=START)

    def _add(
        self,
        log: Log,
        facts: Facts,
        recipient: str = "",
        person: str = "",
        personal: dict[str, str] | None = None,
    ) -> None:
        draft = log.sequencer.draft(facts, recipient, person=person, personal=personal)
        self._waiting.append(log.sequencer.append(draft))

    async def _appended(self) -> None:
        answers = await asyncio.gather(*self._waiting)
        self._waiting.clear()
        for answer in answers:
            if not isinstance(answer, Sequenced):
                raise RuntimeError(f"the log refused a record: {answer}")


def _link(above: str, kind: Any, subject: str, **more: Any) -> Link:
    return Link(os.urandom(16).hex(), above, kind, subject, START, _UNTIL, **more)


def folder(root: Path) -> Folder:
    """Where the issuer is made."""
    return Folder(root / "issuer")
