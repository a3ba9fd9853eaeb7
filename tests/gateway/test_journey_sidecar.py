"""The sidecar while its gateway dies and comes back, its machine sleeps, and its access ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from bailment.access.tripwire import digest
from bailment.agent.profile import Device as Profiled
from bailment.agent.profile import Profile, device_key, save
from bailment.agent.sdk import BailmentAuth
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.identity_records import TripwireSet
from bailment.ledger.records import TokenIssued
from bailment.store.view import open_view

from ..world import CONTACT, PATIENCE, PURPOSE, Device, World, world
from .test_journey_process import ready, serving

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

HELLO: Any = [{"role": "user", "content": "hello"}]
#: What `docs/clients/README.md` says that a client may be told while the gateway restarts.
DOCUMENTED = {"gateway-unreachable", "draining", "upstream-aborted", "upstream-unreachable"}
ROUNDS = 3


@pytest.fixture
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), "drain_seconds = 0.3") as made:
        yield made


@pytest.fixture
async def device(lab: World, tmp_path: Path) -> Profiled:
    """The profile of an enrolled device that has no token yet."""
    folder = tmp_path / "profile"
    key = device_key(folder)
    person = await (await lab.recipient()).person()
    known = await person.enrol(Device(lab, private=key))
    await person.by.confirm(known)
    made = Profile(
        gateway=lab.url,
        device=known.id,
        person=person.id,
        key_class="software",
        status="active",
        purposes=(PURPOSE,),
    )
    save(found := Profiled(folder, made, key))
    return found


@asynccontextmanager
async def sidecar(device: Profiled) -> AsyncIterator[dict[str, str]]:
    """The agent as a process; its variables."""
    program = Path(__file__).parents[1] / "agent" / "agent_process.py"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, program, device.folder, PURPOSE, "127.0.0.1:0"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            yield json.loads(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


def sdk(variables: dict[str, str]) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=variables["OPENAI_BASE_URL"], api_key=variables["OPENAI_API_KEY"], max_retries=0
    )


async def say(client: openai.AsyncOpenAI, stream: bool) -> str:
    """A whole answer in words, or why there was none."""
    try:
        made: Any = await client.chat.completions.create(
            model="smollm2", messages=HELLO, max_tokens=16, stream=stream
        )
        if not stream:
            return str(made.choices[0].message.content)
        return "".join([part.choices[0].delta.content or "" async for part in made if part.choices])
    except openai.APIStatusError as error:
        return f"refused: {error.code}"
    except (openai.APIError, httpx2.TransportError) as error:
        return f"broken: {type(error).__name__}"


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
async def test_no_answer_is_wrong_while_the_gateway_dies_and_comes_back(
    lab: World, device: Profiled, stream: bool
) -> None:
    heard: Counter[str] = Counter()
    async with serving(lab) as process, sidecar(device) as variables, sdk(variables) as client:
        truth = await say(client, stream)
        assert not truth.startswith(("refused", "broken")), truth
        going = True

        async def loop() -> None:
            while going:
                heard[await say(client, stream)] += 1

        asking = asyncio.create_task(loop())
        for number in range(ROUNDS):
            await more(lambda: heard[truth])
            process.send_signal(signal.SIGKILL if number % 2 == 0 else signal.SIGTERM)
            await process.wait()
            await more(lambda: heard.total() - heard[truth])
            process = await started(lab)
            await more(lambda: heard[truth])
        going = False
        await asking
        process.terminate()
        await process.wait()
    others = set(heard) - {truth}
    assert {one.removeprefix("refused: ") for one in others if "refused" in one} <= DOCUMENTED
    assert all(one.startswith(("refused", "broken")) for one in others), others
    assert "refused: gateway-unreachable" in others
    records = [record.facts for record in open_view(lab.folder).reader.records()]
    assert not [one for one in records if isinstance(one, FindingRaised)]


async def more(count: Callable[[], int]) -> None:
    """Wait for some more of what is counted: those who make it are other processes."""
    enough = count() + 5
    async with asyncio.timeout(2 * PATIENCE):
        while count() < enough:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)


async def started(lab: World) -> asyncio.subprocess.Process:
    """The issuer's folder, served once more."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bailment", "serve", "-d", str(lab.folder.root)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(2 * PATIENCE):
        while not await ready(lab):
            assert process.returncode is None
            await asyncio.sleep(0.05)
    return process


async def test_after_a_sleep_the_token_is_renewed_at_the_first_request(
    lab: World, device: Profiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `Date` is written by the listener, which knows nothing of the clock that the test moves.
    monkeypatch.setattr("bailment.agent.signer._seconds", lambda date: None)
    auth = BailmentAuth(device, PURPOSE, clock=lambda: lab.clock.now() / 1000)
    async with httpx2.AsyncClient(auth=auth) as http:
        client = openai.AsyncOpenAI(
            base_url=auth.gateway + "/v1", api_key="-", http_client=http, max_retries=0
        )
        since = lab.size
        assert await say(client, False) == (said := await say(client, True))
        assert len(lab.of(TokenIssued, since)) == 1
        lab.clock.ahead += 8 * 3_600_000
        assert await say(client, False) == said
        assert len(lab.of(TokenIssued, since)) == 2


async def test_the_agent_registers_its_capability_once(lab: World, device: Profiled) -> None:
    since = lab.size
    for _ in range(2):
        async with sidecar(device) as variables:
            (wire,) = lab.of(TripwireSet, since)
    assert wire.subject == f"device:{device.profile.device}"
    assert wire.secret == digest(variables["OPENAI_API_KEY"].encode())


async def test_a_sidecars_variables_pointed_at_the_gateway_are_noticed(
    lab: World, device: Profiled
) -> None:
    """As by somebody who found them in a CI log."""
    async with sidecar(device) as variables:
        since = lab.size
        async with openai.AsyncOpenAI(
            base_url=lab.url + "/v1", api_key=variables["OPENAI_API_KEY"], max_retries=0
        ) as thief:
            with pytest.raises(openai.AuthenticationError):
                await thief.models.list()
        await lab.until(lambda: lab.of(FindingRaised, since))
        (finding,) = lab.of(FindingRaised, since)
        assert finding.subject == f"device:{device.profile.device}"
        async with sdk(variables) as owner:
            assert not (await say(owner, False)).startswith("refused")


async def test_the_sdk_says_why_there_is_no_access(lab: World, device: Profiled) -> None:
    async with sidecar(device) as variables:
        async with (
            anthropic.AsyncAnthropic(
                base_url=variables["ANTHROPIC_BASE_URL"], api_key=variables["ANTHROPIC_API_KEY"]
            ) as client,
            lab.held(f"device:{device.profile.device}"),
        ):
            with pytest.raises(anthropic.PermissionDeniedError, match="on hold") as told:
                await client.messages.create(model="smollm2", messages=HELLO, max_tokens=16)
            assert CONTACT in str(told.value)
        link = lab.register.link_of[device.profile.device]
        await lab.act("link-end", link=link, reason="a test")
        async with sdk(variables) as other:
            assert await say(other, False) == "refused: link-ended"
