"""What the token endpoints really wrote passes an audit: narrowed, revoked, exchanged, forked."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from bailment.auditor.audit import audit_export
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.identity_records import TokenRevoked
from bailment.ledger.records import AccessOpened, TokenIssued
from bailment.store.export import export_log
from bailment.store.view import open_view

from ..control.test_token_state import ask_for, revoke
from ..control.test_workloads import Platform, declare, now, platform
from ..world import refused, world

__all__ = ["platform"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


async def test_a_log_of_every_kind_of_token_passes_an_audit(
    tmp_path: Path, platform: Platform
) -> None:
    (tmp_path / "lab").mkdir()
    allowed = f'\n[outbound]\nhosts = ["{platform.url.removeprefix("http://")}"]\n'
    async with world(tmp_path / "lab", more=allowed) as lab:
        device = await lab.device()
        narrow = {"budget": {"tokens": 10_000, "seconds": 3600}, "networks": ["127.0.0.0/8"]}
        assert (await ask_for(device, **narrow)).status_code == 200
        assert (await device.ask()).status_code == 200
        assert (await revoke(device)).status_code == 200
        assert refused(await device.ask()) == (401, "token-revoked")

        declared = await declare(lab, platform.url)
        job, _ = await declared.job(lab, platform.token(now(lab)))
        assert (await job.ask()).status_code == 200

        owner = await lab.device()
        await owner.ask()
        thief = copy.copy(owner)
        await owner.renew()
        await owner.ask()
        assert (await thief.fetch()).json()["reason"] == "ratchet-forked"
        await lab.restart()
        folder = lab.folder
    view = open_view(folder)
    export_log(folder, view.reader, view.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings
    assert report.decisions == report.agreed
    kinds = {TokenIssued: 5, AccessOpened: 4, TokenRevoked: 1, FindingRaised: 1}
    assert {kind: report.types[kind.TYPE] for kind in kinds} == kinds
