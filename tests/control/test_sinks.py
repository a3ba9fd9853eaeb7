"""Every receiver gets every event in the log's order, whatever becomes of it or of us."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import stat
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from standardwebhooks.webhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bailment.cli import sink
from bailment.cli.sink_checks import examine_sinks
from bailment.cli.times import show_time
from bailment.control import sinks
from bailment.control.sending import Lines, Parcel
from bailment.control.sinks import Following
from bailment.control.syslog import Datagrams, framed, message
from bailment.detect import ocsf_shapes
from bailment.store.people import People
from bailment.store.sinks import path as table
from bailment.store.sinks import stored

from ..detect.ocsf_schema import wrong
from ..gateway.scripted import certificate
from ..world import PATIENCE, World, world

pytestmark = pytest.mark.anyio

SECRET = "a-collector's-secret"


class Receiver:
    """An HTTP receiver; `answers` are the statuses of its next answers, then 200."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[int] = []
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.took: list[tuple[dict[str, str], bytes]] = []
        self.hold: asyncio.Event | None = None
        self._came = asyncio.Event()

    async def take(self, request: Request) -> Response:
        asked = dict(request.headers), await request.body()
        self.asked.append(asked)
        if self.hold is not None:
            await self.hold.wait()
        status = self.answers.pop(0) if self.answers else 200
        if status < 300:
            self.took.append(asked)
        self._came.set()
        return Response(b"\xff garbage", status, {"location": "http://example.com/"})

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it took, event by event."""
        return [json.loads(line) for _, body in self.took for line in body.splitlines()]

    async def until(self, enough: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not enough():
                self._came.clear()
                await self._came.wait()


@asynccontextmanager
async def receiver(port: int = 0) -> AsyncIterator[Receiver]:
    with socket.create_server(("127.0.0.1", port)) as listener:
        made = Receiver(f"http://127.0.0.1:{listener.getsockname()[1]}/in")
        app = Starlette(routes=[Route("/in", made.take, methods=["POST"])])
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield made
        finally:
            if made.hold is not None:
                made.hold.set()
            server.should_exit = True
            await serving


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "_PAUSES", (0.01,))


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


async def add(lab: World, kind: str, to: str, **more: Any) -> dict[str, Any]:
    classes = more.pop("classes", ["delegations"])
    return await lab.act("sink-add", sink="siem", kind=kind, to=to, classes=classes, **more)


async def holds(lab: World, count: int) -> list[str]:
    """So many holds; each is an event."""
    made = []
    for _ in range(count):
        hold = await lab.hold("model:other")
        await lab.lift(hold)
        made.append(hold)
    return made


async def standing(lab: World) -> dict[str, Any]:
    (one,) = (await lab.act("sink-list"))["sinks"]
    return one  # type: ignore[no-any-return]


def entries(events: list[dict[str, Any]]) -> list[int]:
    return [one["metadata"]["sequence"] for one in events]


async def test_a_collector_gets_what_happens_as_valid_events_with_its_secret(
    lab: World, http: Receiver
) -> None:
    await add(lab, "http", http.url, secret=SECRET)
    await holds(lab, 2)
    await http.until(lambda: len(http.events) == 4)
    assert all(wrong(one) == [] for one in http.events)
    assert entries(http.events) == sorted(entries(http.events))
    assert {one["authorization"] for one, _ in http.took} == {f"Bearer {SECRET}"}


async def test_the_events_of_a_whole_access_are_valid(lab: World, http: Receiver) -> None:
    await add(lab, "http", http.url, classes=["accesses", "sign-ins"])
    device = await lab.device()
    assert (await device.ask()).status_code == 200
    (await device.get("/v1/models")).raise_for_status()

    def ended() -> bool:
        return sum(one["metadata"]["event_code"] == "access.closed" for one in http.events) >= 2

    await http.until(ended)
    assert all(wrong(one) == [] for one in http.events)
    opened = [one for one in http.events if one["metadata"]["event_code"] == "access.opened"]
    assert {one["actor"]["user"]["uid"] for one in opened} != {"unknown"}
    assert "Maria" not in json.dumps(http.events)


async def test_a_webhook_verifies_with_the_library_of_standard_webhooks(
    lab: World, http: Receiver
) -> None:
    secret = "whsec_" + b64encode(b"s" * 32).decode()
    await add(lab, "webhook", http.url, secret=secret)
    await holds(lab, 1)
    await http.until(lambda: len(http.took) == 2)
    for headers, body in http.took:
        told = Webhook(secret).verify(body, headers)
        assert wrong(told["data"]) == []
        assert [one[:3] for one in headers["webhook-signature"].split()] == ["v1,", "v1a"]


@pytest.mark.parametrize("answers", [[500] * 3, [302], [404, 429], [400, 503, 301]])
async def test_whatever_a_receiver_answers_it_gets_all_in_order_in_the_end(
    lab: World, http: Receiver, answers: list[int]
) -> None:
    http.answers = answers
    await add(lab, "http", http.url)
    await holds(lab, 4)
    await http.until(lambda: len(http.events) >= 8)
    assert len(set(entries(http.events))) == 8
    assert entries(http.events) == sorted(entries(http.events))


async def test_what_a_receiver_missed_while_it_was_down_and_we_restarted_it_gets(
    lab: World,
) -> None:
    async with receiver() as first:
        await add(lab, "http", first.url)
        await holds(lab, 1)
        await first.until(lambda: len(first.events) == 2)
    await holds(lab, 3)
    while not (await standing(lab))["error"]:
        await lab.settle()
    assert (await standing(lab))["behind"] >= 6
    await lab.stop()
    await lab.restart()
    await holds(lab, 1)
    port = int(first.url.rpartition(":")[2].partition("/")[0])
    async with receiver(port) as second:
        await second.until(lambda: len(second.events) >= 8)
        got = entries(first.events) + entries(second.events)
        assert sorted(set(got)) == got
        while (await standing(lab))["behind"]:
            await lab.settle()
        assert (await standing(lab))["error"] == ""


async def test_what_was_sent_when_we_died_before_we_kept_that_comes_again_under_its_id(
    lab: World, http: Receiver
) -> None:
    await add(lab, "webhook", http.url)
    await lab.stop()
    kept = {one.name: one.read_bytes() for one in lab.folder.root.glob("sinks.db*")}
    await lab.restart()
    await holds(lab, 2)
    await http.until(lambda: len(http.took) == 4)
    await lab.stop()
    for one in lab.folder.root.glob("sinks.db*"):
        one.unlink()
    for name, data in kept.items():
        (lab.folder.root / name).write_bytes(data)
    await lab.restart()
    await http.until(lambda: len(http.took) == 8)
    ids = [headers["webhook-id"] for headers, _ in http.took]
    assert ids[:4] == ids[4:]


async def test_one_that_hangs_delays_no_other(lab: World, http: Receiver, tmp_path: Path) -> None:
    http.hold = asyncio.Event()
    await add(lab, "http", http.url)
    file = tmp_path / "events.jsonl"
    await lab.act("sink-add", sink="file", kind="file", to=str(file), classes=["delegations"])
    await holds(lab, 2)
    while not file.exists() or len(file.read_bytes().splitlines()) < 4:
        await lab.settle()
    assert http.took == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_file_that_somebody_rotates_goes_on_in_a_new_one(
    lab: World, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    await add(lab, "file", str(file), form="raw")
    await holds(lab, 1)
    while not file.exists() or len(file.read_bytes().splitlines()) < 2:
        await lab.settle()
    file.rename(tmp_path / "events.1")
    file.write_bytes(b'{"half a li')
    await holds(lab, 1)
    while len(file.read_bytes().splitlines()) < 3:
        await lab.settle()
    raw = [json.loads(line) for line in file.read_bytes().splitlines()[1:]]
    assert [one["type"] for one in raw] == ["hold.added", "hold.lifted"]
    assert raw[0]["facts"]["subject"] == "model:other"


async def test_a_secret_is_in_a_file_of_its_own_and_in_no_listing(
    lab: World, http: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    http.answers = [500]
    await add(lab, "http", http.url, secret=SECRET)
    await holds(lab, 1)
    await http.until(lambda: len(http.events) == 2)
    listed = json.dumps([await standing(lab), await lab.act("sink-list")])
    file = lab.folder.secrets / "sink-siem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = listed + "".join(capfd.readouterr())
    assert SECRET not in told
    for one in lab.folder.root.glob("sinks.db*"):
        assert SECRET.encode() not in one.read_bytes()
    await lab.act("sink-change", sink="siem", what="remove")
    assert not file.exists()
    assert (await lab.act("sink-list"))["sinks"] == []


async def test_one_that_rests_gets_what_it_missed_when_it_goes_on(
    lab: World, http: Receiver
) -> None:
    await add(lab, "http", http.url)
    await lab.act("sink-change", sink="siem", what="pause")
    await holds(lab, 2)
    assert (await standing(lab))["behind"] >= 4
    assert http.asked == []
    await lab.act("sink-change", sink="siem", what="resume")
    await http.until(lambda: len(http.events) == 4)


@pytest.mark.parametrize(
    ("data", "mode"), [(b"\xff\xfe", 0o600), (SECRET.encode(), 0o644), (None, 0o600)]
)
async def test_a_sink_whose_secret_cannot_be_used_says_so_and_stops_no_other(
    lab: World, http: Receiver, tmp_path: Path, data: bytes | None, mode: int
) -> None:
    await add(lab, "http", http.url, secret=SECRET)
    file = tmp_path / "events.jsonl"
    await lab.act("sink-add", sink="sound", kind="file", to=str(file), classes=["delegations"])
    await lab.stop()
    secret = lab.folder.secrets / "sink-siem"
    if data is None:
        secret.unlink()
    else:
        secret.write_bytes(data)
        secret.chmod(mode)
    await lab.restart()
    await holds(lab, 1)
    async with asyncio.timeout(PATIENCE):
        while not file.exists() or len(file.read_bytes().splitlines()) < 2:
            await lab.settle()
    told = {one["name"]: one for one in (await lab.act("sink-list"))["sinks"]}
    assert "sink-siem" in told["siem"]["error"]
    assert (told["sound"]["error"], http.asked) == ("", [])
    assert not all(one.ok for one in examine_sinks(lab.folder, 10**6))
    secret.write_bytes(SECRET.encode())
    secret.chmod(0o600)
    await lab.act("sink-change", sink="siem", what="test")
    await http.until(lambda: len(http.events) == 3)  # the test, and what it missed
    assert {one["authorization"] for one, _ in http.took} == {f"Bearer {SECRET}"}
    assert (await lab.act("sink-list"))["sinks"][0]["error"] == ""


async def test_a_sink_without_a_secret_is_not_shown_that_of_one_before(
    lab: World, http: Receiver
) -> None:
    left = lab.folder.secrets / "sink-siem"  # as when we died while one was added
    left.write_bytes(SECRET.encode())
    left.chmod(0o600)
    await add(lab, "http", http.url)
    assert not left.exists()
    await lab.stop()
    await lab.restart()
    await holds(lab, 1)
    await http.until(lambda: len(http.events) == 2)
    assert not any("authorization" in headers for headers, _ in http.took)


@pytest.mark.parametrize("before", [20_000, 0], ids=["as it is", "of long ago"])
async def test_after_a_restart_the_end_of_an_earlier_hold_names_its_subject(
    lab: World, http: Receiver, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """Of a hold that is there when we begin, and of one whose end the sink has yet to be sent."""
    monkeypatch.setattr(sinks, "_BEFORE", before)
    await add(lab, "http", http.url)
    first, second = await lab.hold("model:other"), await lab.hold("model:hasty")
    await http.until(lambda: len(http.events) == 2)
    await lab.act("sink-change", sink="siem", what="pause")
    await lab.lift(first)
    await lab.stop()
    await lab.restart()
    await lab.lift(second)
    await lab.act("sink-change", sink="siem", what="resume")
    await http.until(lambda: len(http.events) == 4)
    told = [one["user"]["uid"] for one in http.events]
    assert told == ["model:other", "model:hasty"] * 2


async def test_names_are_read_beside_the_event_loop(
    lab: World, http: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await (await lab.recipient()).person("Noor")
    device = await person.device()
    lab.issuer.actions.people._known.clear()  # as after a restart
    event, read, made, reads = Following._event, People._personal, [False], 0

    def making(self: Following, *of: Any) -> Any:
        made[0] = True
        try:
            return event(self, *of)
        finally:
            made[0] = False

    def reading(self: People, index: int) -> dict[str, str] | None:
        nonlocal reads
        reads += made[0]
        return read(self, index)

    monkeypatch.setattr(Following, "_event", making)
    monkeypatch.setattr(People, "_personal", reading)
    classes = ["accesses", "sign-ins", "delegations"]
    await add(lab, "http", http.url, names=True, classes=classes, since=0)
    assert (await device.ask()).status_code == 200
    await lab.lift(await lab.hold(f"person:{person.id}"))
    await lab.act("link-end", link=person.link.id, reason="over")
    codes = ("token.issued", "access.opened", "access.closed", "hold.added", "hold.lifted")
    await http.until(lambda: {one["metadata"]["event_code"] for one in http.events} >= {*codes})
    named = [one.get("user") or one["actor"]["user"] for one in http.events]
    assert {one["name"] for one in named} == {"Noor"}
    assert reads == 0


async def test_a_sink_may_begin_in_the_past(lab: World, http: Receiver) -> None:
    await holds(lab, 2)
    await add(lab, "http", http.url, since=0)
    await http.until(lambda: len(http.events) == 4)
    lifted = http.events[1]
    assert lifted["user"]["uid"] == "model:other"


async def test_a_test_says_whether_the_receiver_takes_it(lab: World, http: Receiver) -> None:
    await add(lab, "http", http.url)
    await lab.act("sink-change", sink="siem", what="test")
    (event,) = http.events
    assert (wrong(event), event["verdict_id"]) == ([], 6)
    http.answers = [418]
    with pytest.raises(AssertionError, match="418"):
        await lab.act("sink-change", sink="siem", what="test")
    assert "418" in (await standing(lab))["error"]
    await lab.act("sink-change", sink="siem", what="test")
    assert (await standing(lab))["error"] == ""


@pytest.mark.parametrize(
    ("kind", "to", "more", "why"),
    [
        ("http", "http://collector.example/", {"secret": "x"}, "in the open"),
        ("http", "ftp://collector.example/", {}, "not https"),
        ("http", "https://u:p@collector.example/", {}, "alone"),
        ("http", "https://collector.example/", {"header": "host"}, "no header"),
        ("webhook", "https://collector.example/", {"secret": "short"}, "whsec_"),
        ("syslog", "https://collector.example/", {}, "tls://"),
        ("syslog", "tls://collector.example", {"secret": "x"}, "no secret"),
        ("file", "relative.jsonl", {}, "absolute"),
        ("file", "/x", {"classes": []}, "at least one"),
        ("syslog", "tls://collector.example", {"ca": ["nonsense"]}, "cannot be read"),
        ("file", "/x", {"since": 10**9}, "none of them"),
        ("file", "/x", {"secret": "\u00e9"}, "ASCII"),
    ],
)
async def test_what_can_be_no_sink_is_refused(
    lab: World, kind: str, to: str, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(AssertionError, match=why):
        await add(lab, kind, to, **more)
    assert stored(lab.folder) == []
    assert list(lab.folder.secrets.glob("sink-*")) == []


async def test_two_sinks_have_no_one_name(lab: World, tmp_path: Path) -> None:
    await add(lab, "file", str(tmp_path / "a"))
    with pytest.raises(AssertionError, match="remove it first"):
        await add(lab, "file", str(tmp_path / "b"))
    assert table(lab.folder).exists()


# Syslog


class Syslog:
    """A receiver that counts octets (RFC 6587, 3.4.1; RFC 5425, 4.3)."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.connections = 0
        self.drop_after = -1
        self.dropped = False
        self._came = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while length := await reader.readuntil(b" "):
                self.got.append(await reader.readexactly(int(length)))
                self._came.set()
                if len(self.got) == self.drop_after:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.transport.abort()
            self.dropped = True
            self._came.set()

    async def until(self, enough: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not enough():
                self._came.clear()
                await self._came.wait()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(one[one.index(b"] ") + 2 :]) for one in self.got]


@asynccontextmanager
async def syslog_server(context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Syslog, int]]:
    made = Syslog()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield made, server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_syslog_over_tcp_counts_octets_and_survives_a_dropped_connection(lab: World) -> None:
    async with syslog_server() as (server, port):
        server.drop_after = 2
        await add(lab, "syslog", f"tcp://127.0.0.1:{port}")
        await holds(lab, 1)
        await server.until(lambda: server.dropped)
        await holds(lab, 2)
        await server.until(lambda: len(set(entries(server.events))) == 6)
    assert server.connections == 2
    seen = list(dict.fromkeys(entries(server.events)))
    assert seen == sorted(seen)
    head = server.got[0].partition(b" [")[0].split(b" ")
    assert head[0] == b"<108>1"  # facility 13, severity 4: access was taken away
    assert (head[3], head[4], head[5]) == (b"bailment", b"-", b"hold.added")
    assert head[1].endswith(b"Z")
    assert all(wrong(one) == [] for one in server.events)


async def test_syslog_over_tls_is_sent_to_who_is_trusted_alone(lab: World, tmp_path: Path) -> None:
    certified = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified)
    async with syslog_server(context) as (server, port):
        await add(lab, "syslog", f"tls://127.0.0.1:{port}")
        await holds(lab, 1)
        while not (await standing(lab))["error"]:
            await lab.settle()
        assert "certificate" in (await standing(lab))["error"].lower()
        assert server.got == []
        await lab.act("sink-change", sink="siem", what="remove")
        ca = certified.read_text().partition("-----BEGIN PRIVATE")[0].splitlines()
        await add(lab, "syslog", f"tls://127.0.0.1:{port}", ca=ca)
        await holds(lab, 1)
        await server.until(lambda: len(server.events) == 2)


@pytest.mark.parametrize("form", ["ocsf", "raw"])
async def test_a_datagram_that_would_be_too_long_is_sent_shortened_and_that_is_counted(
    lab: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(Datagrams, "limit", 600)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.setblocking(False)
        local.bind(str(tmp_path / "log"))
        await add(lab, "syslog", f"unix://{tmp_path}/log", form=form, names=True)
        await lab.act("hold-add", subject="model:other", reason="x" * 500, until=0)
        async with asyncio.timeout(PATIENCE):
            got = await asyncio.get_running_loop().sock_recv(local, 65536)
    event = json.loads(got[got.index(b"] ") + 2 :])
    if form == "ocsf":
        assert wrong(event) == []
        assert event["metadata"]["is_truncated"] is True
    else:
        assert (event["truncated"], event["facts"]) == (True, {})
    while not (await standing(lab))["sent"]:
        await lab.settle()
    assert (await standing(lab))["cut"] == 1


async def test_udp_carries_one_message_in_each_datagram(lab: World) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as local:
        local.setblocking(False)
        local.bind(("127.0.0.1", 0))
        await add(lab, "syslog", f"udp://127.0.0.1:{local.getsockname()[1]}")
        await holds(lab, 1)
        async with asyncio.timeout(PATIENCE):
            got = [await asyncio.get_running_loop().sock_recv(local, 65536) for _ in range(2)]
    assert [one.split(b" ")[5] for one in got] == [b"hold.added", b"hold.lifted"]


def test_the_command_line_knows_every_class_of_records() -> None:
    assert tuple(ocsf_shapes.CLASSES) == sink.CLASSES


def test_a_message_is_framed_and_headed_as_the_rfcs_have_it() -> None:
    parcel = Parcel(41, 1_065_910_455_003, "finding.raised", 5, b'{"a":"\xc3\xa9"}')
    sent = message(parcel, "lab host.example")
    assert sent == (
        b"<106>1 2003-10-11T22:14:15.003Z labhost.example bailment - finding.raised "
        b'[meta sequenceId="42"] {"a":"\xc3\xa9"}'
    )
    assert framed(sent) == str(len(sent)).encode() + b" " + sent
    assert message(parcel._replace(severity=1), "")[:6] == b"<110>1"
    assert b" - bailment " in message(parcel, "\n")


async def told(lab: World) -> tuple[str, str, str]:
    """What `status` says of sinks, what `doctor` says of the one, and what to do, if anything."""
    status = (await lab.console.get("http://console/status")).json()["sinks"]
    (found,) = examine_sinks(lab.folder, lab.issuer.log.fold.size)
    assert found.ok == (not found.mend)
    return status, found.says, found.mend


@pytest.mark.parametrize(
    ("status", "secret", "mend"),
    [
        (500, "", "see in its receiver's log why"),
        (401, "", "add it with --secret-file and --since "),
        (403, SECRET, "wants another secret: put it into "),
    ],
)
async def test_what_metrics_doctor_and_status_say_of_one_that_refuses_all(
    lab: World, http: Receiver, status: int, secret: str, mend: str
) -> None:
    http.answers = [status] * 1000
    await add(lab, "http", http.url, **({"secret": secret} if secret else {}))
    await holds(lab, 1)
    while (await standing(lab))["attempts"] < 2:
        await lab.settle()
    one = await standing(lab)
    assert one["oldest"] > 0
    async with lab.client() as client:
        metrics = (await client.get(f"{lab.url}/metrics")).text
    assert 'bailment_sink_behind{sink="siem"} ' in metrics
    assert 'bailment_sink_failing{sink="siem"} 1.0' in metrics
    line, says, todo = await told(lab)
    assert line.startswith("1 (1 failing, 0 paused), at most ")
    assert line.endswith(" entries behind; what to do about siem: bailment doctor")
    assert says.startswith(f"takes nothing since {show_time(one['since'])}, after ")
    assert says.endswith(f"entries behind: it answers with status {status}")
    assert mend in todo
    http.answers = []
    if secret:
        (lab.folder.secrets / "sink-siem").write_text("another")
        await lab.act("sink-change", sink="siem", what="test")
        assert http.took[-1][0]["authorization"] == "Bearer another"
    while stored(lab.folder)[0][1].error or (await standing(lab))["behind"]:
        await lab.settle()
    line, says, todo = await told(lab)
    assert (line, says, todo) == ("1 (0 failing, 0 paused), at most 0 entries behind", says, "")
    assert says.startswith("took ")


@pytest.mark.parametrize("again", ["resumed", "restarted"])
async def test_a_sink_that_malfunctions_is_shown_and_goes_on_where_it_stood(
    lab: World, http: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    file = tmp_path / "events.jsonl"
    await add(lab, "file", str(file))
    with monkeypatch.context() as patched:
        patched.setattr(Lines, "_write", broken)
        await holds(lab, 1)
        while not stored(lab.folder)[0][1].stopped:
            await lab.settle()
    await holds(lab, 1)  # which it does not see
    line, says, todo = await told(lab)
    assert "1 failing" in line
    assert says.startswith("stopped since ")
    assert "by a mistake of ours, " in says
    assert says.endswith(" entries behind: RuntimeError: nobody thought of this")
    assert "bailment sink resume siem" in todo
    if again == "resumed":
        await lab.act("sink-change", sink="siem", what="resume")
    else:
        await lab.stop()
        await lab.restart()
    while not file.exists() or len(file.read_bytes().splitlines()) < 4:
        await lab.settle()
    while stored(lab.folder)[0][1].sent < 4:
        await lab.settle()
    line, says, todo = await told(lab)
    assert ("0 failing" in line, says, todo) == (True, "took 4 events", "")
