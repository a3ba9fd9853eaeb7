"""Measure the ledger beside SQLite with the same bytes: `python benchmarks/ledger.py`.

What is measured, and what is not: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ledger_rig.report import PARTS, markdown

RATES = (500, 2_000)
DELAY_MS = 2
AUDITED = 1_000_000
ACCESSES = 40_000


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(role: str, *, delayed: bool = False, **arguments: Any) -> dict[str, Any]:
    """One measurement in a process of its own; `delayed` adds 2 ms to each of its syncs."""
    say(f"{role} {' '.join(f'{key}={value}' for key, value in arguments.items())}")
    strace = [
        *("strace", "--follow-forks", "--quiet=all", "--seccomp-bpf", "--output=/dev/null"),
        *("--trace=fsync,fdatasync", f"--inject=fsync,fdatasync:delay_exit={DELAY_MS}ms"),
    ]
    command = [sys.executable, "-m", "ledger_rig.roles", role, json.dumps(arguments)]
    done = subprocess.run(
        [*(strace if delayed else []), *command],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        check=True,
    )
    return dict(json.loads(done.stdout))


def measure(options: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Everything, in the order in which nothing disturbs what follows."""
    found: dict[str, Any] = {}
    first = run("throughput", peer=False, accesses=ACCESSES)
    columns = first["columns"]
    found["throughput"] = rounds(options, "throughput", columns, accesses=ACCESSES)
    found["throughput"]["ours"].append(first)
    found["gates"] = gates(options, columns)
    if options.records:
        grown(options, place, found)
    return found


def rounds(
    options: argparse.Namespace, role: str, columns: list[list[int]], **arguments: Any
) -> dict[str, list[dict[str, Any]]]:
    """The same measurement of both, taking turns, so that a busy moment strikes either."""
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    for _ in range(options.rounds):
        found["ours"].append(run(role, peer=False, **arguments))
        found["peer"].append(run(role, peer=True, columns=columns, **arguments))
    return found


def gates(options: argparse.Namespace, columns: list[list[int]]) -> dict[str, Any]:
    """The gate at each rate, on the disk as it is and with slower syncs."""
    delays = [(False, "")]
    if shutil.which("strace"):
        delays.append((True, f", sync + {DELAY_MS} ms"))
    else:
        say("`strace` is missing, so syncs are not slowed down; on Debian: apt-get install strace")
    found = {}
    for delayed, name in delays:
        for rate in RATES:
            load = {"rate": rate, "seconds": options.seconds, "delayed": delayed}
            found[f"{rate:,}/s{name}"] = rounds(options, "gate", columns, **load)
    return found


def grown(options: argparse.Namespace, place: Path, found: dict[str, Any]) -> None:
    """What depends on the log's size: start, audit, bytes on disk, memory."""
    root, audited = place / "log", min(AUDITED, options.records)
    found["build"] = run("build", root=str(root), records=audited, signed=audited)
    found["sizes"] = sizes(root, found["build"]["records"])
    found["audit"] = run("audit", root=str(root), out=str(place / "export"))
    shutil.rmtree(place / "export")
    if options.records > audited:
        shutil.rmtree(root)
        found["build"] = run("build", root=str(root), records=options.records, signed=0)
    began = time.perf_counter()
    found["start"] = run("start", root=str(root))
    closed = found["start"].pop("close_seconds")
    found["start"]["process_seconds"] = time.perf_counter() - began - closed


def sizes(root: Path, records: int) -> dict[str, Any]:
    """Bytes by part. An access is two records; the few others are counted with them."""
    found = {}
    for name, pattern in PARTS.items():
        paths = [path for top in root.glob(pattern) for path in (top, *top.rglob("*"))]
        found[name] = sum(path.stat().st_size for path in paths if path.is_file())
    return {"accesses": records // 2, "bytes": found}


def machine(options: argparse.Namespace) -> dict[str, Any]:
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "cpu": next(line.partition(": ")[2] for line in cpus if line.startswith("model name")),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rounds": options.rounds,
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--records", type=int, default=AUDITED, help="size of the log that is opened; 0: none"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is shown")
    parser.add_argument("--seconds", type=int, default=10, help="length of each run of the gate")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path.home() / ".cache" / "bailment-benchmarks",
        help="where the logs lie meanwhile, on the disk to be measured, and the results stay",
    )
    return parser.parse_args()


def main() -> None:
    options = parse()
    if not {0, 1} <= os.sched_getaffinity(0):
        raise SystemExit("cores 0 and 1 are needed: one for the log, one for the load")
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ledger-", dir=options.work) as place:
        os.environ["TMPDIR"] = place
        found = measure(options, Path(place))
    about = machine(options)
    text = markdown(about, found)
    (options.work / "ledger.json").write_text(json.dumps({**about, **found}, indent=1))
    (options.work / "ledger.md").write_text(text)
    print(text)
    say(f"written to {options.work}/ledger.md and ledger.json")


if __name__ == "__main__":
    main()
