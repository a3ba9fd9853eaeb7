"""The pool and its connections: what is sent, kept, waited for and given up."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from bailment.access.reasons import Reason
from bailment.errors import ConfigurationError
from bailment.gateway.connection import HIGH_WATER
from bailment.gateway.upstream import Upstream, UpstreamConfig, UpstreamError

from .scripted import Peer, certificate, pooled, response

pytestmark = pytest.mark.anyio

JSON = [(b"content-type", b"application/json")]


async def echo(peer: Peer) -> None:
    """Answer every request with its path and body, keeping the connection."""
    while True:
        path, _, body = await peer.request()
        await peer.answer(path.encode() + b" " + body)


async def ask(client: Upstream, path: str = "/a", body: bytes = b"") -> bytes:
    return await (await client.send("POST", path, JSON, body)).read(1 << 24)


async def refused(client: Upstream, path: str = "/a", body: bytes = b"") -> Reason:
    with pytest.raises(UpstreamError) as caught:
        await ask(client, path, body)
    return caught.value.reason


# One request


async def test_a_request_arrives_as_it_was_sent_and_its_answer_comes_back(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        _, head, body = await peer.request()
        seen.extend((head, body))
        await peer.answer(b"hello", b"X-Kind: Greeting\r\n")

    async with pooled(tmp_path, script, key="sesame") as (client, _):
        answer = await client.send("POST", "/v1/chat/completions", JSON, b"{}")
        assert answer.status == 200
        assert answer.headers == [(b"x-kind", b"Greeting"), (b"content-length", b"5")]
        assert await answer.chunk() == b"hello"
        assert await answer.chunk() == b""
        assert await answer.chunk() == b""
    assert seen == [
        b"POST /v1/chat/completions HTTP/1.1\r\n"
        b"host: localhost\r\n"
        b"accept-encoding: identity\r\n"
        b"authorization: Bearer sesame\r\n"
        b"content-type: application/json\r\n"
        b"content-length: 2\r\n"
        b"\r\n",
        b"{}",
    ]


async def test_a_chunked_answer_is_streamed_as_it_arrives(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for data in (b"one", b"two", b"three"):
            await go.wait()
            go.clear()
            await peer.send(b"%x\r\n%b\r\n" % (len(data), data))
        await go.wait()
        await peer.send(b"0\r\nx-trailer: dropped\r\n\r\n")
        await echo(peer)

    async with pooled(tmp_path, script) as (client, server):
        answer = await client.send("GET", "/stream", [], b"")
        heard = []
        go.set()
        async for data in answer:
            heard.append(data)
            go.set()
        assert heard == [b"one", b"two", b"three"]
        assert answer.headers == [(b"transfer-encoding", b"chunked")]
        assert await ask(client, "/next") == b"/next "
        assert server.connections == 1


@pytest.mark.parametrize(
    "head", [b"204 No Content", b"304 Not Modified", b"302 Found", b"599 Odd", b"404 Not Found"]
)
async def test_every_final_status_is_an_answer_and_no_redirect_is_followed(
    tmp_path: Path, head: bytes
) -> None:
    length = b"" if head[:3] in (b"204", b"304") else b"content-length: 0\r\n"

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 %b\r\nlocation: /elsewhere\r\n%b\r\n" % (head, length))
        await echo(peer)

    async with pooled(tmp_path, script) as (client, server):
        answer = await client.send("GET", "/", [], b"")
        assert answer.status == int(head[:3])
        assert await answer.read(0) == b""
        assert await ask(client) == b"/a "
        assert server.connections == 1


async def test_a_large_body_goes_out_and_comes_back_whole(tmp_path: Path) -> None:
    body = bytes(range(256)) * 20_000
    async with pooled(tmp_path, echo) as (client, server):
        assert await ask(client, "/large", body) == b"/large " + body
        assert await ask(client, "/large", body) == b"/large " + body
        assert server.connections == 1


async def test_an_answer_over_the_limit_is_given_up(tmp_path: Path) -> None:
    async with pooled(tmp_path, echo) as (client, server):
        answer = await client.send("POST", "/", [], b"x" * 500_000)
        with pytest.raises(UpstreamError) as caught:
            await answer.read(100_000)
        assert caught.value.reason is Reason.UPSTREAM_INVALID
        assert await (await client.send("POST", "/", [], b"x")).read(3) == b"/ x"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/a b", []),
        ("/a\r\nx: y", []),
        ("/a", [(b"x", b"y\r\nz: w")]),
        ("/a", [(b"x", b"y\nz: w")]),
        ("/a", [(b"x\r\ny", b"z")]),
        ("/a", [(b"Content-Length", b"0")]),
        ("/a", [(b"transfer-encoding", b"chunked")]),
        ("/a", [(b"authorization", b"DPoP somebody's token")]),
    ],
)
async def test_a_header_cannot_change_how_a_request_is_framed_or_who_sends_it(
    tmp_path: Path, path: str, headers: list[tuple[bytes, bytes]]
) -> None:
    async with pooled(tmp_path, echo) as (client, server):
        with pytest.raises(ValueError, match="a header field"):
            await client.send("POST", path, headers, b"")
        assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "model.sock",
        "unix://",
        "unix://relative.sock",
        "ftp://host/",
        "http://",
        "http://host:0",
        "http://host:port",
        "http://host:99999",
        "http://user:secret@host",
        "http://host/?query",
        "http://host/#fragment",
        "http://ho st",
        "http://host/\r\nx: y",
        "http://höst",
    ],
)
def test_an_address_that_cannot_be_used_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Upstream(UpstreamConfig(url))
    assert caught.value.hint


def test_a_key_that_no_header_may_hold_is_refused_and_no_key_is_ever_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Upstream(UpstreamConfig("http://host", key="sesame\r\nx: y"))
    assert "sesame" not in str(caught.value)
    assert "sesame" not in repr(UpstreamConfig("http://host", key="sesame"))


# TCP and TLS


async def test_tcp_with_a_base_path(tmp_path: Path) -> None:
    heads = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(response(b"ok"))
        writer.close()

    async with await asyncio.start_server(play, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = Upstream(UpstreamConfig(f"http://127.0.0.1:{port}/base/"))
        assert await ask(client) == b"ok"
        await client.close()
    assert heads[0].startswith(b"POST /base/a HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % port)


async def test_tls_is_verified_kept_alive_and_backpressured(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    connections = 0

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await echo(Peer(1, reader, writer))
        writer.close()

    async with await asyncio.start_server(play, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        stranger = Upstream(UpstreamConfig(url))
        assert await refused(stranger) is Reason.UPSTREAM_UNREACHABLE
        await stranger.close()

        client = Upstream(UpstreamConfig(url), tls=ssl.create_default_context(cafile=str(pem)))
        body = b"x" * 3_000_000
        assert await ask(client, "/tls", body) == b"/tls " + body
        assert await ask(client, "/tls", b"y") == b"/tls y"
        assert connections == 1
        aborted = await client.send("POST", "/tls", [], body)
        aborted.abort()
        assert await ask(client, "/tls", b"z") == b"/tls z"
        assert connections == 2
        await client.close()


async def test_nobody_listening_is_unreachable(tmp_path: Path) -> None:
    for url in (f"unix://{tmp_path}/none.sock", "http://127.0.0.1:1", "http://nothing.invalid"):
        async with asyncio.timeout(10):
            client = Upstream(UpstreamConfig(url, pool_size=1))
            for _ in range(2):  # the right to connect is given back
                assert await refused(client) is Reason.UPSTREAM_UNREACHABLE
            await client.close()


async def test_a_handshake_that_never_ends_is_unreachable() -> None:
    silent = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    async with await asyncio.start_server(play, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = Upstream(UpstreamConfig(url, connect_timeout=0.05, pool_size=1))
        assert await refused(client) is Reason.UPSTREAM_UNREACHABLE
        assert await refused(client) is Reason.UPSTREAM_UNREACHABLE
        await client.close()
        silent.set()


# Time and memory


async def silence(peer: Peer) -> None:
    await peer.request()
    await peer.gone()


async def half_a_head(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-")
    await peer.gone()


async def half_a_body(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    await peer.gone()


@pytest.mark.parametrize("script", [silence, half_a_head, half_a_body])
async def test_a_server_that_falls_silent_is_given_up(tmp_path: Path, script: object) -> None:
    times = {"first_byte_timeout": 0.05, "idle_timeout": 0.05}
    async with pooled(tmp_path, script, pool_size=1, **times) as (client, server):  # type: ignore[arg-type]
        for _ in range(2):
            assert await refused(client) is Reason.UPSTREAM_TIMEOUT
        assert server.connections == 2


async def test_what_arrived_before_the_silence_is_given_out_first(tmp_path: Path) -> None:
    async with pooled(tmp_path, half_a_body, idle_timeout=0.05) as (client, _):
        answer = await client.send("POST", "/", [], b"")
        assert await answer.chunk() == b"half"
        for _ in range(2):
            with pytest.raises(UpstreamError) as caught:
                await answer.chunk()
            assert caught.value.reason is Reason.UPSTREAM_TIMEOUT


async def test_a_drip_that_brings_no_body_does_not_count_as_life(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;")
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.005)

    async with pooled(tmp_path, script, idle_timeout=0.1) as (client, _):
        assert await refused(client) is Reason.UPSTREAM_TIMEOUT


async def test_time_in_which_nobody_reads_is_not_the_servers(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
        await reader_is_back.wait()
        await peer.send(b"half")
        await echo(peer)

    reader_is_back = asyncio.Event()
    async with pooled(tmp_path, script, first_byte_timeout=0.05, idle_timeout=0.05) as (client, _):
        answer = await client.send("POST", "/", [], b"")
        await asyncio.sleep(0.15)  # the timeouts pass while nobody waits
        reader_is_back.set()
        assert await answer.read(8) == b"halfhalf"
        await asyncio.sleep(0.15)  # and while the connection is idle
        assert await ask(client) == b"/a "


async def test_a_reader_that_lags_holds_the_server_back(tmp_path: Path) -> None:
    body = hashlib.shake_128(b"seed").digest(16_000_000)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.answer(body)

    async with pooled(tmp_path, script) as (client, _):
        answer = await client.send("POST", "/", [], b"")
        digest = hashlib.sha256()
        for _ in range(200):
            await asyncio.sleep(0)
        most = answer.unread
        async for data in answer:
            digest.update(data)
            most = max(most, len(data))
            await asyncio.sleep(0)
        assert digest.digest() == hashlib.sha256(body).digest()
        assert most <= HIGH_WATER + 256 * 1024


# The pool


async def test_a_connection_is_used_again_and_never_by_two(tmp_path: Path) -> None:
    async with pooled(tmp_path, echo, pool_size=8) as (client, server):
        for _ in range(20):
            asked = [ask(client, f"/{n}", b"%d" % n) for n in range(40)]
            assert await asyncio.gather(*asked) == [b"/%d %d" % (n, n) for n in range(40)]
        assert server.connections == 8


async def test_a_connection_over_the_limit_is_waited_for_in_turn(tmp_path: Path) -> None:
    order: list[str] = []
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            path, _, _ = await peer.request()
            order.append(path)
            await go.wait()
            # Every other answer ends its connection: a turn may be a connection or a right to one.
            close = b"connection: close\r\n" if len(order) % 2 else b""
            await peer.answer(path.encode(), close)

    async with pooled(tmp_path, script, pool_size=1) as (client, server):
        asked = []
        for n in range(12):
            asked.append(asyncio.ensure_future(ask(client, f"/{n}")))
            await asyncio.sleep(0)
        go.set()
        assert await asyncio.gather(*asked) == [b"/%d" % n for n in range(12)]
        assert order == [f"/{n}" for n in range(12)]
        assert server.most_open == 1


async def test_who_gives_up_waiting_takes_no_turn_from_the_others(tmp_path: Path) -> None:
    async with pooled(tmp_path, echo, pool_size=1) as (client, _):
        for leave in range(6):  # at each step of the wait, up to holding the connection
            first = await client.send("POST", "/", [], b"")
            second = asyncio.ensure_future(ask(client, "/second"))
            third = asyncio.ensure_future(ask(client, "/third"))
            await asyncio.sleep(0)
            await first.read(100)  # hands its connection to the second
            for _ in range(leave):
                await asyncio.sleep(0)
            second.cancel()
            assert await third == b"/third "
            await asyncio.gather(second, return_exceptions=True)


async def test_a_wait_for_a_connection_ends(tmp_path: Path) -> None:
    async with pooled(tmp_path, echo, pool_size=1, first_byte_timeout=0.05) as (client, _):
        first = await client.send("POST", "/", [], b"")
        assert await refused(client) is Reason.UPSTREAM_TIMEOUT
        assert await first.read(100) == b"/ "
        assert await ask(client) == b"/a "


async def test_cancelling_a_connect_gives_the_right_back(tmp_path: Path) -> None:
    async with pooled(tmp_path, echo, pool_size=1) as (client, _):
        for steps in range(12):
            task = asyncio.ensure_future(ask(client))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await ask(client, "/next") == b"/next "


async def test_closing_fails_what_is_under_way_and_all_that_follows(tmp_path: Path) -> None:
    async with pooled(tmp_path, half_a_body, pool_size=1) as (client, server):
        answer = await client.send("POST", "/", [], b"")
        reading = asyncio.ensure_future(answer.read(10))
        waiting = asyncio.ensure_future(refused(client))
        await asyncio.sleep(0)
        await asyncio.gather(client.close(), client.close())
        with pytest.raises(UpstreamError) as caught:
            await reading
        assert caught.value.reason is Reason.UPSTREAM_ABORTED
        assert await waiting is Reason.UPSTREAM_UNREACHABLE
        assert await refused(client) is Reason.UPSTREAM_UNREACHABLE
        assert server.connections == 1


# A server that closes kept connections


async def test_a_connection_closed_while_idle_is_replaced(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"%d" % peer.number)

    async with pooled(tmp_path, script) as (client, server):
        for n in range(1, 10):
            assert await ask(client) == b"%d" % n
            for _ in range(n):  # from before the end of the connection is seen to long after
                await asyncio.sleep(0)
        assert server.connections == 9


async def test_a_connection_idle_for_long_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pooled(tmp_path, echo, pool_size=1) as (client, server):
        await ask(client)
        await ask(client)
        assert server.connections == 1
        monkeypatch.setattr("bailment.gateway.connection.MAX_IDLE", 0.0)
        await ask(client)
        assert server.connections == 2


async def test_a_kept_connection_closed_under_a_request_is_replaced_once(tmp_path: Path) -> None:
    served: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        served.append(peer.number)
        await peer.answer(b"%d" % peer.number)
        await peer.request()
        peer.cut()

    async with pooled(tmp_path, script) as (client, _):
        assert await ask(client) == b"1"
        assert await ask(client) == b"2"  # the first connection was cut, the second answered
        assert served == [1, 2]


async def test_a_request_that_was_delivered_is_not_called_unsent_if_the_second_try_fails(
    tmp_path: Path,
) -> None:
    """What is unreachable is taken for certainly not sent, and so costs nothing."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"ok")
        await peer.request()
        (tmp_path / "model.sock").unlink()
        peer.cut()

    async with pooled(tmp_path, script) as (client, server):
        assert await ask(client) == b"ok"
        assert await refused(client) is Reason.UPSTREAM_ABORTED
        assert server.connections == 1


async def test_the_second_try_is_on_a_new_connection(tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number <= 2:
            await both.wait()
        await peer.answer(b"%d" % peer.number)
        await peer.request()
        peer.cut()

    async with pooled(tmp_path, script, pool_size=2) as (client, _):
        assert sorted(await asyncio.gather(ask(client), ask(client))) == [b"1", b"2"]
        assert await ask(client) == b"3"


async def test_a_new_connection_closed_without_an_answer_is_not_tried_again(
    tmp_path: Path,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number > 1:
            peer.cut()
        await peer.answer(b"ok")
        await peer.request()
        peer.cut()

    async with pooled(tmp_path, script) as (client, server):
        assert await ask(client) == b"ok"
        assert await refused(client) is Reason.UPSTREAM_ABORTED
        assert server.connections == 2


@pytest.mark.parametrize("word", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n"])
async def test_one_byte_of_an_answer_rules_a_second_try_out(tmp_path: Path, word: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.answer(b"ok")
        await peer.request()
        await peer.send(word)
        peer.writer.close()

    async with pooled(tmp_path, script) as (client, server):
        assert await ask(client) == b"ok"
        assert await refused(client) is Reason.UPSTREAM_ABORTED
        assert server.connections == 1
