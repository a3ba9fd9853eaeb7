"""How soon a revocation is in force: `python benchmarks/revocation.py`.

1,000 streams are open through real sockets; one subject after another is put on hold, alone and
beside a saturated reader of the log. Then the log's writer is stopped, and what that does is timed;
then the log is audited. What is measured, and what is not: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import uvloop
from gateway_rig.targets import free_port
from revocation_rig.acts import Silence, Taken, fall_silent, saturated, take
from revocation_rig.people import Holder, Issuer, enrol

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.standstill import standing_still, thread_of  # noqa: E402

from bailment.store.folder import Folder  # noqa: E402
from bailment.store.secrets import load_secrets  # noqa: E402

MODEL = Path(__file__).parent / "gateway_rig" / "model.py"
GOAL_MS = 250
READER = """
import sys
from pathlib import Path
from bailment.store.folder import Folder
from bailment.store.view import open_view
while True:
    for record in open_view(Folder(Path(sys.argv[1]))).reader.records():
        pass
"""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def revoke(issuer: Issuer, holders: list[Holder], options: argparse.Namespace) -> list[Taken]:
    """Hold a subject of each holder's in turn, each time among as many open streams."""
    each, found = options.streams // len(holders), []
    for number in range(options.revokes):
        holder = holders[number % len(holders)]
        kinds = list(holder.subjects)
        if len(holder.streams) < each:
            await holder.open(each - len(holder.streams))
        found.append(await take(issuer.issuer / "control.sock", holder, kinds[number % len(kinds)]))
        await holder.open(each)
    return found


def typed(issuer: Issuer, holders: list[Holder]) -> list[float]:
    """The whole command, from its start to its end, ms."""
    found = []
    for holder in holders[:5]:
        began = time.perf_counter()
        done = issuer.bailment(
            *("hold", "add", holder.subjects["person"], "--reason", "benchmark", "--json"),
            *("-d", issuer.issuer),
        )
        found.append((time.perf_counter() - began) * 1000)
        issuer.bailment(
            *("hold", "lift", json.loads(done)["hold"], "--reason", "r", "-d", issuer.issuer)
        )
        holder.streams.clear()
    return found


async def measure(issuer: Issuer, options: argparse.Namespace) -> dict[str, Any]:
    say(f"enrolling {options.people} people")
    holders = await enrol(issuer, options.people)
    say(f"opening {options.streams} streams")
    for holder in holders:
        await holder.open(options.streams // options.people)
    reader = ["taskset", "-c", "0", sys.executable, "-c", READER, str(issuer.issuer)]
    beside: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "alone": nullcontext,
        "beside a saturated reader on the gateway's core": lambda: saturated(reader),
    }
    found: dict[str, Any] = {"revokes": {}}
    for name, context in beside.items():
        say(f"{options.revokes} revocations, {name}")
        with context():
            found["revokes"][name] = await revoke(issuer, holders, options)
    process = int((issuer.issuer / "lock").read_text())

    @contextmanager
    def stop() -> Any:
        with standing_still(thread_of(process, "log-writer")):
            yield

    say("stopping the writer of the log")
    found["silence"] = await fall_silent(issuer, holders, stop)
    found["typed"] = typed(issuer, holders)
    return found


def audit(issuer: Issuer) -> dict[str, Any]:
    """What an auditor finds in the whole run."""
    export = issuer.folder / "export"
    issuer.bailment("log", "export", export, "-d", issuer.issuer)
    key = load_secrets(Folder(issuer.issuer)).log.public.vkey
    done = subprocess.run(
        [sys.executable, "-m", "bailment", "log", "audit", export, "--key", key, "--json"],
        capture_output=True,
        text=True,
    )
    if not done.stdout:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[math.ceil(len(ranked) * share) - 1]


def row(what: str, values: Sequence[float]) -> str:
    cells = (percentile(values, 0.5), percentile(values, 0.99), max(values))
    return f"| {what} | {' | '.join(f'{cell:.1f}' for cell in cells)} |"


def markdown(about: dict[str, Any], found: dict[str, Any]) -> str:
    lines = [
        "## Revocation",
        "",
        "```",
        ".venv/bin/python benchmarks/revocation.py --docs",
        "```",
        "",
        f"{about['cpu']}, {about['cores']} cores, {about['kernel']}, {about['date']}, load "
        f"{about['load']} at the start. {about['streams']} streams of {about['people']} people are "
        "open through real sockets, each with a token a second; gateway on core 0, clients and "
        f"model on core 1. {about['revokes']} revocations each, in turn of a person, device, key, "
        "link and attribute, each of another subject; ms from when the command spoke to the "
        "issuer.",
        "",
    ]
    for name, taken in found["revokes"].items():
        worst = max(max(one.last_cut, one.refused) for one in taken)
        lines += [
            f"| {name} | p50 | p99 | max |",
            "| --- | ---: | ---: | ---: |",
            row("the issuer refuses from (its own word)", [one.told_refused for one in taken]),
            row("the last stream is closed (its own word)", [one.told_cut for one in taken]),
            row("the command has its answer: effective", [one.answered for one in taken]),
            row("first refusal, seen by a client that asks all the time", _of(taken, "refused")),
            row("last stream has ended, seen by its client", _of(taken, "last_cut")),
            "",
            f"Goal: at most {GOAL_MS} ms: {'met' if worst < GOAL_MS else '**missed**'} "
            f"({worst:.0f} ms). {sum(one.cut for one in taken):,} streams were cut.",
            "",
        ]
    silence: Silence = found["silence"]
    audited = found["audit"]
    lines += [
        f"The command itself, from its start to its end: {max(found['typed']):.0f} ms at the most "
        f"of {len(found['typed'])}; most of that is Python starting.",
        "",
        "**The writer of the log stands still** (its thread is stopped by ptrace, all else runs): "
        f"a request was first refused as `feed-stale` after {silence.stale:.2f} s (rule: 1 s, less "
        f"the age of the last beat), the {silence.streams:,} open streams were cut between "
        f"{silence.first_cut:.2f} and {silence.last_cut:.2f} s (rule: 3 s). {silence.waiting} "
        "requests of the first second waited for their record, and none was answered meanwhile. "
        f"Access was back {silence.back * 1000:.0f} ms after the writer went on.",
        "",
        f"`bailment log audit` of the whole run: {audited['size']:,} entries, "
        f"{audited['decisions']:,} decisions made again, {audited['agreed']:,} agreed with, "
        f"{len(audited['findings'])} findings; {audited['counts'].get('hold-ignored', 0)} accesses "
        "were opened after a hold that covered them.",
        "",
    ]
    return "\n".join(lines)


def _of(taken: list[Taken], name: str) -> list[float]:
    return [getattr(one, name) for one in taken]


def machine(options: argparse.Namespace) -> dict[str, Any]:
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "cpu": next(line.partition(": ")[2] for line in cpus if line.startswith("model name")),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load": f"{os.getloadavg()[0]:.1f}",
        **{name: getattr(options, name) for name in ("people", "streams", "revokes")},
    }


def publish(text: str) -> None:
    """Put the section into docs/performance.md, in the place of the last one."""
    page = ROOT / "docs" / "performance.md"
    before = page.read_text()
    found = re.search(r"^## Revocation\n.*?(?=^## |\Z)", before, re.M | re.S)
    rest = before.rstrip() + "\n\n" if found is None else before[: found.start()]
    after = "" if found is None else before[found.end() :]
    page.write_text(rest + text + ("\n" + after if after else ""))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--revokes", type=int, default=100, help="for each circumstance")
    parser.add_argument("--docs", action="store_true", help="write to docs/performance.md too")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path.home() / ".cache" / "bailment-benchmarks",
        help="where the results are written",
    )
    return parser.parse_args()


def main() -> None:
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    about = machine(options)
    with tempfile.TemporaryDirectory(prefix="bailment-benchmark-") as run:
        issuer = Issuer(Path(run))
        os.sched_setaffinity(0, {1})
        port = free_port()
        model = subprocess.Popen([sys.executable, MODEL, str(port)])
        try:
            issuer.start(f"http://127.0.0.1:{port}")
            found = uvloop.run(measure(issuer, options))
        finally:
            issuer.stop()
            model.kill()
            model.wait()
        say("auditing")
        found["audit"] = audit(issuer)
    text = markdown(about, found)
    raw = json.dumps(about | found, default=dataclasses.asdict, indent=1)
    (options.work / "revocation.json").write_text(raw)
    (options.work / "revocation.md").write_text(text)
    if options.docs:
        publish(text)
    print(text)
    say(f"written to {options.work}/revocation.md and revocation.json")


if __name__ == "__main__":
    main()
