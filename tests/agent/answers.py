"""What the model APIs answer, as their SDKs expect it, and ways to play it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from .gateway import Play, Seen, Send, whole

CHAT = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m-1",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello"},
            "finish_reason": "stop",
        }
    ],
}
RESPONSE = {
    "id": "r-1",
    "object": "response",
    "created_at": 1,
    "model": "m-1",
    "output": [
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
        }
    ],
    "parallel_tool_calls": False,
    "tool_choice": "auto",
    "tools": [],
}
MESSAGE = {
    "id": "msg-1",
    "type": "message",
    "role": "assistant",
    "model": "m-1",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
MODEL = {"id": "m-1", "object": "model", "created": 1, "owned_by": "lab", "type": "model"}
MODEL |= {"display_name": "m-1", "created_at": "2026-01-01T00:00:00Z"}
WHOLE: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/responses": RESPONSE,
    "/v1/messages": MESSAGE,
    "/v1/messages/count_tokens": {"input_tokens": 3},
    "/v1/models": {"object": "list", "data": [MODEL], "has_more": False},
    "/v1/models/m-1": MODEL,
}


def _chat_events() -> list[bytes]:
    chunks = []
    for delta, reason in (({"content": "Hel"}, None), ({"content": "lo"}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
        chunks.append(b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n")
    return [*chunks, b"data: [DONE]\n\n"]


def _message_events() -> list[bytes]:
    start = {**MESSAGE, "content": [], "stop_reason": None}
    block = {"type": "text", "text": ""}
    values: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            }
            for text in ("Hel", "lo")
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {v['type']}\ndata: {json.dumps(v)}\n\n".encode() for v in values]


EVENTS = {"/v1/chat/completions": _chat_events(), "/v1/messages": _message_events()}
ERROR_EVENT = (
    b'event: error\ndata: {"type":"error","error":{"type":"permission_error",'
    b'"message":"access is on hold","code":"held"}}\n\n'
)


async def plainly(seen: Seen, send: Send) -> None:
    """Answer as the API does, streaming if the body asks for it."""
    if seen.body and json.loads(seen.body).get("stream"):
        await begin(send)
        for event in EVENTS[seen.path]:
            await part(send, event)
        await send({"type": "http.response.body"})
    else:
        await whole(send, 200, WHOLE[seen.path], (b"x-request-id", b"a-1"))


def cut_after(events: int, last: Sequence[bytes] = ()) -> Play:
    """Stream some events and `last`, then break off."""

    async def play(seen: Seen, send: Send) -> None:
        await begin(send)
        for event in (*EVENTS[seen.path][:events], *last):
            await part(send, event)

    return play


async def cut_json(seen: Seen, send: Send) -> None:
    """Send half of a JSON answer."""
    body = json.dumps(WHOLE[seen.path]).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await part(send, body[: len(body) // 2])


class Stepwise:
    """Streams one event whenever `go` is released; `seen` is the request it is answering."""

    def __init__(self) -> None:
        self.go = asyncio.Semaphore(0)
        self.began: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()

    async def __call__(self, seen: Seen, send: Send) -> None:
        await begin(send)
        self.began.set_result(seen)
        for event in EVENTS[seen.path]:
            await self.go.acquire()
            await part(send, event)
        await send({"type": "http.response.body"})


async def begin(send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-request-id", b"a-1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def part(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
