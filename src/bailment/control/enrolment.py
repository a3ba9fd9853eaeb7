"""Enrolment and delegation over HTTP: what a recipient's admin and a new device send.

No secret crosses the network but the one-use invitation. A device proves its fresh key; the
recipient's admin, who must be told the device's short code by a person, signs the device's link.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from bailment.access import attestation
from bailment.access.chain import Link
from bailment.access.enrolment import code_of
from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.access.signing_in import employer, organisation_of
from bailment.clock import now_ms
from bailment.control.actions import Actions, Denied, Proposed, invitation_hash
from bailment.control.attesting import Attested, Attesting, Believed
from bailment.control.requests import Typed, answer, bounded_body, proven, refusal, waiting
from bailment.errors import FormatError
from bailment.ledger.facts import Facts
from bailment.ledger.records import EnrolmentRequested, KeyClass

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class EnrolBody(Typed, frozen=True):
    """`POST /enrol/requests`. A key in hardware comes with its TPM's answer to the challenge; its
    class is what follows from that, whatever it calls itself."""

    invitation: _Text
    name: _Text
    key_class: KeyClass = "software"
    attestation: Attested | None = None


class Personal(Typed, frozen=True, omit_defaults=True):
    """Who a person is, which goes into the personal part of the record alone.

    The link commits to all of it (`chain.commit_person`); the salt keeps that from telling a name.
    """

    name: _Text
    salt: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    email: _Text = ""
    #: The person's `sub` at the employer's provider, and who answers for naming the person.
    subject: _Text = ""
    sponsor: _Text = ""


class DelegationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /delegations`."""

    link: Annotated[str, msgspec.Meta(max_length=16384)]
    personal: Personal | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The handlers."""

    actions: Actions
    nonces: Nonces
    attesting: Attesting

    async def enrol(self, request: Request) -> Response:
        """A device shows its invitation and proves its key."""
        sent = await proven(request, self.actions.log.fold, self.nonces)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        body = _read(sent.body, EnrolBody)
        if isinstance(body, Refused):
            return self._refusal(body)
        device = os.urandom(16).hex()
        hashed = invitation_hash(body.invitation)
        found = self._believe(body, hashed, sent.proof.thumbprint)
        if isinstance(found, Refused):
            return self._refusal(found)

        def make(now: int) -> Facts:
            return EnrolmentRequested(
                device,
                hashed,
                "",
                sent.proof.header.key.jwk,
                found.key_class if found else "software",
                sent.proof.compact,
                now + self.actions.log.fold.register.policy.invitation_ms,
                found.digest if found else UNSET,
                found.evidence if found else UNSET,
            )

        state = self.actions.log.fold.register.state
        link_id = state.invitations[hashed].link if hashed in state.invitations else ""
        person = self._link(link_id).subject if link_id else ""
        try:
            personal = {"device": body.name, **(found.personal if found else {})}
            await self.actions.append(make, person=person, personal=personal)
        except Denied as denied:
            return self._refusal(denied.refused)
        enrolled = state.devices[device]
        return answer(
            {
                "device": device,
                "code": code_of(sent.proof.thumbprint),
                "status": "pending",
                "person": person,
                "key_class": enrolled.key_class,
                "expires": enrolled.until,
            },
            201,
        )

    def _believe(self, body: EnrolBody, hashed: str, thumbprint: str) -> Believed | Refused | None:
        """What is believed of a key in hardware; None of one in a file."""
        if (body.key_class == "software") != (body.attestation is None):
            return attestation.wrong("a key in hardware comes with its attestation, and no other")
        if body.attestation is None:
            return None
        return self.attesting.believe(hashed, thumbprint, body.attestation)

    async def status(self, request: Request) -> Response:
        """A device asks whether it was confirmed, and what it may use."""
        sent = await proven(request, self.actions.log.fold, self.nonces)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        register = self.actions.log.fold.register
        device = register.state.devices.get(request.path_params["device"])
        if device is None or register.key(device.key).thumbprint != sent.proof.thumbprint:
            # The same answer, whether there is such a device or not.
            return self._refusal(Refused(Reason.PROOF_KEY, "the key is not the device's"))
        path = register.path(register.link_of.get(device.device, ""))
        active = bool(path)
        expired = not active and now_ms() >= device.until
        models, known = _common(path, "models"), register.state.models
        return answer(
            {
                "device": device.device,
                "status": "active" if active else "expired" if expired else "pending",
                "links": [link.id for link in path],
                "models": models,
                "canaries": [one for one in models if one in known and known[one].canary is True],
                "purposes": _common(path, "purposes"),
            }
        )

    async def pending(self, request: Request) -> Response:
        """A recipient's admin looks up the device that shows this code."""
        found = await self._as_admin(request)
        if isinstance(found, Response):
            return found
        organisation = found.subject
        code = request.query_params.get("code", "")
        register = self.actions.log.fold.register
        now = now_ms()
        # The newest first: who enrols again after an answer that never came shows the same key.
        for device in sorted(register.state.devices.values(), key=lambda found: -found.until):
            link = self._link(register.state.invitations[device.invitation].link)
            waiting = device.device not in register.link_of and now < device.until
            above = employer(register, link.id)
            ours = above is not None and above.subject == organisation
            if waiting and ours and code_of(register.key(device.key).thumbprint) == code:
                return answer(
                    {
                        "device": device.device,
                        "person": link.subject,
                        "person_name": self.actions.people.name(link.subject),
                        "name": self.actions.people.device(device.device),
                        "key_class": device.key_class,
                        "key": device.key,
                        "parent": link.id,
                        "start": link.start,
                        "until": link.until,
                        "expires": device.until,
                        "signed_in": self._signed_in(device.invitation, link.subject),
                    }
                )
        return self._refusal(
            Refused(Reason.LINK_UNKNOWN, "no device of yours waits with this code")
        )

    async def mine(self, request: Request) -> Response:
        """A recipient's admin asks for the link that it may delegate from."""
        found = await self._as_admin(request)
        if isinstance(found, Response):
            return found
        longest = self.actions.log.fold.register.conditions.link_ms
        return answer({"link": found, "longest": longest})

    async def delegate(self, request: Request) -> Response:
        """Accept a signed link; its signature is all the authority there is."""
        raw = await bounded_body(request)
        body = raw if isinstance(raw, Refused) else _read(raw, DelegationBody)
        if isinstance(body, Refused):
            return self._refusal(body)
        try:
            personal = msgspec.to_builtins(body.personal) if body.personal else None
            link, _ = await self.actions.grant(body.link, personal)
            reply: dict[str, object] = {"link": link.id}
            if link.kind == "person":
                invited = await self.actions.invite(link.id)
                reply["invitation"] = {
                    "code": invited.code,
                    "url": invited.url,
                    "expires": invited.until,
                }
        except Denied as denied:
            return self._refusal(denied.refused)
        except Proposed as proposed:
            return waiting(proposed, self.actions.log.fold.register.state.url)
        except FormatError as error:
            return self._refusal(Refused(Reason.BODY_MALFORMED, str(error)))
        return answer(reply, 201)

    def _signed_in(self, invitation: str, person: str) -> dict[str, object] | None:
        """Where and when the person signed in for the device; None where nobody asked for it."""
        state = self.actions.log.fold.register.state
        found = state.signed_in.get(person)
        if state.invitations[invitation].key is UNSET or found is None:
            return None
        return {"issuer": found.issuer, "auth_time": found.auth_time}

    async def _as_admin(self, request: Request) -> Link | Response:
        """The link of the organisation whose admin key signed the request."""
        sent = await proven(request, self.actions.log.fold, self.nonces)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        found = organisation_of(self.actions.log.fold.register, sent.proof.thumbprint)
        return found or self._refusal(Refused(Reason.PROOF_KEY, "the key is no organisation's"))

    def _refusal(self, refused: Refused) -> Response:
        return refusal(refused, self.actions.log.fold.register.policy.contact)

    def _link(self, link_id: str) -> Link:
        return self.actions.log.fold.register.links[link_id]


def _read(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        return Refused(Reason.BODY_MALFORMED, str(error))


def _common(path: list[Link], name: str) -> list[str]:
    """What every link of the chain that says anything allows."""
    sets = [set(getattr(link, name)) for link in path if getattr(link, name)]
    return sorted(set.intersection(*sets)) if sets else []
