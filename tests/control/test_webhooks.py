"""A recipient is told of what is its own, in the lab's own hand, and in the end always."""

from __future__ import annotations

import asyncio
import json
import socket
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bailment.access.coverage import covered
from bailment.cli.sink_checks import examine_webhooks
from bailment.control import webhooks
from bailment.ledger.identity_records import WebhookRegistered
from bailment.ledger.incident_records import IncidentOpened, NoticeSent, RotationDemanded
from bailment.ledger.records import HoldAdded
from bailment.store import outbox

from ..world import PATIENCE, Recipient, World, world
from .test_enrolment import problem
from .test_shared_signals import HOSTS

pytestmark = pytest.mark.anyio

DAY = 86_400_000


class Hook:
    """A recipient's endpoint; `status` is what it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = ""
        self.status = 200
        self.tried: list[str] = []
        self.got: list[dict[str, Any]] = []
        self._came = asyncio.Event()

    async def take(self, request: Request) -> Response:
        name, stamp = (request.headers[f"webhook-{what}"] for what in ("id", "timestamp"))
        body = await request.body()
        version, _, signature = request.headers["webhook-signature"].partition(",")
        assert version == "v1a"
        public = Ed25519PublicKey.from_public_bytes(b64decode(self.key.removeprefix("whpk_")))
        public.verify(b64decode(signature), f"{name}.{stamp}.".encode() + body)
        self.tried.append(name)
        if self.status == 200:
            self.got.append(json.loads(body))
        self._came.set()
        return Response(status_code=self.status)

    async def until(self, *kinds: str) -> list[dict[str, Any]]:
        """The data of what came, once it is of just these types."""
        async with asyncio.timeout(PATIENCE):
            while len(self.got) < len(kinds):
                self._came.clear()
                await self._came.wait()
        assert [one["type"] for one in self.got] == list(kinds)
        return [one["data"] for one in self.got]


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Hook(f"http://127.0.0.1:{listener.getsockname()[1]}/hook")
        app = Starlette(routes=[Route("/hook", made.take, methods=["POST"])])
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield made
        finally:
            server.should_exit = True
            await serving


async def register(recipient: Recipient, hooked: Hook) -> None:
    """The admin says where to tell, and the first message comes."""
    sent = await recipient.admin.post("/webhooks", {"url": hooked.url})
    assert sent.status_code == 201, sent.text
    hooked.key = sent.json()["key"]


@pytest.fixture
async def lab(tmp_path: Any) -> AsyncIterator[World]:
    async with world(tmp_path, more=HOSTS) as made:
        yield made


@pytest.fixture
async def hooked() -> AsyncIterator[Hook]:
    async with hook() as made:
        yield made


@pytest.fixture
async def acme(lab: World, hooked: Hook) -> Recipient:
    made = await lab.recipient(until=lab.clock.now() + 3000 * DAY)
    # It must know the key before the first message comes.
    hooked.key = (await made.admin.send("GET", "/webhooks")).json()["key"]
    await register(made, hooked)
    await hooked.until(WebhookRegistered.TYPE)
    hooked.got.clear()
    return made


async def status(recipient: Recipient) -> dict[str, Any]:
    told: dict[str, Any] = (await recipient.admin.send("GET", "/webhooks")).json()
    return told


async def test_a_recipient_is_told_of_its_holds_and_of_their_end(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    person = await acme.person()
    hold = await lab.hold(f"person:{person.id}")
    await lab.lift(hold)
    await lab.act("link-end", link=person.link.id, reason="over")
    added, lifted, ended = await hooked.until("hold.added", "hold.lifted", "delegation.ended")
    assert (added["hold"], added["subject"]) == (hold, f"person:{person.id}")
    assert (lifted["hold"], lifted["subject"]) == (hold, f"person:{person.id}")
    assert ended["subject"] == f"link:{person.link.id}"
    assert "tests" not in json.dumps(hooked.got)  # who at the lab did it


async def test_nobody_is_told_of_what_is_somebody_elses(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    other = await lab.recipient(models=("other",), purposes=("else",))
    person = await other.person("Noor")
    for subject in (f"person:{person.id}", f"recipient:{other.id}", "model:other", "purpose:else"):
        await lab.hold(subject)
    mine = await acme.person()
    await lab.hold("everything")
    await lab.hold(f"person:{mine.id}")
    everything, own = await hooked.until("hold.added", "hold.added")
    assert everything.keys() == {"entry", "hold", "subject"}  # and not why
    assert (everything["subject"], own["subject"]) == ("everything", f"person:{mine.id}")


async def test_whom_a_hold_covers_is_asked_once_however_many_are_told(
    lab: World, acme: Recipient, hooked: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(register: Any, subject: str, now: int) -> Any:
        asked.append(subject)
        return covered(register, subject, now)

    other = await lab.recipient()
    await register(other, hooked)
    await hooked.until(WebhookRegistered.TYPE)
    hooked.got.clear()
    for one in (acme, other):
        await one.person()
    monkeypatch.setattr(webhooks, "covered", counted)
    await lab.hold("everything")
    told = await hooked.until("hold.added", "hold.added")
    assert [one["subject"] for one in told] == ["everything"] * 2
    assert asked == ["everything"]


async def test_what_did_not_arrive_comes_after_a_restart_under_the_same_id(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    hooked.status = 500
    hold = await lab.hold(f"recipient:{acme.id}")
    while (await status(acme))["error"] == "":
        await lab.settle()
    waits = await status(acme)
    assert (waits["waiting"], waits["given_up"]) == (1, 0)
    assert waits["error"] == "it answers with status 500"
    await lab.stop()
    hooked.status = 200
    lab.clock.ahead += 10_000
    await lab.restart()
    (told,) = await hooked.until("hold.added")
    assert told["hold"] == hold
    assert len(set(hooked.tried[1:])) == 1
    while (await status(acme))["waiting"]:
        await lab.settle()
    assert (await status(acme))["told"] == 2


async def test_what_was_written_when_nobody_read_is_told_after_the_start(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    """The outbox is behind the log: as after a crash between the two."""
    await lab.stop()
    kept = {path.name: path.read_bytes() for path in lab.folder.root.glob("outbox.db*")}
    await lab.restart()
    hooked.status = 500
    hold = await lab.hold(f"recipient:{acme.id}")
    await lab.lift(hold)
    await lab.stop()
    for path in lab.folder.root.glob("outbox.db*"):
        path.unlink()
    for name, data in kept.items():
        (lab.folder.root / name).write_bytes(data)
    hooked.status = 200
    await lab.restart()
    added, lifted = await hooked.until("hold.added", "hold.lifted")
    assert added["hold"] == lifted["hold"] == hold
    assert lifted["subject"] == f"recipient:{acme.id}"


async def test_an_endpoint_that_was_down_for_a_day_gets_all_in_order_after_restarts(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    hooked.status, hooked.tried, made = 503, [], []
    for _ in range(3):
        made.append(await lab.hold(f"recipient:{acme.id}"))
        await lab.lift(made[-1])
        while (await status(acme))["error"] == "":
            await lab.settle()
        await lab.stop()
        lab.clock.ahead += DAY // 3
        await lab.restart()
    while (await status(acme))["waiting"] < 6:
        await lab.settle()
    assert (await status(acme))["given_up"] == 0
    hooked.status = 200
    lab.clock.ahead += DAY // 3
    await lab.lift(await lab.hold("model:other"))  # which is news, though not acme's
    told = await hooked.until(*["hold.added", "hold.lifted"] * 3)
    assert [one["hold"] for one in told] == [one for one in made for _ in range(2)]


async def test_what_there_is_no_room_for_is_told_from_the_log_wherever_it_is_told_by_then(
    lab: World, acme: Recipient, hooked: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "ROOM", 4)
    monkeypatch.setattr(webhooks, "_CHUNK", 3)
    first = await lab.hold(f"recipient:{acme.id}")
    await hooked.until("hold.added")
    hooked.got.clear()
    hooked.status = 503
    made = []
    for _ in range(5):
        made += [await lab.hold(f"recipient:{acme.id}")] * 2
        await lab.lift(made[-1])
    await lab.lift(first)  # of which the outbox knows nothing any more when it is told
    while not (await status(acme))["behind"]:
        await lab.settle()
    assert (await status(acme))["waiting"] == 4
    metrics, says = "", {"bailment_webhook_waiting 4.0", "bailment_webhook_failing 1.0"}
    async with lab.client() as client:
        while not says <= set(metrics.splitlines()):
            await lab.settle()
            metrics = (await client.get(f"{lab.url}/metrics")).text
    assert "bailment_webhook_behind 0.0" not in metrics
    told = (await lab.console.get("http://console/status")).json()["webhooks"]
    assert told.startswith("1 (1 failing), 4 messages wait, 0 given up, at most ")
    (found,) = examine_webhooks(lab.folder, 1)
    assert not found.ok
    assert "1 do not take them" in found.says
    await lab.stop()
    await lab.restart()
    async with hook() as other:
        await register(acme, other)
        kinds = [*["hold.added", "hold.lifted"] * 5, "hold.lifted", "webhook.registered"]
        got = await other.until(*kinds)
    assert [one["hold"] for one in got[:-1]] == [*made, first]
    assert {one["subject"] for one in got[:-1]} == {f"recipient:{acme.id}"}
    while (await status(acme))["behind"] or (await status(acme))["waiting"]:
        await lab.settle()
    (found,) = examine_webhooks(lab.folder, 1)
    assert found.ok


async def test_an_endpoint_that_never_answers_is_given_up_and_tried_when_it_is_set_again(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    hooked.status, hooked.tried = 503, []
    await lab.hold(f"recipient:{acme.id}")
    while not (await status(acme))["given_up"]:
        lab.clock.ahead += DAY
        await lab.lift(await lab.hold("model:other"))  # which is news, though not acme's
    assert len(hooked.tried) == 13
    assert (await status(acme))["waiting"] == 0
    assert len(set(hooked.tried)) == 1
    hooked.status = 200
    await register(acme, hooked)
    while len(hooked.got) < 2:
        await lab.settle()
    assert {one["type"] for one in hooked.got} == {"hold.added", "webhook.registered"}


async def test_an_endpoint_that_hangs_keeps_no_access_waiting(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    device = await (await acme.person()).device()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        assert (await acme.admin.post("/webhooks", {"url": url})).status_code == 201
        await lab.lift(await lab.hold("purpose:red-team"))
        assert (await device.ask()).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/hook", "https://user:x@example.com/", "file:///etc/passwd"),
        *("https://exa mple.com/", "gopher://x", "https://\u0435xample.com/", "https://x/#y"),
    ],
)
async def test_an_address_that_can_be_seen_to_be_none_is_refused(
    lab: World, acme: Recipient, url: str
) -> None:
    sent = await acme.admin.post("/webhooks", {"url": url})
    assert problem(sent) == (403, "signals-failed")


async def test_an_address_inside_our_network_is_not_called(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    """It may look public when it is registered; what counts is what it is when it is called."""
    url = "https://localhost:1/hook"
    assert (await acme.admin.post("/webhooks", {"url": url})).status_code == 201
    while "not public" not in (await status(acme))["error"]:
        await lab.settle()
    assert hooked.got == []


async def test_who_wants_to_be_told_nothing_is_told_nothing(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    assert (await acme.admin.post("/webhooks", {"url": ""})).status_code == 201
    await lab.hold(f"recipient:{acme.id}")
    told = await status(acme)
    assert (told["url"], told["waiting"]) == ("", 0)
    assert problem(await acme.admin.post("/webhooks", {"url": ""})) == (403, "chain-broken")
    assert len(lab.of(HoldAdded)) == 1
    assert hooked.got == []


async def test_what_fails_is_overtaken_by_nothing_of_the_same_recipient(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    hooked.status = 500
    hold = await lab.hold(f"recipient:{acme.id}")
    while (await status(acme))["error"] == "":
        await lab.settle()
    await lab.lift(hold)  # while the first one waits for its next time
    hooked.status = 200
    while (await status(acme))["waiting"] < 2:
        await lab.settle()
    lab.clock.ahead += 10_000
    await lab.lift(await lab.hold("model:other"))  # which is news, though not acme's
    await hooked.until("hold.added", "hold.lifted")


async def test_one_that_hangs_delays_no_other(lab: World, acme: Recipient, hooked: Hook) -> None:
    other = await lab.recipient()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        assert (await other.admin.post("/webhooks", {"url": url})).status_code == 201
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        called, _ = await asyncio.wait_for(loop.sock_accept(deaf), PATIENCE)
        with called:  # and is answered nothing
            await lab.hold(f"recipient:{acme.id}")
            await hooked.until("hold.added")
            assert (await status(other))["error"] == ""


async def test_a_recipient_is_told_that_there_is_a_notice_and_what_it_must_replace(
    lab: World, acme: Recipient, hooked: Hook
) -> None:
    other = await lab.recipient()
    log = lab.issuer.actions
    a, b, c = (one * 32 for one in "abc")
    await log.append(lambda now: IncidentOpened(b, "a test", "person", "tests"))
    for whose, name in ((other.id, "d" * 32), (acme.id, a)):
        sent = NoticeSent(name, b, whose, 1, 2, 3, "tests", rotate=(f"recipient:{whose}",))
        await log.append(lambda now, sent=sent: sent)
        asked = RotationDemanded(
            c[:-1] + name[0], f"recipient:{whose}", whose, 2**41, "copied", "tests", b
        )
        await log.append(lambda now, asked=asked: asked)
    notice, rotation = await hooked.until("notice.sent", "rotation.demanded")
    assert (notice["incident"], notice["rotate"]) == (b, [f"recipient:{acme.id}"])
    assert notice["notice"] == a
    assert f"{lab.register.state.url}/notices" in notice["acknowledge"]
    assert rotation["subject"] == f"recipient:{acme.id}"
    assert "tests" not in json.dumps(hooked.got)
