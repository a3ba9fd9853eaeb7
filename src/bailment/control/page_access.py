"""Signing in and registering: the pages for who is not signed in yet."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bailment import canonical
from bailment.access import base64url
from bailment.access.passkey import rp_id
from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.control.actions import Denied, Proposed
from bailment.control.operators import ALGORITHMS, Registration
from bailment.control.pages import Browser, inside
from bailment.control.requests import answer, bounded_body, refusal
from bailment.control.sessions import CHALLENGE_MS, Challenges
from bailment.errors import FormatError
from bailment.ledger.operator_records import Assertion

_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Answered(msgspec.Struct, frozen=True):
    """What a passkey answered (Web Authentication, AuthenticatorAssertionResponseJSON)."""

    clientDataJSON: str
    authenticatorData: str
    signature: str


class Shown(msgspec.Struct, frozen=True):
    """What `navigator.credentials.get()` gave (AuthenticationResponseJSON)."""

    id: str
    response: Answered

    @property
    def assertion(self) -> Assertion:
        """As it is recorded."""
        told = self.response
        return Assertion(self.id, told.clientDataJSON, told.authenticatorData, told.signature)


class SignIn(msgspec.Struct, frozen=True):
    """`POST /console/sign-in`."""

    credential: Shown
    next: str = "/console/"


class Invitation(msgspec.Struct, frozen=True):
    """`POST /console/register/options`."""

    code: _Code


class Register(msgspec.Struct, frozen=True):
    """`POST /console/register`."""

    code: _Code
    credential: Registration


class Entrance:
    """The handlers; `provider` is the host of the issuer's own, if it has one."""

    def __init__(self, browser: Browser, provider: str = "") -> None:
        self._browser = browser
        self._provider = provider
        self._operators = browser.operators
        self._challenges = Challenges()

    @property
    def routes(self) -> list[Route]:
        """What the application serves to everybody."""
        return [
            Route("/console", self._home),
            Route("/console/sign-in", self._sign_in_page),
            Route("/console/sign-in", self._posted(self._sign_in, SignIn), methods=["POST"]),
            Route("/console/sign-in/options", self._posted(self._options), methods=["POST"]),
            Route("/console/register", self._register_page),
            Route("/console/register", self._posted(self._register, Register), methods=["POST"]),
            Route(
                "/console/register/options",
                self._posted(self._creation, Invitation),
                methods=["POST"],
            ),
        ]

    def _posted(self, handler: Any, kind: Any = None) -> Any:
        """A handler of JSON that a page of ours posted."""

        async def handle(request: Request) -> Response:
            if self._browser.foreign(request):
                return refusal(Refused(Reason.ROUTE_UNKNOWN))
            body = await bounded_body(request)
            if isinstance(body, Refused):
                return refusal(body)
            try:
                asked = msgspec.json.decode(body, type=kind) if kind is not None else None
                found: Response = await handler(asked)
            except (msgspec.DecodeError, FormatError) as error:
                return refusal(Refused(Reason.BODY_MALFORMED, str(error)))
            except Denied as denied:
                return refusal(denied.refused)
            return found

        return handle

    async def _home(self, request: Request) -> Response:
        return RedirectResponse("/console/", 303)

    async def _sign_in_page(self, request: Request) -> Response:
        onward = inside(request.query_params.get("next", ""))
        return await self._browser.page("sign_in.html", next=onward, provider=self._provider)

    async def _register_page(self, request: Request) -> Response:
        return await self._browser.page("register.html")

    async def _options(self, asked: None) -> Response:
        """PublicKeyCredentialRequestOptionsJSON for any passkey of ours."""
        challenge = self._challenges.make("sign-in", now_ms())
        return answer(request_options(self._operators.url, challenge))

    async def _sign_in(self, asked: SignIn) -> Response:
        assertion = asked.credential.assertion
        self._spend("sign-in", assertion.client_data)
        operator = self._operators.of_passkey(assertion.credential)
        await self._operators.signed_in(operator, assertion)
        response = answer({"next": inside(asked.next)})
        self._browser.sign_in(response, operator)
        return response

    async def _creation(self, asked: Invitation) -> Response:
        """PublicKeyCredentialCreationOptionsJSON for whom the invitation is for."""
        operator = self._operators.invited(asked.code)
        challenge = self._challenges.make(asked.code, now_ms())
        name = self._operators.name(operator)
        user = {"id": base64url.encode(bytes.fromhex(operator)), "name": name, "displayName": name}
        return answer(
            {
                "rp": {"id": rp_id(self._operators.url), "name": "Bailment"},
                "user": user,
                "challenge": base64url.encode(challenge),
                "pubKeyCredParams": [{"type": "public-key", "alg": one} for one in ALGORITHMS],
                "timeout": CHALLENGE_MS,
                "attestation": "none",
                "authenticatorSelection": {
                    "residentKey": "required",
                    "requireResidentKey": True,
                    "userVerification": "required",
                },
            }
        )

    async def _register(self, asked: Register) -> Response:
        challenge = self._spend(
            asked.code, str(asked.credential.response.get("clientDataJSON", ""))
        )
        try:
            await self._operators.register(asked.code, challenge, asked.credential)
        except Proposed as proposed:
            return answer({"waiting": proposed.proposal, "people": proposed.people}, 202)
        return answer({"next": "/console/sign-in"}, 201)

    def _spend(self, purpose: str, client_data: str) -> bytes:
        """The challenge that was signed, if it is one of ours for this, and was not used before."""
        try:
            told = canonical.parse_unique(base64url.decode(client_data))
            challenge = base64url.decode(str(told["challenge"]))
        except (FormatError, KeyError, TypeError):
            raise _stale() from None
        if not self._challenges.spend(purpose, challenge, now_ms()):
            raise _stale()
        return challenge


def request_options(url: str, challenge: bytes, credential: str = "") -> dict[str, Any]:
    """PublicKeyCredentialRequestOptionsJSON: for this passkey, or for any."""
    known = [{"type": "public-key", "id": credential}] if credential else []
    return {
        "challenge": base64url.encode(challenge),
        "rpId": rp_id(url),
        "timeout": CHALLENGE_MS,
        "userVerification": "required",
        "allowCredentials": known,
    }


def _stale() -> Denied:
    return Denied(
        Refused(Reason.PASSKEY_REFUSED, "the challenge is not ours, too old, or was used before")
    )
