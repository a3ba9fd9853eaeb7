"""A finding about a job, which cannot sign in, leads to a hold that somebody lifts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailment.auditor.audit import audit_export
from bailment.gateway.responding import HOLD_MS
from bailment.ledger.detection_records import FindingRaised, StepUpAsked
from bailment.ledger.records import AccessRefused, HoldAdded, TokenIssued
from bailment.store.export import export_log
from bailment.store.view import open_view

from ..control.test_worker_findings import hand_in
from ..control.test_workloads import Declared, Platform, declare, now, platform
from ..gateway.scripted import Peer
from ..world import STREAM, Asked, Device, World, broken, canned, chunk, events, refused, world
from .test_watch import DECOY, lay, pass_on

pytestmark = pytest.mark.anyio

__all__ = ["platform"]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory, platform: Platform) -> AsyncIterator[World]:
    allowed = f'\n[outbound]\nhosts = ["{platform.url.removeprefix("http://")}"]\n'
    async with world(tmp_path_factory.mktemp("lab"), more=allowed) as made:
        await lay(made, "model", DECOY)
        yield made


async def working(lab: World, platform: Platform) -> tuple[Declared, Device, int]:
    """A workload of its own, a job of it with a token, and the token's entry."""
    subject, since = f"repo:acme/{secrets.token_hex(4)}", lab.size
    declared = await declare(lab, platform.url, subject)
    job, fetched = await declared.job(lab, platform.token(now(lab), sub=subject))
    assert fetched.status_code == 200, fetched.text
    assert (await job.ask()).status_code == 200
    (token,) = [at for at, _, one in lab.news if at >= since and isinstance(one, TokenIssued)]
    return declared, job, token


async def held(lab: World, since: int) -> HoldAdded:
    await lab.until(lambda: lab.of(HoldAdded, since))
    (hold,) = lab.of(HoldAdded, since)
    return hold


async def test_a_job_that_asks_for_a_decoy_is_on_hold_and_its_owner_is_not(
    lab: World, platform: Platform
) -> None:
    declared, job, _ = await working(lab, platform)
    owners = await declared.owner.device()
    since = lab.size
    await job.ask(model=DECOY)
    hold = await held(lab, since)
    subject = f"workload:{declared.id}"
    (finding,) = lab.of(FindingRaised, since)
    assert (finding.subject, finding.response) == (subject, "hold")
    assert subject in finding.sentence and f"device:{declared.id}" not in finding.sentence
    assert (hold.subject, hold.author) == (subject, "detector:decoy-model")
    assert finding.finding in hold.reason and 0 < hold.until - lab.clock.now() <= HOLD_MS
    assert refused(await job.ask()) == (403, "held")
    assert (await owners.ask()).status_code == 200
    await lab.lift(hold.hold)
    assert (await job.ask()).status_code == 200


async def test_a_job_that_would_have_to_sign_in_is_cut_until_somebody_lifts_its_hold(
    lab: World, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(peer: Peer, asked: Asked) -> None:
        await peer.send(STREAM, *map(chunk, events(canned(asked)[0])[:3]))
        await peer.gone()

    (declared, job, token), (_, other, _) = [await working(lab, platform) for _ in range(2)]
    subject, since, play = f"workload:{declared.id}", lab.size, lab.model.play
    monkeypatch.setattr(lab.model, "play", hangs)
    async with job.wire(stream=True) as wire:
        await wire.until(lambda: wire.body)
        # The worker calls whoever shows a credential a device.
        found = await hand_in(lab, f"device:{declared.id}", token)
        await wire.end()
        assert broken(wire.body) == "held"
    monkeypatch.setattr(lab.model, "play", play)
    assert (found.subject, found.response) == (subject, "step-up")
    hold = await held(lab, since)
    assert (hold.subject, hold.author) == (subject, "detector:relay")
    assert lab.of(StepUpAsked, since) == []
    assert refused(await job.ask()) == (403, "held")
    assert (await other.ask()).status_code == 200
    # It goes on: nobody is held twice.
    await hand_in(lab, subject, token)
    assert len(lab.of(HoldAdded, since)) == 1
    await lab.lift(hold.hold)
    assert (await job.ask()).status_code == 200


async def test_a_stranger_who_shows_a_jobs_token_cuts_off_nobody(
    lab: World, platform: Platform
) -> None:
    declared, job, _ = await working(lab, platform)
    since = lab.size
    assert await pass_on(lab, job) == 401
    await lab.until(lambda: lab.of(FindingRaised, since) and lab.of(AccessRefused, since))
    await lab.settle()
    (finding,) = lab.of(FindingRaised, since)
    told = (finding.kind, finding.subject, finding.others)
    assert told == ("wrong-key", f"workload:{declared.id}", ())
    assert lab.of(HoldAdded, since) == [] == lab.of(StepUpAsked, since)
    assert (await job.ask()).status_code == 200


async def test_the_log_with_all_that_passes_an_audit(lab: World, tmp_path: Path) -> None:
    view = open_view(lab.folder)
    await asyncio.to_thread(export_log, lab.folder, view.reader, view.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings
