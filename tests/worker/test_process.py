"""The worker's process beside a real issuer: whatever becomes of it, accesses go on."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from bailment.ledger.detection_records import FindingGrouped, FindingRaised
from bailment.settings import Worker as WorkerSettings
from bailment.worker import process
from bailment.worker import supervisor as supervisor_module
from bailment.worker.replay import Replay
from bailment.worker.report import Report
from bailment.worker.supervisor import Supervisor

from ..world import PATIENCE, World, world
from . import toy

pytestmark = [pytest.mark.anyio, pytest.mark.journey]
TOY = Path(toy.__file__)


@asynccontextmanager
async def supervised(at: World, *command: str, **patience: Any) -> AsyncIterator[Supervisor]:
    """A supervisor with the toy detector, or with another command, beside an issuer."""
    own = (sys.executable, str(TOY), str(at.folder.root), "0")
    supervisor = Supervisor(at.issuer.log, WorkerSettings(), command or own, **patience)
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.02)


def seen(at: World) -> dict[str, int]:
    """The toy's findings on the record, and how often each was seen."""
    found: dict[str, int] = {}
    for facts in at.of(FindingRaised):
        if facts.kind == toy.KIND:
            assert facts.finding not in found, "told twice"
            found[facts.finding] = facts.count
    for more in at.of(FindingGrouped):
        found[more.finding] += more.count
    return found


def expected(at: World) -> dict[str, int]:
    """What the toy finds in the log, by a replay that nothing interrupts."""
    replay = Replay((toy,))
    for record in at.issuer.log.reader.records():
        replay.take(record.index, record.leaf.time, record.facts)
    replay.end()
    return {hit.raised.finding: hit.count for hit in replay.hits}


async def test_a_finding_is_on_the_record_seconds_after_what_it_is_about(tmp_path: Path) -> None:
    async with world(tmp_path) as at, supervised(at) as supervisor:
        device = await at.device()
        for _ in range(2):
            await device.ask()
        await at.until(lambda: seen(at))
        raised = next(one for one in at.of(FindingRaised) if one.kind == toy.KIND)
        assert raised.subject == f"device:{device.id}"
        assert raised.response == at.register.conditions.detection.rule(toy.KIND).response
        await until(lambda: supervisor.report.told == 1 and supervisor.state == "running")


async def test_a_worker_killed_at_any_moment_misses_nothing_and_says_nothing_twice(
    tmp_path: Path,
) -> None:
    chance = random.Random(5)
    async with world(tmp_path) as at, supervised(at, first_pause=0.01) as supervisor:
        device = await at.device()
        for _ in range(4):
            with patch.object(supervisor_module, "IN_A_ROW", 1000):
                for _ in range(3):
                    assert (await device.ask()).status_code == 200
                before = supervisor.restarts
                await until(lambda: supervisor.status()["pid"])
                await asyncio.sleep(chance.random())  # whatever it is doing by then
                os.kill(supervisor.status()["pid"], signal.SIGKILL)
                await until(lambda n=before: supervisor.restarts > n)  # type: ignore[misc]
        # What goes on is told a minute later: by then all that is raised is enough.
        await at.until(lambda: seen(at).keys() == expected(at).keys())
        assert all(count <= expected(at)[name] for name, count in seen(at).items())


async def test_accesses_go_on_whatever_becomes_of_the_worker(tmp_path: Path) -> None:
    async with world(tmp_path, worker=True) as at:
        device = await at.device()

        async def worker() -> dict[str, Any]:
            told: dict[str, Any] = (await at.console.get("http://console/status")).json()
            found: dict[str, Any] = told["worker"]
            return found

        async with asyncio.timeout(PATIENCE):
            while (await worker())["state"] != "running":  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        os.kill((await worker())["pid"], signal.SIGSTOP)
        before = (await worker())["position"]
        for _ in range(20):
            assert (await device.ask()).status_code == 200
        stopped = await worker()
        assert stopped["position"] == before and stopped["behind"] >= 40
        assert await at.metric("bailment_worker_lag_entries") >= 40
        assert await at.metric("bailment_worker_lag_seconds") > 0
        os.kill(stopped["pid"], signal.SIGKILL)
        assert (await device.ask()).status_code == 200
        async with asyncio.timeout(PATIENCE):
            again = stopped
            while again["behind"] or again["pid"] in (0, stopped["pid"]):
                await asyncio.sleep(0.05)
                again = await worker()
        assert again["restarts"] == 1


async def test_a_worker_that_is_busy_reading_has_not_begun_anew(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_REPORT", 0.0)
    reporter = process._Reporter()
    reporter.still()
    reporter.say(Report(512, told=3))
    reporter.still()
    said = [msgspec.json.decode(line, type=Report) for line in capfd.readouterr().out.split()]
    assert said == [Report(0), Report(512, told=3), Report(512, told=3)]


async def test_a_worker_that_hangs_is_ended(tmp_path: Path) -> None:
    async with (
        world(tmp_path) as at,
        supervised(at, "sleep", "1000", silent=0.05, first_pause=0.01) as supervisor,
    ):
        await until(lambda: supervisor.restarts >= 2)


async def test_one_that_cannot_run_is_a_finding_and_no_endless_loop(tmp_path: Path) -> None:
    async with world(tmp_path) as at, supervised(at, "false", first_pause=0.001) as supervisor:
        failed = [one for one in at.of(FindingRaised) if one.kind == supervisor_module.KIND]
        assert failed == []
        await at.until(lambda: at.of(FindingRaised))
        found = at.of(FindingRaised)[-1]
        assert (found.kind, found.severity) == (supervisor_module.KIND, "high")
        assert "5 times in a row" in found.sentence
        assert supervisor.state == "failed"
        await at.settle()
        assert supervisor.restarts == supervisor_module.IN_A_ROW


async def test_what_a_worker_says_that_is_no_report_ends_it(tmp_path: Path) -> None:
    async with (
        world(tmp_path) as at,
        supervised(
            at, "sh", "-c", "echo nonsense; exec sleep 9999", first_pause=0.01
        ) as supervisor,
    ):
        await until(lambda: supervisor.restarts)


async def test_the_worker_ends_with_whoever_started_it(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, str(TOY), str(at.folder.root), "0"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert worker.stdin is not None
        worker.stdin.close()
        assert await asyncio.wait_for(worker.wait(), PATIENCE) == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "honey-credential"}, "the worker finds no such thing"),
        ({"records": [1_000_000]}, "an entry that is cited is not in the log"),
        ({"since": 2, "until": 1}, "the worker finds no such thing"),
    ],
)
async def test_the_worker_cannot_write_what_is_not_its_own(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    facts = {
        "finding": "ab" * 16,
        "kind": toy.KIND,
        "sentence": "x",
        "since": 1,
        "until": 1,
        "response": "hold",
        "records": [0],
    }
    act = {"act": "finding-raise", "author": "worker", "type": "finding.raised"}
    async with world(tmp_path) as at:
        sent = await at.console.post("http://c/act", json={**act, "facts": {**facts, **changes}})
        assert (sent.status_code, sent.json()["detail"]) == (400, says)
        for _ in range(2):
            sent = await at.console.post("http://c/act", json={**act, "facts": facts})
            assert sent.status_code == 200
        raised = at.of(FindingRaised)
        assert len(raised) == 1
        assert raised[0].response == at.register.conditions.detection.rule(toy.KIND).response


async def test_one_that_cannot_even_be_started_is_tried_again(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    async with world(tmp_path) as at, supervised(at, missing, first_pause=0.001) as supervisor:
        await at.until(lambda: at.of(FindingRaised))
        assert f"status {supervisor_module.NOT_STARTED}" in at.of(FindingRaised)[-1].sentence
        assert supervisor.state == "failed"
        await at.settle()


async def test_the_worker_answers_a_command_that_reads_the_log_where_there_is_none(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, worker=True) as at:
        device = await at.device()
        await until(at.folder.extent_socket.exists)
        assert (await device.ask()).status_code == 200
        found: dict[str, Any] = {}
        async with asyncio.timeout(PATIENCE):
            while found.get("by") != "the worker":
                found = await extent(at, f"device:{device.id}")  # it may be too far behind
        assert found["used"]["accesses"] == 1
        at.folder.extent_socket.unlink()
        again = await extent(at, f"device:{device.id}")
        assert again.pop("by") == "this command"
        assert {**again, "milliseconds": 0, "by": "the worker"} == found | {"milliseconds": 0}


async def extent(at: World, subject: str) -> Any:
    """What the command prints as JSON."""
    command = (sys.executable, "-m", "bailment", "blast-radius", subject, "--json")
    asking = await asyncio.create_subprocess_exec(
        *(*command, "-d", str(at.folder.root)), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asking.communicate()
    assert asking.returncode == 0
    return json.loads(out)
