"""`BailmentAuth` in the real SDKs, without a sidecar."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import msgspec
import openai
import pytest

from bailment.access.reasons import Reason, Refused
from bailment.agent.profile import Device
from bailment.agent.sdk import BailmentAuth
from bailment.errors import ConfigurationError

from .answers import ERROR_EVENT, cut_after
from .conftest import PURPOSE, in_thread
from .gateway import Gateway

pytestmark = pytest.mark.anyio

ASK: list[Any] = [{"role": "user", "content": "Say hello"}]


@pytest.fixture
def auth(device: Device) -> BailmentAuth:
    return BailmentAuth(device, PURPOSE)


def sync_client(auth: httpx2.Auth) -> httpx2.Client:
    return httpx2.Client(auth=auth, trust_env=False)


def async_client(auth: httpx2.Auth) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(auth=auth, trust_env=False)


def asynchronous(auth: BailmentAuth, **options: Any) -> openai.AsyncOpenAI:
    base_url = f"{auth.gateway}/v1"
    http = async_client(auth)
    return openai.AsyncOpenAI(base_url=base_url, api_key="-", http_client=http, **options)


async def test_the_synchronous_sdks_are_signed_for(auth: BailmentAuth, gateway: Gateway) -> None:
    def session() -> list[str | None]:
        http = sync_client(auth)
        with openai.OpenAI(base_url=f"{auth.gateway}/v1", api_key="-", http_client=http) as sdk:
            answer = sdk.chat.completions.create(model="m-1", messages=ASK)
            stream = sdk.chat.completions.create(model="m-1", messages=ASK, stream=True)
            texts = [answer.choices[0].message.content]
            texts.append("".join(chunk.choices[0].delta.content or "" for chunk in stream))
        http = sync_client(auth)
        with anthropic.Anthropic(base_url=auth.gateway, api_key="-", http_client=http) as other:
            message = other.messages.create(model="m-1", max_tokens=9, messages=ASK)
            texts.append(message.content[0].text)
            with other.messages.stream(model="m-1", max_tokens=9, messages=ASK) as messages:
                texts.append("".join(messages.text_stream))
        return texts

    assert await in_thread(session) == ["Hello"] * 4
    assert len(gateway.tokens) == 1
    assert gateway.refused == [Reason.PROOF_NONCE]


async def test_the_asynchronous_sdks_are_signed_for(auth: BailmentAuth, gateway: Gateway) -> None:
    async with asynchronous(auth) as sdk:
        stream = await sdk.chat.completions.create(model="m-1", messages=ASK, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    async with anthropic.AsyncAnthropic(
        base_url=auth.gateway, api_key="-", http_client=async_client(auth)
    ) as other:
        call = other.messages.stream(model="m-1", max_tokens=9, messages=ASK)
        async with call as messages:
            text += "".join([text async for text in messages.text_stream])
    assert text == "HelloHello"
    assert len(gateway.tokens) == 1


async def test_the_sdks_own_key_is_not_sent(auth: BailmentAuth, gateway: Gateway) -> None:
    async with anthropic.AsyncAnthropic(
        base_url=auth.gateway, api_key="sk-secret", http_client=async_client(auth)
    ) as sdk:
        await sdk.messages.create(model="m-1", max_tokens=9, messages=ASK)
    async with async_client(auth) as http:
        headers = {"x-api-key": "sk-secret", "authorization": "Bearer sk-secret"}
        answer = await http.get(f"{auth.gateway}/v1/models", headers=headers)
    assert answer.status_code == 200
    assert "sk-secret" not in str(gateway.seen)
    assert gateway.seen[-1].headers["authorization"] == f"DPoP {gateway.tokens[0]}"


async def test_a_cut_stream_raises(auth: BailmentAuth, gateway: Gateway) -> None:
    async with asynchronous(auth, max_retries=0) as sdk:
        for play in (cut_after(2), cut_after(2, [ERROR_EVENT])):
            gateway.play = play
            with pytest.raises(openai.APIError):
                async for _ in await sdk.chat.completions.create(
                    model="m-1", messages=ASK, stream=True
                ):
                    pass


async def test_tasks_that_start_together_fetch_one_token(
    auth: BailmentAuth, gateway: Gateway
) -> None:
    async with async_client(auth) as http:
        asked = [http.get(f"{auth.gateway}/v1/models") for _ in range(20)]
        answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    assert len(gateway.tokens) == 1


async def test_threads_that_start_together_fetch_one_token(
    auth: BailmentAuth, gateway: Gateway
) -> None:
    def session() -> set[int]:
        with sync_client(auth) as http, ThreadPoolExecutor(8) as pool:
            urls = [f"{auth.gateway}/v1/models"] * 20
            return {answer.status_code for answer in pool.map(http.get, urls)}

    assert await in_thread(session) == {200}
    assert len(gateway.tokens) == 1


async def test_a_token_is_renewed_at_80_percent_of_its_life_and_not_before(
    device: Device, gateway: Gateway
) -> None:
    later = 0.0
    auth = BailmentAuth(device, PURPOSE, clock=lambda: time.time() + later)
    issued = []
    async with async_client(auth) as http:
        for later in (0.0, 230.0, 241.0, 470.0, 482.0):
            gateway.ahead_ms = int(later * 1000)
            assert (await http.get(f"{auth.gateway}/v1/models")).status_code == 200
            issued.append(len(gateway.tokens))
    assert issued == [1, 1, 2, 2, 3]


async def test_a_token_that_the_gateway_does_not_take_is_not_shown_again(
    auth: BailmentAuth, gateway: Gateway
) -> None:
    async with async_client(auth) as http:
        await http.get(f"{auth.gateway}/v1/models")
        gateway.tokens[0] = "forgotten"
        statuses = [(await http.get(f"{auth.gateway}/v1/models")).status_code for _ in range(2)]
    assert statuses == [401, 200]
    assert gateway.refused[1:] == [Reason.TOKEN_UNRECORDED]


async def test_a_restarted_gateway_costs_one_more_refused_nonce(
    auth: BailmentAuth, gateway: Gateway
) -> None:
    async with asynchronous(auth) as sdk:
        await sdk.models.list()
        await gateway.stop()
        await gateway.start()
        assert [model.id async for model in sdk.models.list()] == ["m-1"]
    assert gateway.refused == [Reason.PROOF_NONCE] * 2


@pytest.mark.parametrize("ahead_ms", [3_600_000, -3_600_000])
async def test_a_wrong_clock_does_not_matter(
    ahead_ms: int, auth: BailmentAuth, gateway: Gateway
) -> None:
    gateway.ahead_ms = ahead_ms
    async with asynchronous(auth) as sdk:
        assert [model.id async for model in sdk.models.list()] == ["m-1"]


async def test_a_clock_that_is_set_right_is_believed_again(
    device: Device, gateway: Gateway
) -> None:
    wrong = 3600.0
    auth = BailmentAuth(device, PURPOSE, clock=lambda: time.time() + wrong)
    async with async_client(auth) as http:
        await http.get(f"{auth.gateway}/v1/models")
        wrong = 0.0
        statuses = [(await http.get(f"{auth.gateway}/v1/models")).status_code for _ in range(2)]
    assert statuses[1] == 200


async def test_a_refused_token_is_the_sdks_own_error(auth: BailmentAuth, gateway: Gateway) -> None:
    gateway.refuse = Refused(Reason.HELD, "the person is on hold")
    async with asynchronous(auth) as sdk:
        with pytest.raises(openai.PermissionDeniedError, match="the person is on hold") as caught:
            await sdk.chat.completions.create(model="m-1", messages=ASK)
    assert caught.value.code == "held"
    assert len(gateway.seen) == 2  # and the nonce; the SDK does not try again


async def test_nothing_is_signed_for_anybody_but_the_profiles_gateway(
    auth: BailmentAuth, gateway: Gateway
) -> None:
    async with async_client(auth) as http:
        for url in ("http://127.0.0.1:1/v1/models", "https://api.example/v1/models"):
            with pytest.raises(ConfigurationError, match="this profile is for"):
                await http.get(url)
    assert gateway.seen == []


async def test_a_device_that_waits_and_a_purpose_that_was_not_granted_are_refused_at_once(
    device: Device,
) -> None:
    with pytest.raises(ConfigurationError, match="not among those granted") as caught:
        BailmentAuth(device, "curiosity")
    assert PURPOSE in caught.value.hint
    waiting = msgspec.structs.replace(device.profile, status="pending")
    with pytest.raises(ConfigurationError, match="not confirmed yet"):
        BailmentAuth(Device(device.folder, waiting, device.key), PURPOSE)
