"""A SCIM client and its compliance checks, which others wrote, against a running issuer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from ..directory import directory
from ..world import PATIENCE, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_the_compliance_checks_find_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        idp = await directory(await lab.recipient())

        def check() -> list[tuple[str, str, str]]:
            headers = {"authorization": f"Bearer {idp.credential}"}
            base = f"{lab.url}/scim/v2"
            with httpx2.Client(base_url=base, headers=headers, timeout=PATIENCE) as http:
                found = check_server(SyncSCIMClient(http))
            return [(one.status.name, one.title, one.reason or "") for one in found]

        found = await asyncio.to_thread(check)
    assert len([one for one in found if one[0] == Status.SUCCESS.name]) > 50
    assert [one for one in found if one[0] not in (Status.SUCCESS.name, Status.SKIPPED.name)] == []
