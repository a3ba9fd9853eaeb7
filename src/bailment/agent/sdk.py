"""Authentication for any `httpx2` client, and so for the OpenAI and Anthropic SDKs.

    auth = BailmentAuth(profile.load(profile.default_folder()), purpose="evaluation")
    openai.OpenAI(base_url=auth.gateway + "/v1", api_key="-",
                  http_client=httpx2.Client(auth=auth))
    anthropic.AsyncAnthropic(base_url=auth.gateway, api_key="-",
                             http_client=httpx2.AsyncClient(auth=auth))

Whatever key the SDK was given is not sent. If the gateway refuses a token, its answer is the
answer to the request, so that the SDK raises its own error with the reason in it.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator
from time import time

import anyio
import httpx2

from bailment.agent.profile import Device
from bailment.agent.signer import Flow, Signer, advance
from bailment.agent.tokens import Tokens
from bailment.errors import ConfigurationError


class BailmentAuth(httpx2.Auth):
    """Gives each request a token and a proof over its body. Threads and tasks may share it."""

    requires_request_body = True
    tokens_of = Tokens

    def __init__(
        self,
        device: Device,
        purpose: str,
        models: tuple[str, ...] = (),
        *,
        clock: Callable[[], float] = time,
    ) -> None:
        _check(device, purpose)
        self.gateway = device.profile.gateway
        self._signer = Signer(device.key, clock)
        self.tokens = self.tokens_of(device, self._signer, purpose, models)
        self._origin = _origin(httpx2.URL(self.gateway))
        self._lock = threading.Lock()
        self._async_lock = anyio.Lock()

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.read()
        self._strip(request)
        if not (token := self.tokens.current()):
            with self._lock, self.tokens.ratchet.held():
                steps = self.tokens.renew()
                step = advance(steps)
                while isinstance(step, httpx2.Request):
                    response = yield step
                    response.read()
                    step = advance(steps, response)
            token = step
        if token:
            yield from self._use(request, token)

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        await request.aread()
        self._strip(request)
        if not (token := self.tokens.current()):
            async with self._async_lock, self.tokens.ratchet.held_async():
                steps = self.tokens.renew()
                step = advance(steps)
                while isinstance(step, httpx2.Request):
                    response = yield step
                    await response.aread()
                    step = advance(steps, response)
            token = step
        if token:
            using = self._use(request, token)
            sent = advance(using)
            while sent is not None:
                response = yield sent
                sent = advance(using, response)

    def _use(self, request: httpx2.Request, token: str) -> Flow[None]:
        request.headers["authorization"] = f"DPoP {token}"
        self._look((yield from self._signer.flow(lambda: request, token)), token)

    def _look(self, response: httpx2.Response, token: str) -> None:
        """Do not use a token again that the gateway does not take."""
        if response.status_code == 401 and "invalid_token" in response.headers.get(
            "www-authenticate", ""
        ):
            self.tokens.forget(token)

    def _strip(self, request: httpx2.Request) -> None:
        """Take the SDK's own credentials off; refuse to send ours to anybody else."""
        if _origin(request.url) != self._origin:
            raise ConfigurationError(
                f"this profile is for `{self.gateway}`, not for `{request.url.host}`",
                hint="set the client's base_url to the gateway's URL",
            )
        request.headers.pop("x-api-key", None)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    """httpx2 leaves out a scheme's own port, so equal origins are equal here."""
    return url.scheme, url.host, url.port


def _check(device: Device, purpose: str) -> None:
    profile = device.profile
    if profile.status != "active":
        raise ConfigurationError(
            f"the device in `{device.folder}` is not confirmed yet",
            hint="have your organisation's admin confirm it by its code",
        )
    if profile.purposes and purpose not in profile.purposes:
        raise ConfigurationError(
            f"the purpose `{purpose[:100]}` is not among those granted",
            hint="granted: " + ", ".join(f"`{name}`" for name in profile.purposes),
        )
