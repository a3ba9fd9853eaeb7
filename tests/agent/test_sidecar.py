"""The sidecar, with the real SDKs on one side and real checks of what it signs on the other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from bailment.access.reasons import Reason, Refused
from bailment.agent.sidecar import MAX_BODY, Ready

from .answers import ERROR_EVENT, Stepwise, cut_after, cut_json
from .conftest import Running, in_thread
from .gateway import Gateway, Seen, Send, whole

pytestmark = pytest.mark.anyio

ASK: list[Any] = [{"role": "user", "content": "Say hello"}]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[Ready], None]:
    """Sets what a user copies from the sidecar's output."""

    def set_it(ready: Ready) -> None:
        for name, value in ready.environment().items():
            monkeypatch.setenv(name, value)

    return set_it


Environment = Callable[[Ready], None]


def client(ready: Ready, key: str | None = None, **options: Any) -> httpx2.AsyncClient:
    """A bare client that shows a capability."""
    headers = {"authorization": f"Bearer {ready.capability if key is None else key}"}
    return httpx2.AsyncClient(base_url=ready.base_url, headers=headers, trust_env=False, **options)


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "m-1", "messages": ASK, **more}


async def test_the_openai_sdk_works_from_its_environment_alone(
    sidecar: Running, environment: Environment, gateway: Gateway
) -> None:
    def session() -> list[str | None]:
        with openai.OpenAI(max_retries=0) as sdk:
            answer = sdk.chat.completions.create(model="m-1", messages=ASK)
            response = sdk.responses.create(model="m-1", input="Say hello")
            stream = sdk.chat.completions.create(model="m-1", messages=ASK, stream=True)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
            models = [model.id for model in sdk.models.list()]
            return [
                answer.choices[0].message.content,
                response.output_text,
                text,
                *models,
                sdk.models.retrieve("m-1").id,
            ]

    async with sidecar() as ready:
        environment(ready)
        assert await in_thread(session) == ["Hello", "Hello", "Hello", "m-1", "m-1"]
    assert len(gateway.tokens) == 1
    assert all(seen.proof for seen in gateway.seen if seen.path.startswith("/v1/"))


async def test_the_anthropic_sdk_works_from_its_environment_alone(
    sidecar: Running, environment: Environment
) -> None:
    def session() -> list[Any]:
        with anthropic.Anthropic(max_retries=0) as sdk:
            answer = sdk.messages.create(model="m-1", max_tokens=9, messages=ASK)
            with sdk.messages.stream(model="m-1", max_tokens=9, messages=ASK) as stream:
                text = "".join(stream.text_stream)
            count = sdk.messages.count_tokens(model="m-1", messages=ASK)
            models = [model.id for model in sdk.models.list()]
            return [answer.content[0].text, text, count.input_tokens, *models]

    async with sidecar() as ready:
        environment(ready)
        assert await in_thread(session) == ["Hello", "Hello", 3, "m-1"]


async def test_the_asynchronous_sdks_stream_through_it(
    sidecar: Running, environment: Environment
) -> None:
    async with sidecar() as ready:
        environment(ready)
        async with openai.AsyncOpenAI() as sdk:
            stream = await sdk.chat.completions.create(model="m-1", messages=ASK, stream=True)
            chunks = [chunk.choices[0].delta.content or "" async for chunk in stream]
        async with anthropic.AsyncAnthropic() as other:
            call = other.messages.stream(model="m-1", max_tokens=9, messages=ASK)
            async with call as messages:
                text = [text async for text in messages.text_stream]
    assert ["".join(chunks), "".join(text)] == ["Hello", "Hello"]


async def test_an_answer_keeps_its_status_type_body_and_request_id(
    sidecar: Running, gateway: Gateway
) -> None:
    async def teapot(seen: Seen, send: Send) -> None:
        hop = (b"connection", b"x-hop"), (b"x-hop", b"1"), (b"keep-alive", b"timeout=9")
        kept = (b"x-request-id", b"a-7"), (b"x-ratelimit", b"3")
        await whole(send, 418, {"short": "stout"}, *hop, *kept)

    gateway.play = teapot
    async with sidecar() as ready, client(ready) as http:
        answer = await http.post("/v1/responses", json=chat())
    assert (answer.status_code, answer.json()) == (418, {"short": "stout"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "a-7"
    assert answer.headers["x-ratelimit"] == "3"
    assert not {"x-hop", "keep-alive", "dpop-nonce"} & set(answer.headers)


async def test_the_clients_credentials_and_hop_headers_stay_here(
    sidecar: Running, gateway: Gateway
) -> None:
    headers = {
        "x-api-key": "",
        "cookie": "a=b",
        "dpop": "mine",
        "connection": "keep-alive, x-hop",
        "x-hop": "1",
        "te": "trailers",
        "anthropic-version": "2023-06-01",
    }
    async with sidecar() as ready, client(ready) as http:
        headers["x-api-key"] = ready.capability
        answer = await http.post("/v1/messages?beta=true", json=chat(), headers=headers)
        assert answer.status_code == 200
        sent = gateway.seen[-1]
        assert not {"x-api-key", "cookie", "x-hop", "te", "accept-encoding"} & set(sent.headers)
        assert ready.capability not in str(sent)
    assert sent.headers["authorization"] == f"DPoP {gateway.tokens[0]}"
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert sent.query == "beta=true"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"x-api-key": "wrong"},
        {"authorization": "Bearer {}", "x-api-key": "wrong"},
        {"authorization": "Basic {}"},
        {"authorization": "Bearer {}x"},
        {"authorization": "Bearer"},
    ],
)
async def test_without_the_capability_nothing_is_signed(
    headers: dict[str, str], sidecar: Running, gateway: Gateway
) -> None:
    async with sidecar() as ready, httpx2.AsyncClient(trust_env=False) as http:
        shown = {name: value.format(ready.capability) for name, value in headers.items()}
        answer = await http.get(f"{ready.base_url}/v1/models", headers=shown)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "local-capability"
    assert gateway.seen == []


async def test_another_users_process_is_refused_even_with_the_capability(
    sidecar: Running, gateway: Gateway
) -> None:
    async with sidecar(owner=os.geteuid() + 1) as ready, client(ready) as http:
        answer = await http.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "local-capability")
    assert gateway.seen == []


async def test_both_sdks_raise_their_authentication_error_for_a_wrong_capability(
    sidecar: Running,
) -> None:
    async with sidecar() as ready:
        async with openai.AsyncOpenAI(base_url=f"{ready.base_url}/v1", api_key="wrong") as sdk:
            with pytest.raises(openai.AuthenticationError) as caught:
                await sdk.models.list()
        assert caught.value.code == "local-capability"
        async with anthropic.AsyncAnthropic(base_url=ready.base_url, api_key="wrong") as other:
            with pytest.raises(anthropic.AuthenticationError, match="local-capability"):
                await other.messages.create(model="m-1", max_tokens=9, messages=ASK)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/files", 404),
        ("POST", "/oauth/token", 404),
        ("POST", "/delegations", 404),
        ("GET", "/", 404),
        ("GET", "/v1/models/", 404),
        ("GET", "/v1/models/a/b", 404),
        ("GET", "/v1/models/%zz", 404),
        ("GET", "/v1/models?" + "q" * 1025, 404),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/chat/completions", 405),
    ],
)
async def test_only_model_requests_are_passed_on(
    method: str, path: str, status: int, sidecar: Running, gateway: Gateway
) -> None:
    async with sidecar() as ready, client(ready) as http:
        answer = await http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] in ("route-unknown", "method-not-allowed")
    assert gateway.seen == []


async def test_a_path_cannot_climb_to_another(sidecar: Running, gateway: Gateway) -> None:
    async with sidecar() as ready:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(ready.base_url).port)
        head = f"authorization: Bearer {ready.capability}\r\nhost: x\r\nconnection: close\r\n\r\n"
        writer.write(b"GET /v1/models/.. HTTP/1.1\r\n" + head.encode())
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert gateway.seen == []


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_8_mib_is_refused(
    declared: bool, sidecar: Running, gateway: Gateway
) -> None:
    async def parts() -> Any:
        for _ in range(MAX_BODY // 65536 + 1):
            yield bytes(65536)

    content = bytes(MAX_BODY + 1) if declared else parts()
    async with sidecar() as ready, client(ready) as http:
        answer = await http.post("/v1/responses", content=content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body-too-large")
    assert gateway.seen == []


async def test_a_body_of_8_mib_arrives_whole_and_signed(sidecar: Running, gateway: Gateway) -> None:
    async def took(seen: Seen, send: Send) -> None:
        await whole(send, 200, len(seen.body))

    gateway.play = took
    async with sidecar() as ready, client(ready) as http:
        answer = await http.post("/v1/responses", content=bytes(MAX_BODY))
    assert answer.json() == MAX_BODY


async def test_each_event_of_a_stream_is_passed_on_before_the_next_exists(
    sidecar: Running, gateway: Gateway
) -> None:
    gateway.play = steps = Stepwise()
    async with (
        sidecar() as ready,
        openai.AsyncOpenAI(base_url=f"{ready.base_url}/v1", api_key=ready.capability) as sdk,
    ):
        stream = await sdk.chat.completions.create(model="m-1", messages=ASK, stream=True)
        texts = []
        for _ in range(3):
            steps.go.release()
            chunk = await anext(stream)
            texts.append(chunk.choices[0].delta.content)
        steps.go.release()
        assert [chunk async for chunk in stream] == []
    assert texts == ["Hel", "lo", None]


CUTS = [cut_after(2, [ERROR_EVENT]), cut_after(2), cut_after(0)]


@pytest.mark.parametrize("cut", CUTS, ids=["with-an-error-event", "bare", "before-any-event"])
@pytest.mark.parametrize("streams", ["openai", "anthropic", "openai-async", "anthropic-async"])
async def test_a_stream_that_the_gateway_cuts_raises_in_the_sdk(
    streams: str, cut: Any, sidecar: Running, environment: Environment, gateway: Gateway
) -> None:
    gateway.play = cut
    expected = (openai.APIError, anthropic.APIError, httpx2.RemoteProtocolError)
    async with sidecar() as ready:
        environment(ready)
        with pytest.raises(expected) as caught:
            await STREAMS[streams]()
    if cut is CUTS[0]:
        assert "on hold" in str(caught.value)


async def _openai() -> None:
    def read() -> None:
        with openai.OpenAI(max_retries=0) as sdk:
            for _ in sdk.chat.completions.create(model="m-1", messages=ASK, stream=True):
                pass

    await in_thread(read)


async def _anthropic() -> None:
    def read() -> None:
        with (
            anthropic.Anthropic(max_retries=0) as sdk,
            sdk.messages.stream(model="m-1", max_tokens=9, messages=ASK) as stream,
        ):
            for _ in stream:
                pass

    await in_thread(read)


async def _openai_async() -> None:
    async with openai.AsyncOpenAI(max_retries=0) as sdk:
        async for _ in await sdk.chat.completions.create(model="m-1", messages=ASK, stream=True):
            pass


async def _anthropic_async() -> None:
    async with anthropic.AsyncAnthropic(max_retries=0) as sdk:
        call = sdk.messages.stream(model="m-1", max_tokens=9, messages=ASK)
        async with call as stream:
            async for _ in stream:
                pass


STREAMS: dict[str, Callable[[], Awaitable[None]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "openai-async": _openai_async,
    "anthropic-async": _anthropic_async,
}


async def test_a_json_answer_that_the_gateway_cuts_raises_in_the_sdk(
    sidecar: Running, gateway: Gateway
) -> None:
    gateway.play = cut_json
    async with (
        sidecar() as ready,
        openai.AsyncOpenAI(
            base_url=f"{ready.base_url}/v1", api_key=ready.capability, max_retries=0
        ) as sdk,
    ):
        with pytest.raises(openai.APIConnectionError):
            await sdk.chat.completions.create(model="m-1", messages=ASK)


async def test_an_answer_whose_end_cannot_be_told_from_a_cut_is_not_passed_on(
    sidecar: Running, gateway: Gateway
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        writer.close()

    async with sidecar() as ready, client(ready) as http:
        await http.get("/v1/models")  # so that there is a token
        await gateway.stop()
        async with await asyncio.start_server(answer, "127.0.0.1", gateway.port):
            cut = await http.get("/v1/models")
    assert (cut.status_code, cut.json()["error"]["code"]) == (502, "gateway-unreachable")


async def test_a_gateway_out_of_reach_is_a_502_in_the_shape_of_both_apis(
    sidecar: Running, environment: Environment, gateway: Gateway
) -> None:
    await gateway.stop()
    async with sidecar() as ready:
        environment(ready)
        with pytest.raises(openai.InternalServerError) as caught:
            async with openai.AsyncOpenAI(max_retries=0) as sdk:
                await sdk.models.list()
        assert (caught.value.status_code, caught.value.code) == (502, "gateway-unreachable")
        with pytest.raises(anthropic.InternalServerError, match="gateway-unreachable") as other:
            async with anthropic.AsyncAnthropic(max_retries=0) as sdk:
                await sdk.messages.create(model="m-1", max_tokens=9, messages=ASK)
        assert other.value.status_code == 502


async def test_it_works_again_when_the_gateway_has_restarted(
    sidecar: Running, gateway: Gateway
) -> None:
    async with sidecar() as ready, client(ready) as http:
        statuses = [(await http.get("/v1/models")).status_code]
        await gateway.stop()
        statuses.append((await http.get("/v1/models")).status_code)
        await gateway.start()
        statuses.append((await http.get("/v1/models")).status_code)
    assert statuses == [200, 502, 200]
    assert gateway.refused == [Reason.PROOF_NONCE] * 2  # at first contact and after the restart


async def test_a_client_that_leaves_takes_its_request_to_the_gateway_with_it(
    sidecar: Running, gateway: Gateway
) -> None:
    gateway.play = steps = Stepwise()
    async with (
        sidecar() as ready,
        openai.AsyncOpenAI(base_url=f"{ready.base_url}/v1", api_key=ready.capability) as sdk,
    ):
        stream = await sdk.chat.completions.create(model="m-1", messages=ASK, stream=True)
        steps.go.release()
        await anext(stream)
        await stream.close()
        seen = await steps.began
        await asyncio.wait_for(seen.left.wait(), 10)


async def test_a_client_that_leaves_before_the_answer_begins_is_noticed_too(
    sidecar: Running, gateway: Gateway
) -> None:
    arrived: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()

    async def silent(seen: Seen, send: Send) -> None:
        arrived.set_result(seen)
        await seen.left.wait()

    gateway.play = silent
    async with sidecar() as ready, client(ready) as http:
        asking = asyncio.create_task(http.post("/v1/responses", json=chat()))
        seen = await arrived
        asking.cancel()
        await asyncio.wait_for(seen.left.wait(), 10)


async def test_a_refused_token_is_told_in_the_words_of_the_sdk(
    sidecar: Running, environment: Environment, gateway: Gateway
) -> None:
    gateway.refuse = Refused(Reason.HELD, "person p-1 is on hold; contact lab@example.org")
    async with sidecar() as ready:
        environment(ready)
        async with openai.AsyncOpenAI() as sdk:
            with pytest.raises(openai.PermissionDeniedError) as caught:
                await sdk.chat.completions.create(model="m-1", messages=ASK)
        async with anthropic.AsyncAnthropic() as other:
            with pytest.raises(anthropic.PermissionDeniedError, match=r"lab@example\.org"):
                await other.messages.create(model="m-1", max_tokens=9, messages=ASK)
    assert caught.value.code == "held"
    assert "lab@example.org" in str(caught.value)


async def test_a_token_endpoint_that_speaks_nonsense_is_a_gateway_out_of_reach(
    sidecar: Running, gateway: Gateway
) -> None:
    gateway.token_seconds = 0
    async with sidecar() as ready, client(ready) as http:
        answer = await http.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "gateway-unreachable")


async def test_a_burst_of_requests_is_served_with_one_token(
    sidecar: Running, gateway: Gateway
) -> None:
    async with sidecar() as ready, client(ready) as http:
        answers = await asyncio.gather(*(http.get("/v1/models") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(gateway.tokens) == 1


def test_the_capability_is_not_in_what_is_printed_of_it() -> None:
    assert "secret" not in repr(Ready("http://127.0.0.1:1", None, "secret"))
