"""A gateway on a loopback port, a device that it knows, and a sidecar for it."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from bailment.agent import profile
from bailment.agent.client import http_client
from bailment.agent.listener import LocalProtocol
from bailment.agent.profile import Device, Profile
from bailment.agent.sdk import BailmentAuth
from bailment.agent.sidecar import Ready, Sidecar

from . import answers
from .gateway import Enrolled, Gateway, serving

T = TypeVar("T")
PURPOSE = "evaluation"
CAPABILITY = "bailment-local-" + secrets.token_urlsafe(32)

Running = Callable[..., AbstractAsyncContextManager[Ready]]


@pytest.fixture(autouse=True)
def _no_noise_from_cut_answers(caplog: pytest.LogCaptureFixture) -> None:
    """uvicorn's word on the answers that the test's gateway breaks off on purpose."""
    caplog.set_level(logging.CRITICAL, "uvicorn.error")


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway that answers plainly."""
    app = Gateway(answers.plainly)
    await app.start()
    yield app
    await app.stop()


@pytest.fixture
def device(gateway: Gateway, tmp_path: Path) -> Device:
    """An enrolled and confirmed device."""
    folder = tmp_path / "device"
    made = Device(
        folder,
        Profile(
            gateway=gateway.url,
            device=secrets.token_hex(16),
            person=secrets.token_hex(16),
            key_class="software",
            status="active",
            purposes=(PURPOSE,),
            models=("m-1",),
        ),
        profile.device_key(folder),
    )
    profile.save(made)
    device_id = made.profile.device
    gateway.devices[device_id] = Enrolled(
        device_id, "laptop", made.public, made.profile.person, secrets.token_hex(16)
    )
    return made


@pytest.fixture
def sidecar(device: Device) -> Running:
    """Runs a sidecar for the device; `owner` is the user id that it lets in."""

    @asynccontextmanager
    async def running(owner: int | None = None) -> AsyncIterator[Ready]:
        gateway = device.profile.gateway
        auth = BailmentAuth(device, PURPOSE)
        uid = os.geteuid() if owner is None else owner
        async with http_client(gateway, auth=auth, timeout=None) as http:
            app = Sidecar(http, gateway, CAPABILITY)
            async with serving(app, partial(LocalProtocol, uid)) as port:
                yield Ready(f"http://127.0.0.1:{port}", None, CAPABILITY)

    return running


async def in_thread(call: Callable[[], T]) -> T:
    """Run a synchronous SDK beside the servers, which share this thread's event loop."""
    return await asyncio.to_thread(call)
