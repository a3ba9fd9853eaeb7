"""Transmitters of security events: their keys, and our streams there (OpenID SSF 1.0).

A transmitter is whatever URL a recipient's admin named, so that every call goes through `Outbound`.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from bailment import canonical
from bailment.access.jwk import PublicKey
from bailment.access.security_event import REQUESTED, SecurityEvent
from bailment.control.key_sets import KeySets
from bailment.control.outbound import Fetched, Outbound, OutboundError
from bailment.errors import BailmentError, FormatError
from bailment.store.streams import Stream, StreamSecrets

_PUSH = "urn:ietf:rfc:8935"
_MOST_TOKEN = 8192
#: Verifications of a stream that may be under way.
_OPEN = 8


class TransmitterFailed(BailmentError):
    """A transmitter does not do what it should. The message holds nothing of its own words."""


class Described(NamedTuple):
    """A transmitter as it describes itself (SSF 1.0, section 7.1)."""

    jwks: str
    configuration: str
    verification: str


class Transmitters:
    """Calls to transmitters. Raises TransmitterFailed."""

    def __init__(self, outbound: Outbound, streams: StreamSecrets) -> None:
        self._outbound = outbound
        self._streams = streams
        self._sets = KeySets(self._keys)
        self._asked: dict[str, deque[str]] = {}

    async def keys(self, issuer: str, event: SecurityEvent) -> list[PublicKey]:
        """The issuer's keys of the `kid` that the event names. Raises KeysUnavailable."""
        return await self._sets.keys(issuer, event) if event.signed.header.get("kid") else []

    async def describe(self, issuer: str) -> Described:
        """What the transmitter says of itself."""
        parts = urlsplit(issuer)
        path = parts.path.rstrip("/")
        url = f"{parts.scheme}://{parts.netloc}/.well-known/ssf-configuration{path}"
        found = await self._json(url, "description")
        if found.get("issuer") != issuer:
            raise TransmitterFailed("the transmitter calls itself by another name")
        names = ("jwks_uri", "configuration_endpoint", "verification_endpoint")
        described = Described(*(str(found.get(name, "")) for name in names))
        for url in described:
            try:
                self._outbound.check(url)
            except OutboundError:
                raise TransmitterFailed(
                    "the transmitter's description names no usable address of its keys, of "
                    "streams, or of their verification"
                ) from None
        return described

    async def open(self, source: str, issuer: str, token: str, push: str, credential: str) -> str:
        """Have a stream made that pushes to `push` with this credential; its audience."""
        if not token.isascii() or not token.isprintable() or not 0 < len(token) <= _MOST_TOKEN:
            raise TransmitterFailed("the token is no printable ASCII text")
        described = await self.describe(issuer)
        wanted = {
            "events_requested": REQUESTED,
            "delivery": {
                "method": _PUSH,
                "endpoint_url": push,
                "authorization_header": f"Bearer {credential}",
            },
        }
        answer = await self._post(described.configuration, token, wanted)
        made = _object(answer)
        stream, audience = made.get("stream_id"), made.get("aud")
        if isinstance(audience, list) and len(audience) == 1:
            audience = audience[0]
        if answer.status not in (200, 201) or made.get("iss") != issuer:
            raise TransmitterFailed(f"the transmitter makes no stream: status {answer.status}")
        if not isinstance(stream, str) or not stream or not isinstance(audience, str):
            raise TransmitterFailed("the transmitter's stream has no id, or not one audience")
        self._streams.keep(source, Stream(stream, token))
        return audience

    async def verify(self, source: str, issuer: str) -> None:
        """Ask for a sign of life (SSF 1.0, section 8.1.4), which comes as an event."""
        stream = self._streams.stream(source)
        if stream is None:
            raise TransmitterFailed("the stream's token is not there any more: add it anew")
        described = await self.describe(issuer)
        state = secrets.token_urlsafe(24)
        self._asked.setdefault(source, deque(maxlen=_OPEN)).append(state)
        asked = {"stream_id": stream.id, "state": state}
        answer = await self._post(described.verification, stream.token, asked)
        if answer.status not in (200, 202, 204):
            raise TransmitterFailed(f"the transmitter verifies nothing: status {answer.status}")

    def awaited(self, source: str, state: object) -> bool:
        """Whether we asked for a verification with this state; it counts once."""
        asked = self._asked.get(source, deque())
        if not isinstance(state, str) or state not in asked:
            return False
        asked.remove(state)
        return True

    def forget(self, source: str) -> None:
        """The source has ended."""
        self._asked.pop(source, None)
        self._streams.drop(source)

    async def _keys(self, issuer: str) -> dict[str, Any]:
        return await self._json((await self.describe(issuer)).jwks, "keys")

    async def _post(self, url: str, token: str, body: Mapping[str, Any]) -> Fetched:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        try:
            return await self._outbound.post(url, headers, msgspec.json.encode(body))
        except OutboundError as error:
            raise _unreachable(error) from None

    async def _json(self, url: str, what: str) -> dict[str, Any]:
        try:
            answer = await self._outbound.get(url)
        except OutboundError as error:
            raise _unreachable(error) from None
        if answer.status != 200:
            raise TransmitterFailed(f"the transmitter tells no {what}: status {answer.status}")
        return _object(answer)


def _object(answer: Fetched) -> dict[str, Any]:
    try:
        found = canonical.parse_unique(answer.body)
    except FormatError:
        found = None
    if not isinstance(found, dict):
        raise TransmitterFailed(
            f"the transmitter answers with no JSON object: status {answer.status}"
        )
    return found


def _unreachable(error: OutboundError) -> TransmitterFailed:
    return TransmitterFailed(f"the transmitter cannot be called: {error}", hint=error.hint)
