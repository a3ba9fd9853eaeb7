"""Streamed answers: what is forwarded, what is held back, and what is counted."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from bailment.access.reasons import Reason
from bailment.gateway.dialects.base import Dialect
from bailment.gateway.dialects.catalogue import CHAT, MESSAGES, RESPONSES
from bailment.gateway.dialects.sse import StreamReader, Usage

FIXTURES = Path(__file__).parent / "fixtures"
RECORDED = {
    "chat": (CHAT, b"data: [DONE]"),
    "responses": (RESPONSES, b"event: response.completed"),
    "messages": (MESSAGES, b"event: message_stop"),
}
LINE_ENDS = [b"\n", b"\r\n", b"\r"]


def recorded(name: str, line_end: bytes = b"\n") -> tuple[Dialect, bytes, bytes]:
    """A recorded stream, as far as its terminator, and from there on."""
    dialect, terminator = RECORDED[name]
    stream = (FIXTURES / f"{name}.sse").read_bytes()
    at = stream.index(terminator)
    return dialect, stream[:at].replace(b"\n", line_end), stream[at:].replace(b"\n", line_end)


def read(reader: StreamReader, *chunks: bytes) -> bytes:
    return b"".join(reader.feed(chunk) for chunk in chunks)


def sse(*events: dict[str, Any] | str) -> bytes:
    lines = (event if isinstance(event, str) else json.dumps(event) for event in events)
    return b"".join(b"data: %s\n\n" % line.encode() for line in lines)


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_a_recorded_stream_split_at_every_byte_comes_out_the_same(
    name: str, line_end: bytes
) -> None:
    dialect, before, after = recorded(name, line_end)
    stream = before + after
    for at in range(len(stream) + 1):
        reader = dialect.reader(strip_usage=False)
        assert read(reader, stream[:at], stream[at:]) == before, at
        assert reader.held == after
        assert reader.finished
        assert not reader.failed
        assert not reader.malformed
        assert reader.usage == Usage(33, 6)
        assert reader.output_events == 6


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_a_recorded_stream_fed_byte_by_byte_comes_out_the_same(name: str, line_end: bytes) -> None:
    dialect, before, after = recorded(name, line_end)
    reader = dialect.reader(strip_usage=False)
    assert read(reader, *(bytes([byte]) for byte in before + after)) == before
    assert (reader.held, reader.usage) == (after, Usage(33, 6))


@pytest.mark.parametrize("name", RECORDED)
def test_nothing_ends_the_answer_before_the_whole_terminator_has_come(name: str) -> None:
    dialect, before, after = recorded(name)
    for at in range(len(after) - 1):
        reader = dialect.reader(strip_usage=False)
        assert read(reader, before + after[:at]) == before
        assert not reader.finished
        assert reader.held == b""
    reader = dialect.reader(strip_usage=False)
    read(reader, before + after)
    assert reader.finished


@pytest.mark.parametrize("name", RECORDED)
def test_wherever_the_upstream_stops_the_error_event_is_read_as_one(name: str) -> None:
    dialect, before, _ = recorded(name)
    error = dialect.error_event(403, Reason.HELD, "on hold", "ask the lab", "/accesses/1")
    for at in range(len(before) + 1):
        sent = read(dialect.reader(strip_usage=True), before[:at]) + error
        *_, last = SSEDecoder().iter_bytes(iter([sent]))
        assert last.json()["error"]["code"] == "held", at


@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_the_usage_chunk_is_removed_whole_wherever_it_is_split(line_end: bytes) -> None:
    dialect, before, after = recorded("chat", line_end)
    at = before.index(b'data: {"choices":[],')
    for split in range(len(before + after) + 1):
        reader = dialect.reader(strip_usage=True)
        assert read(reader, (before + after)[:split], (before + after)[split:]) == before[:at]
        assert reader.usage == Usage(33, 6)


def test_usage_beside_choices_is_counted_and_left_in_place() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    stream = sse({"choices": [{"delta": {"content": "a"}}], "usage": usage})
    reader = CHAT.reader(strip_usage=True)
    assert read(reader, stream) == stream
    assert reader.usage == Usage(5, 2)


def test_usage_that_is_null_is_no_usage() -> None:
    reader = CHAT.reader(strip_usage=True)
    stream = sse({"choices": [], "usage": None})
    assert read(reader, stream) == stream
    assert reader.usage is None


def test_usage_of_several_choices_adds_up_and_replaces_running_totals() -> None:
    running = {"choices": [{"delta": {}}], "usage": {"prompt_tokens": 33, "completion_tokens": 5}}
    reader = CHAT.reader(strip_usage=True)
    read(reader, sse(running) + (FIXTURES / "chat-two-choices.sse").read_bytes())
    assert reader.usage == Usage(33, 6)
    assert reader.output_events == 6


def test_what_carries_no_output_is_not_counted() -> None:
    reader = CHAT.reader(strip_usage=False)
    for delta in ({"role": "assistant", "content": ""}, {"content": None}, {}, {"tool_calls": []}):
        read(reader, sse({"choices": [{"delta": delta}]}))
    assert reader.output_events == 0
    for delta in ({"tool_calls": [{"index": 0}]}, {"reasoning_content": "so"}, {"refusal": "no"}):
        read(reader, sse({"choices": [{"delta": delta}]}))
    assert reader.output_events == 3


def test_cached_input_is_input_in_every_dialect() -> None:
    reader = MESSAGES.reader(strip_usage=False)
    start = {"input_tokens": 1, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 2}
    read(reader, sse({"type": "message_start", "message": {"usage": {**start}}}))
    assert reader.usage == Usage(33, 0)
    read(reader, sse({"type": "message_delta", "usage": {"output_tokens": 4}}))
    assert reader.usage == Usage(33, 4)
    later = {"output_tokens": 6, "input_tokens": 5, "cache_read_input_tokens": None}
    read(reader, sse({"type": "message_delta", "usage": later}))
    assert reader.usage == Usage(37, 6)
    assert MESSAGES.usage((FIXTURES / "messages.json").read_bytes()) == Usage(33, 6)


def test_an_output_cut_short_by_the_server_is_an_end_with_usage() -> None:
    response = {"usage": {"input_tokens": 3, "output_tokens": 2}}
    for kind, failed in (("incomplete", False), ("failed", True)):
        reader = RESPONSES.reader(strip_usage=False)
        assert read(reader, sse({"type": f"response.{kind}", "response": response})) == b""
        assert (reader.finished, reader.failed, reader.usage) == (True, failed, Usage(3, 2))


@pytest.mark.parametrize(
    ("dialect", "stream"),
    [
        (CHAT, sse({"error": {"message": "out of memory"}})),
        (CHAT, b"event: error\n" + sse({"message": "out of memory"})),
        (RESPONSES, sse({"type": "error", "code": "server_error", "message": "out of memory"})),
        (RESPONSES, sse({"error": {"message": "out of memory"}})),
        (RESPONSES, b"event: error\n" + sse({"type": "response.created"})),
        (MESSAGES, b"event: error\n" + sse({"type": "error", "error": {}})),
        (MESSAGES, b"event: error\n" + sse({"type": "content_block_delta"})),
        (MESSAGES, sse({"error": {}})),
    ],
)
def test_an_error_of_the_upstream_ends_the_answer_as_failed(
    dialect: Dialect, stream: bytes
) -> None:
    reader = dialect.reader(strip_usage=False)
    assert read(reader, stream) == b""
    assert (reader.finished, reader.failed, reader.held) == (True, True, stream)


@pytest.mark.parametrize(
    ("dialect", "bad"),
    [
        (CHAT, b"data: {\n\n"),
        (CHAT, b"data: [1]\n\n"),
        (CHAT, b"data: <html>\n\n"),
        (CHAT, b'data: {"choices":7}\n\n'),
        (CHAT, b'data: {"choices":[{"delta":7}]}\n\n'),
        (CHAT, b'data: {"usage":{"prompt_tokens":-1}}\n\n'),
        (CHAT, b'data: {"usage":{"prompt_tokens":99999999999999999999}}\n\n'),
        (CHAT, b'data: {"usage":{"completion_tokens":1}}\n\n'),
        (RESPONSES, b"data: [DONE]\n\n"),
        (RESPONSES, b'data: {"type":"\xff"}\n\n'),
        (MESSAGES, b"data: [DONE]\n\n"),
        (MESSAGES, b'data: {"type":"message_delta","usage":{"output_tokens":"6"}}\n\n'),
    ],
)
def test_an_upstream_that_does_not_speak_the_dialect_is_cut(dialect: Dialect, bad: bytes) -> None:
    reader = dialect.reader(strip_usage=True)
    good = b": hello\n\n"
    assert read(reader, good + bad + good, good) == good
    assert reader.malformed
    assert not reader.finished
    assert reader.held == b""


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize("size", [1000, 65536])
def test_an_event_without_end_is_cut_before_it_fills_the_memory(
    dialect: Dialect, size: int
) -> None:
    reader = dialect.reader(strip_usage=False)
    fed = 0
    while not reader.malformed:
        assert reader.feed(b"x" * size) == b""
        fed += size
    assert fed <= reader.max_event + size


def test_an_event_too_large_is_cut_even_if_it_comes_at_once() -> None:
    small, large = (b": " + b"x" * size + b"\n\n" for size in ((1 << 20) - 4, (1 << 20) - 3))
    for dialect, event in ((CHAT, large), (MESSAGES, large), (RESPONSES, large * 8)):
        reader = dialect.reader(strip_usage=False)
        assert reader.feed(small) == small
        assert reader.feed(event.replace(b"\n\n:", b"::")) == b""
        assert reader.malformed


def test_what_follows_the_end_is_held_within_bounds() -> None:
    reader = CHAT.reader(strip_usage=False)
    assert read(reader, b"data: [DONE]\n\n", b": bye\n\n") == b""
    assert reader.held == b"data: [DONE]\n\n: bye\n\n"
    for _ in range(2 * reader.max_event // 65536):
        assert reader.feed(b"x" * 65536) == b""
    assert (reader.malformed, reader.finished, reader.held) == (True, False, b"")


def test_comments_and_empty_events_are_forwarded_at_once() -> None:
    for dialect in (CHAT, RESPONSES, MESSAGES):
        reader = dialect.reader(strip_usage=True)
        for event in (b": keep-alive\n\n", b"\n\n", b"event: ping\n\n", b"id: 7\nretry: 1\n\n"):
            assert reader.feed(event) == event
        assert not reader.malformed


def test_a_byte_order_mark_hides_nothing() -> None:
    reader = CHAT.reader(strip_usage=True)
    assert reader.feed(b"\xef\xbb\xbfdata: [DONE]\n\n") == b""
    assert reader.finished


def test_data_over_several_lines_is_one_text() -> None:
    reader = MESSAGES.reader(strip_usage=False)
    assert reader.feed(b'data: {"type":\ndata:"message_stop"}\n\n') == b""
    assert reader.finished


line = st.sampled_from(
    [
        b": comment",
        b"event: x",
        b"id",
        b'data: {"choices": []}',
        b'data:{"choices":\xc2\xa0[]}',
        b'data: {"choices": [{"delta": {"content": "\xe2\x80\xa8"}}]}',
        b"data: ",
        b"data: [DONE]",
        b"",
    ]
)
streams = st.lists(st.tuples(line, st.sampled_from(LINE_ENDS)), max_size=30)


@given(streams, st.lists(st.integers(0, 400), max_size=8))
def test_any_split_of_any_stream_reads_the_same(
    lines: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(text + end for text, end in lines)
    whole, split = CHAT.reader(strip_usage=False), CHAT.reader(strip_usage=False)
    at_once = read(whole, stream)
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[a:b] for a, b in pairwise(bounds)]
    assert read(split, *chunks) == at_once
    assert stream.startswith(at_once + whole.held)
    for name in ("held", "finished", "failed", "malformed", "output_events"):
        assert getattr(split, name) == getattr(whole, name)


@given(streams)
def test_the_sdk_reads_an_end_only_from_what_was_held(lines: list[tuple[bytes, bytes]]) -> None:
    reader = CHAT.reader(strip_usage=False)
    forwarded = reader.feed(b"".join(text + end for text, end in lines))
    assert not any(
        event.data.startswith("[DONE]") for event in SSEDecoder().iter_bytes(iter([forwarded]))
    )
    if reader.finished:
        first = next(SSEDecoder().iter_bytes(iter([reader.held])))
        assert first.data.startswith("[DONE]")
