"""Ways to hand events to a receiver: signed webhooks, HTTP collectors and files; syslog is in
`control/syslog.py`. Each sends a batch in order, or says why not; what was sent may come again."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailment.clock import now_ms
from bailment.control.outbound import Outbound, OutboundError
from bailment.errors import BailmentError
from bailment.store.durable import PRIVATE


class SendError(BailmentError):
    """The receiver did not take it; nothing secret is in the message."""


class Parcel(NamedTuple):
    """One event on its way: `body` is its JSON, `severity` OCSF's; `time` in ms."""

    entry: int
    time: int
    type: str
    severity: int
    body: bytes


class Sender(Protocol):
    """`most` parcels go at once, of at most `limit` bytes each (0: any)."""

    @property
    def most(self) -> int: ...
    @property
    def limit(self) -> int: ...

    async def send(self, parcels: Sequence[Parcel]) -> None:
        """Send all, in order; SendError if any may not have come."""
        ...

    async def close(self) -> None:
        """Nothing more is sent."""
        ...


def rfc3339(time: int) -> str:
    """A time (ms) in UTC."""
    told = datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds")
    return told.replace("+00:00", "Z")


def webhook_headers(name: str, stamp: str, *signatures: str) -> dict[str, str]:
    """Standard Webhooks' headers."""
    return {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(signatures),
    }


def signature_v1a(key: Ed25519PrivateKey, name: str, stamp: str, body: bytes) -> str:
    """Standard Webhooks' asymmetric signature."""
    signed = key.sign(b".".join((name.encode(), stamp.encode(), body)))
    return f"v1a,{b64encode(signed).decode()}"


def signature_v1(secret: str, name: str, stamp: str, body: bytes) -> str:
    """Standard Webhooks' symmetric signature; `secret` is `whsec_` and base64."""
    told = b".".join((name.encode(), stamp.encode(), body))
    made = hmac.digest(b64decode(secret.removeprefix("whsec_")), told, hashlib.sha256)
    return f"v1,{b64encode(made).decode()}"


class SignedWebhook:
    """Standard Webhooks, one event at a time. Ids are `msg_ENTRY_SINK`, however often it is sent;
    with a secret there are both signatures."""

    most, limit = 1, 0

    def __init__(
        self, sink: str, url: str, outbound: Outbound, key: Ed25519PrivateKey, secret: str
    ) -> None:
        self._sink, self._url, self._outbound = sink, url, outbound
        self._key, self._secret = key, secret

    async def send(self, parcels: Sequence[Parcel]) -> None:
        """POST it; any status but 2xx is a failure."""
        for one in parcels:
            head = f'{{"type":"{one.type}","timestamp":"{rfc3339(one.time)}","data":'
            body = head.encode() + one.body + b"}"
            name, stamp = f"msg_{one.entry}_{self._sink}", str(now_ms() // 1000)
            signatures = [signature_v1a(self._key, name, stamp, body)]
            if self._secret:
                signatures.insert(0, signature_v1(self._secret, name, stamp, body))
            headers = webhook_headers(name, stamp, *signatures)
            await _post(self._outbound, self._url, headers, body)

    async def close(self) -> None:
        """Each call has a connection of its own."""


class Collector:
    """JSON lines by HTTP, up to a hundred at once. The secret is the whole value of its header
    where it holds a space (`Splunk 123…`), else a bearer token, or what another header holds."""

    most, limit = 100, 0

    def __init__(self, url: str, outbound: Outbound, header: str, secret: str) -> None:
        self._url, self._outbound = url, outbound
        self._headers = {"content-type": "application/x-ndjson"}
        if secret:
            plain = header.lower() != "authorization" or " " in secret
            self._headers[header] = secret if plain else f"Bearer {secret}"

    async def send(self, parcels: Sequence[Parcel]) -> None:
        """POST them; any status but 2xx is a failure of all."""
        body = b"".join(one.body + b"\n" for one in parcels)
        await _post(self._outbound, self._url, self._headers, body)

    async def close(self) -> None:
        """Each call has a connection of its own."""


async def _post(outbound: Outbound, url: str, headers: dict[str, str], body: bytes) -> None:
    try:
        answer = await outbound.post(url, headers, body)
    except OutboundError as error:
        raise SendError(str(error)) from None
    if not 200 <= answer.status < 300:
        raise SendError(f"it answers with status {answer.status}")


class Unfit:
    """In the place of a sender that cannot be made: it sends nothing, and says why."""

    most, limit = 1, 0

    def __init__(self, why: str) -> None:
        self._why = why

    async def send(self, parcels: Sequence[Parcel]) -> None:
        """SendError, whatever it is."""
        raise SendError(self._why)

    async def close(self) -> None:
        """There is nothing to close."""


class Lines:
    """A file of JSON lines (0600), opened for each batch, so that others may rotate it."""

    most, limit = 1000, 0

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, parcels: Sequence[Parcel]) -> None:
        """Append them and sync; a line that a crash left without its end is ended first."""
        body = b"".join(one.body + b"\n" for one in parcels)
        try:
            await asyncio.to_thread(self._write, body)
        except OSError as error:
            raise SendError(f"cannot write `{self._path}`: {error.strerror}") from None

    async def close(self) -> None:
        """It is not kept open."""

    def _write(self, body: bytes) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, PRIVATE)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                body = b"\n" + body
            view = memoryview(body)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
