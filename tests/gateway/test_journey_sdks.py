"""The unmodified SDKs, through a whole issuer, to a real model on this machine."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from bailment.agent.profile import Device as Profiled
from bailment.agent.profile import Profile
from bailment.agent.sdk import BailmentAuth
from bailment.drills.local_model import CONTEXT, NAME
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.records import AccessClosed, AccessOpened

from ..world import PURPOSE, STREAM, Asked, Device, World, canned, chunk, events, world
from .scripted import Peer

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

HELLO: Any = [{"role": "user", "content": "Say hello."}]
KEY = "the-key-of-the-local-model"
STEADY = {"temperature": 0}


@dataclass
class LocalModel:
    socket: Path
    pid: int


@pytest.fixture(scope="session")
def local_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModel]:
    """SmolLM2 behind a unix socket, in a process that ends with its standard input."""
    folder = tmp_path_factory.mktemp("model")
    folder.chmod(0o700)
    socket = folder / "llm.sock"
    with subprocess.Popen(
        [sys.executable, "-m", "bailment.drills.local_model", str(socket)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(KEY + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        yield LocalModel(socket, process.pid)
        process.stdin.close()


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory, local_model: LocalModel
) -> AsyncIterator[World]:
    more = f"""
[models."{NAME}"]
url = "unix://{local_model.socket}"
key_file = "local.key"
context = {CONTEXT}
output = 64
meter = {{ seconds = 0.3 }}
"""
    root = tmp_path_factory.mktemp("lab")
    async with world(root, more=more, start=False) as made:
        key = made.folder.root / "local.key"
        key.write_text(KEY)
        key.chmod(0o600)
        await made.start()
        yield made


@pytest.fixture
async def lab(shared: World) -> AsyncIterator[World]:
    play = shared.model.play
    yield shared
    shared.model.play = play


@dataclass
class Sdks:
    """Both SDKs of one device, with nothing of ours but their `http_client`'s authentication."""

    device: Device
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic


@pytest.fixture
async def sdks(lab: World, tmp_path: Path) -> AsyncIterator[Sdks]:
    device = await lab.device(models=("smollm2", NAME))
    path = lab.register.path(lab.register.link_of[device.id])
    profile = Profile(
        gateway=lab.url,
        device=device.id,
        person=path[1].subject,
        key_class="software",
        status="active",
    )
    auth = BailmentAuth(Profiled(tmp_path, profile, device.private), PURPOSE)
    async with (
        httpx2.AsyncClient(auth=auth) as one,
        httpx2.AsyncClient(auth=auth) as other,
    ):
        yield Sdks(
            device,
            openai.AsyncOpenAI(base_url=lab.url + "/v1", api_key="-", http_client=one),
            anthropic.AsyncAnthropic(base_url=lab.url, api_key="-", http_client=other),
        )


async def ended(lab: World) -> AccessClosed:
    """The record of the one access since the SDK fetched its token: complete, and counted."""
    since = max(at + 1 for at, leaf, _ in lab.news if leaf.type == "token.issued")
    closed = await lab.closed(since)
    assert (closed.outcome, closed.status, closed.measured) == ("complete", 200, True)
    (opened,) = lab.of(AccessOpened, since)
    assert closed.input + closed.output <= opened.ceiling
    return closed


async def test_chat_completions(lab: World, sdks: Sdks) -> None:
    answer = await sdks.openai.chat.completions.create(
        model=NAME, messages=HELLO, max_tokens=8, temperature=0
    )
    assert answer.choices[0].message.content
    assert answer.usage is not None
    closed = await ended(lab)
    assert (closed.input, closed.output) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )


async def test_chat_completions_streamed(lab: World, sdks: Sdks) -> None:
    stream = await sdks.openai.chat.completions.create(
        model=NAME, messages=HELLO, max_tokens=8, temperature=0, stream=True
    )
    chunks = [piece async for piece in stream]
    assert "".join(piece.choices[0].delta.content or "" for piece in chunks)
    assert chunks[-1].choices[0].finish_reason
    assert all(piece.usage is None for piece in chunks)  # it was not asked for
    closed = await ended(lab)
    assert closed.output == 8


async def test_chat_completions_streamed_with_usage(lab: World, sdks: Sdks) -> None:
    stream = await sdks.openai.chat.completions.create(
        model=NAME,
        messages=HELLO,
        max_tokens=8,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    usages = [piece.usage async for piece in stream if piece.usage is not None]
    closed = await ended(lab)
    assert (usages[-1].prompt_tokens, usages[-1].completion_tokens) == (
        closed.input,
        closed.output,
    )


async def test_responses(lab: World, sdks: Sdks) -> None:
    answer = await sdks.openai.responses.create(
        model=NAME, input="Say hello.", max_output_tokens=8, temperature=0
    )
    assert answer.output_text
    closed = await ended(lab)
    assert answer.usage is not None
    assert (closed.input, closed.output) == (answer.usage.input_tokens, answer.usage.output_tokens)


async def test_responses_streamed(lab: World, sdks: Sdks) -> None:
    stream = await sdks.openai.responses.create(
        model=NAME, input="Say hello.", max_output_tokens=8, temperature=0, stream=True
    )
    said = [event async for event in stream]
    assert "".join(e.delta for e in said if e.type == "response.output_text.delta")
    assert said[-1].type == "response.completed"
    closed = await ended(lab)
    assert said[-1].response.usage is not None
    assert said[-1].response.usage.output_tokens == closed.output


async def test_messages(lab: World, sdks: Sdks) -> None:
    message = await sdks.anthropic.messages.create(
        model=NAME, messages=HELLO, max_tokens=8, extra_body=STEADY
    )
    assert message.content[0].type == "text"
    assert message.content[0].text
    await ended(lab)


async def test_messages_streamed(lab: World, sdks: Sdks) -> None:
    async with sdks.anthropic.messages.stream(
        model=NAME, messages=HELLO, max_tokens=8, extra_body=STEADY
    ) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text
    closed = await ended(lab)
    assert closed.output == final.usage.output_tokens


async def test_models_and_token_counts(lab: World, sdks: Sdks) -> None:
    assert [model.id async for model in sdks.openai.models.list()] == ["smollm2", NAME]
    assert [model.id async for model in sdks.anthropic.models.list()] == ["smollm2", NAME]
    assert (await sdks.openai.models.retrieve(NAME)).id == NAME
    assert (await sdks.anthropic.models.retrieve(NAME)).id == NAME
    counted = await sdks.anthropic.messages.count_tokens(model=NAME, messages=HELLO)
    message = await sdks.anthropic.messages.create(model=NAME, messages=HELLO, max_tokens=1)
    cached = message.usage.cache_read_input_tokens or 0
    assert counted.input_tokens == message.usage.input_tokens + cached


# What the SDKs make of a refusal


async def test_a_refusal_is_the_sdks_own_error_with_the_reason_in_it(
    lab: World, sdks: Sdks
) -> None:
    asked = len(lab.model.requests)
    since = lab.size
    async with lab.held(f"device:{sdks.device.id}"):
        with pytest.raises(openai.PermissionDeniedError) as first:
            await sdks.openai.chat.completions.create(model="smollm2", messages=HELLO)
        with pytest.raises(anthropic.PermissionDeniedError) as second:
            await sdks.anthropic.messages.create(model="smollm2", messages=HELLO, max_tokens=8)
    for raised in (first, second):
        assert "held" in str(raised.value)
    assert len(lab.model.requests) == asked
    # Neither tried again: a refusal is final.
    assert sum(count for _, count in lab.refusals(since)) <= 2


async def test_a_model_outside_the_chain_raises(lab: World, sdks: Sdks) -> None:
    with pytest.raises(openai.PermissionDeniedError) as raised:
        await sdks.openai.chat.completions.create(model="other", messages=HELLO)
    assert raised.value.code == "model-outside-chain"
    with pytest.raises(openai.PermissionDeniedError):
        await sdks.openai.models.retrieve("other")


async def test_a_refused_feature_raises(lab: World, sdks: Sdks) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await sdks.openai.responses.create(model="smollm2", input="x", store=True)
    assert raised.value.code == "feature-refused"
    with pytest.raises(openai.BadRequestError):
        await sdks.openai.files.list()
    with pytest.raises(anthropic.BadRequestError):
        await sdks.anthropic.messages.batches.list()


class Endless:
    """A model's server that streams a little, and then nothing."""

    def __init__(self) -> None:
        self.given_up = asyncio.Event()

    async def play(self, peer: Peer, asked: Asked) -> None:
        await peer.send(STREAM, *map(chunk, events(canned(asked)[0])[:4]))
        await peer.gone()
        self.given_up.set()


async def cut(lab: World, sdks: Sdks, stream: Any) -> None:
    """Read a little, hold, and read on: the SDK must raise, and not take it for an end."""
    async for _ in stream:
        break
    async with lab.held(f"device:{sdks.device.id}"):
        async for _ in stream:
            pass


async def test_a_cut_stream_raises_in_every_api(lab: World, sdks: Sdks) -> None:
    lab.model.play = Endless().play
    chat = await sdks.openai.chat.completions.create(model="smollm2", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="hold"):
        await cut(lab, sdks, chat)
    responses = await sdks.openai.responses.create(model="smollm2", input="x", stream=True)
    with pytest.raises(openai.APIError, match="hold"):
        await cut(lab, sdks, responses)
    messages = await sdks.anthropic.messages.create(
        model="smollm2", messages=HELLO, max_tokens=8, stream=True
    )
    with pytest.raises(anthropic.APIError, match="hold"):
        await cut(lab, sdks, messages)


async def test_a_stream_that_the_model_breaks_off_raises(lab: World, sdks: Sdks) -> None:
    async def breaks_off(peer: Peer, asked: Asked) -> None:
        await peer.send(STREAM, *map(chunk, events(canned(asked)[0])[:4]), b"0\r\n\r\n")

    lab.model.play = breaks_off
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in await sdks.openai.chat.completions.create(
            model="smollm2", messages=HELLO, stream=True
        ):
            pass
    with pytest.raises(anthropic.APIError, match="broke off"):
        async for _ in await sdks.anthropic.messages.create(
            model="smollm2", messages=HELLO, max_tokens=8, stream=True
        ):
            pass


async def test_a_stream_that_the_user_closes_ends_the_models_work(lab: World, sdks: Sdks) -> None:
    endless = Endless()
    lab.model.play = endless.play
    stream = await sdks.openai.chat.completions.create(model="smollm2", messages=HELLO, stream=True)
    async for _ in stream:
        break
    await stream.close()
    await asyncio.wait_for(endless.given_up.wait(), 10)
    since = max(at + 1 for at, leaf, _ in lab.news if leaf.type == "token.issued")
    assert (await lab.closed(since)).outcome == "client-left"


async def test_many_at_once_get_each_their_own_answer(lab: World, sdks: Sdks) -> None:
    async def ask(number: int) -> None:
        message: Any = [{"role": "user", "content": f"Count to {number}"}]
        answer = await sdks.openai.chat.completions.create(
            model="smollm2", messages=message, extra_body={"number": number}
        )
        assert answer.choices[0].message.content == str(number)

    async def echo(peer: Peer, asked: Asked) -> None:
        text = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"%d"}}]}'
        await peer.answer(text % asked.members["number"])

    lab.model.play = echo
    await asyncio.gather(*(ask(number) for number in range(50)))


# Around the gateway


async def test_a_call_around_the_gateway_becomes_a_finding(
    lab: World, sdks: Sdks, local_model: LocalModel
) -> None:
    """And nothing else does: all that the tests above asked for is explained by the log."""
    transport = httpx2.AsyncHTTPTransport(uds=str(local_model.socket))
    async with httpx2.AsyncClient(transport=transport, timeout=60) as thief:
        stolen = await thief.post(
            "http://model/v1/chat/completions",
            json={"model": NAME, "messages": HELLO, "max_tokens": 4, "temperature": 0},
            headers={"authorization": f"Bearer {KEY}"},
        )
    usage = stolen.json()["usage"]

    def found(name: str) -> int:
        """Over all findings: a reading may fall between the counts of input and of output."""
        return sum(finding.numbers[name] for finding in lab.of(FindingRaised))

    await lab.until(lambda: found("input_tokens") and found("output_tokens"))
    assert found("input_tokens") == usage["prompt_tokens"]
    assert found("output_tokens") == usage["completion_tokens"]
    findings = lab.of(FindingRaised)
    assert {(finding.kind, finding.model) for finding in findings} == {("around-the-gateway", NAME)}
    raised = await lab.metric('bailment_findings_total{kind="around-the-gateway"}')
    assert raised == len(findings)


def test_the_model_listens_on_no_port(local_model: LocalModel) -> None:
    """The endpoint that could be guessed does not exist."""
    fds = Path(f"/proc/{local_model.pid}/fd").iterdir()
    sockets = {str(fd.readlink()) for fd in fds}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{local_model.pid}/net/{table}").read_text().splitlines()[1:]:
            assert f"socket:[{line.split()[9]}]" not in sockets, line
    assert local_model.socket.parent.stat().st_mode & 0o077 == 0


async def test_the_model_answers_nobody_without_its_key(local_model: LocalModel) -> None:
    transport = httpx2.AsyncHTTPTransport(uds=str(local_model.socket))
    async with httpx2.AsyncClient(transport=transport, timeout=60) as stranger:
        answered = await stranger.post(
            "http://model/v1/chat/completions", json={"model": NAME, "messages": HELLO}
        )
    assert answered.status_code == 401
