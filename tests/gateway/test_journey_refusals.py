"""Who is known and may not (403), and what nobody may send (4xx): told why, and whom to ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from bailment.ledger.records import AccessOpened, AccessRefused, Budget

from ..world import CONTACT, DAY, DIALECTS, YEARS, Device, World, refused, world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


class Watch:
    """What must not have happened since it was made."""

    def __init__(self, lab: World) -> None:
        self.lab = lab
        self.since = lab.size
        self.asked = len(lab.model.requests)

    def nothing_but(self, *refusals: str) -> None:
        assert self.lab.of(AccessOpened, self.since) == []
        assert len(self.lab.model.requests) == self.asked
        assert self.lab.refusals(self.since) == [(reason, 1) for reason in refusals]


# 403: the caller is known, and may not


def subjects(device: Device) -> dict[str, str]:
    """Everything whose hold covers an access by this device."""
    register = device.world.register
    recipient, person, own = register.path(register.link_of[device.id])
    return {
        "everything": "everything",
        "recipient": f"recipient:{recipient.subject}",
        "person": f"person:{person.subject}",
        "device": f"device:{device.id}",
        "recipient's link": f"link:{recipient.id}",
        "person's link": f"link:{person.id}",
        "device's link": f"link:{own.id}",
        "model": "model:smollm2",
        "purpose": "purpose:red-team",
    }


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "covered",
    [
        *("everything", "recipient", "person", "device", "model", "purpose"),
        *(f"{kind}'s link" for kind in ("recipient", "person", "device")),
    ],
)
async def test_a_hold_on_anything_above_refuses(lab: World, covered: str, dialect: str) -> None:
    device = await lab.device()
    subject = subjects(device)[covered]
    async with lab.held(subject):
        watch = Watch(lab)
        answered = await device.ask(dialect)
        assert refused(answered, dialect) == (403, "held")
        detail = answered.json()["error"]["details"]["detail"]
        assert subject in detail
        assert detail.endswith(f"contact {CONTACT}")
        watch.nothing_but("held")
    assert (await device.ask(dialect)).status_code == 200


async def test_a_hold_on_somebody_else_refuses_nobody(lab: World) -> None:
    recipient = await lab.recipient()
    held = await (await recipient.person("Maria")).device()
    free = await (await recipient.person("Noor")).device()
    other = await lab.device()
    async with lab.held(subjects(held)["person"]):
        assert refused(await held.ask()) == (403, "held")
        assert (await free.ask()).status_code == 200
        assert (await other.ask()).status_code == 200


async def test_two_holds_on_one_subject_are_lifted_one_by_one(lab: World) -> None:
    device = await lab.device()
    subject = subjects(device)["person"]
    first, second = await lab.hold(subject), await lab.hold(subject)
    await lab.lift(first)
    assert refused(await device.ask()) == (403, "held")
    await lab.lift(second)
    assert (await device.ask()).status_code == 200


async def test_who_proves_nothing_does_not_learn_of_a_hold(lab: World) -> None:
    device = await lab.device()
    async with lab.held(subjects(device)["person"]):
        assert refused(await device.ask(headers={"dpop": None})) == (401, "proof-missing")


@pytest.mark.parametrize("model", ["other", "there-is-none"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_model_outside_the_chain_is_refused_like_one_that_does_not_exist(
    lab: World, dialect: str, model: str
) -> None:
    device = await lab.device()
    watch = Watch(lab)
    answered = await device.ask(dialect, model=model)
    assert refused(answered, dialect) == (403, "model-outside-chain")
    error = answered.json()["error"]
    assert "there is no such model in the chain" in error["message"]
    assert error["message"].endswith(f"contact {CONTACT}")
    watch.nothing_but("model-outside-chain")
    (record,) = lab.of(AccessRefused, watch.since)
    assert (record.device, record.model, record.action) == (device.id, model, "generate")


async def test_a_token_for_one_model_is_good_for_no_other(lab: World) -> None:
    device = await lab.device(models=("smollm2", "other"))
    await device.renew(models=["other"])
    assert (await device.ask(model="other")).status_code == 200
    assert refused(await device.ask()) == (403, "model-outside-chain")


@pytest.mark.parametrize("level", ["recipient", "person", "device"])
async def test_an_ended_link_ends_everything_below_it(lab: World, level: str) -> None:
    recipient = await lab.recipient()
    person = await recipient.person("Maria")
    device = await person.device()
    bystander = await (await recipient.person("Noor")).device()
    link = {
        "recipient": recipient.link.id,
        "person": person.link.id,
        "device": lab.register.link_of[device.id],
    }[level]
    await lab.act("link-end", link=link, reason="a test")
    watch = Watch(lab)
    answered = await device.ask()
    assert refused(answered) == (403, "link-ended")
    assert link in answered.json()["detail"]
    watch.nothing_but("link-ended")
    assert (await bystander.ask()).status_code == (403 if level == "recipient" else 200)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_spent_budget_refuses_and_names_whose_it_is(lab: World, dialect: str) -> None:
    recipient = await lab.recipient(budget=Budget(50, YEARS))
    device = await (await recipient.person()).device()
    watch = Watch(lab)
    answered = await device.ask(dialect)
    assert refused(answered, dialect) == (403, "budget-spent")
    message = answered.json()["error"]["message"]
    assert f"link:{recipient.link.id}" in message
    assert message.endswith(f"contact {CONTACT}")
    watch.nothing_but("budget-spent")


async def test_a_caller_must_come_from_where_its_chain_says(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Behind a proxy that is believed; what the caller itself puts into the header is not."""
    async with world(tmp_path_factory.mktemp("lab"), listen='proxies = ["127.0.0.0/8"]') as lab:
        recipient = await lab.recipient(networks=("192.0.2.0/24", "2001:db8::/32"))
        person = await recipient.person()
        device = await person.enrol()
        await recipient.confirm(device)
        at_home = {"x-forwarded-for": "192.0.2.7"}
        for address in ("198.51.100.1", "192.0.2.7, 198.51.100.1", "127.0.0.1", "nonsense"):
            fetched = await device.request_token(headers={"x-forwarded-for": address})
            assert fetched.json()["reason"] == "network-outside-chain"
        fetched = await device.request_token(headers=at_home)
        device.token = fetched.json()["access_token"]
        watch = Watch(lab)
        answered = await device.ask(headers={"x-forwarded-for": "198.51.100.1"})
        assert refused(answered) == (403, "network-outside-chain")
        watch.nothing_but()  # counted with those at the token endpoint
        path, body, headers = device.request()
        spoofed = [*headers.items(), *at_home.items(), ("x-forwarded-for", "198.51.100.1")]
        answered = await lab.http.post(lab.url + path, content=body, headers=spoofed)
        assert refused(answered) == (403, "network-outside-chain")
        for address in ("192.0.2.7", "9.9.9.9, 192.0.2.7", "192.0.2.7, 127.0.0.5", "2001:db8::1"):
            assert (await device.ask(headers={"x-forwarded-for": address})).status_code == 200
        opened = lab.of(AccessOpened, watch.since)
        assert [facts.networks for facts in opened] == [
            *[("192.0.2.0/24",)] * 3,
            ("2001:db8::/32",),
        ]


async def test_no_header_says_where_a_caller_is_if_no_proxy_is_configured(lab: World) -> None:
    recipient = await lab.recipient(networks=("192.0.2.0/24",))
    device = await (await recipient.person()).enrol()
    await recipient.confirm(device)
    fetched = await device.request_token(headers={"x-forwarded-for": "192.0.2.7"})
    assert fetched.json()["reason"] == "network-outside-chain"


# 4xx: what nobody may send


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "body-malformed"),
        (b"hello", 400, "body-malformed"),
        (b"[1, 2]", 400, "body-malformed"),
        (b'{"model": "smollm2", "a": NaN}', 400, "body-malformed"),
        (b'{"model": "smollm2", "a": "\xff\xfe"}', 400, "body-malformed"),
        (b'{"model": "smollm2", "a": %s1%s}' % (b"[" * 100_000, b"]" * 100_000), 400, "body-mal"),
        (b'{"model": "smollm2", "model": "other"}', 400, "body-duplicate-key"),
        (b'{"model": "smollm2", "a": {"b": 1, "b": 2}}', 400, "body-duplicate-key"),
        (b'{"model": "smollm2", "\\u0061": 1, "a": 2}', 400, "body-duplicate-key"),
        (b"{}", 400, "model-missing"),
        (b'{"model": ""}', 400, "model-missing"),
        (b'{"model": ["smollm2"]}', 400, "model-missing"),
        (b'{"model": "smollm2", "stream": "yes"}', 400, "body-malformed"),
        (b"\x00" * 1000, 400, "body-malformed"),
        (b" " * 9_000_000, 413, "body-too-large"),
    ],
    ids=[
        *("empty", "text", "array", "NaN", "UTF-8", "deep", "twice", "twice inside", "escaped"),
        *("no model", "empty model", "array model", "stream", "NUL", "9 MB"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_after_the_proof_is_checked(
    lab: World, dialect: str, body: bytes, status: int, reason: str
) -> None:
    device = await lab.device()
    watch = Watch(lab)
    answered = await device.ask(dialect, body=body)
    found = refused(answered, dialect)
    assert found[0] == status
    assert found[1].startswith(reason)
    watch.nothing_but(found[1])
    stranger = await device.ask(dialect, body=body, headers={"dpop": None})
    assert refused(stranger, dialect) == (401, "proof-missing")


REFUSED_MEMBERS = [
    ("chat", {"store": True}),
    ("responses", {"store": True}),
    ("responses", {"previous_response_id": "resp_1"}),
    ("responses", {"background": True}),
    ("responses", {"conversation": "conv_1"}),
    ("messages", {"container": "c_1"}),
    ("chat", {"messages": [{"role": "user", "content": [{"type": "file", "file_id": "f"}]}]}),
]


@pytest.mark.parametrize(("dialect", "members"), REFUSED_MEMBERS)
async def test_what_would_be_kept_for_nobody_in_particular_is_refused_by_name(
    lab: World, dialect: str, members: dict[str, Any]
) -> None:
    device = await lab.device()
    watch = Watch(lab)
    answered = await device.ask(dialect, **members)
    assert refused(answered, dialect) == (400, "feature-refused")
    name = "file_id" if "messages" in members else next(iter(members))
    assert f"`{name}`" in answered.json()["error"]["message"]
    watch.nothing_but("feature-refused")


@pytest.mark.parametrize("members", [{"store": False}, {"store": None}, {"background": False}])
async def test_what_is_not_asked_to_be_kept_is_served(lab: World, members: dict[str, Any]) -> None:
    device = await lab.device()
    assert (await device.ask("responses", **members)).status_code == 200
    assert lab.model.requests[-1].members["store"] is False


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/files", "/v1/files/f-1/content", "/v1/batches", "/v1/messages/batches"),
        *("/v1/uploads", "/v1/responses/resp_1", "/v1/chat/completions/c_1"),
        *("/v1/assistants", "/v1/conversations"),
    ],
)
async def test_a_route_that_would_keep_something_is_refused_by_name(lab: World, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answered = await lab.http.request(method, lab.url + path)
        dialect = "messages" if "messages" in path else "chat"
        assert refused(answered, dialect) == (400, "feature-refused")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1/", "/v1/embeddings", "/v2/models", "/admin", "/v1"),
        *("/v1/models/", "/v1/chat/completions/"),
    ],
)
async def test_a_route_that_is_not_allowed_does_not_exist(lab: World, path: str) -> None:
    assert refused(await lab.http.get(lab.url + path)) == (404, "route-unknown")


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/chat%2Fcompletions", "/v1//chat/completions", "/v1/chat/completions/"),
        *("//v1/models", "/v1/%63hat/completions", "/v1/./messages", "/v1/x/../messages"),
        "/V1/messages",
    ],
)
async def test_a_path_that_is_spelt_otherwise_goes_nowhere(lab: World, path: str) -> None:
    device, watch = await lab.device(), Watch(lab)
    watch.since = lab.size
    _, body, headers = device.request()
    answer = await raw(lab, head("POST", path, headers, len(body)) + body)
    assert answer[0] in (400, 404)
    watch.nothing_but()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/chat/completions"), ("PUT", "/v1/messages"), ("POST", "/v1/models")],
)
async def test_a_method_that_is_not_allowed_is_refused(lab: World, method: str, path: str) -> None:
    answered = await lab.http.request(method, lab.url + path)
    dialect = "messages" if "messages" in path else "chat"
    assert refused(answered, dialect) == (405, "method-not-allowed")


# What a caller may cost


def head(method: str, path: str, headers: dict[str, str], length: int | None = None) -> bytes:
    """A request's head; chunked if it has no length."""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = [f"{method} {path} HTTP/1.1", "host: gateway", framing]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, object]]:
    """The status and JSON of one answer."""
    found = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in found.split(b"\r\n")[1:-2])
    body = await reader.readexactly(int(fields[b"content-length"]))
    return int(found.split(b" ")[1]), json.loads(body)


async def raw(lab: World, data: bytes) -> tuple[int, dict[str, object]]:
    """What is answered to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
    try:
        writer.write(data)
        return await answer(reader)
    finally:
        writer.transport.abort()


async def test_a_body_declared_too_large_is_refused_before_it_comes(lab: World) -> None:
    device = await lab.device()
    watch = Watch(lab)
    path, _, headers = device.request()
    status, body = await raw(lab, head("POST", path, headers, 50_000_000))
    assert (status, body["reason"]) == (413, "body-too-large")
    watch.nothing_but("body-too-large")


@pytest.mark.parametrize("proven", [True, False])
async def test_an_endless_body_is_cut_off(lab: World, proven: bool) -> None:
    device = await lab.device()
    path, _, headers = device.request()
    if not proven:
        del headers["dpop"]
    reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
    writer.write(head("POST", path, headers))
    answering = asyncio.create_task(answer(reader))
    sent, piece = 0, b"10000\r\n" + b" " * 65_536 + b"\r\n"
    while sent < 50_000_000 and not answering.done():
        writer.write(piece)
        try:
            await writer.drain()
        except ConnectionError:
            break
        sent += 65_536
        await asyncio.sleep(0)  # draining waits for nothing while there is room
    status, body = await answering
    writer.transport.abort()
    expected = (413, "body-too-large") if proven else (401, "proof-missing")
    assert (status, body["reason"]) == expected
    # The limit, and what the kernel keeps of a connection.
    assert sent < (8 << 20) + (8 << 20) if proven else sent < 8 << 20


async def test_bodies_are_bounded_together_and_room_comes_back_in_every_way(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    limits = "body_bytes = 100000\nbuffered_bytes = 100000"
    async with world(tmp_path_factory.mktemp("lab"), limits) as lab:
        device, other = await lab.device(), await lab.device()
        large = "x" * 60_000
        for leave in (True, False):
            path, body, fields = other.request(user=large)
            reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
            writer.write(head("POST", path, fields, len(body)) + body[:-1])
            await lab.settle()
            since, asked = lab.size, len(lab.model.requests)
            assert refused(await device.ask(user=large)) == (503, "overloaded")
            assert refused(await device.ask(user=large)) == (503, "overloaded")
            assert lab.of(AccessOpened, since) == []
            assert len(lab.model.requests) == asked
            assert (await device.ask()).status_code == 200
            if leave:
                writer.transport.abort()
                await lab.settle()
            else:
                writer.write(body[-1:])
                assert (await answer(reader))[0] == 200
                writer.transport.abort()
            assert (await device.ask(user=large)).status_code == 200
            # Neither a body that is refused nor one whose answer fails keeps room.
            assert refused(await device.ask(user=large, store=True))[0] == 400
            assert refused(await device.ask(user=large, model="no-such-model"))[0] == 403


async def test_ten_thousand_headers_are_refused(lab: World) -> None:
    device = await lab.device()
    watch = Watch(lab)
    path, body, headers = device.request()
    many = {f"x-{n}": "y" for n in range(10_000)}
    status, problem = await raw(lab, head("POST", path, {**headers, **many}, len(body)) + body)
    assert (status, problem["reason"]) == (431, "headers-too-large")
    watch.nothing_but()


async def test_a_header_that_is_not_utf8_is_refused(lab: World) -> None:
    device = await lab.device()
    path, body, headers = device.request()
    data = head("POST", path, headers, len(body)).replace(b"host: ", b"x: \xff\xfe\r\nhost: ")
    assert (await raw(lab, data + body))[0] == 400


async def test_a_slow_caller_is_cut_off(tmp_path_factory: pytest.TempPathFactory) -> None:
    limits = "header_seconds = 0.2\nbody_seconds = 0.2"
    async with world(tmp_path_factory.mktemp("lab"), limits=limits) as lab:
        device = await lab.device()
        watch = Watch(lab)
        path, body, headers = device.request()
        whole = head("POST", path, headers, len(body))
        slow = {"request-slow": whole[:-2], "body-slow": whole + body[:10]}
        for reason, part in slow.items():
            status, problem = await raw(lab, part)
            assert (status, problem["reason"]) == (408, reason)
        watch.nothing_but()
        assert (await device.ask()).status_code == 200


async def test_a_caller_that_leaves_before_its_body_is_complete_leaves_no_trace(
    lab: World,
) -> None:
    device = await lab.device()
    watch = Watch(lab)
    path, body, headers = device.request()
    _, writer = await asyncio.open_connection("127.0.0.1", lab.port)
    writer.write(head("POST", path, headers, len(body)) + body[:10])
    await writer.drain()
    writer.transport.abort()
    assert (await device.ask()).status_code == 200
    assert len(lab.of(AccessOpened, watch.since)) == 1
    assert await lab.metric("bailment_accesses_open") == 0


async def test_a_link_that_has_not_begun_gives_no_token(lab: World) -> None:
    recipient = await lab.recipient()
    person = await recipient.person(start=recipient.link.start + DAY)
    device = await person.enrol()
    await recipient.confirm(device)
    fetched: httpx2.Response = await device.fetch()
    assert fetched.json()["reason"] == "link-early"
