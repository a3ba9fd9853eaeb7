"""What a caller gets who may: answers in every dialect, lists of models, and a record of each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from bailment.access.proof import token_hash
from bailment.gateway.journey import TEMPLATE
from bailment.ledger.records import AccessClosed, AccessOpened, Budget

from ..world import DIALECTS, FIXTURES, YEARS, Asked, World, refused, world
from .scripted import Peer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_answer_comes_as_the_model_gave_it(lab: World, dialect: str) -> None:
    device, since = await lab.device(), lab.size
    answered = await device.ask(dialect)
    assert answered.status_code == 200
    assert answered.content == (FIXTURES / f"{dialect}.json").read_bytes()
    opened, closed = lab.of(AccessOpened, since), await lab.closed(since)
    assert answered.headers["x-request-id"] == opened[0].access == closed.access
    assert (closed.outcome, closed.status, closed.measured) == ("complete", 200, True)
    assert (closed.input, closed.output) == (33, 6)
    assert closed.bytes == len(answered.content)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_comes_as_the_model_gave_it(lab: World, dialect: str) -> None:
    device, since = await lab.device(), lab.size
    answered = await device.ask(dialect, stream=True)
    assert answered.status_code == 200
    assert answered.headers["content-type"].startswith("text/event-stream")
    given = (FIXTURES / f"{dialect}.sse").read_bytes()
    if dialect == "chat":  # but for the usage chunk that the client did not ask for
        assert b"usage" in given
        assert b"usage" not in answered.content
        assert set(answered.content.split(b"\n\n")) < set(given.split(b"\n\n"))
        assert answered.content.endswith(b"data: [DONE]\n\n")
    else:
        assert answered.content == given
    closed = await lab.closed(since)
    assert lab.of(AccessOpened, since)[0].stream
    assert (closed.outcome, closed.measured) == ("complete", True)
    assert (closed.input, closed.output) == (33, 6)
    assert closed.bytes == len(answered.content)


async def test_a_client_that_asks_for_usage_in_a_stream_gets_it(lab: World) -> None:
    device = await lab.device()
    answered = await device.ask(stream=True, stream_options={"include_usage": True})
    assert answered.content == (FIXTURES / "chat.sse").read_bytes()


async def test_usage_is_asked_for_upstream_whatever_the_client_wants(lab: World) -> None:
    device = await lab.device()
    await device.ask(stream=True, stream_options={"include_usage": False, "other": 1})
    options = lab.model.requests[-1].members["stream_options"]
    assert options == {"include_usage": True, "other": 1}


async def test_the_record_says_who_asked_what_and_commits_to_the_proof(lab: World) -> None:
    device, since = await lab.device(), lab.size
    path, body, headers = device.request(max_tokens=7)
    await lab.http.post(lab.url + path, content=body, headers=headers)
    (opened,) = lab.of(AccessOpened, since)
    assert opened.token == token_hash(device.token)
    assert opened.proof == headers["dpop"]
    assert (opened.kind, opened.method, opened.path) == ("dpop-body", "POST", path)
    assert (opened.action, opened.model, opened.stream) == ("generate", "smollm2", False)
    assert opened.ceiling == len(body) + TEMPLATE + 7
    token = lab.issuer.log.fold.admission.token(opened.token)
    assert token is not None
    assert token.device == device.id
    (leaf,) = [leaf for at, leaf, _ in lab.news if at == since]
    assert leaf.recipient == lab.register.recipient_of(token.links[-1])
    assert leaf.personal  # the address and the client, under the person's own key


async def test_neither_token_nor_proof_goes_upstream(lab: World) -> None:
    device = await lab.device()
    await device.ask("messages", headers={"x-api-key": device.token, "cookie": "a=b"})
    sent = lab.model.requests[-1].headers
    assert sent["authorization"] == "Bearer the-models-key"
    assert sent.keys() == {
        *("host", "accept-encoding", "authorization", "content-length"),
        *("content-type", "accept", "anthropic-version"),
    }
    assert device.token.encode() not in lab.model.requests[-1].head


async def test_unknown_members_pass_through(lab: World) -> None:
    device = await lab.device()
    path, body, headers = device.request(new_knob={"a": [1, 2]}, temperature=0)
    await lab.http.post(lab.url + path, content=body, headers=headers)
    assert lab.model.requests[-1].body == body


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {}"},
        {"authorization": "dpop {}"},
        {"authorization": None, "x-api-key": "{}"},
        {"authorization": "Bearer {}", "x-api-key": "{}"},
    ],
    ids=["bearer", "lower case", "key", "both"],
)
async def test_the_token_may_come_wherever_sdks_put_a_key(
    lab: World, headers: dict[str, str | None]
) -> None:
    device = await lab.device()
    given = {name: text and text.format(device.token) for name, text in headers.items()}
    assert (await device.ask(headers=given)).status_code == 200


async def test_counting_tokens_is_an_access_that_costs_nothing(lab: World) -> None:
    recipient = await lab.recipient(budget=Budget(1, YEARS))
    device, since = await (await recipient.person()).device(), lab.size
    answered = await device.ask("messages", path="/v1/messages/count_tokens")
    assert answered.json() == {"input_tokens": 33}
    (opened,), closed = lab.of(AccessOpened, since), await lab.closed(since)
    assert (opened.action, opened.ceiling) == ("count-tokens", 0)
    assert (closed.outcome, closed.input, closed.output) == ("complete", 0, 0)


async def test_models_are_listed_as_the_chain_has_them(lab: World) -> None:
    asked = len(lab.model.requests)
    recipient = await lab.recipient(models=("smollm2", "other"))
    both = await (await recipient.person()).device()
    one = await (await recipient.person(models=("other",))).device()
    since = lab.size
    listed = (await both.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["other", "smollm2"]
    listed = (await one.get("/v1/models", {"anthropic-version": "2023-06-01"})).json()
    assert [(model["id"], model["type"]) for model in listed["data"]] == [("other", "model")]
    await both.renew(models=["smollm2"])  # a token for one model lists one
    listed = (await both.get("/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == ["smollm2"]
    assert [facts.action for facts in lab.of(AccessOpened, since)] == ["list-models"] * 3
    assert [facts.outcome for facts in lab.of(AccessClosed, since)] == ["complete"] * 3
    assert len(lab.model.requests) == asked


async def test_a_held_model_is_not_listed(lab: World) -> None:
    device = await lab.device(models=("smollm2", "other"))
    async with lab.held("model:other"):
        listed = (await device.get("/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == ["smollm2"]


async def test_one_model_is_described_if_it_is_in_the_chain(lab: World) -> None:
    device = await lab.device()
    assert (await device.get("/v1/models/smollm2")).json()["id"] == "smollm2"
    for name in ("other", "nothing-like-that"):
        answered = await device.get(f"/v1/models/{name}")
        assert refused(answered) == (403, "model-outside-chain")
        assert name not in answered.text


async def test_a_budget_is_settled_to_what_was_used(lab: World) -> None:
    """Three questions of 39 tokens each fit, although no two ceilings do."""
    ceiling = await lab.ceiling()
    recipient = await lab.recipient(budget=Budget(ceiling + 2 * 39, YEARS))
    device = await (await recipient.person()).device()
    assert [(await device.ask()).status_code for _ in range(3)] == [200] * 3
    spent = await device.ask()
    assert refused(spent) == (403, "budget-spent")
    detail = spent.json()["detail"]
    assert f"117 of {ceiling + 78} tokens are spent" in detail
    assert recipient.link.id in detail
    window = lab.issuer.log.fold.admission.counted.budgets[recipient.link.id]
    assert window.used == 3 * 39


async def test_a_budget_above_is_shared_by_all_below(lab: World) -> None:
    recipient = await lab.recipient(budget=Budget(await lab.ceiling(), YEARS))
    first = await (await recipient.person("Maria")).device()
    second = await (await recipient.person("Noor", budget=Budget(10_000, 60))).device()
    assert (await first.ask()).status_code == 200
    assert refused(await second.ask()) == (403, "budget-spent")
    used = lab.issuer.log.fold.admission.counted.budgets
    assert used[recipient.link.id].used == 39


async def test_unknown_usage_is_charged_at_the_ceiling(lab: World) -> None:
    async def silent(peer: Peer, asked: Asked) -> None:
        await peer.answer(b'{"choices":[]}')

    device, since = await lab.device(budget=Budget(1000, YEARS)), lab.size
    plain, lab.model.play = lab.model.play, silent
    await device.ask()
    lab.model.play = plain
    closed, (opened,) = await lab.closed(since), lab.of(AccessOpened, since)
    assert not closed.measured
    budgets = lab.issuer.log.fold.admission.counted.budgets
    assert opened.ceiling in [window.used for window in budgets.values()]


async def test_health_readiness_and_metrics_are_served_without_a_token(lab: World) -> None:
    device = await lab.device()
    await device.ask()
    for path, text in (("/healthz", "alive\n"), ("/readyz", "ready\n")):
        answered = await lab.http.get(lab.url + path)
        assert (answered.status_code, answered.text) == (200, text)
    exposed = (await lab.http.get(lab.url + "/metrics")).text
    for name in ("bailment_accesses_total", "bailment_accesses_open", "bailment_log_entries"):
        assert f"\n{name}" in exposed
    assert device.id not in exposed


async def test_the_log_on_disk_holds_what_was_answered_for(lab: World) -> None:
    device, since = await lab.device(), lab.size
    await device.ask()
    stored = [(r.leaf.type, r.facts) for r in lab.issuer.log.reader.records(since)]
    heard = [(leaf.type, facts) for at, leaf, facts in lab.news if at >= since]
    assert stored == heard
    assert [kind for kind, _ in stored] == ["access.opened", "access.closed"]


async def test_the_personal_part_holds_address_and_client(lab: World) -> None:
    device, since = await lab.device(), lab.size
    await device.ask(headers={"user-agent": "a client/1.0"})
    stored = next(lab.issuer.log.reader.stored(since, since + 1))
    personal = lab.issuer.log.reader.personal(stored)
    assert personal is not None
    assert json.loads(personal) == {"address": "127.0.0.1", "client": "a client/1.0"}
