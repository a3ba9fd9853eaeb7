"""Signing in at the issuer's own identity provider: an alternative way to see the pages.

Only operators whose invitation names their account there, and who have a passkey all the same: a
session that began here signs nothing, since every act takes the passkey.
"""

from __future__ import annotations

import hmac
import secrets as entropy
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bailment.access.signing_in import commit_account
from bailment.clock import now_ms
from bailment.control import oidc
from bailment.control.actions import Denied
from bailment.control.oidc import Credentials, Provider, SignInFailed
from bailment.control.outbound import Outbound
from bailment.control.pages import Browser
from bailment.control.requests import parameters
from bailment.ledger.identity_records import ProviderRegistered
from bailment.settings import OperatorProvider
from bailment.store.providers import ProviderSecrets

_CALLBACK = "/console/sign-in/callback"
#: How long somebody may be away at the provider, and how many may be at once.
_AWAY_MS, _MOST = 300_000, 256


@dataclass(frozen=True, slots=True)
class _Away:
    """Somebody at the provider: what was asked of it, and the SHA-256 of the browser's cookie."""

    provider: Provider
    request: oidc.Request
    cookie: bytes


class OwnProvider:
    """The handlers."""

    def __init__(
        self,
        browser: Browser,
        settings: OperatorProvider,
        outbound: Outbound,
        secrets: ProviderSecrets,
    ) -> None:
        self._browser = browser
        self._settings = settings
        self._outbound = outbound
        self._secrets = secrets
        self._away: dict[str, _Away] = {}
        self._leaving = 0  # for whom the provider is being called
        # A strict cookie would not come back with who comes back from another site.
        self._cookie = "__Host-bailment-away" if browser.secure else "bailment-away"

    @property
    def routes(self) -> list[Route]:
        """What the application serves to everybody."""
        return [
            Route("/console/sign-in/provider", self._leave),
            Route(_CALLBACK, self._return),
        ]

    async def _leave(self, request: Request) -> Response:
        """Off to the provider."""
        now = now_ms()
        gone = [name for name, one in self._away.items() if one.request.started + _AWAY_MS <= now]
        for name in gone:
            del self._away[name]
        if self._leaving >= _MOST:
            return await self._failed("too many are signing in: wait some minutes")
        while self._leaving + len(self._away) >= _MOST:
            # Who goes and never comes back keeps nobody else out.
            del self._away[next(iter(self._away))]
        said, base = self._settings, self._browser.operators.url
        registered = ProviderRegistered("", said.issuer, said.client, "sub", "", "", said.auth)
        self._leaving += 1
        try:
            provider = await oidc.discover(self._outbound, registered)
        except SignInFailed as failed:
            return await self._failed(str(failed))
        finally:
            self._leaving -= 1
        asked = oidc.Request.new(base + _CALLBACK, now, said.acr)
        url, value = await oidc.authorize(provider, asked), entropy.token_urlsafe(32)
        self._away[asked.state] = _Away(provider, asked, sha256(value.encode()).digest())
        response = RedirectResponse(url, 303)
        response.set_cookie(
            self._cookie,
            value,
            max_age=_AWAY_MS // 1000,
            path="/",
            secure=self._browser.secure,
            httponly=True,
            samesite="lax",
        )
        return response

    async def _return(self, request: Request) -> Response:
        """Back from the provider (OpenID Connect Core 1.0, section 3.1.2.5)."""
        given = parameters(request, oidc.ANSWER) or {}
        away = self._away.pop(given.get("state", ""), None)
        cookie = sha256(request.cookies.get(self._cookie, "").encode()).digest()
        if away is None or not hmac.compare_digest(away.cookie, cookie):
            return await self._failed("this sign-in was not begun here")
        try:
            operator = await self._believe(away, given)
            await self._browser.operators.signed_in(operator, None)
        except SignInFailed as failed:
            return await self._failed(str(failed))
        except Denied as denied:
            return await self._failed(denied.refused.detail)
        # A page of ours, and not a redirect: who comes from another site brings no strict cookie.
        response = await self._browser.page("signed_in.html")
        self._browser.sign_in(response, operator)
        response.delete_cookie(self._cookie, path="/", secure=self._browser.secure)
        return response

    async def _believe(self, away: _Away, given: dict[str, str]) -> str:
        """The operator whom the provider's answer is about."""
        now, issuer = now_ms(), self._settings.issuer
        code = oidc.code_of(away.provider, given)
        if now >= away.request.started + _AWAY_MS:
            raise SignInFailed("it took too long")
        skew = self._browser.actions.log.fold.register.policy.skew_ms
        credentials = Credentials(self._secrets.key())
        signed_in = await oidc.redeem(
            self._outbound, away.provider, away.request, code, credentials, now, skew
        )
        people = self._browser.actions.people
        for name, one in self._browser.actions.log.fold.register.state.operators.items():
            salt = people.at(one.index).get("salt", "") if one.active and one.claim else ""
            ours = commit_account(issuer, signed_in.sub, salt) if salt else ""
            if ours and hmac.compare_digest(ours, one.claim):
                return name
        raise SignInFailed("no operator has this account")

    async def _failed(self, why: str) -> Response:
        return await self._browser.page(
            "message.html", None, 403, title="You are not signed in", text=why
        )
