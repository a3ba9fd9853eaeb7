"""The recipient's part in a revocation drill: keep a stream open, and ask again when it is cut.

The issuer measures by its own log; what is seen here is for the recipient to compare.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from bailment.access.reasons import Reason
from bailment.agent.answers import refusal
from bailment.agent.client import GatewayClient, Status, unreachable
from bailment.agent.profile import Device, is_loopback
from bailment.agent.sdk import BailmentAuth
from bailment.errors import BailmentError

_PATH = "/v1/chat/completions"
_LONG = "Count from one to ten thousand, one number a line."
_SHORT = "Say yes."
_TIMEOUT = httpx2.Timeout(60.0, connect=10.0)
#: Between two questions once a stream was cut, in seconds.
_PAUSE = 0.1

#: The end of a stream that was not cut.
_DONE = b"data: [DONE]"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a device saw: `streams` that ended by themselves before one was cut, the `answered`
    requests between the cut and the refusal, and how long it was refused (seconds)."""

    streams: int
    answered: int
    refused: float


def rehearse(
    device: Device,
    purpose: str,
    model: str,
    seconds: float,
    opened: Callable[[], None] = lambda: None,
) -> Rehearsed:
    """Stream from `model` until that is cut, ask until that is refused, and then until it is
    answered again. GatewayRefused if it is refused for any other reason than a hold;
    BailmentError if `model` is no canary, or nothing of the kind happens in so many seconds."""
    end = time.monotonic() + seconds
    _check_canary(device, model)
    auth = BailmentAuth(device, purpose)
    host = urlsplit(auth.gateway).hostname or ""
    with httpx2.Client(
        base_url=auth.gateway, auth=auth, timeout=_TIMEOUT, trust_env=not is_loopback(host)
    ) as http:
        streams = 0
        while not _cut(http, model, end, opened):
            streams += 1
            _in_time(end, "no stream was cut")
        answered = 0
        while not _held(http, model):
            answered += 1
            _in_time(end, "the stream was cut, and no request was refused")
        began = time.monotonic()
        while _held(http, model):
            _in_time(end, "the hold was not lifted")
        return Rehearsed(streams, answered, time.monotonic() - began)


def _check_canary(device: Device, model: str) -> None:
    """A drill is held with canaries only: with another model one would wait in vain, and use it."""

    async def ask() -> Status:
        async with GatewayClient(device.profile.gateway, device.key) as client:
            return await client.get(f"/enrol/requests/{device.profile.device}", Status)

    canaries = asyncio.run(ask()).canaries
    if model not in canaries:
        raise BailmentError(
            f"`{model[:128]}` is no canary of yours, and only with one can be rehearsed",
            hint=f"one of {', '.join(canaries)}" if canaries else "ask the lab to grant you one",
        )


def _cut(http: httpx2.Client, model: str, end: float, opened: Callable[[], None]) -> bool:
    """Stream, and say whether it broke off; False if it ended by itself."""
    tail = b""
    try:
        with http.stream("POST", _PATH, json=_asked(model, _LONG, stream=True)) as response:
            if not response.is_success:
                response.read()
                raise refusal(response)
            opened()
            for part in response.iter_bytes():
                tail = (tail + part)[-len(_DONE) * 4 :]
                if time.monotonic() > end:
                    raise BailmentError("no stream was cut")
    except httpx2.RemoteProtocolError:
        return True
    except httpx2.RequestError as error:
        raise unreachable(str(http.base_url), error) from None
    return _DONE not in tail


def _held(http: httpx2.Client, model: str) -> bool:
    """Ask something short after a moment, and say whether it was refused because of a hold."""
    time.sleep(_PAUSE)
    try:
        response = http.post(_PATH, json=_asked(model, _SHORT, stream=False))
    except httpx2.RequestError as error:
        raise unreachable(str(http.base_url), error) from None
    if response.is_success:
        return False
    refused = refusal(response)
    if (refused.reason or _code(response)) != Reason.HELD:
        raise refused
    return True


def _asked(model: str, text: str, *, stream: bool) -> dict[str, object]:
    asked: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": text}]}
    return asked | ({"stream": True} if stream else {"max_tokens": 1})


def _code(response: httpx2.Response) -> str:
    """The reason in an error of the model APIs."""
    try:
        return str(json.loads(response.content)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _in_time(end: float, otherwise: str) -> None:
    if time.monotonic() > end:
        raise BailmentError(otherwise, hint="the issuer runs `bailment drill revoke` meanwhile")
