"""The record says where a request came from, as far as tables and headers tell."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from msgspec import UNSET

from bailment.ledger.context import Context
from bailment.ledger.records import AccessOpened, AccessRefused

from ..world import World, world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


OPENAI = {
    "user-agent": "AsyncOpenAI/Python 3.51.0",
    "x-stainless-lang": "python",
    "x-stainless-package-version": "3.51.0",
    "x-stainless-os": "Linux",
    "x-stainless-arch": "x64",
    "x-stainless-runtime": "CPython",
    "x-stainless-runtime-version": "3.11.9",
}
ANTHROPIC = {
    **OPENAI,
    "user-agent": "Anthropic/JS 0.70.1",
    "x-stainless-lang": "js",
    "x-stainless-package-version": "0.70.1",
    "x-stainless-os": "MacOS",
    "x-stainless-arch": "arm64",
    "x-stainless-runtime": "node",
    "x-stainless-runtime-version": "v22.11.0",
}


async def opened(lab: World, dialect: str, headers: dict[str, str], **more: object) -> Context:
    device, since = await lab.device(), lab.size
    await device.ask(dialect, headers=headers, **more)
    found = lab.of(AccessOpened, since)[0].context
    assert found is not UNSET
    return found


async def test_the_sdk_of_openai_is_told(lab: World) -> None:
    found = await opened(lab, "chat", OPENAI)
    assert (found.client, found.version) == ("AsyncOpenAI/Python", "3.51.0")
    assert (found.system, found.runtime) == ("Linux x64", "CPython 3.11.9")


async def test_the_sdk_of_anthropic_is_told(lab: World) -> None:
    found = await opened(lab, "messages", ANTHROPIC)
    assert (found.client, found.version) == ("Anthropic/JS", "0.70.1")
    assert (found.system, found.runtime) == ("MacOS arm64", "node v22.11.0")


async def test_a_private_address_has_no_network_but_its_hashed_prefix(lab: World) -> None:
    found = await opened(lab, "chat", {})
    assert (found.asn, found.country, found.address) == (0, "", "")
    assert len(found.prefix) == 16
    assert found.network == found.prefix


@pytest.mark.parametrize("dialect", ["chat", "messages", "responses"])
async def test_a_conversation_is_known_again_and_another_is_not(lab: World, dialect: str) -> None:
    name = "input" if dialect == "responses" else "messages"
    grown = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "and?"},
        {"role": "user", "content": "second"},
    ]
    first = await opened(lab, dialect, {}, **{name: grown[:1]})
    second = await opened(lab, dialect, {}, **{name: grown})
    other = await opened(lab, dialect, {}, **{name: grown[2:]})
    assert first.conversation == second.conversation != other.conversation
    assert len(first.conversation) == 16


async def test_a_refusal_has_it_too(lab: World) -> None:
    device, since = await lab.device(), lab.size
    await device.ask("chat", headers=OPENAI, model="no-such-model")
    found = lab.of(AccessRefused, since)[0].context
    assert found is not UNSET
    assert (found.client, found.system) == ("AsyncOpenAI/Python", "Linux x64")
    assert found.prefix
    assert found.conversation


async def test_whoever_shows_a_token_without_its_key_is_told_of(lab: World) -> None:
    device, since = await lab.device(), lab.size
    path, body, headers = device.request()
    del headers["dpop"]
    await lab.http.post(lab.url + path, content=body, headers={**headers, **ANTHROPIC})
    (refused,) = lab.of(AccessRefused, since)
    assert refused.context is not UNSET
    assert (refused.context.client, refused.context.conversation) == ("Anthropic/JS", "")
