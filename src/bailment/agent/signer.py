"""Signing requests to one gateway with one key, and learning from its answers.

Nothing here does I/O: a flow is a generator that yields requests and is sent their responses, so
that one text serves the SDKs' synchronous and asynchronous clients, the sidecar and the admin.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Generator
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import TypeVar

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access import jwk
from bailment.access.proof import make_proof
from bailment.access.tripwire import without_slug

T = TypeVar("T")
Flow = Generator[httpx2.Request, httpx2.Response, T]

#: A `Date` (RFC 9110 §6.6.1) tells whole seconds and is a little old when it arrives.
TOLERANCE_S = 2.0
MAX_NONCE = 256


class Signer:
    """Makes proofs with the newest nonce that the gateway gave and by the gateway's clock.

    `clock` gives seconds since the epoch. Threads may share a signer: what it learns is replaced,
    never changed in place.
    """

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, clock: Callable[[], float] = time.time
    ) -> None:
        self.key = key
        self.public = jwk.from_key(key.public_key())
        self._clock = clock
        self._nonce: str | None = None
        self._offset = 0.0

    def now(self) -> float:
        """Seconds since the epoch, as the gateway counts them."""
        return self._clock() + self._offset

    def flow(
        self, build: Callable[[], httpx2.Request], token: str | None = None
    ) -> Flow[httpx2.Response]:
        """Send a signed request, and once more if the gateway wants another nonce in the proof.

        `build` is called for each attempt, since what it makes may tell the time too. The answer
        to a request without a token must have been read before it is sent in here.
        """
        response = yield self._signed(build(), token)
        if self._learn(response.headers) and _wants_nonce(response):
            response = yield self._signed(build(), token)
            self._learn(response.headers)
        return response

    def _signed(self, request: httpx2.Request, token: str | None) -> httpx2.Request:
        request.headers["dpop"] = make_proof(
            self.key,
            self.public,
            method=request.method,
            target=without_slug(str(request.url)),
            body_sha256=sha256(request.content).digest(),
            token=token,
            nonce=self._nonce,
            jti=secrets.token_urlsafe(16),
            now_s=int(self.now()),
        )
        return request

    def _learn(self, headers: httpx2.Headers) -> bool:
        """Note the nonce and the time in an answer; whether there was a nonce."""
        date = _seconds(headers.get("date", ""))
        if date is not None:
            ahead = date - self._clock()
            self._offset = ahead if abs(ahead) > TOLERANCE_S else 0.0
        nonce = headers.get("dpop-nonce", "")
        usable = 0 < len(nonce) <= MAX_NONCE and nonce.isascii() and nonce.isprintable()
        if usable:
            self._nonce = nonce
        return usable


def advance(steps: Flow[T], response: httpx2.Response | None = None) -> httpx2.Request | T:
    """Send a response into a flow, none to start it: the next request, or at its end the result."""
    try:
        return steps.send(response)  # type: ignore[arg-type]  # None starts a generator
    except StopIteration as end:
        result: T = end.value
        return result


def _wants_nonce(response: httpx2.Response) -> bool:
    """RFC 9449 §9 at a resource, §8 at the token endpoint."""
    if response.status_code == 401:
        return "use_dpop_nonce" in response.headers.get("www-authenticate", "")
    if response.status_code != 400 or not response.is_stream_consumed:
        return False
    try:
        answer = json.loads(response.content)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("error") == "use_dpop_nonce"


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
