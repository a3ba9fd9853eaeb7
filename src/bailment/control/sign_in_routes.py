"""Sign-ins over HTTP: what the device asks, and what the browser opens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.control import sign_in_pages as pages
from bailment.control.actions import Actions, Denied, invitation_hash
from bailment.control.oidc import ANSWER, SignInFailed
from bailment.control.outbound import Outbound
from bailment.control.providers import Providers
from bailment.control.requests import Proven, Typed, answer, parameters, proven, refusal
from bailment.control.sign_in import Session, SignIns, back_url, host_of, page_url
from bailment.errors import FormatError
from bailment.store.providers import ProviderSecrets

_COOKIE = "bailment-sign-in"
_BACK = re.compile(r"http://127\.0\.0\.1:[1-9][0-9]{0,4}/[A-Za-z0-9_-]{16,64}")

T = TypeVar("T")


class BeginBody(Typed, frozen=True):
    """`POST /sign-in`: with the code of an invitation, or with the id of an enrolled device.

    `back` is the device's own listener, to which the browser goes at the end; without one the
    person types what the browser shows.
    """

    invitation: Annotated[str, msgspec.Meta(max_length=200)] = ""
    device: Annotated[str, msgspec.Meta(max_length=32)] = ""
    back: Annotated[str, msgspec.Meta(max_length=200)] = ""


class CompleteBody(Typed, frozen=True):
    """`POST /sign-in/{id}/complete`."""

    completion: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


def sign_in_routes(
    actions: Actions, nonces: Nonces, outbound: Outbound, secrets: ProviderSecrets
) -> list[Route]:
    """Everything of a sign-in, and the registration of providers."""
    providers = Providers(actions, nonces, outbound, secrets)
    sign_in = SignInRoutes(SignIns(actions, outbound, secrets), nonces)
    return [
        Route("/providers", providers.register, methods=["POST"]),
        Route("/providers/secret", providers.secret, methods=["POST"]),
        Route("/enrol", sign_in.invited),
        Route("/sign-in", sign_in.begin, methods=["POST"]),
        Route("/sign-in/jwks.json", sign_in.keys),
        Route("/sign-in/callback/{organisation}", sign_in.callback),
        Route("/sign-in/{id}", sign_in.page),
        Route("/sign-in/{id}/go", sign_in.go),
        Route("/sign-in/{id}/status", sign_in.status),
        Route("/sign-in/{id}/complete", sign_in.complete, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True)
class SignInRoutes:
    """The handlers. Devices prove their key with each call, browsers have a cookie."""

    sign_ins: SignIns
    nonces: Nonces

    # What devices ask

    async def begin(self, request: Request) -> Response:
        """Begin a sign-in: where the person signs in, or that nobody asks for it."""
        sent = await self._proven(request)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        body = _read(sent.body, BeginBody)
        if isinstance(body, Refused):
            return self._refusal(body)
        found = self._link(sent, body)
        if isinstance(found, Refused):
            return self._refusal(found)
        thumbprint, key = sent.proof.thumbprint, sent.proof.header.key.jwk
        hashed = invitation_hash(body.invitation) if body.invitation else ""
        try:
            session = await self.sign_ins.begin(thumbprint, found, key, hashed, body.back)
        except Denied as denied:
            return self._refusal(denied.refused)
        except SignInFailed as failed:
            return self._refusal(_refused(str(failed), failed.hint))
        if session is None:
            return answer({"id": "", "url": "", "provider": "", "code": "", "expires": 0})
        told = {
            "id": session.id,
            "url": page_url(self._url, session),
            "provider": host_of(session),
            "code": session.code,
            "expires": session.until,
        }
        return answer(told, 201)

    async def status(self, request: Request) -> Response:
        """How the sign-in stands."""
        sent = await self._proven(request)
        session = sent if isinstance(sent, Refused) else self._own(request, sent)
        if isinstance(session, Refused):
            return self._refusal(session)
        return answer({"status": session.status, "why": session.failure, "hint": session.hint})

    async def complete(self, request: Request) -> Response:
        """The device shows what the browser was handed, and the sign-in is recorded."""
        sent = await self._proven(request)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        session = self._own(request, sent)
        if isinstance(session, Refused):
            return self._refusal(session)
        body = _read(sent.body, CompleteBody)
        if isinstance(body, Refused):
            return self._refusal(body)
        try:
            facts = await self.sign_ins.complete(session, body.completion)
        except Denied as denied:
            return self._refusal(denied.refused)
        except SignInFailed as failed:
            return self._refusal(_refused(str(failed), failed.hint))
        told = {"person": facts.person, "auth_time": facts.auth_time, "acr": facts.acr}
        return answer({**told, "amr": facts.amr}, 201)

    # What browsers open

    async def invited(self, request: Request) -> Response:
        """The address of an invitation, whose code no browser sends."""
        return pages.invited("bailment enrol")

    async def page(self, request: Request) -> Response:
        """What a sign-in is for, before the browser leaves."""
        session = self.sign_ins.find(request.path_params["id"])
        if session is None or session.status != "waiting":
            return pages.unknown()
        return pages.ask(session.code, host_of(session), f"/sign-in/{session.id}/go")

    async def go(self, request: Request) -> Response:
        """Off to the provider."""
        session = self.sign_ins.find(request.path_params["id"])
        if session is None or session.status != "waiting":
            return pages.unknown()
        url, cookie = await self.sign_ins.leave(session)
        response = pages.onward(url)
        # Lax: it must come along when the provider sends the browser back.
        response.set_cookie(
            self._cookie, cookie, path="/", secure=self._secure, httponly=True, samesite="lax"
        )
        return response

    async def callback(self, request: Request) -> Response:
        """Back from the provider (OpenID Connect Core 1.0, section 3.1.2.5)."""
        given = parameters(request, ANSWER)
        if given is None:
            return pages.unknown()
        session = self.sign_ins.returning(
            request.path_params["organisation"],
            given.get("state", ""),
            request.cookies.get(self._cookie, ""),
        )
        if session is None:
            return pages.unknown()
        try:
            completion = await self.sign_ins.arrive(session, given)
        except SignInFailed as failed:
            return pages.failed(str(failed), failed.hint)
        url = back_url(session, completion)
        return pages.onward(url) if url else pages.finished(completion)

    async def keys(self, request: Request) -> Response:
        """Our keys, by which a provider knows our client assertions (RFC 7517)."""
        return answer({"keys": [self.sign_ins.public_key()]})

    # Looking up

    def _link(self, sent: Proven, body: BeginBody) -> str | Refused:
        """The person's link for which a device may ask to sign in."""
        if bool(body.invitation) == bool(body.device):
            return Refused(Reason.BODY_MALFORMED, "name an invitation or a device")
        if body.back and not _BACK.fullmatch(body.back):
            return Refused(Reason.BODY_MALFORMED, "`back` is no listener on the device itself")
        register = self.sign_ins.actions.log.fold.register
        if body.invitation:
            known = register.state.invitations.get(invitation_hash(body.invitation))
            if known is None or known.used or self.sign_ins.clock() >= known.until:
                why = "the invitation is unknown, used or expired"
                return Refused(Reason.CHAIN_BROKEN, why)
            return known.link
        device = register.state.devices.get(body.device)
        path = register.path(register.link_of.get(body.device, ""))
        ours = device and register.key(device.key).thumbprint == sent.proof.thumbprint
        if not ours or len(path) < 2:
            return Refused(Reason.PROOF_KEY, "the key is not that of an enrolled device")
        return path[-2].id

    def _own(self, request: Request, sent: Proven) -> Session | Refused:
        """The sign-in of the device that asks; the same refusal whether there is another's."""
        session = self.sign_ins.find(request.path_params["id"])
        if session is None or session.thumbprint != sent.proof.thumbprint:
            return _refused("there is no such sign-in any more", "start again")
        return session

    async def _proven(self, request: Request) -> Proven | Refused:
        return await proven(request, self.sign_ins.actions.log.fold, self.nonces)

    def _refusal(self, refused: Refused) -> Response:
        return refusal(refused, self.sign_ins.actions.log.fold.register.policy.contact)

    @property
    def _url(self) -> str:
        return self.sign_ins.actions.log.fold.register.state.url

    @property
    def _secure(self) -> bool:
        return self._url.startswith("https:")

    @property
    def _cookie(self) -> str:
        """RFC 6265bis: with the prefix no other host can have set it."""
        return f"__Host-{_COOKIE}" if self._secure else _COOKIE


def _refused(why: str, hint: str = "") -> Refused:
    return Refused(Reason.SIGN_IN_FAILED, f"{why}; {hint}" if hint else why)


def _read(body: bytes, kind: type[T]) -> T | Refused:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, FormatError) as error:
        return Refused(Reason.BODY_MALFORMED, str(error))
