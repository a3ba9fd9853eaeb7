"""What the model's server does wrong: 502 or 504 in the dialect, or an error in the stream; and the
access is closed as what it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from bailment.gateway.dialects.chat import Chat
from bailment.gateway.exchange import Exchange
from bailment.ledger.records import AccessClosed

from ..world import (
    DIALECTS,
    END,
    HASTY,
    STREAM,
    Asked,
    Play,
    World,
    answer,
    broken,
    canned,
    chunk,
    events,
    refused,
    refusing,
    world,
)
from .scripted import Peer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    limits = "answer_bytes = 100000"
    async with world(tmp_path_factory.mktemp("lab"), limits) as made:
        yield made


@pytest.fixture
async def lab(shared: World) -> AsyncIterator[World]:
    """The shared issuer, with a model's server that behaves again after each test."""
    play = shared.model.play
    yield shared
    shared.model.play = play


async def no_answer(peer: Peer, asked: Asked) -> None:
    await peer.gone()


async def cut_at_once(peer: Peer, asked: Asked) -> None:
    peer.cut()


async def not_http(peer: Peer, asked: Asked) -> None:
    await peer.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


def saying(body: bytes) -> Play:
    async def play(peer: Peer, asked: Asked) -> None:
        await peer.answer(body)

    return play


async def half(peer: Peer, asked: Asked) -> None:
    body, _ = canned(asked)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    await peer.send(head + body[: len(body) // 2])
    peer.cut()


async def half_and_silence(peer: Peer, asked: Asked) -> None:
    body, _ = canned(asked)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    await peer.send(head + body[: len(body) // 2])
    await peer.gone()


FAILED, REFUSED = "upstream-failed", "upstream-refused"
#: What the server does: status, reason, and the outcome on the record.
ANSWERS: dict[str, tuple[Play, int, str, str]] = {
    "nothing": (no_answer, 504, "upstream-timeout", FAILED),
    "a cut": (cut_at_once, 502, "upstream-aborted", FAILED),
    "another protocol": (not_http, 502, "upstream-invalid", FAILED),
    "half, then a cut": (half, 502, "upstream-aborted", FAILED),
    "half, then silence": (half_and_silence, 504, "upstream-timeout", FAILED),
    "no JSON": (saying(b"<html>busy</html>"), 502, "upstream-invalid", FAILED),
    "a JSON array": (saying(b"[1]"), 502, "upstream-invalid", FAILED),
    "an empty body": (saying(b""), 502, "upstream-invalid", FAILED),
    "deep JSON": (
        saying(b'{"usage":' + b"[" * 40_000 + b"]" * 40_000 + b"}"),
        502,
        "upstream-invalid",
        FAILED,
    ),
    "deep JSON, elsewhere": (
        saying(b'{"a":' + b"[" * 40_000 + b"]" * 40_000 + b"}"),
        502,
        "upstream-invalid",
        FAILED,
    ),
    "negative usage": (
        saying(
            b'{"usage":{"prompt_tokens":-1,"completion_tokens":1,"input_tokens":-1,'
            b'"output_tokens":1}}'
        ),
        502,
        "upstream-invalid",
        FAILED,
    ),
    "an endless answer": (saying(b" " * 200_000), 502, "upstream-invalid", FAILED),
    **{
        f"status {status}": (refusing(status), 502, "upstream-refused", REFUSED)
        for status in (201, 204, 302, 401, 403, 500, 503)
    },
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ANSWERS)
async def test_a_broken_answer_is_a_bad_gateway(lab: World, name: str, dialect: str) -> None:
    lab.model.play, status, reason, outcome = ANSWERS[name]
    model = HASTY if status == 504 else "smollm2"
    device, since = await lab.device(models=("smollm2", HASTY)), lab.size
    answered = await device.ask(dialect, model=model)
    assert refused(answered, dialect) == (status, reason)
    closed = await lab.closed(since)
    assert (closed.outcome, closed.reason) == (outcome, reason)
    assert answered.headers["x-request-id"] == closed.access
    problem = answered.json()["error"]["details"]
    assert problem["instance"] == f"urn:bailment:access:{closed.access}"
    # What went upstream and came to nothing known is charged at the ceiling.
    assert closed.measured == (outcome == REFUSED)
    assert await lab.metric("bailment_accesses_open") == 0
    # The next one is served, on a connection that is good.
    lab.model.play = answer
    assert (await device.ask(dialect)).status_code == 200


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_that_would_end_with_its_connection_is_refused_and_said_plainly(
    lab: World, dialect: str
) -> None:
    async def endless(peer: Peer, asked: Asked) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        await peer.send(head + canned(asked)[0])
        peer.writer.close()

    lab.model.play = endless
    device = await lab.device()
    answered = await device.ask(dialect, stream=True)
    assert refused(answered, dialect) == (502, "upstream-invalid")
    problem = answered.json()["error"]["details"]
    assert problem["title"] == "the model server's answer cannot be used"
    assert "would end with its connection" in problem["detail"]
    assert "must send `content-length` or chunks" in problem["detail"]


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429])
async def test_what_the_model_says_of_the_request_itself_is_passed_on(
    lab: World, status: int
) -> None:
    said = b'{"error":{"message":"max_tokens is too large","type":"invalid_request_error"}}'
    lab.model.play = refusing(status, said)
    for stream in (False, True):
        device, since = await lab.device(), lab.size
        answered = await device.ask(stream=stream)
        assert (answered.status_code, answered.content) == (status, said)
        closed = await lab.closed(since)
        assert (closed.outcome, closed.status) == ("upstream-refused", status)
        assert (closed.measured, closed.input, closed.output) == (True, 0, 0)


def beginning(rest: Play, seen: asyncio.Event, count: int = 3) -> Play:
    """A server that streams some events as it should and, when they are seen, does `rest`."""

    async def play(peer: Peer, asked: Asked) -> None:
        body, _ = canned(asked)
        await peer.send(STREAM, *map(chunk, events(body)[:count]))
        await seen.wait()
        await rest(peer, asked)

    return play


def streaming(*chunks: bytes) -> Play:
    async def play(peer: Peer, asked: Asked) -> None:
        await peer.send(*map(chunk, chunks), END)

    return play


async def error_event(peer: Peer, asked: Asked) -> None:
    errors = {
        "/v1/chat/completions": b'data: {"error":{"message":"out of memory"}}\n\n',
        "/v1/responses": b'event: error\ndata: {"type":"error","message":"out of memory"}\n\n',
        "/v1/messages": b'event: error\ndata: {"type":"error","error":{"message":"oom"}}\n\n',
    }
    await peer.send(chunk(errors[asked.path]), END)


STREAMS: dict[str, tuple[Play, str]] = {
    "a cut": (cut_at_once, "upstream-aborted"),
    "silence": (no_answer, "upstream-timeout"),
    "an end without the last event": (streaming(), "upstream-aborted"),
    "an event that is no JSON": (streaming(b"data: {]\n\n"), "upstream-invalid"),
    "an event without end": (streaming(*[b"x" * 1_000_000] * 10), "upstream-invalid"),
    "deep JSON": (
        streaming(b'data: {"usage":' + b"[" * 60_000 + b"]" * 60_000 + b"}\n\n"),
        "upstream-invalid",
    ),
    "a broken chunk": (lambda peer, asked: peer.send(b"zz\r\n"), "upstream-invalid"),
    "an error event": (error_event, "upstream-aborted"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", STREAMS)
async def test_a_broken_stream_ends_in_an_error_and_never_cleanly(
    lab: World, name: str, dialect: str
) -> None:
    rest, reason = STREAMS[name]
    seen = asyncio.Event()
    lab.model.play = beginning(rest, seen)
    model = HASTY if reason == "upstream-timeout" else "smollm2"
    device, since = await lab.device(models=("smollm2", HASTY)), lab.size
    got = b""
    async with device.stream(dialect, model=model) as answered:
        assert answered.status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            async for part in answered.aiter_raw():
                got += part
                if got.count(b"\n\n") == 3:
                    seen.set()
    said = events(canned(lab.model.requests[-1])[0])
    assert got.startswith(b"".join(said[:3]))
    assert broken(got) == reason
    closed = await lab.closed(since)
    assert (closed.outcome, closed.reason) == ("upstream-failed", reason)
    assert not closed.measured
    assert await lab.metric("bailment_accesses_open") == 0


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_server_that_goes_on_after_the_last_event_keeps_nobody_waiting(
    lab: World, monkeypatch: pytest.MonkeyPatch, dialect: str
) -> None:
    monkeypatch.setattr("bailment.gateway.relay._REST", 0.05)
    given_up = asyncio.Event()

    async def comments(peer: Peer, asked: Asked) -> None:
        await peer.send(STREAM, chunk(canned(asked)[0]))
        try:
            while not peer.writer.transport.is_closing():
                await peer.send(chunk(b": still here\n\n"))
                await asyncio.sleep(0.001)
        finally:
            given_up.set()

    lab.model.play = comments
    device, since = await lab.device(), lab.size
    answered = await device.ask(dialect, stream=True)
    said = canned(lab.model.requests[-1])[0]
    assert events(said)[-1] in answered.content
    await asyncio.wait_for(given_up.wait(), 10)
    closed = await lab.closed(since)
    assert (closed.outcome, closed.measured) == ("complete", True)
    assert closed.bytes == len(answered.content)


async def test_a_stream_that_fails_before_it_begins_is_an_ordinary_error(lab: World) -> None:
    lab.model.play = no_answer
    device = await lab.device(models=(HASTY,))
    for dialect in DIALECTS:
        answered = await device.ask(dialect, stream=True, model=HASTY)
        assert refused(answered, dialect) == (504, "upstream-timeout")


async def test_what_was_generated_before_a_cut_is_a_floor_for_what_is_on_the_record(
    lab: World,
) -> None:
    seen = asyncio.Event()
    lab.model.play = beginning(cut_at_once, seen, 4)  # one event for the role, three of a token
    device, since = await lab.device(), lab.size
    got = b""
    async with device.stream() as answered:
        with pytest.raises(httpx2.RemoteProtocolError):
            async for part in answered.aiter_raw():
                got += part
                if got.count(b"\n\n") == 4:
                    seen.set()
    closed = await lab.closed(since)
    assert (closed.output, closed.measured) == (3, False)


async def test_a_server_that_is_down_costs_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with world(tmp_path_factory.mktemp("lab")) as lab:
        device, since = await lab.device(), lab.size
        lab.server.path.unlink()
        for number, dialect in enumerate(DIALECTS):
            answered = await device.ask(dialect)
            assert refused(answered, dialect) == (502, "upstream-unreachable")
            assert str(lab.server.path) not in answered.text
            closed = lab.of(AccessClosed, since)[number]
            assert (closed.outcome, closed.reason) == ("upstream-failed", "upstream-unreachable")
            assert (closed.measured, closed.input, closed.output) == (True, 0, 0)


async def test_an_error_names_nothing_of_the_server_behind(lab: World) -> None:
    lab.model.play = refusing(500, b'{"error":"stack trace at /srv/model.py"}')
    device = await lab.device()
    answered = await device.ask()
    assert "/srv/model.py" not in answered.text
    assert str(lab.server.path) not in answered.text


async def test_a_mistake_of_ours_closes_the_access_too(
    lab: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: object) -> None:
        raise ZeroDivisionError

    device, since = await lab.device(), lab.size
    monkeypatch.setattr(Chat, "_usage", wrong)
    assert (await device.ask()).status_code == 500
    closed = await lab.closed(since)
    assert (closed.outcome, closed.reason, closed.measured) == ("aborted", "malfunction", False)


async def test_a_mistake_of_ours_closes_a_listing_too(
    lab: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError

    device, since = await lab.device(), lab.size
    monkeypatch.setattr("bailment.gateway.dialects.models.listing", wrong)
    assert (await device.get("/v1/models")).status_code == 500
    closed = await lab.closed(since)
    assert (closed.outcome, closed.reason) == ("aborted", "malfunction")
    assert await lab.metric("bailment_accesses_open") == 0


async def test_a_mistake_after_the_end_is_on_the_record_is_not_hidden_by_another(
    lab: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError

    device, since = await lab.device(), lab.size
    with monkeypatch.context() as patched:
        patched.setattr(Exchange, "whole", wrong)
        assert (await device.ask()).status_code == 500
    assert (await lab.closed(since)).outcome == "complete"
    raised = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert raised == [ZeroDivisionError]
    assert await lab.metric("bailment_accesses_open") == 0


async def test_the_models_key_never_reaches_a_client(lab: World) -> None:
    async def echo(peer: Peer, asked: Asked) -> None:
        await peer.send(
            b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nwww-authenticate: x\r\n"
            b"authorization: the-models-key\r\ncontent-length: 2\r\n\r\n{}"
        )

    lab.model.play = echo
    answered = await (await lab.device()).ask()
    assert answered.status_code == 200
    assert not {"set-cookie", "authorization", "www-authenticate"} & answered.headers.keys()
    assert json.loads(answered.content) == {}
