"""Anthropic Messages: POST /v1/messages and /v1/messages/count_tokens.

https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from typing import Any

import msgspec

from bailment.access.reasons import Refused
from bailment.gateway.dialects import body as bodies
from bailment.gateway.dialects import features
from bailment.gateway.dialects.base import Action, Ask, Dialect
from bailment.gateway.dialects.opening import opening_of
from bailment.gateway.dialects.prompt import prompt_of
from bailment.gateway.dialects.sse import Fate, StreamReader, Tokens, Usage


class Head(msgspec.Struct):
    model: str
    stream: bool | None = None
    max_tokens: bodies.Limit | None = None


def _client_runs(kind: str | None) -> bool:
    """Custom tools, and the families whose schema Anthropic wrote and the client carries out."""
    return kind in (None, "custom") or str(kind).startswith(
        ("bash_", "text_editor_", "memory_", "computer_", "browser_")
    )


RULES = features.Rules(
    refused={
        **features.COMMON,
        "mcp_servers": "tools of another server leave the chain; call them yourself",
        "thread": features.STATE + "send the earlier turns in `messages`",
        "user_profile_id": features.STATE + "leave it out",
        "n": "this API gives one answer; leave it out",
    },
    typed=frozenset({*Head.__struct_fields__, "messages", "system", "tools"}),
    client_runs=_client_runs,
)


class Messages(Dialect):
    name = "messages"
    paths = ("/v1/messages", "/v1/messages/count_tokens")

    def parse(self, path: str, body: bytes) -> Ask | Refused:
        admitted = features.admit(body, Head, RULES)
        if isinstance(admitted, Refused):
            return admitted
        members, head = admitted
        opening = opening_of(members)
        if path == self.paths[1]:
            return Ask(Action.COUNT_TOKENS, head.model, False, 0, 1, body, opening=opening)
        if head.max_tokens is None:
            return bodies.malformed("`max_tokens` must say how many tokens to generate at most")
        return Ask(
            Action.GENERATE,
            head.model,
            bool(head.stream),
            head.max_tokens,
            1,
            body,
            opening=opening,
            prompt=prompt_of(members),
        )

    def _usage(self, body: bytes) -> Usage | None:
        message = _message.decode(body)
        # Counting uses no tokens, whatever the count.
        if message.usage is None:
            return None if message.input_tokens is None else Usage(0, 0)
        return message.usage.counted()

    def reader(self, strip_usage: bool) -> StreamReader:
        return MessagesReader()

    def _kind(self, status: int) -> str:
        return super()._kind(status).replace("server_error", "api_error")

    def _envelope(self, error: dict[str, Any]) -> dict[str, Any]:
        # `type` is the API's own here; the RFC 9457 one is in `error.details`.
        return {"type": "error", "error": error}


class _Usage(msgspec.Struct):
    # In a stream, the start tells the input, and each delta the output so far; null is silence.
    input_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None

    def update(self, later: _Usage) -> None:
        for name in self.__struct_fields__:
            if (value := getattr(later, name)) is not None:
                setattr(self, name, value)

    def counted(self) -> Usage | None:
        if self.input_tokens is None:
            return None
        cached = (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)
        return Usage(self.input_tokens + cached, self.output_tokens or 0)


class _Message(msgspec.Struct):
    usage: _Usage | None = None
    input_tokens: Tokens | None = None


class _Event(msgspec.Struct):
    type: str = "error"
    message: _Message | None = None
    usage: _Usage | None = None


_message = msgspec.json.Decoder(_Message)
_event = msgspec.json.Decoder(_Event)


class MessagesReader(StreamReader):
    """Ends at `message_stop`, or at an error."""

    __slots__ = ("_reported",)

    def __init__(self) -> None:
        super().__init__()
        self._reported = _Usage()

    def judge(self, event: bytes, data: bytes) -> Fate:
        said = _event.decode(data)
        if said.type == "content_block_delta":
            self.output_events += 1
        elif said.type == "message_start" and said.message and said.message.usage:
            self._report(said.message.usage)
        elif said.type == "message_delta" and said.usage:
            self._report(said.usage)
        elif said.type == "message_stop":
            return Fate.END
        if said.type == "error" or event == b"error":
            self.failed = True
            return Fate.END
        return Fate.FORWARD

    def _report(self, usage: _Usage) -> None:
        self._reported.update(usage)
        self.usage = self._reported.counted()
