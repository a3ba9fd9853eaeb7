"""From the log to a finding in the log: `python benchmarks/worker.py [--accesses 60000] [--write]`.

An issuer serves, in a real folder, and its worker is the real process. A hundred people of fifty
organisations have asked for three weeks when the worker begins, and every record of that is read by
all its detectors; then they ask as fast as the journal takes it, while the worker follows; then a
thief uses the credentials of eight people, time after time, and how soon that is a finding in the
log is timed from the last access that it takes. Figures: docs/detection.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import socket
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import uvloop
from ledger_rig.appenders import Journaled, Work
from ledger_rig.population import ORIGIN, URL, enrol

from bailment.cli import serve
from bailment.ledger.context import Context
from bailment.ledger.detection_records import FindingRaised
from bailment.settings import Worker
from bailment.store.folder import Folder
from bailment.store.log import Log
from bailment.store.sequencer import News
from bailment.worker.supervisor import Supervisor

ROOT = Path(__file__).parents[1]
PAGE, BEGIN, END = ROOT / "docs" / "detection.md", "<!-- worker -->\n", "<!-- end of worker -->\n"
WEEKS, LIVE, THEFTS, STOLEN = 3, 20_000, 20, 8
OPEN, PATIENCE = 64, 600
KIND = "many-credentials"
_WEEK = 604_800_000
_SETTINGS = """
[issuer]
origin = "{origin}"
url = "{url}"
contact = "ops@bench.example"
[listen]
port = {port}
plain_behind_proxy = true
[worker]
enabled = false
"""


class Clock:
    """The issuer's: it runs as the real one does, from where it is put."""

    def __init__(self) -> None:
        self.ahead = -WEEKS * _WEEK

    def time_ns(self) -> int:
        return time.time_ns() + self.ahead * 1_000_000


@dataclass
class Bench:
    """An issuer that serves, and the accesses to it."""

    folder: Folder
    log: Log
    journal: Journaled
    clock: Clock
    draw: random.Random = field(default_factory=lambda: random.Random(1))
    came: list[tuple[float, FindingRaised]] = field(default_factory=list)

    def notice(self, news: News) -> None:
        now = time.perf_counter()
        self.came += ((now, facts) for _, _, facts in news if isinstance(facts, FindingRaised))

    def usual(self, work: Work) -> Context:
        """Where somebody mostly is, and with what; sometimes they travel."""
        number = self.journal.issuer.devices.index(work[0])
        at = number if self.draw.random() < 0.95 else self.draw.randrange(1000)
        return _context(f"{at % 150:016x}", f"{number % 50:016x}")

    async def ask(self, rounds: int, each: int, step: int) -> float:
        """In each round so many accesses by each of those who ask at once, and `step` ms of the
        issuer's clock between two rounds; records a second."""
        began, before = time.perf_counter(), self.log.sequencer.size

        async def one() -> None:
            for _ in range(each):
                work = await self.journal.bring(signed=False)
                await self.journal.close(await self.journal.open(work, self.usual(work)))

        for _ in range(rounds):
            self.clock.ahead += step
            await asyncio.gather(*(one() for _ in range(OPEN)))
        return (self.log.sequencer.size - before) / (time.perf_counter() - began)

    async def steal(self, number: int) -> float:
        """Use eight people's credentials from one place; seconds until that is in the log."""
        before = len(self.came)
        works: deque[Work] = await self.journal.prepare(2 * STOLEN)
        where = _context(f"{10_000 + number:016x}", f"{10_000 + number:016x}")
        for work in list(works)[::2][:STOLEN]:
            access = await self.journal.open(work, where)
            done = time.perf_counter()
            await self.journal.close(access)
        async with asyncio.timeout(PATIENCE):
            while not any(one.kind == KIND for _, one in self.came[before:]):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return next(at for at, one in self.came[before:] if one.kind == KIND) - done


def _context(prefix: str, workspace: str) -> Context:
    asn = 60_000 + int(prefix, 16)
    return Context(asn, "NL", prefix=prefix, client="OpenAI/Python", workspace=workspace)


@asynccontextmanager
async def serving(root: Path, accesses: int) -> AsyncIterator[Bench]:
    """An issuer with three weeks of accesses behind it."""
    folder, clock = Folder(root / "issuer"), Clock()
    with patch("bailment.clock.time", clock), socket.create_server(("127.0.0.1", 0)) as listener:
        settings = _SETTINGS.format(origin=ORIGIN, url=URL, port=listener.getsockname()[1])
        await serve.initialise(folder, settings, ORIGIN, "benchmark")
        async with serve.opened(folder) as issuer:
            bench = Bench(folder, issuer.log, Journaled(await enrol(issuer.actions)), clock)
            rounds = accesses // OPEN
            rate = await bench.ask(rounds, 1, WEEKS * _WEEK // rounds)
            _say(f"{issuer.log.sequencer.size:,} records written, {rate:,.0f} a second")
            issuer.log.sequencer.listeners.append(bench.notice)
            asked, ready = asyncio.Event(), asyncio.Event()
            task = asyncio.create_task(serve.run(issuer, listener, asked, ready))
            await ready.wait()
            try:
                yield bench
            finally:
                asked.set()
                await task


async def level(bench: Bench, supervisor: Supervisor) -> None:
    """Wait until the worker has read everything, and told all of it."""
    async with asyncio.timeout(PATIENCE):
        while supervisor.report.position < bench.log.fold.size or supervisor.report.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def cpu(pid: int) -> float:
    """What a process has used of a core, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """The most that it ever held of memory, MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(one for one in lines if one.startswith("VmHWM")).split()[1]) / 1024


async def measure(accesses: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bailment-worker-") as place:
        async with serving(Path(place), accesses) as bench:
            memory = Worker().memory_bytes
            module = ("-m", "bailment.cli.process", "worker", "-d", str(bench.folder.root))
            supervisor = Supervisor(
                bench.log, Worker(), (sys.executable, "-P", *module, str(memory), "0")
            )
            task = asyncio.create_task(supervisor.run())
            try:
                return await _phases(bench, supervisor)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def _phases(bench: Bench, supervisor: Supervisor) -> dict[str, float]:
    async with asyncio.timeout(PATIENCE):
        while not supervisor.report.position:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    pid = supervisor.status()["pid"]
    began, first, used = time.perf_counter(), supervisor.report.position, cpu(pid)
    size = bench.log.fold.size
    await level(bench, supervisor)
    read = size - first
    found = {
        "records": size,
        "behind_per_s": read / (time.perf_counter() - began),
        "behind_per_cpu_s": read / (cpu(pid) - used),
    }
    start, used, began = bench.log.fold.size, cpu(pid), time.perf_counter()
    found["written_per_s"] = await bench.ask(1, LIVE // OPEN, 0)
    found["behind"] = supervisor.behind
    written = time.perf_counter()
    await level(bench, supervisor)
    found["level_after_s"] = time.perf_counter() - written
    read = bench.log.fold.size - start
    found["written"] = read
    found["live_per_s"] = read / (time.perf_counter() - began)
    found["live_per_cpu_s"] = read / (cpu(pid) - used)
    waits = [await bench.steal(number) for number in range(THEFTS)]
    found["finding_p50_s"] = statistics.median(waits)
    found["finding_max_s"] = max(waits)
    found["memory_mb"] = resident(pid)
    if supervisor.restarts:
        raise RuntimeError("the worker ended meanwhile, and what was measured is of two")
    return found


def table(found: dict[str, float]) -> str:
    lines = (
        "| | |",
        "|---|---|",
        f"| records of {WEEKS} weeks when the worker begins | {found['records']:,.0f} |",
        f"| of these read a second | {found['behind_per_s']:,.0f} |",
        f"| and in a second of its own CPU time | {found['behind_per_cpu_s']:,.0f} |",
        f"| then written a second, for {found['written']:,.0f} records "
        f"| {found['written_per_s']:,.0f} |",
        f"| of these read a second meanwhile and after | {found['live_per_s']:,.0f} |",
        f"| and in a second of its own CPU time | {found['live_per_cpu_s']:,.0f} |",
        f"| behind at the end of that, records | {found['behind']:,.0f} |",
        f"| and no more, seconds later | {found['level_after_s']:.1f} |",
        f"| from the last access of a theft to its finding in the log, {THEFTS} times: median, s "
        f"| {found['finding_p50_s']:.2f} |",
        f"| at most, s | {found['finding_max_s']:.2f} |",
        f"| most memory of the worker, MB | {found['memory_mb']:,.0f} |",
    )
    return "\n".join(lines) + "\n"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--accesses", type=int, default=60_000, help="before the worker begins")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    asked = parser.parse_args()
    found = uvloop.run(measure(asked.accesses))
    print(text := table(found))
    if asked.write:
        page = re.sub(f"(?s){BEGIN}.*{END}", lambda _: BEGIN + text + END, PAGE.read_text())
        PAGE.write_text(page)


if __name__ == "__main__":
    main()
