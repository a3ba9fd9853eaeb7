"""An answer reaches the request that asked for it, or nobody, whatever the server sends."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.access.reasons import Reason
from bailment.gateway.connection import MAX_HEAD, MAX_HEADERS, MAX_INTERIM
from bailment.gateway.upstream import Upstream, UpstreamConfig, UpstreamError

from .scripted import Peer, pooled, response

pytestmark = pytest.mark.anyio

FORGED = response(b"somebody else's answer")


async def ask(client: Upstream, path: str, body: bytes = b"") -> bytes:
    return await (await client.send("POST", path, [], body)).read(1 << 20)


async def echo(peer: Peer) -> None:
    while True:
        path, _, _ = await peer.request()
        await peer.answer(path.encode())


# Given up early


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_an_answer_given_up_midway_is_nobodys(tmp_path: Path, framing: str) -> None:
    given_up = asyncio.Event()

    async def script(peer: Peer) -> None:
        path, _, _ = await peer.request()
        if path == "/first":
            if framing == "length":
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n/first/first")
            else:
                await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                await peer.send(b"6\r\n/first\r\n")
            await given_up.wait()
            await peer.send(b"x" * 28, b"1\r\nx\r\n0\r\n\r\n", FORGED)
            await peer.gone()
        else:
            await peer.answer(path.encode())

    async with pooled(tmp_path, script, pool_size=1) as (client, server):
        first = await client.send("POST", "/first", [], b"")
        assert (await first.chunk()).startswith(b"/first")
        first.abort()
        first.abort()
        given_up.set()
        assert await ask(client, "/second") == b"/second"
        with pytest.raises(UpstreamError) as caught:
            await first.chunk()
        assert caught.value.reason is Reason.UPSTREAM_ABORTED
        assert server.connections == 2


async def test_an_answer_that_came_whole_and_was_not_read_is_nobodys(tmp_path: Path) -> None:
    async with pooled(tmp_path, echo, pool_size=1) as (client, server):
        first = await client.send("POST", "/first", [], b"")
        assert first.complete
        first.abort()
        assert await ask(client, "/second") == b"/second"
        assert server.connections == 2


async def test_giving_up_an_answer_that_was_read_does_not_touch_the_next(tmp_path: Path) -> None:
    async with pooled(tmp_path, echo, pool_size=1) as (client, server):
        first = await client.send("POST", "/first", [], b"")
        assert await first.chunk() == b"/first"
        second = await client.send("POST", "/second", [], b"")
        first.abort()
        assert await first.chunk() == b""
        assert await second.read(100) == b"/second"
        first.abort()
        assert await first.read(100) == b""
        assert await ask(client, "/third") == b"/third"
        assert server.connections == 1


@pytest.mark.parametrize("when", ["before the head", "in the body"])
async def test_a_cancelled_reader_takes_its_connection_along(tmp_path: Path, when: str) -> None:
    hung_up = asyncio.Event()

    async def script(peer: Peer) -> None:
        path, _, _ = await peer.request()
        if path == "/first":
            if when == "in the body":
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\n")
            await peer.gone()
            hung_up.set()
            await peer.send(FORGED)
        await peer.answer(path.encode())

    async with pooled(tmp_path, script, pool_size=1) as (client, _):
        asked = asyncio.ensure_future(ask(client, "/first"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asked), 0.05)
        asked.cancel()
        assert await ask(client, "/second") == b"/second"
        await hung_up.wait()
        assert asked.cancelled() or asked.cancelling()


async def test_giving_up_wakes_the_reader(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\npart")
        await peer.gone()

    async with pooled(tmp_path, script) as (client, _):
        answer = await client.send("POST", "/", [], b"")
        assert await answer.chunk() == b"part"
        reading = asyncio.ensure_future(answer.chunk())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader"):
            await answer.chunk()
        answer.abort()
        with pytest.raises(UpstreamError) as caught:
            await reading
        assert caught.value.reason is Reason.UPSTREAM_ABORTED


# More than was asked for


@pytest.mark.parametrize(
    "first",
    [
        response(b"/first") + FORGED,
        response(b"/first") + FORGED * 3_000,
        response(b"/first") + FORGED[:9],
        response(b"/first") + b"x",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n/first\r\n0\r\n\r\n" + FORGED,
        response(b"/first") + b"HTTP/1.1 100 Continue\r\n\r\n",
        response(b"/first", b"connection: close\r\n") + FORGED,
    ],
    ids=["answer", "answers", "part", "byte", "chunks", "interim", "close"],
)
async def test_bytes_behind_an_answer_are_nobodys(tmp_path: Path, first: bytes) -> None:
    async def script(peer: Peer) -> None:
        path, _, _ = await peer.request()
        if peer.number == 1:
            await peer.send(first)
            await peer.gone()
        else:
            await peer.answer(path.encode())
            await echo(peer)

    async with pooled(tmp_path, script, pool_size=1) as (client, server):
        assert await ask(client, "/first") == b"/first"
        assert await ask(client, "/second") == b"/second"
        assert await ask(client, "/third") == b"/third"
        assert server.connections == 2


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_a_body_where_none_may_be_is_nobodys(tmp_path: Path, status: bytes) -> None:
    async def script(peer: Peer) -> None:
        path, _, _ = await peer.request()
        if peer.number == 1:
            length = len(FORGED)
            await peer.send(
                b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (status, length) + FORGED
            )
            await peer.gone()
        await peer.answer(path.encode())

    async with pooled(tmp_path, script, pool_size=1) as (client, server):
        assert await ask(client, "/first") == b""
        assert await ask(client, "/second") == b"/second"
        assert server.connections == 2


async def test_bytes_on_an_idle_connection_are_nobodys(tmp_path: Path) -> None:
    idle, gone = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        path, _, _ = await peer.request()
        await peer.answer(path.encode())
        if peer.number == 1:
            await idle.wait()
            await peer.send(FORGED)
            await peer.gone()
            gone.set()
        await echo(peer)

    async with pooled(tmp_path, script, pool_size=1) as (client, server):
        assert await ask(client, "/first") == b"/first"
        idle.set()
        await gone.wait()  # the bytes alone made the client hang up
        assert await ask(client, "/second") == b"/second"
        assert server.connections == 2


async def test_bytes_that_the_event_loop_has_not_seen_yet_are_nobodys(tmp_path: Path) -> None:
    """The server writes while the event loop stands still, then the next request comes."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "model.sock"))
    listener.listen()
    idle, forged = threading.Event(), threading.Event()

    def serve() -> None:
        with listener.accept()[0] as first:
            first.recv(65_536)
            first.sendall(response(b"/first"))
            idle.wait(10)
            first.sendall(FORGED)
            forged.set()
            with listener.accept()[0] as second:
                second.recv(65_536)
                second.sendall(response(b"/second"))

    listener.settimeout(5)
    server = threading.Thread(target=serve)
    server.start()
    client = Upstream(UpstreamConfig(f"unix://{tmp_path}/model.sock"))
    assert await ask(client, "/first") == b"/first"
    idle.set()
    assert forged.wait(10)  # the event loop stands still meanwhile
    try:
        assert await ask(client, "/second") == b"/second"
    finally:
        await client.close()
        listener.close()
        server.join()


async def test_an_answer_that_overtakes_its_request_ends_the_connection(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.reader.readuntil(b"\r\n\r\n")
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await peer.answer(b"/first")
            await asyncio.sleep(10)
        await echo(peer)

    async with pooled(tmp_path, script, pool_size=1) as (client, server):
        assert await ask(client, "/first", b"x" * 10_000_000) == b"/first"
        assert await ask(client, "/second") == b"/second"
        assert server.connections == 2


# Interim responses


async def test_interim_responses_come_before_the_answer_and_are_dropped(tmp_path: Path) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"

    async def script(peer: Peer) -> None:
        while True:
            path, _, _ = await peer.request()
            await peer.send(interim, response(path.encode()))

    async with pooled(tmp_path, script) as (client, server):
        for path in ("/first", "/second"):
            answer = await client.send("POST", path, [], b"")
            assert answer.status == 200
            assert answer.headers == [(b"content-length", b"%d" % len(path))]
            assert await answer.read(100) == path.encode()
        assert server.connections == 1


# Not an answer


def head(*fields: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


INVALID = {
    "garbage": b"\x00\xffgarbage",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no length": head(b"content-type: text/plain") + b"until the end",
    "an old server": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "two lengths": head(b"content-length: 2", b"content-length: 22") + b"ab",
    "a list of lengths": head(b"content-length: 2, 2") + b"ab",
    "a signed length": head(b"content-length: +2") + b"ab",
    "length and chunks": head(b"content-length: 2", b"transfer-encoding: chunked") + b"ab",
    "chunks and length": head(b"transfer-encoding: chunked", b"content-length: 2") + b"ab",
    "unknown coding": head(b"transfer-encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked not last": head(b"transfer-encoding: chunked, identity") + b"0\r\n\r\n",
    "compressed": head(b"content-length: 2", b"content-encoding: gzip") + b"\x1f\x8b",
    "bad chunk size": head(b"transfer-encoding: chunked") + b"zz\r\n",
    "huge chunk size": head(b"transfer-encoding: chunked") + b"F" * 17 + b"\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nab",
    "folded field": head(b"x: a", b" b", b"content-length: 0"),
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "status 99": b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 High\r\ncontent-length: 0\r\n\r\n",
    "many interim": b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1) + FORGED,
    "many fields": head(*[b"x: y"] * MAX_HEADERS, b"content-length: 0"),
    "large fields": head(b"x: " + b"y" * MAX_HEAD, b"content-length: 0"),
    "endless field": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 10_000_000,
    "endless fields": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1_000_000,
    "endless trailer": head(b"transfer-encoding: chunked") + b"0\r\nx: " + b"y" * 10_000_000,
    "endless trailers": head(b"transfer-encoding: chunked") + b"0\r\n" + b"x: y\r\n" * 1_000_000,
    "endless extension": head(b"transfer-encoding: chunked") + b"1;" + b"y" * 10_000_000,
}


@pytest.mark.parametrize("sent", INVALID.values(), ids=INVALID)
async def test_what_is_no_answer_is_invalid(tmp_path: Path, sent: bytes) -> None:
    async def script(peer: Peer) -> None:
        path, _, _ = await peer.request()
        if path == "/next":
            await peer.answer(b"/next")
        with suppress(ConnectionError):
            await peer.send(sent)
        await peer.gone()

    async with pooled(tmp_path, script, pool_size=1) as (client, _):
        with pytest.raises(UpstreamError) as caught:
            await ask(client, "/")
        assert caught.value.reason is Reason.UPSTREAM_INVALID
        assert await ask(client, "/next") == b"/next"


CUT = {
    "nothing": b"",
    "in the status line": b"HTTP/1.1 20",
    "in the head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "after an interim response": b"HTTP/1.1 100 Continue\r\n\r\n",
    "in a body of known length": head(b"content-length: 10") + b"half",
    "before a body of known length": head(b"content-length: 10"),
    "in a chunk": head(b"transfer-encoding: chunked") + b"a\r\nhalf",
    "between chunks": head(b"transfer-encoding: chunked") + b"4\r\nhalf\r\n",
    "in the last chunk": head(b"transfer-encoding: chunked") + b"4\r\nhalf\r\n0\r\n",
}


@pytest.mark.parametrize("sent", CUT.values(), ids=CUT)
@pytest.mark.parametrize("end", [lambda peer: peer.writer.close(), Peer.cut], ids=["eof", "reset"])
async def test_an_answer_cut_short_is_no_answer(
    tmp_path: Path, sent: bytes, end: Callable[[Peer], None]
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent)
        end(peer)

    async with pooled(tmp_path, script, pool_size=1) as (client, _):
        with pytest.raises(UpstreamError) as caught:
            await ask(client, "/")
        assert caught.value.reason is Reason.UPSTREAM_ABORTED


# Anything at all


def chunked(body: bytes) -> bytes:
    middle = len(body) // 2
    parts = [part for part in (body[:middle], body[middle:]) if part]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return head(b"transfer-encoding: chunked") + chunks + b"0\r\n\r\n"


#: At a place in the response (modulo its length) bytes are put in, or written over what is there.
edits = st.lists(
    st.tuples(
        st.integers(0, 200),
        st.one_of(
            st.binary(max_size=3),
            st.sampled_from([b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"\r", b"\n", b"9", b":", FORGED]),
        ),
        st.booleans(),
    ),
    max_size=3,
)


@dataclass(frozen=True)
class Play:
    """What the server makes of one request, and how much of the answer the client wants."""

    make: Callable[[bytes], bytes]
    edits: list[tuple[int, bytes, bool]]
    more: str  # behind the response
    size: int | None  # the rest is not sent
    pause: int  # after so many bytes
    end: str
    part: bool

    def sent(self, answer: bytes) -> bytes:
        data = self.make(answer)
        for place, new, over in self.edits:
            place %= len(data) + 1
            data = data[:place] + new + data[place + (len(new) if over else 0) :]
        data += self.make(answer) if self.more == "again" else b""
        return data if self.size is None else data[: self.size]


plays = st.builds(
    Play,
    make=st.sampled_from([response, chunked]),
    edits=edits,
    more=st.sampled_from(["", "again"]),
    size=st.one_of(st.none(), st.none(), st.integers(0, 120)),
    pause=st.integers(0, 200),
    end=st.sampled_from(["keep", "keep", "close", "reset"]),
    part=st.booleans(),
)


#: What a valid answer may still end in: the times here are as short as a busy machine's pauses.
SLOW = (Reason.UPSTREAM_TIMEOUT, Reason.UPSTREAM_UNREACHABLE)


def answer_to(number: int) -> bytes:
    """The answer to one request, which must be found in no other."""
    return b"<the answer to request %d>" % number


async def perform(script: list[Play]) -> None:
    async def serve(peer: Peer) -> None:
        while True:
            path, _, _ = await peer.request()
            play = script[int(path[1:])]
            sent = play.sent(answer_to(int(path[1:])))
            # Bytes that come later than this can come after the next request, and then nobody
            # could tell whose they are.
            peer.writer.write(sent[: play.pause])
            await asyncio.sleep(0)
            peer.writer.write(sent[play.pause :])
            if play.end == "reset":
                peer.cut()
            if play.end != "keep":
                return

    with tempfile.TemporaryDirectory() as folder:
        config = {"first_byte_timeout": 0.02, "idle_timeout": 0.02, "pool_size": 1}
        async with pooled(Path(folder), serve, **config) as (client, _):
            for number, play in enumerate(script):
                valid = not play.edits and play.size is None and play.end != "reset"
                try:
                    answer = await client.send("POST", f"/{number}", [], b"")
                    body = await answer.chunk() if play.part else await answer.read(10_000)
                    answer.abort()
                except UpstreamError as error:
                    assert not valid or error.reason in SLOW
                else:
                    assert not valid or play.part or body == answer_to(number)
                    others = set(range(len(script))) - {number}
                    assert not any(answer_to(other) in body for other in others)


def check(script: list[Play]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(perform(script))


@settings(max_examples=200)
@given(st.lists(plays, min_size=2, max_size=4))
def test_whatever_the_server_sends_nobody_gets_anothers_answer(script: list[Play]) -> None:
    check(script)


@pytest.mark.soak
@settings(max_examples=20_000)
@given(st.lists(plays, min_size=2, max_size=6))
def test_whatever_the_server_sends_for_long_nobody_gets_anothers_answer(
    script: list[Play],
) -> None:
    check(script)
