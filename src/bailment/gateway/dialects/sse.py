"""Server-sent events, read as bytes (WHATWG HTML, "Server-sent events", 9.2.6).

A reader forwards what the upstream sent, byte for byte and in whole events only, so that an error
event may follow at any time. It holds back the event that ends the answer.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, ClassVar

import msgspec

Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**48)]
"""A number of tokens that can be believed, and added up."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens used. `input_tokens` includes those read from or written to a cache."""

    input_tokens: int
    output_tokens: int


class Fate(Enum):
    """What becomes of an event."""

    FORWARD = 1
    DROP = 2
    END = 3
    MALFORMED = 4


class StreamReader(ABC):
    """Reads one streamed answer.

    `finished`: the event that ends the answer has come; it and all that follows is in `held`,
    which the caller releases once the access is recorded as closed. `failed`: that event says that
    the upstream failed. `malformed`: the upstream does not speak the dialect; nothing more is
    forwarded, and the caller cuts the stream. `usage`: tokens as far as the upstream has reported
    them. `output_events`: events seen that carry generated content; at one token or more in each,
    a floor for the output of an answer that was cut or is under-reported.
    """

    max_event: ClassVar[int] = 1 << 20
    """Bytes in one event, and in what may follow the last."""

    __slots__ = (
        "_after_cr",
        "_buffer",
        "_dropped",
        "_first",
        "_scanned",
        "failed",
        "finished",
        "held",
        "malformed",
        "output_events",
        "usage",
    )

    def __init__(self) -> None:
        self.held = b""
        self.finished = self.failed = self.malformed = False
        self.usage: Usage | None = None
        self.output_events = 0
        self._buffer = bytearray()
        self._scanned = 0  # no event ends in the buffer before this
        self._first = True
        # The last event ended in CR, so an LF that comes next is a part of it.
        self._after_cr = self._dropped = False

    @abstractmethod
    def judge(self, event: bytes, data: bytes) -> Fate:
        """Take note of one event. msgspec.DecodeError: it is malformed."""

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that may be forwarded, now that `chunk` has come."""
        if self.malformed:
            return b""
        if self.finished:
            self._hold(chunk)
            return b""
        out = bytearray()
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == _LF:
                chunk = chunk[1:]
                if not self._dropped:
                    out.append(_LF)
        buffer = self._buffer
        buffer += chunk
        start, scan = 0, max(0, self._scanned - 3)
        while match := _EVENT_END.search(buffer, scan):
            end = match.end()
            block = bytes(buffer[start:end])
            fate = self._fate(block)
            if fate is Fate.FORWARD:
                out += block
            elif fate is Fate.END:
                self.finished = True
                self._hold(bytes(buffer[start:]))
                return bytes(out)
            elif fate is Fate.MALFORMED:
                self.malformed = True
                return bytes(out)
            self._dropped = fate is Fate.DROP
            start = scan = end
        if start:
            self._after_cr = start == len(buffer) and buffer[-1] == _CR
            del buffer[:start]
        self._scanned = len(buffer)
        self.malformed = len(buffer) > self.max_event
        return bytes(out)

    def _fate(self, block: bytes) -> Fate:
        if len(block) > self.max_event:
            return Fate.MALFORMED
        if self._first:
            self._first = False
            block = block.removeprefix(b"\xef\xbb\xbf")
        event, data = _fields(block)
        if not data:
            return Fate.FORWARD  # a comment, or an event that carries nothing
        try:
            return self.judge(event, data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Fate.MALFORMED

    def _hold(self, chunk: bytes) -> None:
        self.held += chunk
        if len(self.held) > 2 * self.max_event:
            self.malformed, self.finished, self.held = True, False, b""


_LF, _CR = b"\n\r"

# Two line ends in a row; atomic, since backtracking would take CRLF for two of them.
_EVENT_END = re.compile(rb"(?>\r\n?|\n)(?>\r\n?|\n)")


def _fields(block: bytes) -> tuple[bytes, bytes]:
    """The name and the data of one event."""
    event, data = b"", []
    for line in block.splitlines():
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ")
    return event, data[0] if len(data) == 1 else b"\n".join(data)
