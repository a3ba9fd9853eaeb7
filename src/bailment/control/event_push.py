"""Security events as a recipient's own systems push them (RFC 8935), and what each leads to.

What matters is who signed the event. The credential in the header only keeps others from having
us fetch keys and verify signatures.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bailment.access import security_event as sets
from bailment.access.reasons import Refused
from bailment.access.security_event import Rejected, SecurityEvent, check_event, read_event
from bailment.access.signalling import PAUSED
from bailment.clock import now_ms
from bailment.control.actions import Denied
from bailment.control.key_sets import KeysUnavailable
from bailment.control.requests import bounded_body, credential_of
from bailment.control.signals import Act, Said, Signals, unavailable
from bailment.control.transmitters import Transmitters
from bailment.ledger.identity_records import SignalSource

MEDIA_TYPE = "application/secevent+jwt"
_HEARD = "heard"
_MOST = 16 * 1024
_DENIED = Rejected("authentication_failed", "the credential is not the stream's")
#: RFC 8935 §2.4: all that the recipient of an event can say of it is a 400.
_STATUS = {"authentication_failed": 401}


@dataclass(frozen=True, slots=True)
class EventPush:
    """The handler of `/signals/events/{id}`."""

    signals: Signals
    transmitters: Transmitters

    async def push(self, request: Request) -> Response:
        """Take an event, or say why not. 202 comes once all that follows is on the record."""
        source = self._source(request)
        if source is None:
            return _error(_DENIED)
        if request.headers.get("content-type", "").partition(";")[0].strip() != MEDIA_TYPE:
            return _error(Rejected("invalid_request", f"an event is of type {MEDIA_TYPE}"))
        body = await bounded_body(request, _MOST)
        if isinstance(body, Refused):
            return _error(Rejected("invalid_request", f"an event has {body.detail}"))
        try:
            rejected = await self._take(source, body)
        except KeysUnavailable:
            return _again()
        except Denied as denied:
            if unavailable(denied):
                return _again()
            rejected = Rejected("access_denied", "the event can have no effect here")
        return Response(status_code=202) if rejected is None else _error(rejected)

    async def _take(self, source: SignalSource, body: bytes) -> Rejected | None:
        if not body.isascii():
            return Rejected("invalid_request", "the event is no JWS")
        event = read_event(body.decode())
        if isinstance(event, Rejected):
            return event
        if event.issuer != source.issuer:  # before anything is fetched for it
            return Rejected("invalid_issuer", "the `iss` is not the stream's transmitter")
        rejected = check_event(
            event,
            await self.transmitters.keys(source.issuer, event),
            issuer=source.issuer,
            audience=source.audience,
            now=now_ms(),
            skew=self.signals.actions.log.fold.register.policy.skew_ms,
        )
        if rejected is not None:
            return rejected
        said = await self._said(source, event, sha256(body).hexdigest())
        if isinstance(said, Rejected):
            return said
        if said is not None:
            await self.signals.tell(source, said._replace(issued=event.issued))
        return None

    async def _said(
        self, source: SignalSource, event: SecurityEvent, digest: str
    ) -> Said | Rejected | None:
        """What the event asks for; None for one that says nothing at all."""
        organisation, name = source.organisation, event.event
        word = name.rpartition("/")[2]
        if name == sets.VERIFICATION:
            if event.members.get("state") is None:
                return None  # nobody asked; and without a state anybody may send it again
            if not self.transmitters.awaited(source.source, event.members["state"]):
                return Rejected("invalid_state", "this verification was not asked for")
            return Said(name, "", digest, "", word, effect=_HEARD)
        if name == sets.STREAM_UPDATED:
            on = event.members.get("status") == "enabled"
            return Said(name, "", digest, "", word, event.known, _HEARD if on else PAUSED)
        if name == sets.COMPLIANCE:
            device = self.signals.device(organisation, event.device)
            subject = f"device:{device}" if device else ""
            # Whatever else a device is, it is not compliant.
            fine = event.members.get("current_status") == "compliant"
            return Said(name, subject, digest, "lift" if fine else "hold", word, event.known)
        act = _ACTS.get(name)
        if act is None:
            return Said(name, "", digest, "", word, event.known, "unknown-event")
        person = await self.signals.named(organisation, event.user)
        return Said(name, f"person:{person}" if person else "", digest, act, word, event.known)

    def _source(self, request: Request) -> SignalSource | None:
        """The stream that is pushed to, if its own credential came along."""
        state = self.signals.actions.log.fold.register.state
        found = state.sources.get(request.path_params["id"])
        shown = credential_of(request)
        if found is None or found.kind != "ssf":
            return None
        return found if hmac.compare_digest(shown, found.credential) else None


_ACTS: dict[str, Act] = {
    sets.DISABLED: "hold",
    sets.PURGED: "hold",
    sets.ENABLED: "lift",
    sets.SESSION_REVOKED: "sign-out",
    sets.CREDENTIAL_CHANGE: "sign-out",
}


def _error(rejected: Rejected) -> Response:
    """RFC 8935 §2.3."""
    headers = {"cache-control": "no-store", "content-language": "en"}
    if rejected.err == "authentication_failed":
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(rejected._asdict(), _STATUS.get(rejected.err, 400), headers)


def _again() -> Response:
    """The transmitter sends it again."""
    headers = {"retry-after": "5", "cache-control": "no-store"}
    return JSONResponse({"err": "unavailable", "description": "try again"}, 503, headers)
