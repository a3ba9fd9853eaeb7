"""Who the log is about: organisations, their people and devices, and the proofs these sign.

Everybody enters through the control plane's own actions. What a client does, which is to sign
proofs, is done here and never timed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import base64url, jwk
from bailment.access.chain import Link, commit_person, sign_link
from bailment.access.proof import (
    Proof,
    ProofHeader,
    content_digest,
    make_proof,
    read_proof,
    replay_key,
    token_hash,
)
from bailment.clock import now_ms
from bailment.control.actions import Actions, invitation_hash
from bailment.ledger.records import (
    Budget,
    EnrolmentRequested,
    LogStarted,
    Policy,
    SpecApplied,
    TokenIssued,
)
from bailment.store.durable import Files
from bailment.store.folder import Folder
from bailment.store.log import Log
from bailment.store.people import People
from bailment.store.secrets import Secrets, load_secrets, make_secrets
from bailment.store.sequencer import Sequenced

ORIGIN, URL, MODEL, PURPOSE = "bench.example/log", "https://bench.example", "bench", "benchmark"
PATH = "/v1/chat/completions"
FORM = sha256(b"grant_type=client_credentials").digest()
PROMPT = sha256(b"a prompt").digest()
RECIPIENTS, PEOPLE = 50, 2
CEILING = 2_048
YEAR = 365 * 86_400_000
_TOKEN_MS = 300_000
_RENEW_MS = 60_000  # before its end


@dataclass
class Device:
    """An enrolled device and the token that it has."""

    id: str
    person: str
    recipient: str
    key: ec.EllipticCurvePrivateKey
    public: jwk.PublicKey
    text: str = ""
    token: TokenIssued | None = None
    _header: tuple[str, ProofHeader] | None = None

    def proof(self, path: str, body: bytes, token: str | None, *, signed: bool = True) -> Proof:
        """A proof of this second. The log does not verify it: unsigned ones have random bytes."""
        jti, now = os.urandom(16).hex(), now_ms() // 1000
        if signed or self._header is None:
            compact = make_proof(
                self.key,
                self.public,
                method="POST",
                target=URL + path,
                body_sha256=body,
                token=token,
                nonce="n" * 22,
                jti=jti,
                now_s=now,
            )
        else:
            claims = {
                "content_digest": content_digest(body),
                "htm": "POST",
                "htu": URL + path,
                "iat": now,
                "jti": jti,
                "nonce": "n" * 22,
            } | ({"ath": token_hash(token)} if token else {})
            parts = self._header[0].encode(), canonical.encode(claims), os.urandom(64)
            compact = f"{self._header[0]}.{'.'.join(map(base64url.encode, parts[1:]))}"
        proof = read_proof(compact, dict([self._header]) if self._header else None)
        assert isinstance(proof, Proof), proof
        self._header = proof.protected, proof.header
        return proof


@dataclass
class Issuer:
    """An open log with its population."""

    log: Log
    secrets: Secrets
    devices: list[Device]

    async def token(self, device: Device) -> TokenIssued:
        """The device's token, renewed on the record when its end is near."""
        now = now_ms()
        if device.token is not None and now < device.token.until - _RENEW_MS:
            return device.token
        register = self.log.fold.register
        path = register.path(register.link_of[device.id])
        device.text = base64url.encode(os.urandom(500))  # as long as a signed one
        proof = device.proof("/oauth/token", FORM, None)
        device.token = TokenIssued(
            token_hash(device.text),
            device.id,
            device.person,
            tuple(link.id for link in path),
            (),
            PURPOSE,
            "software",
            device.public.thumbprint,
            now,
            now + _TOKEN_MS,
            now,
            proof.compact,
            FORM.hex(),
        )
        draft = self.log.sequencer.draft(
            device.token,
            device.recipient,
            epoch=register.epoch,
            replay=replay_key(proof.thumbprint, proof.claims.jti),
        )
        await _must(self.log.sequencer.append(draft))
        return device.token


async def populate(log: Log, secrets: Secrets) -> Issuer:
    """Register everybody, from the log's first record on."""
    actions = Actions(log, secrets, People(log.fold.register, log.reader))
    started = LogStarted(ORIGIN, URL, secrets.issuer_key.jwk)
    await _must(log.sequencer.append(log.sequencer.draft(started, os.urandom(16).hex())))
    await actions.append(lambda now: SpecApplied(Policy(), "owner"))
    return await enrol(actions)


async def enrol(actions: Actions) -> Issuer:
    """Register the model, and everybody who may ask it."""
    await actions.register_model(MODEL, 131_072, 8_192, "owner")
    devices = [
        device for number in range(RECIPIENTS) for device in await _recipient(actions, number)
    ]
    return Issuer(actions.log, actions.secrets, devices)


async def _recipient(actions: Actions, number: int) -> list[Device]:
    key = ec.generate_private_key(ec.SECP256R1())
    public = jwk.from_key(key.public_key())
    start, until = now_ms() - 1_000, now_ms() + YEAR
    budget = Budget(1 << 50, 86_400)
    top = Link("", "", "recipient", "", start, until, None, (MODEL,), (PURPOSE,), budget=budget)
    pseudonym, parent, _ = await actions.register_recipient(
        f"org-{number}", "ops@org.example", public.jwk, top, "owner"
    )
    devices = []
    for person in range(PEOPLE):
        device_key = ec.generate_private_key(ec.SECP256R1())
        device = Device(
            os.urandom(16).hex(),
            os.urandom(16).hex(),
            pseudonym,
            device_key,
            jwk.from_key(device_key.public_key()),
        )

        def link(above: str, kind: str, subject: str, jwk_: dict[str, str] | None) -> Link:
            scope = ((MODEL,), (PURPOSE,))
            return Link(os.urandom(16).hex(), above, kind, subject, start, until, jwk_, *scope)  # type: ignore[arg-type]

        personal = {
            "name": f"Person {person}",
            "email": f"p{person}@org{number}.example",
            "salt": os.urandom(16).hex(),
        }
        granted = msgspec.structs.replace(
            link(parent, "person", device.person, None), personal=commit_person(personal)
        )
        await actions.grant(sign_link(granted, key, public.thumbprint), personal)
        invited = await actions.invite(granted.id)
        asked = EnrolmentRequested(
            device.id,
            invitation_hash(invited.code),
            "laptop",
            device.public.jwk,
            "software",
            device.proof("/enrol/requests", FORM, None).compact,
            invited.until,
        )
        await actions.append(lambda now, asked=asked: asked)  # type: ignore[misc]
        own = link(granted.id, "device", device.id, device.public.jwk)
        await actions.grant(sign_link(own, key, public.thumbprint), None)
        devices.append(device)
    return devices


def make_folder(root: Path) -> tuple[Folder, Secrets]:
    """A new issuer's folder."""
    root.mkdir(mode=0o700)
    folder = Folder(root)
    make_secrets(folder, ORIGIN, Files())
    return folder, load_secrets(folder)


async def _must(appending: object) -> None:
    answer = await appending  # type: ignore[misc]
    if not isinstance(answer, Sequenced):
        raise RuntimeError(f"the log refused a record: {answer}")
