"""The signing sidecar: unmodified clients talk to it, it signs and passes on to the gateway.

It keeps no request and decides nothing. A client shows the profile's random local capability, which
is worth nothing anywhere else, in place of an API key. A request is read whole, for its digest
goes into the proof that precedes it; an answer is passed on as it comes. An answer that the
gateway breaks off is broken off here too, since SDKs take a clean end for success.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from bailment.access import target
from bailment.access.presentation import presented_token
from bailment.access.reasons import Reason, Refused
from bailment.access.tripwire import PATH as WATCH_PATH
from bailment.access.tripwire import digest, registration_body
from bailment.agent.answers import GatewayRefused, GatewayUnreachable, api_error
from bailment.agent.client import GatewayClient, http_client, obtain, unreachable
from bailment.agent.listener import BREAK_OFF, OURS, LocalServer
from bailment.agent.local import bind_local, is_registered, note_registered
from bailment.agent.profile import Device
from bailment.agent.sdk import BailmentAuth
from bailment.agent.tokens import PATH as TOKEN_PATH
from bailment.agent.tpm import TpmError
from bailment.errors import FormatError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_BODY = 8 * 1024 * 1024
GATEWAY_UNREACHABLE, LOCAL_CAPABILITY = "gateway-unreachable", "local-capability"
KEY_UNUSABLE = "key-unusable"

_POSTS = frozenset(
    (b"/v1/chat/completions", b"/v1/responses", b"/v1/messages", b"/v1/messages/count_tokens")
)
_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
_TIMEOUT = httpx2.Timeout(600.0, connect=10.0)

_GETS = re.compile(rb"/v1/models(/(?!\.{1,2}\Z)[A-Za-z0-9._~!$&'()*+,;=:@%-]+)?")
_QUERY = re.compile(rb"[!-~]{0,1024}")

#: RFC 9110 §7.6.1, and what is between two parties only.
_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
_NOT_SENT = _HOP | frozenset(
    b"authorization x-api-key dpop cookie host content-length expect accept-encoding".split()
)
_NOT_RETURNED = _HOP | {b"dpop-nonce", b"www-authenticate", b"set-cookie"}


class Watched(msgspec.Struct, frozen=True):
    """The answer to a registration."""

    secret: str


@dataclass(frozen=True, slots=True)
class Ready:
    """How clients reach a sidecar. `socket` is the path of its unix socket, if it has one.

    `unwatched` says why nobody would notice if the capability leaked; empty if somebody would.
    """

    base_url: str
    socket: Path | None
    capability: str = field(repr=False)
    unwatched: str = ""

    def environment(self) -> dict[str, str]:
        """The variables that the OpenAI and Anthropic SDKs read."""
        return {
            "OPENAI_BASE_URL": f"{self.base_url}/v1",
            "OPENAI_API_KEY": self.capability,
            "ANTHROPIC_BASE_URL": self.base_url,
            "ANTHROPIC_API_KEY": self.capability,
        }


class Sidecar:
    """The ASGI application. `http` signs what it sends to `gateway`."""

    def __init__(self, http: httpx2.AsyncClient, gateway: str, capability: str) -> None:
        self._http = http
        self._gateway = gateway
        self._capability = capability

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one request."""
        if (refused := self._refuses(scope)) is not None:
            await _say(send, *refused)
            return
        body = await _read_body(scope, receive)
        if isinstance(body, Refused):
            await _say(send, 413, body.reason, body.detail)
            return
        if body is None:
            return
        gone = asyncio.create_task(_disconnected(receive))
        carried = asyncio.create_task(self._carry(scope, body, send))
        try:
            await asyncio.wait((gone, carried), return_when=asyncio.FIRST_COMPLETED)
            if carried.done() and not carried.result() and not gone.done():
                scope["state"][BREAK_OFF]()
                await gone
        finally:
            gone.cancel()
            carried.cancel()  # which gives up the request to the gateway
            await asyncio.wait((gone, carried))

    def _refuses(self, scope: Scope) -> tuple[int, str, str] | None:
        """Status, reason and words if the request goes no further."""
        if scope["state"].get(OURS) is not True:
            return 401, LOCAL_CAPABILITY, "this process belongs to another user than the sidecar"
        shown = presented_token(scope["headers"])
        if isinstance(shown, Refused):
            return 401, LOCAL_CAPABILITY, shown.detail
        if not compare_digest(shown, self._capability):
            return 401, LOCAL_CAPABILITY, "the API key is not this sidecar's capability"
        method, path = scope["method"], scope["raw_path"]
        wanted = "POST" if path in _POSTS else "GET" if _GETS.fullmatch(path) else ""
        if not wanted or not _QUERY.fullmatch(scope["query_string"]):
            return 404, Reason.ROUTE_UNKNOWN, "the sidecar passes on model requests only"
        if method != wanted:
            return 405, Reason.METHOD_NOT_ALLOWED, f"use {wanted} here"
        return None

    async def _carry(self, scope: Scope, body: bytes, send: Send) -> bool:
        """Pass a request on and its answer back; whether the answer came to its end."""
        try:
            request = self._request(scope, body)
        except (httpx2.InvalidURL, FormatError) as error:
            await _say(send, 404, Reason.ROUTE_UNKNOWN, str(error))
            return True
        try:
            response = await self._http.send(request, stream=True)
        except (httpx2.RequestError, FormatError) as error:
            words = str(unreachable(self._gateway, error))
            await _say(send, 502, GATEWAY_UNREACHABLE, words)
            return True
        except TpmError as error:
            await _say(send, 502, KEY_UNUSABLE, str(error))
            return True
        async with aclosing(response):
            if response.request.url.path == TOKEN_PATH:
                await _send_whole(send, response.status_code, response.content)
                return True
            if not _has_an_end(response):
                words = "the gateway's answer has no end that could be told from a cut"
                await _say(send, 502, GATEWAY_UNREACHABLE, words)
                return True
            return await _relay(response, send)

    def _request(self, scope: Scope, body: bytes) -> httpx2.Request:
        path = scope["raw_path"]
        if query := scope["query_string"]:
            path += b"?" + query
        url = httpx2.URL(self._gateway, raw_path=path)
        target.normalise(str(url))  # FormatError now, and not while signing
        return httpx2.Request(
            scope["method"],
            url,
            headers=_without(scope["headers"], _NOT_SENT),
            content=body or None,
        )


async def run_agent(
    device: Device,
    purpose: str,
    listen: str = "",
    on_ready: Callable[[Ready], None] = lambda ready: None,
    *,
    models: tuple[str, ...] = (),
    check_peers: bool = True,
    drain_seconds: int = 10,
) -> None:
    """Run the sidecar of a device until SIGTERM or SIGINT; `on_ready` learns how to reach it.

    It listens where it did last if `listen` is empty, and its capability is the profile's.

    The first token is fetched before anything listens, so a device that may not do this, or a
    gateway out of reach, is an error (GatewayRefused, GatewayUnreachable) and not a dead port.
    """
    gateway = device.profile.gateway
    auth = BailmentAuth(device, purpose, models)
    owner = os.geteuid() if check_peers else None
    async with http_client(gateway, auth=auth, limits=_LIMITS, timeout=_TIMEOUT) as http:
        await obtain(http, gateway, auth.tokens)
        listener, capability = bind_local(device.folder, listen, check_peers=check_peers)
        unwatched = await _watch(device, capability)
        ready = Ready(listener.base_url, listener.path, capability, unwatched)
        server = LocalServer(Sidecar(http, gateway, capability), owner, drain_seconds)
        try:
            await server.run_on(listener, lambda: on_ready(ready))
        finally:
            listener.close()


async def _watch(device: Device, capability: str) -> str:
    """Register the capability's hash as a tripwire, once; why not, if the gateway does not take it.

    That is worth a warning, but no reason not to serve.
    """
    if is_registered(device.folder):
        return ""
    body = registration_body(device.profile.device, digest(capability.encode()))
    async with GatewayClient(device.profile.gateway, device.key) as client:
        try:
            await client.send(WATCH_PATH, body, "application/json", Watched)
        except (GatewayRefused, GatewayUnreachable, FormatError) as error:
            return str(error)
    note_registered(device.folder)
    return ""


async def _relay(response: httpx2.Response, send: Send) -> bool:
    headers = _without(response.headers.raw, _NOT_RETURNED)
    start = {"type": "http.response.start", "status": response.status_code, "headers": headers}
    await send(start)
    try:
        async for part in response.aiter_raw():
            await send({"type": "http.response.body", "body": part, "more_body": True})
    except httpx2.RequestError:
        return False
    await send({"type": "http.response.body"})
    return True


async def _read_body(scope: Scope, receive: Receive) -> bytes | Refused | None:
    """The body; None if the client left before its end."""
    too_large = Refused(Reason.BODY_TOO_LARGE, f"a body has at most {MAX_BODY} bytes here")
    declared = dict(scope["headers"]).get(b"content-length", b"")
    if declared.isdigit() and int(declared) > MAX_BODY:
        return too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return too_large
        if not message.get("more_body"):
            return bytes(body)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _has_an_end(response: httpx2.Response) -> bool:
    """RFC 9112 §6.3: without a length or chunks an answer ends as a cut does."""
    framed = "content-length" in response.headers or "transfer-encoding" in response.headers
    return framed or response.status_code in (204, 304)


def _without(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> Headers:
    """The headers but for those named here or by `Connection`."""
    pairs = [(name.lower(), value) for name, value in headers]
    nominated = {
        option.strip().lower()
        for name, value in pairs
        if name == b"connection"
        for option in value.split(b",")
    }
    return [pair for pair in pairs if pair[0] not in names and pair[0] not in nominated]


async def _say(send: Send, status: int, reason: str, message: str) -> None:
    await _send_whole(send, status, api_error(status, reason, message))


async def _send_whole(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
