"""Operators in tests: invited, registered and signed in as in life, with a passkey in software."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import jwk
from bailment.access.approval import ACT, sign_approval
from bailment.access.assured import sign_spec
from bailment.access.state import read_spec
from bailment.ledger.records import SpecApplied, spec_digest
from bailment.spec.policy import policy_of
from bailment.spec.validation import load

from ..access.small_spec import SPEC
from ..authenticator import Authenticator
from ..world import World


@dataclass
class Signer:
    """An approver with a key."""

    lab: World
    name: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def public(self) -> jwk.PublicKey:
        return jwk.from_key(self.key.public_key())

    def signature(self, proposal: str, digest: str = "") -> str:
        """A signature under a proposal, or over another digest."""
        known = self.lab.register.state.proposals.get(proposal)
        digest = digest or (known.digest if known is not None else "0" * 64)
        told = {"proposal": proposal, "digest": digest}
        return sign_approval(ACT, told, self.key, self.public.thumbprint)

    async def sign(self, proposal: str, signature: str = "", name: str = "") -> httpx2.Response:
        value = {
            "act": "act-sign",
            "author": "tests",
            "proposal": proposal,
            "approver": name or self.name,
            "signature": signature or self.signature(proposal),
        }
        return await self.lab.console.post("http://console/act", json=value)


@dataclass
class Human:
    """An operator: a browser's cookies and a passkey."""

    lab: World
    id: str
    code: str
    passkey: Authenticator
    http: httpx2.AsyncClient

    @property
    def origin(self) -> str:
        return self.lab.url

    async def post(self, path: str, value: object = None, **headers: str) -> httpx2.Response:
        """What a page of ours posts."""
        return await self.http.post(
            self.lab.url + path, json=value or {}, headers={"origin": self.origin, **headers}
        )

    async def form(self, path: str, **fields: str) -> httpx2.Response:
        """What a form posts; where it leads to is not followed."""
        return await self.http.post(
            self.lab.url + path, data=fields, headers={"origin": self.origin}
        )

    async def get(self, path: str) -> httpx2.Response:
        return await self.http.get(self.lab.url + path)

    async def register(self) -> httpx2.Response:
        options = await self.post("/console/register/options", {"code": self.code})
        assert options.status_code == 200, options.text
        made = self.passkey.create(options.json())
        return await self.post("/console/register", {"code": self.code, "credential": made})

    async def sign_in(self, **client: Any) -> httpx2.Response:
        options = (await self.post("/console/sign-in/options")).json()
        shown = self.passkey.get(options, **client)
        return await self.post("/console/sign-in", {"credential": shown})

    async def sign(self, act: str) -> httpx2.Response:
        """Sign an act."""
        options = await self.post(f"/console/acts/{act}/challenge")
        if options.status_code != 200:
            return options
        shown = self.passkey.get(options.json())
        return await self.post(f"/console/acts/{act}/sign", {"credential": shown})

    async def propose_hold(self, subject: str, reason: str = "a test") -> str:
        """Propose a hold with the form; the act's id."""
        sent = await self.form("/console/holds", subject=subject, reason=reason)
        return proposed(sent)


def proposed(sent: httpx2.Response) -> str:
    """The act that a form led to."""
    assert sent.status_code == 303, sent.text
    found = re.fullmatch(r"/console/acts/([0-9a-f]{32})", sent.headers["location"])
    assert found is not None, sent.headers["location"]
    return found[1]


def browser() -> httpx2.AsyncClient:
    """A browser's cookies, of nobody yet."""
    return httpx2.AsyncClient(timeout=60, follow_redirects=False)


async def invited(lab: World, role: str, name: str = "Ada", **more: str) -> Human:
    """Somebody who has an invitation."""
    done = await lab.act("operator-invite", called=name, role=role, **more)
    base, _, code = done["url"].partition("#")
    assert base == f"{lab.url}/console/register"
    passkey = Authenticator(lab.url, "127.0.0.1")
    return Human(lab, done["operator"], code, passkey, browser())


async def operator(
    lab: World, role: str, name: str = "Ada", *signers: Signer, **more: str
) -> Human:
    """Somebody who is signed in, once the signers have signed for the passkey."""
    human = await invited(lab, role, name, **more)
    made = await human.register()
    assert made.status_code == (202 if signers else 201), made.text
    for one in signers:
        assert (await one.sign(made.json()["waiting"])).status_code == 200
    signed = await human.sign_in()
    assert signed.status_code == 200, signed.text
    return human


async def approver(lab: World, name: str) -> Signer:
    """A registered approver."""
    one = Signer(lab, name)
    await lab.act("approver-add", approver=name, key=one.public.jwk)
    return one


async def apply_spec(lab: World, *two_person: str) -> None:
    """Put a small spec in force that asks two people for these acts, and no evidence of anybody."""
    document = canonical.decode(canonical.encode(load(SPEC)))
    document["policy"]["operators"]["two_person"] = list(two_person)
    facts = SpecApplied(policy_of(read_spec(document).policy), "tests", document)
    signature = sign_spec(spec_digest(facts), lab.issuer.secrets.issuer)
    signed = msgspec.structs.replace(facts, signature=signature)
    await lab.issuer.actions.append(lambda now: signed)
