"""100,000 findings in a minute, through the worker's own process into the log."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bailment.detect.grouping import FLOOD, MOST_SUBJECTS
from bailment.ledger.detection_records import FindingGrouped, FindingRaised
from bailment.ledger.records import AccessOpened
from bailment.spec.detection import DetectionTerms

from ..world import PATIENCE, world
from . import flood
from .test_process import supervised

pytestmark = [pytest.mark.anyio, pytest.mark.journey]
ACCESSES = 50
MINUTE = 60_000
#: What the worker may keep of it all, bytes.
KEPT = 4 << 20


async def test_a_flood_of_findings_is_bounded_and_counted_and_accesses_go_on(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as at:
        device = await at.device()
        at.clock.ahead = MINUTE - at.clock.now() % MINUTE  # all of it is in one minute
        began = at.clock.now()
        command = (sys.executable, flood.__file__, str(at.folder.root))
        async with supervised(at, *command) as supervisor:
            for _ in range(ACCESSES):
                assert (await device.ask()).status_code == 200
            assert at.clock.now() // MINUTE == began // MINUTE, "too slow for this test"
            opened = {index for index, _, facts in at.news if isinstance(facts, AccessOpened)}
            async with asyncio.timeout(PATIENCE):
                while supervisor.report.position < at.size or supervisor.report.waiting:
                    # It is handed in while others ask.
                    assert (await device.ask("chat", path="/v1/models")).status_code == 405
                    await asyncio.sleep(0.05)
            first = [one for one in at.of(FindingRaised) if one.kind == flood.KIND]
            assert len(first) == DetectionTerms().per_minute
            at.clock.ahead += MINUTE
            await at.hold(f"device:{device.id}")  # whatever is written says what the time is
            await at.until(lambda: at.of(FindingGrouped))
            await at.settle()
            restarts = supervisor.restarts
        raised = [one for one in at.of(FindingRaised) if one.kind == flood.KIND]
        (counted,) = at.of(FindingGrouped)
        assert raised == first and counted.kind == flood.KIND
        assert len(raised) + counted.count == flood.EACH * ACCESSES == 100_000
        assert counted.subjects == MOST_SUBJECTS
        assert {*counted.records, *raised[0].records} <= opened
        assert [one.kind for one in at.of(FindingRaised)].count(FLOOD) == 1
        assert at.folder.worker.stat().st_size < KEPT
        assert restarts == 0
