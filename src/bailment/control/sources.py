"""An organisation's admin sets up the systems that report to us, and looks how they fare."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bailment.access.chain import Link
from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.access.signalling import quiet
from bailment.access.signing_in import organisation_of
from bailment.clock import now_ms
from bailment.control import scim
from bailment.control.actions import Actions, Denied
from bailment.control.requests import Proven, Typed, answer, proven, refusal
from bailment.control.signals import refused
from bailment.control.transmitters import TransmitterFailed, Transmitters
from bailment.ledger.identity_records import SignalSource

EVENTS_PATH = "/signals/events"


class NewSource(Typed, frozen=True):
    """`POST /signals/sources`. For `ssf`: the transmitter, and the token by which it lets us
    manage our stream there."""

    kind: Literal["scim", "ssf"]
    issuer: Annotated[str, msgspec.Meta(max_length=512)] = ""
    token: Annotated[str, msgspec.Meta(max_length=8192)] = ""


class SourceChange(Typed, frozen=True):
    """`POST /signals/sources/{id}`."""

    act: Literal["rotate", "end"]


@dataclass(frozen=True, slots=True)
class Sources:
    """The handlers; each call is proven by the organisation's admin key."""

    actions: Actions
    nonces: Nonces
    transmitters: Transmitters

    async def add(self, request: Request) -> Response:
        """Make a source. Its credential is shown this once; only its SHA-256 is kept."""
        sent = await self._asked(request)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        organisation, proof = sent
        body = _read(proof.body, NewSource)
        if isinstance(body, Refused):
            return self._refusal(body)
        if (body.kind == "ssf") != bool(body.issuer and body.token):
            why = "an `ssf` source has an issuer and a token, a `scim` one neither"
            return self._refusal(Refused(Reason.BODY_MALFORMED, why))
        source, credential = os.urandom(16).hex(), secrets.token_urlsafe(32)
        facts = SignalSource(
            source=source,
            organisation=organisation.subject,
            kind=body.kind,
            issuer=body.issuer,
            audience="",
            credential=sha256(credential.encode()).hexdigest(),
            author=f"{organisation.kind}:{organisation.subject}",
        )
        unfit = self.actions.log.fold.register.check(facts, now_ms())
        if unfit is not None:
            return self._refusal(unfit)
        told: dict[str, Any] = {"source": source, "kind": body.kind}
        try:
            if body.kind == "ssf":
                push = f"{self._url}{EVENTS_PATH}/{source}"
                audience = await self.transmitters.open(
                    source, body.issuer, body.token, push, credential
                )
                facts = msgspec.structs.replace(facts, audience=audience)
                told |= {"url": push, "audience": audience}
            else:
                told |= {"url": self._url + scim.PATH, "credential": credential}
            await self.actions.append(lambda now: facts)
        except TransmitterFailed as failed:
            why = f"{failed}; {failed.hint}" if failed.hint else str(failed)
            return self._refusal(refused(why))
        except Denied as denied:
            return self._refusal(denied.refused)
        return answer(told, 201)

    async def change(self, request: Request) -> Response:
        """Give a SCIM source another credential, or end a source."""
        sent = await self._asked(request)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        organisation, proof = sent
        body = _read(proof.body, SourceChange)
        if isinstance(body, Refused):
            return self._refusal(body)
        known = self.actions.log.fold.register.state.sources.get(request.path_params["id"])
        if known is None or known.organisation != organisation.subject or not known.kind:
            return self._refusal(refused("you have no such source"))
        credential = secrets.token_urlsafe(32) if body.act == "rotate" else ""
        if credential and known.kind != "scim":
            return self._refusal(refused("end the stream and add it anew"))
        facts = msgspec.structs.replace(
            known,
            kind=known.kind if credential else "",
            credential=sha256(credential.encode()).hexdigest() if credential else "",
        )
        try:
            await self.actions.append(lambda now: facts)
        except Denied as denied:
            return self._refusal(denied.refused)
        if not credential:
            self.transmitters.forget(known.source)
        return answer({"source": known.source, "credential": credential})

    async def show(self, request: Request) -> Response:
        """The organisation's sources."""
        sent = await self._asked(request)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        register = self.actions.log.fold.register
        state, now = register.state, self.actions.log.sequencer.time
        rows = [
            {
                "source": one.source,
                "kind": one.kind,
                "issuer": one.issuer,
                "audience": one.audience,
                "heard": state.heard.get(one.source, 0),
                "silent": one.source in state.silent or quiet(register, one, now),
            }
            for one in state.sources.values()
            if one.organisation == sent[0].subject and one.kind
        ]
        return answer({"sources": rows})

    async def _asked(self, request: Request) -> tuple[Link, Proven] | Refused:
        return await asked(request, self.actions, self.nonces)

    @property
    def _url(self) -> str:
        return self.actions.log.fold.register.state.url

    def _refusal(self, why: Refused) -> Response:
        return refusal(why, self.actions.log.fold.register.policy.contact)


async def asked(
    request: Request, actions: Actions, nonces: Nonces
) -> tuple[Link, Proven] | Refused:
    """The organisation whose admin's key signed the request, and what was sent."""
    sent = await proven(request, actions.log.fold, nonces)
    if isinstance(sent, Refused):
        return sent
    found = organisation_of(actions.log.fold.register, sent.proof.thumbprint)
    return (found, sent) if found else Refused(Reason.PROOF_KEY, "the key is no organisation's")


def _read(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        return Refused(Reason.BODY_MALFORMED, str(error))
