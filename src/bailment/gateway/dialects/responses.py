"""OpenAI Responses: POST /v1/responses.

https://developers.openai.com/api/docs/api-reference/responses

OpenAI keeps every answer unless told otherwise, so `store: false` is sent upstream where the
client is silent.
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
    max_output_tokens: bodies.Limit | None = None


_CLIENT_RUNS = frozenset(
    {"function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview"}
)
"""`namespace` groups tools, and is looked into. The `shell` and `tool_search` types may run on
either side, and are refused until somebody needs to tell the two apart."""

RULES = features.Rules(
    refused={
        **features.COMMON,
        "previous_response_id": features.STATE + "send the earlier turns in `input`",
        "conversation": features.STATE + "send the earlier turns in `input`",
        "prompt": features.STATE + "send the prompt itself in `instructions`",
        "background": features.STATE + "leave it out and wait for the answer, or stream it",
        "access_programs": "what you may do follows from your chain alone; leave it out",
        "n": "this API gives one answer; leave it out",
    },
    typed=frozenset({*Head.__struct_fields__, "input", "tools"}),
    client_runs=_CLIENT_RUNS.__contains__,
)


class Responses(Dialect):
    name = "responses"
    paths = ("/v1/responses",)

    def parse(self, path: str, body: bytes) -> Ask | Refused:
        admitted = features.admit(body, Head, RULES)
        if isinstance(admitted, Refused):
            return admitted
        members, head = admitted
        if members.get("store") is not False:
            unkept = bodies.with_member(body, members, "store", False)
            if isinstance(unkept, Refused):
                return unkept
            body = unkept
        return Ask(
            Action.GENERATE,
            head.model,
            bool(head.stream),
            head.max_output_tokens,
            1,
            body,
            opening=opening_of(members),
            prompt=prompt_of(members),
        )

    def _usage(self, body: bytes) -> Usage | None:
        return _counted(_response.decode(body).usage)

    def reader(self, strip_usage: bool) -> StreamReader:
        return ResponsesReader()

    def _event(self, envelope: dict[str, Any]) -> bytes:
        # The SDK raises at `error`; the other members are those of the API's own error event.
        error = envelope["error"]
        event = {name: error[name] for name in ("code", "message", "param")}
        return super()._event({"type": "error", **event, "sequence_number": 0, **envelope})


class _Usage(msgspec.Struct):
    input_tokens: Tokens  # includes cached ones
    output_tokens: Tokens = 0


class _Response(msgspec.Struct):
    usage: _Usage | None = None


class _Event(msgspec.Struct):
    type: str = "error"
    response: _Response | None = None


_response = msgspec.json.Decoder(_Response)
_event = msgspec.json.Decoder(_Event)


def _counted(usage: _Usage | None) -> Usage | None:
    return None if usage is None else Usage(usage.input_tokens, usage.output_tokens)


_LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})


class ResponsesReader(StreamReader):
    """Ends at the event that carries the whole response, or at an error.

    Some servers add `data: [DONE]`, at which SDKs stop; before the whole response it is malformed.
    """

    # The first and the last event repeat the instructions, the tools and the whole output.
    max_event = 8 << 20

    __slots__ = ()

    def judge(self, event: bytes, data: bytes) -> Fate:
        said = _event.decode(data)
        if said.type in _LAST or event == b"error":
            self.failed = said.type not in ("response.completed", "response.incomplete")
            if said.response is not None:
                self.usage = _counted(said.response.usage)
            return Fate.END
        if said.type.endswith(".delta"):
            self.output_events += 1
        return Fate.FORWARD
