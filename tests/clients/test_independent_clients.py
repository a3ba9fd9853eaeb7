"""Clients that others wrote, knowing the RFCs and not us, obtain tokens and use them."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bailment.access import base64url
from bailment.access.proof import token_hash
from bailment.ledger.identity_records import TokenRevoked
from bailment.ledger.records import AccessOpened, TokenIssued

from ..world import PATIENCE, PURPOSE, Device, World, world

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


async def fresh(lab: World) -> Device:
    """A device that has no token yet."""
    person = await (await lab.recipient()).person()
    device = await person.enrol()
    await person.by.confirm(device)
    return device


async def runs(device: Device, *command: str) -> dict[str, Any]:
    """What the client saw."""
    secret = device.private.private_numbers().private_value.to_bytes(32, "big")
    told = {
        "issuer": device.world.url,
        "device": device.id,
        "key": {**device.public.jwk, "d": base64url.encode(secret)},
        "purpose": PURPOSE,
        "model": "smollm2",
    }
    pipe = asyncio.subprocess.PIPE
    client = await asyncio.create_subprocess_exec(
        *command, cwd=HERE, stdin=pipe, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await client.communicate(json.dumps(told).encode())
    assert client.returncode == 0, err.decode()
    seen: dict[str, Any] = json.loads(out)
    return seen


def node() -> str:
    found = shutil.which("node")
    if found is None or not (MODULES / "oauth4webapi").exists():
        pytest.skip("node or its modules are missing: npm install --prefix tests/clients")
    return found


def check(seen: dict[str, Any], lab: World, since: int) -> None:
    """Whether it obtained tokens and used them, and the log says so."""
    assert seen["first"]["token_type"].lower() == seen["second"]["token_type"].lower() == "dpop"
    assert [one["id"] for one in seen["listed"]["body"]["data"]] == ["smollm2"]
    assert seen["answered"]["status"] == 200
    assert seen["answered"]["body"]["choices"]
    assert seen["state"]["active"] is True
    assert seen["after"]["status"] == 401
    assert seen["after"]["body"]["error"]["code"] == "token-revoked"
    assert seen["other"]["status"] == 200
    first, second = (token_hash(seen[one]["access_token"]) for one in ("first", "second"))
    assert [one.token for one in lab.of(TokenIssued, since)] == [first, second]
    assert [one.token for one in lab.of(AccessOpened, since)] == [second, second, first]
    assert [one.token for one in lab.of(TokenRevoked, since)] == [second]


async def test_oauth4webapi_obtains_and_uses_tokens(lab: World) -> None:
    device, program = await fresh(lab), node()
    since = lab.size
    check(await runs(device, program, "oauth4webapi.mjs"), lab, since)


async def test_requests_oauth2client_obtains_and_uses_tokens(lab: World) -> None:
    pytest.importorskip("requests_oauth2client")
    device = await fresh(lab)
    since = lab.size
    check(await runs(device, sys.executable, "with_requests_oauth2client.py"), lab, since)
