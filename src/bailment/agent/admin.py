"""The recipient's admin: delegates to people, and confirms their devices by the short code.

The admin's key signs every link below its organisation's own; neither the issuer nor its gateway
can make one up. So what is signed here is what a person was shown: nobody's key but the one whose
code was read out, and no more than the organisation's own link gives. A person's link commits to
the name, so that nobody can put another beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import time
from types import TracebackType
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

import msgspec

from bailment.access import jwk
from bailment.access.chain import Job, Kind, Link, commit_person, narrows, sign_link
from bailment.access.enrolment import code_of, read_code
from bailment.access.reasons import Reason
from bailment.access.signing_in import Auth, Registration, registration_body
from bailment.agent import private, profile
from bailment.agent.answers import GatewayRefused
from bailment.agent.client import GatewayClient
from bailment.agent.profile import Id
from bailment.errors import ConfigurationError, FormatError, VerificationError
from bailment.ledger.records import Budget, KeyClass

KEY = "admin.pem"

#: How long before now a link begins, so that clocks which differ a little do not matter. A device's
#: begins later than its person's, which it must not precede.
_PERSON_LEAD_MS, _DEVICE_LEAD_MS = 60_000, 30_000
_UNDECLARED = (
    "have who delegates to you declare this key: `bailment delegate subcontractor` does, or the "
    "issuer's `bailment recipient add`"
)


class Invitation(msgspec.Struct, frozen=True):
    """A one-use invitation; `url` goes to the person and nobody else. `expires` in ms."""

    url: str
    expires: int


class Delegated(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a link. `person` is the id that further links for the same person name."""

    link: Id
    invitation: Invitation | None = None
    person: str = ""
    organisation: str = ""
    workload: str = ""


class Registered(msgspec.Struct, frozen=True):
    """What to set up at the provider: where it sends browsers, and where our keys are."""

    redirect_uri: str
    jwks_uri: str


class Own(msgspec.Struct, frozen=True):
    """An organisation's own link, and how long one below it may last, ms; 0 for as long."""

    link: Link
    longest: int = 0


class SignedIn(msgspec.Struct, frozen=True):
    """Where and when (ms) a person signed in for a device."""

    issuer: str
    auth_time: int


class Pending(msgspec.Struct, frozen=True):
    """A device that waits, as the gateway shows it. `until` is when its person's link ends, ms.

    `signed_in` is empty where the organisation has no provider, so that nobody but the admin's own
    ear says who the person is.
    """

    device: Id
    person: Id
    person_name: str
    name: str
    key_class: KeyClass
    key: dict[str, str]
    parent: Id
    until: Annotated[int, msgspec.Meta(ge=1)]
    start: int = 0
    signed_in: SignedIn | None = None


def make_admin_key(folder: Path) -> jwk.PublicKey:
    """A new admin key in `folder`; its public part is what the issuer registers."""
    private.make_folder(folder)
    return jwk.from_key(private.make_key(folder / KEY).public_key())


class Admin:
    """An admin's calls to a gateway. Raises GatewayRefused, GatewayUnreachable, FormatError."""

    def __init__(self, folder: Path, gateway: str, clock: Callable[[], float] = time) -> None:
        if not (folder / KEY).exists():
            raise ConfigurationError(
                f"`{folder}` holds no admin's key", hint="bailment recipient key FOLDER makes one"
            )
        private.check_folder(folder)
        self._key = private.load_key(folder / KEY)
        self._client = GatewayClient(profile.gateway_url(gateway), self._key, clock)

    async def __aenter__(self) -> Admin:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def own_link(self) -> Link:
        """The organisation's link, from which everything here is delegated."""
        return (await self._own()).link

    async def _own(self) -> Own:
        try:
            return await self._client.get("/delegations/mine", Own)
        except GatewayRefused as refused:
            if refused.reason == Reason.PROOF_KEY:
                refused.hint = _UNDECLARED
            raise

    async def sign_person_link(
        self,
        name: str,
        email: str = "",
        *,
        account: str = "",
        sponsor: str = "",
        person: str = "",
        attributes: dict[str, str] | None = None,
        until: int = 0,
        models: tuple[str, ...] = (),
        purposes: tuple[str, ...] = (),
        networks: tuple[str, ...] = (),
        budget: Budget | None = None,
    ) -> Delegated:
        """Delegate to a person and get the invitation for a device of theirs.

        `account` is the person's `sub` at the provider, `sponsor` who answers for naming them,
        `attributes` what the organisation vouches for, such as the jurisdiction. `person` is the
        id of somebody who has a link already, empty for somebody new; `until` is in ms, 0 for as
        long as may be; what is empty is not narrowed.
        """
        personal = {"name": name, "salt": os.urandom(16).hex()}
        told = {"email": email, "subject": account, "sponsor": sponsor}
        personal |= {name: value for name, value in told.items() if value}
        link = await self._below(
            "person",
            until,
            subject=person or os.urandom(16).hex(),
            models=models,
            purposes=purposes,
            networks=networks,
            budget=budget,
            attributes=attributes or {},
            personal=commit_person(personal),
        )
        granted = await self._grant(link, personal)
        return msgspec.structs.replace(granted, person=link.subject)

    async def sign_subcontractor_link(
        self,
        handle: str,
        key: jwk.PublicKey,
        contact: str = "",
        *,
        until: int = 0,
        depth: int = 0,
        models: tuple[str, ...] = (),
        purposes: tuple[str, ...] = (),
        networks: tuple[str, ...] = (),
        budget: Budget | None = None,
    ) -> Delegated:
        """Delegate to a subcontractor, whose admin has this key and names its own people with it.

        `depth` is how many more organisations it may delegate to in turn; the rest as for a person.
        """
        link = await self._below(
            "subcontractor",
            until,
            subject=os.urandom(16).hex(),
            key=key.jwk,
            handle=handle,
            contact=contact,
            depth=depth,
            models=models,
            purposes=purposes,
            networks=networks,
            budget=budget,
        )
        granted = await self._grant(link, None)
        return msgspec.structs.replace(granted, organisation=link.subject)

    async def sign_workload_link(
        self,
        job: Job,
        owner: str,
        *,
        until: int = 0,
        models: tuple[str, ...] = (),
        purposes: tuple[str, ...] = (),
        networks: tuple[str, ...] = (),
        budget: Budget | None = None,
    ) -> Delegated:
        """Delegate to the jobs whose tokens say this; `owner` is the id of the person who answers
        for them."""
        link = await self._below(
            "workload",
            until,
            subject=os.urandom(16).hex(),
            owner=owner,
            workload=job,
            models=models,
            purposes=purposes,
            networks=networks,
            budget=budget,
        )
        granted = await self._grant(link, None)
        return msgspec.structs.replace(granted, workload=link.subject)

    async def _below(self, kind: Kind, until: int, **told: Any) -> Link:
        """A link of this kind under the organisation's own; GatewayRefused if that does not give
        it. Where nobody says until when, it lasts as long as it may."""
        mine = await self._own()
        own, now = mine.link, self._now_ms()
        start = max(own.start, now - _PERSON_LEAD_MS)
        lead = now - start
        longest = min(own.until, start + mine.longest) if mine.longest else own.until
        link = Link(
            id=os.urandom(16).hex(),
            parent=own.id,
            kind=kind,
            start=start,
            # What is a little too long, since it starts a little earlier, is as long as may be.
            until=longest if not until or longest < until <= longest + lead else until,
            **told,
        )
        refused = narrows(link, own)
        if refused is not None:
            raise GatewayRefused(
                refused.reason,
                f"your organisation's link does not give this: {refused.detail}",
                hint=f"it gives {', '.join(own.models) or 'every model'} for "
                f"{', '.join(own.purposes) or 'every purpose'} until "
                f"{datetime.fromtimestamp(own.until / 1000, UTC):%Y-%m-%d %H:%M}",
            )
        return link

    async def register_provider(
        self,
        issuer: str,
        client: str,
        claim: Literal["sub", "email"],
        auth: Auth,
        secret: str = "",
    ) -> Registered:
        """Have the organisation's people sign in at this provider; an empty issuer ends that.

        The secret, if the provider gave one, goes to the issuer alone and into no record.
        """
        organisation = (await self.own_link()).subject
        said = Registration(organisation, issuer, client, claim, auth)
        if secret:
            await self._client.send("/providers/secret", secret.encode(), "text/plain", dict)
        body = registration_body(said)
        return await self._client.send("/providers", body, "application/json", Registered)

    async def add_source(self, kind: str, issuer: str, token: str) -> dict[str, str]:
        """Have a system report to the issuer; the credential of a `scim` one is told this once."""
        body = {"kind": kind, "issuer": issuer, "token": token}
        return await self._client.post("/signals/sources", body, dict[str, str])

    async def change_source(self, source: str, act: Literal["rotate", "end"]) -> dict[str, str]:
        """Give a source another credential, or end it."""
        path = f"/signals/sources/{quote(source, safe='')}"
        return await self._client.post(path, {"act": act}, dict[str, str])

    async def sources(self) -> list[dict[str, Any]]:
        """The organisation's sources, and when (ms) each was last heard."""
        found = await self._client.get("/signals/sources", dict[str, list[dict[str, Any]]])
        return found["sources"]

    async def set_webhook(self, url: str) -> dict[str, str]:
        """Be told at this URL; nothing any more by an empty one."""
        return await self._client.post("/webhooks", {"url": url}, dict[str, str])

    async def webhook(self) -> dict[str, Any]:
        """Where the organisation is told, and how that goes."""
        return await self._client.get("/webhooks", dict[str, Any])

    async def notices(self) -> list[dict[str, Any]]:
        """What the organisation was told of incidents, the newest first."""
        found = await self._client.get("/notices", dict[str, list[dict[str, Any]]])
        return found["notices"]

    async def acknowledge(self, notice: str) -> dict[str, Any]:
        """Say that a notice was read."""
        return await self._client.post("/notices", {"notice": notice}, dict[str, Any])

    async def declare_custody(self, system: str, **told: Any) -> dict[str, Any]:
        """Say in which system outside keys of ours lie; `told` has the members of `POST /custody`
        (formats/openapi.json), times in ms."""
        return await self._client.post("/custody", {"system": system, **told}, dict[str, Any])

    async def report_misuse(
        self, subject: str, since: int, until: int, text: str, access: str = ""
    ) -> dict[str, Any]:
        """Say that what was done as a person, device or workload of ours was not them.

        `since` and `until` are in ms; `access` is the `x-request-id` of one answer in that time.
        """
        told = {"subject": subject, "since": since, "until": until, "text": text, "access": access}
        return await self._client.post(
            "/misuse", {**told, "salt": os.urandom(16).hex()}, dict[str, Any]
        )

    async def standing(self) -> dict[str, Any]:
        """How the organisation stands, as the issuer's log has it."""
        return await self._client.get("/standing", dict[str, Any])

    async def hand_in(self, kind: str, file: bytes) -> dict[str, Any]:
        """Hand in a file as this kind of evidence; it counts as collected by the organisation."""
        path = f"/evidence/{quote(kind, safe='')}"
        return await self._client.send(path, file, "application/octet-stream", dict[str, Any])

    async def pending(self, code: str) -> Pending:
        """The device that shows this code, for a person to look at before `confirm`.

        Raises VerificationError if the gateway shows a key that has another code.
        """
        code = read_code(code)
        path = "/enrol/pending?" + urlencode({"code": code})
        found = await self._client.get(path, Pending)
        if code_of(jwk.parse(found.key).thumbprint) != code:
            raise VerificationError(
                f"the gateway shows a key that does not have the code `{code}`",
                hint="confirm nothing; tell the issuer",
            )
        return found

    async def confirm(self, pending: Pending, until: int = 0, by: str = "") -> Delegated:
        """Give the device its link; `until` is in ms, 0 for as long as its person's link.

        `by` is who confirms, by name or email address: another person than the one who enrols.
        """
        personal = {"name": by, "salt": os.urandom(16).hex()} if by else None
        link = Link(
            id=os.urandom(16).hex(),
            parent=pending.parent,
            kind="device",
            subject=pending.device,
            start=max(pending.start, self._now_ms() - _DEVICE_LEAD_MS),
            until=until or pending.until,
            key=jwk.parse(pending.key).jwk,
            personal=commit_person(personal) if personal else "",
        )
        return await self._grant(link, personal)

    async def confirm_device(self, code: str, until: int = 0, by: str = "") -> Delegated:
        """Confirm the device that shows this code."""
        return await self.confirm(await self.pending(code), until, by)

    async def _grant(self, link: Link, personal: dict[str, str] | None) -> Delegated:
        signed = sign_link(link, self._key, self._client.signer.public.thumbprint)
        body: dict[str, object] = {"link": signed}
        if personal is not None:
            body["personal"] = personal
        granted = await self._client.post("/delegations", body, Delegated)
        if granted.link != link.id:
            raise FormatError("the gateway answers for another link than the one sent")
        return granted

    def _now_ms(self) -> int:
        return int(self._client.signer.now() * 1000)
