"""The access token of a device for one purpose: asked for, kept, renewed before it ends."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal
from urllib.parse import urlencode

import httpx2
import msgspec

from bailment.access.assertion import TYPE_URI, make_assertion
from bailment.access.token import MAX_LIFETIME_MS
from bailment.agent.answers import as_api_error, read_answer
from bailment.agent.profile import Device
from bailment.agent.ratchet import Ratchet
from bailment.agent.signer import Flow, Signer
from bailment.errors import FormatError

PATH = "/oauth/token"
#: The share of its life after which a token is renewed.
RENEW_AFTER = 0.8

TIMEOUT = {"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 30.0}


class TokenAnswer(msgspec.Struct, frozen=True):
    """RFC 6749 §5.1, as RFC 9449 §5 has it."""

    access_token: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._~+/-]{1,16384}=*\Z")]
    token_type: Literal["DPoP", "Bearer"]
    expires_in: Annotated[int, msgspec.Meta(ge=1)]
    ratchet: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{0,64}\Z")] = ""


class Tokens:
    """Keeps one token. `renew` is a flow, so its caller sees to it that one runs at a time, and
    holds the `ratchet` meanwhile."""

    token_type = "DPoP"

    def __init__(
        self, device: Device, signer: Signer, purpose: str, models: tuple[str, ...] = ()
    ) -> None:
        self.ratchet = Ratchet(device.folder)
        self._profile = device.profile
        self._signer = signer
        detail = {"type": "bailment_access", "purpose": purpose, "models": models}
        self._details = msgspec.json.encode([detail]).decode()
        self._token = ""
        self._renew_at = 0.0

    def current(self) -> str:
        """The token while it need not be renewed, else an empty string."""
        return self._token if self._signer.now() < self._renew_at else ""

    def renew(self) -> Flow[str]:
        """The current token or, where there is none, a new one.

        If that is refused, empty: the last response then says so in the words of a model API.
        """
        if token := self.current():
            return token
        fetched = yield from self.fetch()
        if isinstance(fetched, str):
            return fetched
        as_api_error(fetched)
        return ""

    def fetch(self) -> Flow[str | httpx2.Response]:
        """Ask for a token and keep it; the response is returned if it is a refusal.

        Every response must have been read before it is sent in. Raises FormatError if the
        endpoint answers something that is not a token.
        """
        response = yield from self._ask()
        if not response.is_success:
            return response
        answer = read_answer(response, TokenAnswer)
        if answer.token_type != self.token_type:
            raise FormatError(f"the gateway gives a token of the type `{answer.token_type}`")
        if answer.ratchet:
            self.ratchet.write(answer.ratchet)  # before anybody could use the token
        life = min(answer.expires_in, MAX_LIFETIME_MS // 1000)
        self._renew_at = self._signer.now() + RENEW_AFTER * life
        self._token = answer.access_token
        return answer.access_token

    def forget(self, token: str) -> None:
        """Do not use this token again: the gateway does not take it."""
        if self._token == token:
            self._token = ""

    def _ask(self) -> Flow[httpx2.Response]:
        return self._signer.flow(self._request)

    def _request(self) -> httpx2.Request:
        device, gateway = self._profile.device, self._profile.gateway
        assertion = make_assertion(
            self._signer.key,
            device=device,
            audience=gateway,
            jti=secrets.token_urlsafe(16),
            now_s=int(self._signer.now()),
            ratchet=self.ratchet.read(),
        )
        form = {
            "grant_type": "client_credentials",
            "client_id": device,
            "client_assertion_type": TYPE_URI,
            "client_assertion": assertion,
            "authorization_details": self._details,
        }
        return httpx2.Request(
            "POST",
            gateway + PATH,
            headers={"content-type": "application/x-www-form-urlencoded"},
            content=urlencode(form).encode(),
            extensions={"timeout": TIMEOUT},
        )
