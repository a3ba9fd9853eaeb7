"""The relay: the model's answer on its way to the client, under the cutoff.

Nothing is a clean end unless the access is closed on the record: a JSON answer is sent after
`access.closed` is durable, and so is the event that ends a stream. A cut stream gets an error
event and is then broken off, for SDKs take a clean end for success.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bailment.access.reasons import Reason, Refused
from bailment.errors import FormatError
from bailment.gateway.dialects.base import Dialect
from bailment.gateway.dialects.sse import StreamReader, Usage
from bailment.gateway.flights import Flight
from bailment.gateway.intake import Send
from bailment.gateway.upstream import UpstreamError, UpstreamResponse
from bailment.ledger.records import AccessClosed

#: Upstream answers that are about the request itself and that the client may read.
PASSED_ON = frozenset({400, 404, 413, 422, 429})
#: Seconds that an upstream has to end its answer after the last event.
_REST = 1.0

#: What an access used that never reached the model.
NOTHING = Usage(0, 0)


class Broken(Exception):
    """The answer cannot go on: say why if the client can still hear it, then break off."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.reason)
        self.refused = refused


@dataclass(slots=True)
class Progress:
    """How far an answer has come, which is what the record of its end says."""

    status: int = 0
    sent: int = 0  # bytes of the body that went to the client, or do once the access is closed
    usage: Usage | None = None
    events: int = 0
    final: bool = False  # usage is all there is: nothing of the model's work is unknown
    several: bool = False  # servers disagree whether usage covers all of several choices

    def closed(self, access: str, outcome: str, reason: str = "") -> AccessClosed:
        """The record of the end."""
        return AccessClosed(
            access,
            outcome,
            self.status,
            self.usage.input_tokens if self.usage else 0,
            max(self.usage.output_tokens if self.usage else 0, self.events),
            self.final and self.usage is not None and not self.several,
            self.sent,
            reason,
        )


async def read_answer(
    response: UpstreamResponse, dialect: Dialect, progress: Progress, limit: int
) -> bytes:
    """A whole JSON answer, its usage noted. Raises UpstreamError or Broken."""
    body = await response.read(limit)
    progress.final = True
    if progress.status != 200:
        progress.usage = NOTHING
        return body
    try:
        progress.usage = dialect.usage(body)
    except FormatError as error:
        raise Broken(Refused(Reason.UPSTREAM_INVALID, str(error))) from None
    return body


async def relay_stream(
    response: UpstreamResponse,
    reader: StreamReader,
    flight: Flight,
    progress: Progress,
    send: Send,
) -> None:
    """Pass events on until the one that ends the answer, which stays held.

    Raises UpstreamError if the upstream breaks off, Broken if it ends without its last event,
    speaks garbage, or the access is cut.
    """
    try:
        while not reader.finished:
            chunk = await response.chunk()
            if not chunk:
                raise Broken(Refused(Reason.UPSTREAM_ABORTED, "the stream has no end"))
            out = reader.feed(chunk)
            if (refused := flight.stopped()) is not None:
                raise Broken(refused)
            if reader.malformed:
                raise Broken(Refused(Reason.UPSTREAM_INVALID, "the stream is malformed"))
            if out:
                await send_part(send, out, flight, progress)
        await _read_out(response)
        if reader.failed:
            raise Broken(Refused(Reason.UPSTREAM_ABORTED, "the model server reported an error"))
        progress.final = True
    finally:
        progress.usage, progress.events = reader.usage, reader.output_events


async def _read_out(response: UpstreamResponse) -> None:
    """Read to the clean end, so that the connection can serve again; an end that does not come
    keeps nobody waiting."""
    try:
        async with asyncio.timeout(_REST):
            while await response.chunk():
                pass
    except TimeoutError:
        response.abort()


async def send_part(send: Send, data: bytes, flight: Flight, progress: Progress) -> None:
    """Send a part of a stream; a slow client is waited for, but a cut does not wait."""
    flight.waiting = True
    try:
        await send({"type": "http.response.body", "body": data, "more_body": True})
    finally:
        flight.waiting = False
    progress.sent += len(data)


def why(error: BaseException, flight: Flight) -> Refused:
    """What ended the access, from what was raised."""
    if flight.refused is not None:
        return flight.refused
    if isinstance(error, Broken):
        return error.refused
    if isinstance(error, UpstreamError):
        return Refused(error.reason, str(error))
    if isinstance(error, asyncio.CancelledError):
        return Refused(Reason.DRAINING)
    raise error
