"""The fake model: constant answers as fast as one core allows, and streams paced as asked.

Run as a process: `python model.py PORT`. A chat completion that does not stream is answered at
once with a constant 0.8 KB object; one that streams gets its tokens at the times that its own
prompt asks for (`pace=FIRST,TOKENS,GAP`, milliseconds), because the prompt is the one thing that
every gateway passes on untouched.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import cast

import uvloop

MODEL = "bench"
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
STREAM = re.compile(rb'"stream": ?true')
USAGE = re.compile(rb'"include_usage": ?true')
PACE = re.compile(rb"pace=(\d+),(\d+),(\d+)")
USED = {"prompt_tokens": 380, "completion_tokens": 120, "total_tokens": 500}
TEXT = "The gate opens for those who are named, and it remembers each of them in order. "


def respond(status: str, value: object) -> bytes:
    """A whole HTTP/1.1 response with a JSON body."""
    body = json.dumps(value, separators=(",", ":")).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def chunk(event: bytes) -> bytes:
    """One server-sent event in one HTTP/1.1 chunk."""
    line = b"data: " + event + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(line), line)


def stream_event(choices: list[object], **more: object) -> bytes:
    """One `chat.completion.chunk` as an HTTP chunk."""
    event = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_780_000_000,
        "model": MODEL,
        "choices": choices,
        **more,
    }
    return chunk(json.dumps(event, separators=(",", ":")).encode())


def choice(delta: dict[str, str], finish: str | None = None) -> list[object]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]


ANSWER = respond(
    "200 OK",
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_780_000_000,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": TEXT * 6},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USED,
    },
)
MODELS = respond(
    "200 OK",
    {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "b"}]},
)
HEALTHY = respond("200 OK", {"status": "ok"})
MISSING = respond("404 Not Found", {"error": {"message": "no such route"}})
UNREADABLE = respond("411 Length Required", {"error": {"message": "content-length wanted"}})
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
FIRST = stream_event(choice({"role": "assistant", "content": "The "}))
NEXT = stream_event(choice({"content": "gate "}))
FINISH = stream_event(choice({}, "stop"))
FINAL_USAGE = stream_event([], usage=USED)
DONE = chunk(b"[DONE]") + b"0\r\n\r\n"


class Model(asyncio.Protocol):
    """One connection. Requests on it are answered in order, streams one at a time."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.rest = b""
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        data = self.rest + data if self.rest else data
        while (head := data.find(b"\r\n\r\n")) > 0:
            length = LENGTH.search(data, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(data) < end:
                break
            self.answer(data[:end])
            data = data[end:]
        self.rest = data

    def answer(self, request: bytes) -> None:
        if request.startswith(b"POST /v1/chat/completions"):
            if not LENGTH.search(request):
                self.transport.write(UNREADABLE)
            elif b'"stream"' in request and STREAM.search(request):
                self.start_stream(request)
            else:
                self.transport.write(ANSWER)
        elif request.startswith(b"GET /v1/models "):
            self.transport.write(MODELS)
        elif request.startswith(b"GET /health"):
            self.transport.write(HEALTHY)
        else:
            self.transport.write(MISSING)

    def start_stream(self, request: bytes) -> None:
        pace = PACE.search(request)
        first, tokens, gap = map(int, pace.groups()) if pace else (20, 32, 10)
        end = FINISH + (FINAL_USAGE if USAGE.search(request) else b"") + DONE
        self.transport.write(STREAM_HEAD)
        self.emit(FIRST, tokens, self.loop.time() + first / 1000, gap / 1000, end)

    def emit(self, event: bytes, left: int, at: float, gap: float, end: bytes) -> None:
        """Write `event` at loop time `at`, then the `left - 1` others `gap` seconds apart."""

        def write() -> None:
            if left == 1:
                self.transport.write(event + end)
            else:
                self.transport.write(event)
                self.emit(NEXT, left - 1, at + gap, gap, end)

        self.timer = self.loop.call_at(at, write)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Model(loop), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
