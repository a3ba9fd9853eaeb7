"""Measure the gateway beside nginx, LiteLLM and smg: `python benchmarks/gateway.py`.

What is measured, and what is not: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import http.client
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvloop
from gateway_rig import load, meter
from gateway_rig.bailment import Bailment, Inline, Unwatched
from gateway_rig.report import CONCURRENCY, STEADY, STEADY_RATE, Result, markdown
from gateway_rig.targets import LiteLLM, Nginx, Smg, Target, free_port, post

RIG = Path(__file__).parent / "gateway_rig"
SMG = "1.13.0"
LITELLM = "1.106.2,1.82.6"
WARM = 20_000  # proofs for the second in which a target's rate is first seen
MARGIN = 3  # proofs signed for a run, as a multiple of the requests expected of it


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def make_targets(options: argparse.Namespace, run: Path) -> list[Target]:
    """The targets asked for. Each gets a folder of its own below `run`."""

    def folder(name: str) -> Path:
        path = run / name
        path.mkdir()
        return path

    makers: dict[str, Callable[[], list[Target]]] = {
        "nginx": lambda: [Nginx(folder("nginx"))],
        "litellm": lambda: [
            LiteLLM(folder(f"litellm-{version}"), options.work, version)
            for version in options.litellm.split(",")
        ],
        "smg": lambda: [Smg(folder("smg"), options.work, SMG)],
        "bailment": lambda: [Bailment(folder("bailment"))],
        "inline": lambda: [Inline(folder("inline"))],
        "unwatched": lambda: [Unwatched(folder("unwatched"))],
    }
    return [target for name in options.targets.split(",") for target in makers[name]()]


@contextlib.contextmanager
def model(port: int) -> Iterator[str]:
    """The fake model, on the load generator's core."""
    process = subprocess.Popen([sys.executable, RIG / "model.py", str(port)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def check(target: Target) -> None:
    """The target hands on the model's answer, and nothing to someone without a credential."""
    credential = target.present(load.WHOLE, 1)
    status, answer = post(target.url, load.WHOLE, credential.first())
    if status != http.client.OK or json.loads(answer)["usage"]["total_tokens"] != 500:
        raise RuntimeError(f"{target.name} answered {status}: {answer[:500]!r}")
    if target.authenticates and post(target.url, load.WHOLE, {})[0] == http.client.OK:
        raise RuntimeError(f"{target.name} serves anybody")


def measure(target: Target, result: Result, folder: Path, seconds: int) -> None:
    """One round of one target."""
    for connections in CONCURRENCY:
        runs = result.whole.setdefault(str(connections), [])
        known = [result.warm, *(run for other in result.whole.values() for run in other)]
        most = int(max(run.rate for run in known) * seconds * MARGIN) + 1000
        runs.append(load.run_wrk(target, folder, connections, seconds, most))
        say(f"  {target.name} c={connections}: {runs[-1].rate:,.0f}/s")
    if runs[-1].rate > 2 * STEADY_RATE:
        think = CONCURRENCY[-1] * 1000 // STEADY_RATE
        most = STEADY_RATE * seconds * 2 + 1000
        steady = load.run_wrk(target, folder, CONCURRENCY[-1], seconds, most, think)
        result.whole.setdefault(STEADY, []).append(steady)
    result.paced.append(uvloop.run(load.run_streams(target, seconds)))
    say(f"  {target.name} streams: first token after {result.paced[-1].ttft_p50_ms:.1f} ms")


def benchmark(targets: list[Target], run: Path, rounds: int, seconds: int) -> dict[str, Result]:
    """Start every target, then measure them in turn, each round in another order."""
    results: dict[str, Result] = {}
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(model(free_port()))
        for target in targets:
            say(f"starting {target.name} {target.version}")
            stack.callback(target.stop)
            target.start(upstream)
            check(target)
            warm = load.run_wrk(target, run, 16, 1, WARM)
            held = uvloop.run(load.bytes_per_stream(target))
            results[target.name] = Result(target.version, warm, held / 1024)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for target in targets[number % len(targets) :] + targets[: number % len(targets)]:
                measure(target, results[target.name], run, seconds)
        for target in targets:
            results[target.name].rss_mb = meter.rss_bytes(target.processes()) / 2**20
            target.stop()
            results[target.name].left = target.summary()
    return results


def machine(options: argparse.Namespace) -> dict[str, Any]:
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "cpu": next(line.partition(": ")[2] for line in cpus if line.startswith("model name")),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rounds": options.rounds,
        "seconds": options.seconds,
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--targets",
        default="nginx,litellm,smg,bailment,inline,unwatched",
        help="which, in which order",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="length of each run")
    parser.add_argument("--litellm", default=LITELLM, help="releases to measure")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path.home() / ".cache" / "bailment-benchmarks",
        help="where the peers are installed and the results are written",
    )
    return parser.parse_args()


def main() -> None:
    options = parse()
    for tool, package in {"nginx": "nginx-light", "wrk": "wrk", "taskset": "util-linux"}.items():
        if not shutil.which(tool):
            raise SystemExit(f"`{tool}` is missing; on Debian: apt-get install {package}")
    if not {0, 1} <= os.sched_getaffinity(0):
        raise SystemExit("cores 0 and 1 are needed: one for the target, one for load and model")
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bailment-benchmark-") as run:
        targets = make_targets(options, Path(run))
        os.sched_setaffinity(0, {1})
        results = benchmark(targets, Path(run), options.rounds, options.seconds)
    about = machine(options)
    text = markdown(about, results)
    found = {name: dataclasses.asdict(result) for name, result in results.items()}
    (options.work / "gateway.json").write_text(json.dumps({**about, "results": found}, indent=1))
    (options.work / "gateway.md").write_text(text)
    print(text)
    say(f"written to {options.work}/gateway.md and gateway.json")


if __name__ == "__main__":
    main()
