"""The processes of the benchmark, each one measurement: `python -m ledger_rig.roles ROLE JSON`.

Each pins itself to one core before it starts a thread, so event loop, writer and publisher share
it, and prints what it found as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

import uvloop

from bailment.auditor.audit import audit_export
from bailment.clock import now_ms
from bailment.ledger.leaf import decode_leaf
from bailment.ledger.records import AccessClosed, AccessOpened
from bailment.store.export import export_log
from bailment.store.folder import Folder
from bailment.store.log import Log, open_log
from bailment.store.secrets import load_secrets

from .appenders import Bare, Journaled
from .population import Issuer, make_folder, populate

CORE, OTHER_CORE = 0, 1
WORKERS = 64
#: How long the model takes, from `access.opened` to `access.closed`.
ANSWER_SECONDS = 0.05
PROBES = 200

Appender = Journaled | Bare


async def throughput(peer: bool, accesses: int, columns: Any = None) -> dict[str, Any]:
    """Records a second with 64 accesses open at any time."""
    async with _appender(peer, columns) as appender:
        work = await appender.prepare(accesses)

        async def worker() -> None:
            while work:
                await appender.close(await appender.open(work.popleft()))

        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(WORKERS)))
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        written = [] if peer else _column_bytes(appender.issuer.log)
    records = 2 * accesses
    return {"rate": records / took, "cpu_us": cpu / records * 1e6, "columns": written}


async def gate(peer: bool, rate: float, seconds: float, columns: Any = None) -> dict[str, Any]:
    """Milliseconds from an arrival until its `access.opened` is durable."""
    latencies: list[float] = []
    async with _appender(peer, columns) as appender:
        work = await appender.prepare(int(rate * seconds * 1.2) + 100)
        tasks: set[asyncio.Task[None]] = set()

        async def access(due: int) -> None:
            opened = await appender.open(work.popleft())
            latencies.append((time.monotonic_ns() - due) / 1e6)
            await asyncio.sleep(ANSWER_SECONDS)
            await appender.close(opened)

        async for due in _arrivals(rate, seconds):
            task = asyncio.create_task(access(due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
    cuts = quantiles(latencies, n=1000)
    return {
        "accesses": len(latencies),
        "p50_ms": cuts[499],
        "p99_ms": cuts[989],
        "max_ms": max(latencies),
        "sync_ms": _sync_ms(),
    }


async def build(root: str, records: int, signed: int) -> dict[str, Any]:
    """Fill a log through the same path; proofs of the first `signed` records are signed."""
    folder = Folder(Path(root))
    began = time.perf_counter()
    async with _issuer(folder.root) as issuer:
        appender = Journaled(issuer)
        log = issuer.log

        async def worker() -> None:
            while log.sequencer.size < records - WORKERS:
                work = await appender.bring(signed=log.sequencer.size < signed)
                await appender.close(await appender.open(work))

        telling = asyncio.create_task(_tell(log, records))
        await asyncio.gather(*(worker() for _ in range(4 * WORKERS)))
        telling.cancel()
        size = log.fold.size
    return {"records": size, "seconds": time.perf_counter() - began, "peak_mb": _memory_mb("VmHWM")}


async def start(root: str) -> dict[str, Any]:
    """Open the log as `bailment serve` does."""
    folder = Folder(Path(root))
    began = time.perf_counter()
    log = open_log(folder, load_secrets(folder), now_ms)
    took = time.perf_counter() - began
    size, memory = log.fold.size, _memory_mb("VmRSS")
    began = time.perf_counter()
    await log.close()
    closed = time.perf_counter() - began
    return {"records": size, "seconds": took, "rss_mb": memory, "close_seconds": closed}


async def audit(root: str, out: str) -> dict[str, Any]:
    """Export the log and audit the export, on every core."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    folder = Folder(Path(root))
    secrets = load_secrets(folder)
    log = open_log(folder, secrets, now_ms)
    began = time.perf_counter()
    export_log(folder, log.reader, secrets.log.public, Path(out))
    exported = time.perf_counter() - began
    await log.close()
    report = audit_export(Path(out), secrets.log.public)
    return {
        "entries": report.entries,
        "decisions": report.decisions,
        "agreed": report.agreed,
        "findings": sum(report.counts.values()),
        "export_seconds": exported,
        "seconds": report.seconds,
    }


# What they share


@contextlib.asynccontextmanager
async def _appender(peer: bool, columns: Any) -> AsyncIterator[Any]:
    with tempfile.TemporaryDirectory(prefix="bailment-ledger-") as place:
        if peer:
            opened, closed = map(tuple, columns)
            yield Bare(Path(place) / "staging.db", opened, closed)
        else:
            async with _issuer(Path(place) / "issuer") as issuer:
                yield Journaled(issuer)


@contextlib.asynccontextmanager
async def _issuer(root: Path) -> AsyncIterator[Issuer]:
    folder, secrets = make_folder(root)
    log = open_log(folder, secrets, now_ms)
    try:
        yield await populate(log, secrets)
    finally:
        await log.close()


async def _arrivals(rate: float, seconds: float) -> AsyncIterator[int]:
    script = Path(__file__).with_name("arrivals.py")
    command = [sys.executable, str(script), str(rate), str(seconds), str(OTHER_CORE)]
    load = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert load.stdout is not None
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            (due,) = struct.unpack("<q", await load.stdout.readexactly(8))
            yield due
    await load.wait()


async def _tell(log: Log, records: int) -> None:
    while True:
        await asyncio.sleep(10)
        print(f"  {log.fold.size:,} of {records:,} records", file=sys.stderr, flush=True)


def _sync_ms() -> float:
    """What an fdatasync takes here and now, at the median."""
    with tempfile.NamedTemporaryFile() as file:
        times = []
        for _ in range(PROBES):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return quantiles(times, n=2)[0]


def _column_bytes(log: Log) -> list[list[int]]:
    """The bytes of entry, facts and personal part of an access's two records, on average."""
    found: dict[str, list[tuple[int, int, int]]] = {AccessOpened.TYPE: [], AccessClosed.TYPE: []}
    for stored in log.reader.stored(log.fold.size - 1_000):
        kind = decode_leaf(stored.entry).type
        if kind in found:
            row = (len(stored.entry), len(stored.facts), len(stored.personal))
            found[kind].append(row)
    return [[round(mean(column)) for column in zip(*rows, strict=True)] for rows in found.values()]


def _memory_mb(name: str) -> float:
    """`VmRSS`, what the process holds, or `VmHWM`, the most it ever held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    roles = {role.__name__: role for role in (throughput, gate, build, start, audit)}
    print(json.dumps(uvloop.run(roles[sys.argv[1]](**json.loads(sys.argv[2])))))
