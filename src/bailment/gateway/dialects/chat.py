"""OpenAI chat completions: POST /v1/chat/completions.

https://developers.openai.com/api/docs/api-reference/chat
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
    stream_options: dict[str, Any] | None = None
    max_completion_tokens: bodies.Limit | None = None
    max_tokens: bodies.Limit | None = None
    n: bodies.Choices | None = None


RULES = features.Rules(
    refused={
        **features.COMMON,
        "web_search_options": "a search leaves the chain; run it yourself and send what it found",
    },
    typed=frozenset({*Head.__struct_fields__, "messages", "tools"}),
    client_runs=frozenset({"function", "custom"}).__contains__,
)


class Chat(Dialect):
    name = "chat"
    paths = ("/v1/chat/completions",)

    def parse(self, path: str, body: bytes) -> Ask | Refused:
        admitted = features.admit(body, Head, RULES)
        if isinstance(admitted, Refused):
            return admitted
        members, head = admitted
        options = head.stream_options or {}
        strip = bool(head.stream) and options.get("include_usage") is not True
        if strip:
            asking = bodies.with_member(
                body, members, "stream_options", {**options, "include_usage": True}
            )
            if isinstance(asking, Refused):
                return asking
            body = asking
        return Ask(
            Action.GENERATE,
            head.model,
            bool(head.stream),
            # Servers differ in which of the two they heed, so reserve for the larger.
            max(head.max_completion_tokens or 0, head.max_tokens or 0) or None,
            head.n or 1,
            body,
            strip,
            opening_of(members),
            prompt_of(members),
        )

    def _usage(self, body: bytes) -> Usage | None:
        return _counted(_completion.decode(body).usage)

    def reader(self, strip_usage: bool) -> StreamReader:
        return ChatReader(strip_usage)

    def _event(self, envelope: dict[str, Any]) -> bytes:
        return super()._event(envelope).removeprefix(b"event: error\n")


class _Usage(msgspec.Struct):
    prompt_tokens: Tokens  # includes cached ones
    completion_tokens: Tokens = 0


class _Completion(msgspec.Struct):
    usage: _Usage | None = None


class _Choice(msgspec.Struct):
    delta: dict[str, msgspec.Raw] | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_completion = msgspec.json.Decoder(_Completion)
_chunk = msgspec.json.Decoder(_Chunk)
_NOTHING = (b"null", b'""', b"[]")


def _counted(usage: _Usage | None) -> Usage | None:
    return None if usage is None else Usage(usage.prompt_tokens, usage.completion_tokens)


class ChatReader(StreamReader):
    """Ends at `data: [DONE]`, or at a chunk that carries an `error`.

    Usage comes in a last chunk without choices. Some servers send one for each choice, which add
    up, and some report the running total in other chunks as well, which the last ones replace.
    """

    __slots__ = ("_strip_usage", "_totalled")

    def __init__(self, strip_usage: bool) -> None:
        super().__init__()
        self._strip_usage = strip_usage
        self._totalled = 0

    def judge(self, event: bytes, data: bytes) -> Fate:
        if data.startswith(b"[DONE]"):
            return Fate.END
        chunk = _chunk.decode(data)
        if bytes(chunk.error) != b"null" or event == b"error":
            self.failed = True
            return Fate.END
        for choice in chunk.choices or ():
            if choice.delta and any(
                name != "role" and bytes(value) not in _NOTHING
                for name, value in choice.delta.items()
            ):
                self.output_events += 1
        if chunk.usage is None:
            return Fate.FORWARD
        if chunk.choices:
            self.usage = _counted(chunk.usage)
            return Fate.FORWARD
        self._totalled += chunk.usage.completion_tokens
        self.usage = Usage(chunk.usage.prompt_tokens, self._totalled)
        return Fate.DROP if self._strip_usage else Fate.FORWARD
