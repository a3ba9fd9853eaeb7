"""The sidecar as a process: what it tells, where it listens, how it stops."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import openai
import pytest

from bailment.access.reasons import Reason, Refused
from bailment.agent.answers import GatewayRefused, GatewayUnreachable
from bailment.agent.listener import Listener, bind
from bailment.agent.local import LOCAL, bind_local
from bailment.agent.profile import Device
from bailment.agent.sidecar import run_agent
from bailment.errors import ConfigurationError

from .answers import Stepwise, cut_after
from .conftest import PURPOSE
from .gateway import Gateway

pytestmark = pytest.mark.anyio

PROGRAM = Path(__file__).with_name("agent_process.py")


@dataclass
class Agent:
    """A running sidecar and what it told."""

    process: asyncio.subprocess.Process
    environment: dict[str, str]

    async def stopped(self) -> tuple[int, str]:
        """Its exit status and what it wrote to stderr."""
        _, stderr = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, stderr.decode()


Start = Callable[..., AbstractAsyncContextManager[Agent]]


@pytest.fixture
def start(device: Device) -> Start:
    """Starts a sidecar for the device."""

    @asynccontextmanager
    async def starting(listen: str = "127.0.0.1:0") -> AsyncIterator[Agent]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, PROGRAM, device.folder, PURPOSE, listen),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            line = await process.stdout.readline()
            if not line:
                _, stderr = await process.communicate()
                pytest.fail(f"the sidecar did not start: {stderr.decode()}")
            yield Agent(process, json.loads(line))
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    return starting


async def test_it_serves_and_stops_at_sigterm_without_a_word(start: Start) -> None:
    async with start() as agent:
        environment = agent.environment
        async with openai.AsyncOpenAI(
            base_url=environment["OPENAI_BASE_URL"], api_key=environment["OPENAI_API_KEY"]
        ) as sdk:
            assert [model.id async for model in sdk.models.list()] == ["m-1"]
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.stopped() == (0, "")


async def test_the_capability_is_not_on_its_command_line_or_in_its_environment(
    start: Start,
) -> None:
    async with start() as agent:
        proc = Path(f"/proc/{agent.process.pid}")
        capability = agent.environment["OPENAI_API_KEY"].encode()
        assert len(capability) >= 43
        assert capability not in (proc / "cmdline").read_bytes()
        assert capability not in (proc / "environ").read_bytes()


async def test_its_variables_hold_when_it_starts_again(start: Start, device: Device) -> None:
    told = []
    for _ in range(2):
        async with start("") as agent:
            told.append(agent.environment)
            agent.process.send_signal(signal.SIGTERM)
            assert await agent.stopped() == (0, "")
    assert told[0] == told[1]
    assert (device.folder / LOCAL).stat().st_mode & 0o777 == 0o600


def port_of(listener: Listener) -> int:
    port: int = listener.socket.getsockname()[1]
    listener.close()
    return port


def test_a_port_is_kept_unless_any_will_do_this_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    first = port_of(bind_local(tmp_path, "")[0])
    once, capability = bind_local(tmp_path, "127.0.0.1:0")
    unix, again = bind_local(tmp_path, f"unix:{tmp_path / 'run' / 'a.sock'}")
    unix.close()
    assert port_of(once) != first
    assert again == capability
    assert port_of(bind_local(tmp_path, "")[0]) == first
    with socket.create_server(("127.0.0.1", 0)) as free:
        chosen = free.getsockname()[1]
    assert port_of(bind_local(tmp_path, f"127.0.0.1:{chosen}")[0]) == chosen
    assert port_of(bind_local(tmp_path, "")[0]) == chosen


def test_a_kept_port_that_is_taken_is_named_with_the_way_to_another(tmp_path: Path) -> None:
    taken, _ = bind_local(tmp_path, "")
    taken.socket.listen()
    with pytest.raises(ConfigurationError) as raised:
        bind_local(tmp_path, "")
    assert f"127.0.0.1:{port_of(taken)}`" in str(raised.value)
    assert "this profile's agent listened there last" in str(raised.value)
    assert "bailment agent --listen 127.0.0.1:PORT" in raised.value.hint


@pytest.mark.parametrize("text", ["", "{}", '{"capability":"bailment-local-x"}', "[]"])
def test_kept_variables_that_are_damaged_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / LOCAL
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"agent\.json` is damaged"):
        bind_local(tmp_path, "")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="open to other users"):
        bind_local(tmp_path, "")


async def test_a_stream_under_way_at_sigterm_is_finished(start: Start, gateway: Gateway) -> None:
    gateway.play = steps = Stepwise()
    async with start() as agent:
        environment = agent.environment
        async with openai.AsyncOpenAI(
            base_url=environment["OPENAI_BASE_URL"], api_key=environment["OPENAI_API_KEY"]
        ) as sdk:
            stream = await sdk.chat.completions.create(model="m-1", messages=[], stream=True)
            steps.go.release()
            texts = [(await anext(stream)).choices[0].delta.content]
            agent.process.send_signal(signal.SIGTERM)
            for _ in range(3):
                steps.go.release()
            texts += [chunk.choices[0].delta.content async for chunk in stream]
        assert texts == ["Hel", "lo", None]
        assert await agent.stopped() == (0, "")


async def test_a_stream_that_the_gateway_cuts_is_no_malfunction_of_the_sidecar(
    start: Start, gateway: Gateway
) -> None:
    gateway.play = cut_after(2)
    async with start() as agent:
        environment = agent.environment
        async with openai.AsyncOpenAI(
            base_url=environment["OPENAI_BASE_URL"], api_key=environment["OPENAI_API_KEY"]
        ) as sdk:
            stream = await sdk.chat.completions.create(model="m-1", messages=[], stream=True)
            with pytest.raises(openai.APIConnectionError):
                async for _ in stream:
                    pass
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.stopped() == (0, "")


async def test_a_unix_socket_is_its_owners_alone_and_gone_afterwards(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "run" / "agent.sock"
    async with start(f"unix:{path}") as agent:
        assert agent.environment["socket"] == str(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=str(path)))
        async with openai.AsyncOpenAI(
            base_url=agent.environment["OPENAI_BASE_URL"],
            api_key=agent.environment["OPENAI_API_KEY"],
            http_client=http,
        ) as sdk:
            assert [model.id async for model in sdk.models.list()] == ["m-1"]
        with pytest.raises(ConfigurationError, match="another process listens"):
            bind(f"unix:{path}")
        agent.process.send_signal(signal.SIGINT)
        assert await agent.stopped() == (0, "")
    assert not path.exists()


async def test_a_device_that_may_not_is_told_before_anything_listens(
    device: Device, gateway: Gateway, tmp_path: Path
) -> None:
    path = tmp_path / "run" / "agent.sock"
    gateway.refuse = Refused(Reason.HELD, "the person is on hold")
    with pytest.raises(GatewayRefused, match="the person is on hold"):
        await run_agent(device, PURPOSE, f"unix:{path}")
    await gateway.stop()
    with pytest.raises(GatewayUnreachable, match=gateway.url):
        await run_agent(device, PURPOSE, f"unix:{path}")
    assert not path.parent.exists()


def test_the_socket_of_a_sidecar_that_was_killed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run" / "agent.sock"
    bind(f"unix:{path}").socket.close()
    assert path.exists()
    bind(f"unix:{path}").close()
    assert not path.exists()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    (folder / "agent.sock").write_text("mine")
    with pytest.raises(ConfigurationError, match="is not a socket"):
        bind(f"unix:{folder / 'agent.sock'}")
    assert (folder / "agent.sock").read_text() == "mine"


def test_a_folder_that_others_can_enter_is_no_place_for_the_socket(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(ConfigurationError, match="open to other users"):
        bind(f"unix:{folder / 'agent.sock'}")


@pytest.mark.parametrize(
    "listen",
    [
        "0.0.0.0:8080",
        "192.0.2.1:8080",
        "[::]:8080",
        "localhost:8080",
        "127.0.0.1",
        "127.0.0.1:65536",
        "8080",
        "[127.0.0.1]:0",
        "::1:0",
        "",
    ],
)
def test_it_listens_on_no_address_that_others_can_reach(listen: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an address to listen on"):
        bind(listen)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=f"cannot listen on `{listen}`"):
            bind(listen)


def test_the_check_of_who_connects_cannot_be_turned_off_where_it_can_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigurationError, match="turned off only where"):
        bind("127.0.0.1:0", check_peers=False)
    monkeypatch.setattr("bailment.agent.peers.can_tell", lambda family: False)
    with pytest.raises(ConfigurationError, match="does not say which user connects"):
        bind("127.0.0.1:0")
    bind("127.0.0.1:0", check_peers=False).close()
