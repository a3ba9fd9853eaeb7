"""How soon `bailment blast-radius` answers: a thousand organisations, ten million accesses.

python benchmarks/blast_radius.py [--organisations 1000] [--accesses 10000000] [--days 90]

An issuer is made with so many organisations in a real log, and served. The whole command is timed,
each time in a new process, asked for a table and for JSON; then with nothing running. Against what
it is held: a second. The accesses are not in the log, which would take hours: the rows that they
leave in the index (`store/exposure.py`) are put there as the fold over them would, and `--follow N`
measures that fold over N records. People and devices are invented: twenty a recipient, a tenth of
the organisations subcontractors, two devices in ten people, networks and clients that mostly stay
the same.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blast_radius_rig.issuer import DAY, MODELS, PURPOSES, START, Issuer, folder

from bailment.ledger.records import AccessClosed, AccessOpened, TokenIssued
from bailment.store.exposure import Exposure, Read
from bailment.store.folder import Folder
from bailment.store.incidents import Incidents
from bailment.store.questions import ask
from bailment.store.view import open_view

#: What the command may take, seconds.
LIMIT = 1.0
TIMES = 5


def name(*parts: object) -> str:
    """An id."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def fill(index: Exposure, issuer: Issuer, accesses: int, days: int) -> tuple[int, int]:
    """Rows as that many accesses leave them, in one transaction; how many accesses and rows."""
    draw, each = random.Random(issuer.seed), accesses / (len(issuer.devices) * days)
    db = index._db
    index._db.execute("BEGIN")
    entry = done = rows = 0
    names = {one: index._name(one) for one in (*issuer.devices, *MODELS, *PURPOSES, "")}
    networks = [index._name(f"AS{64_500 + one}") for one in range(3000)]
    clients = [index._name(one) for one in ("openai", "anthropic", "curl", "other")]
    usual: dict[tuple[Any, ...], list[int]] = {}
    day_rows: list[tuple[int, ...]] = []
    for day in range(days):
        for device in issuer.devices:
            count = int(draw.expovariate(1 / each)) + (draw.random() < 0.5)
            if not count:
                continue
            at = int(device[:6], 16)
            network = networks[at % 3000 if draw.random() < 0.9 else draw.randrange(3000)]
            key = (
                *(names[device], names[MODELS[at % 2]], names[PURPOSES[at % 7 == 0]]),
                *(network, names[""], clients[at % 4]),
            )
            began = START + day * DAY + draw.randrange(DAY // 2)
            ended, first = began + DAY // 2 - 1, entry
            entry += 3 * count
            values = (count, 900 * count, first, entry - 1, began, ended)
            day_rows.append((*key, START // DAY + day, *values))
            known = usual.setdefault(key, [0, 0, first, 0, began, 0])
            known[0] += count
            known[1] += 900 * count
            known[3], known[5] = entry - 1, ended
            done += count
            rows += 1
        db.executemany(f"INSERT INTO days VALUES ({', '.join('?' * 13)})", day_rows)
        day_rows.clear()
    marks = ", ".join("?" * 12)
    db.executemany(
        f"INSERT INTO uses VALUES ({marks})",
        ((*key, *values) for key, values in sorted(usual.items())),
    )
    db.execute("COMMIT")
    return done, rows


def follow(index: Exposure, issuer: Issuer, records: int) -> float:
    """Records a second that the index takes in, of tokens, accesses and their ends."""
    proof, body, device = "p" * 400, "0" * 64, issuer.devices[0]

    def entries(start: int) -> Iterator[Read]:
        for at in range(start, records):
            time_ms, turn = START + at * 100, at // 20
            if at % 20 == 0:
                given = (name("t", turn), issuer.devices[turn % len(issuer.devices)], "", (), ())
                issued = (time_ms, time_ms + 300_000, time_ms, proof, body)
                token = TokenIssued(*given, "audit", "software", device, *issued)
                yield at, time_ms, token, b"leaf"
            elif at % 2:
                asked = (name("t", turn), proof, "POST", "/v1/messages", body, "small", False)
                access = name("a", at)
                opened = AccessOpened(access, "generate", "dpop-body", *asked, 9, (), 0)
                yield at, time_ms, opened, b"leaf"
            else:
                closed = AccessClosed(name("a", at - 1), "complete", 200, 400, 500, True)
                yield at, time_ms, closed, b"leaf"

    began = time.perf_counter()
    index.follow(entries)
    return records / (time.perf_counter() - began)


def timed(where: Folder, subject: str, *options: str) -> tuple[list[float], Any]:
    """How long the command took each time, seconds, and what it answered."""
    command = (sys.executable, "-m", "bailment", "blast-radius", subject, "-d", where.root)
    took, out = [], ""
    for _ in range(TIMES):
        began = time.perf_counter()
        done = subprocess.run(
            [*map(str, command), *options], check=True, capture_output=True, text=True
        )
        took.append(time.perf_counter() - began)
        out = done.stdout if "--json" in options else done.stderr
    return took, out


@contextmanager
def serving(where: Folder) -> Iterator[list[int]]:
    """The issuer, served; the ids of its process and of its worker's."""
    command = (sys.executable, "-m", "bailment", "serve", "-d", str(where.root))
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not ask(where, {"subject": "model:large", "most": 1}, patience=60):
            if process.poll() is not None:
                raise RuntimeError("the issuer ended")
            time.sleep(0.2)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        yield [process.pid, int(children.split()[0])]
    finally:
        process.terminate()
        process.wait()


def memory(pid: int) -> int:
    """The most that a process has had, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


def subjects_of(issuer: Issuer) -> dict[str, str]:
    """What is asked about."""
    return {
        "device": f"device:{issuer.devices[7]}",
        "person": f"person:{issuer.people[7]}",
        "subcontractor": f"subcontractor:{issuer.subcontractors[-1]}",
        "recipient": f"recipient:{issuer.organisations[3]}",
        "shared system": "system:system3",
        "vendor": "vendor:v3",
        "network": f"network:AS{64_500 + int(issuer.devices[7][:6], 16) % 3000}",
        "model": "model:large",
    }


def report(issuer: Issuer, days: int) -> None:
    """Time the command about each subject, and print."""
    late = ("--since", time.strftime("%Y-%m-%d", time.gmtime((START + (days - 7) * DAY) / 1000)))
    columns = "subject", "reached", "through", "accesses", "s", "most", "of 1 s", "late", "JSON"
    print(("{:14}" + "{:>10}" * 8).format(*columns))
    for title, subject in subjects_of(issuer).items():
        took, _ = timed(issuer.folder, subject)
        since, _ = timed(issuer.folder, subject, *late)
        whole, out = timed(issuer.folder, subject, "--json")
        told = json.loads(out)
        by = "" if told["by"] == "the worker" else "  (JSON: by the command itself)"
        counts = [sum(told["counts"][one].values()) for one in ("reached", "through")]
        median, most = statistics.median(took), max(took)
        print(
            f"{title:14}{counts[0]:10}{counts[1]:10}{told['used']['accesses']:10}{median:10.2f}"
            f"{most:10.2f}{most / LIMIT:9.2f}x{max(since):10.2f}{max(whole):10.2f}{by}",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--organisations", type=int, default=1000)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--systems", type=int, default=100)
    parser.add_argument("--accesses", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--follow", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        issuer = Issuer(folder(Path(root)), asked.seed)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        asyncio.run(issuer.build(port, asked.organisations, asked.people, asked.systems))
        small = Exposure(Path(root) / "follow.db")
        rate = follow(small, issuer, asked.follow)
        small.close()
        view = open_view(issuer.folder)
        incidents = Incidents(issuer.folder, view.reader, view.register)
        incidents.follow()
        done, rows = fill(incidents.index, issuer, asked.accesses, asked.days)
        incidents.close()
        print(
            f"{asked.organisations} organisations, {len(issuer.people)} people, "
            f"{len(issuer.devices)} devices, {asked.systems} shared systems in "
            f"{view.checkpoint.size} records; {done} accesses in {asked.days} days, {rows} rows, "
            f"{issuer.folder.exposure.stat().st_size >> 20} MiB; {round(rate)} records/s taken in"
        )
        del view
        with serving(issuer.folder) as (server, worker):
            before = memory(worker)
            report(issuer, asked.days)
            print(
                f"memory: worker {memory(worker)} MiB at the most, of which {before} before the "
                f"questions; issuer {memory(server)} MiB"
            )
        took, _ = timed(issuer.folder, subjects_of(issuer)["vendor"])
        print(
            f"with nothing running, the vendor: {statistics.median(took):.2f} s, "
            f"{max(took):.2f} s at the most, {max(took) / LIMIT:.2f}x the limit"
        )


if __name__ == "__main__":
    main()
