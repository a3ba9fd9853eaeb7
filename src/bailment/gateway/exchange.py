"""Writing answers to one request: heads, whole bodies, problems."""

from __future__ import annotations

from bailment.access.answers import ANSWERS, detail_for
from bailment.access.reasons import Reason, Refused
from bailment.gateway.dialects.base import Dialect
from bailment.gateway.intake import Send

_JSON = b"application/json"

Header = tuple[bytes, bytes]


class Exchange:
    """The answering half of one request. `nonce` goes out with every head (RFC 9449 §8.2)."""

    def __init__(self, send: Send, nonce: str, dialect: Dialect, contact: str) -> None:
        self.send = send
        self.started = False
        self.access = ""
        self._nonce = nonce.encode()
        self._dialect = dialect
        self._contact = contact

    async def head(self, status: int, content_type: bytes, *more: Header) -> None:
        """Send the status line and headers."""
        headers = [
            (b"content-type", content_type),
            (b"cache-control", b"no-store"),
            (b"dpop-nonce", self._nonce),
            *more,
        ]
        if self.access:
            headers.append((b"x-request-id", self.access.encode()))
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def whole(
        self, status: int, body: bytes, content_type: bytes = _JSON, *more: Header
    ) -> None:
        """Send a whole answer."""
        await self.head(status, content_type, (b"content-length", b"%d" % len(body)), *more)
        await self.send({"type": "http.response.body", "body": body})

    async def end(self, data: bytes) -> None:
        """Send the last part of a stream and end it cleanly."""
        await self.send({"type": "http.response.body", "body": data})

    async def refuse(self, refused: Refused, *, verified: bool) -> None:
        """Say no: as a whole answer, or as an error event in a stream that has begun.

        After an error event the stream is left unfinished, and the server breaks it off.
        """
        answer = ANSWERS[refused.reason]
        detail = detail_for(refused, verified=verified, contact=self._contact)
        words = (answer.status, refused.reason, answer.title, detail, self._instance())
        if self.started:
            event = self._dialect.error_event(*words)
            await self.send({"type": "http.response.body", "body": event, "more_body": True})
            return
        more = _challenge(refused.reason) if answer.status == 401 else ()
        await self.whole(answer.status, self._dialect.error_body(*words), _JSON, *more)

    def _instance(self) -> str:
        return f"urn:bailment:access:{self.access}" if self.access else ""


def _challenge(reason: Reason) -> tuple[Header, ...]:
    """RFC 9449 §7.1, RFC 8705 §3: what a client that proved nothing is asked for."""
    if reason.startswith("certificate"):
        return ((b"www-authenticate", b'Bearer error="invalid_token"'),)
    if reason is Reason.PROOF_NONCE:
        error = b'error="use_dpop_nonce", '
    elif reason in (Reason.TOKEN_MISSING, Reason.PROOF_MISSING):
        error = b""
    elif reason.startswith("token"):
        error = b'error="invalid_token", '
    else:
        error = b'error="invalid_dpop_proof", '
    return ((b"www-authenticate", b"DPoP " + error + b'algs="ES256 RS256 PS256"'),)
