"""What it costs the gateway to tell where a request comes from: `python benchmarks/context.py`.

All of it: the headers, three look-ups, the hashes, and the digests of system prompt, tools and
first message, which are made while the body is parsed (parsing itself the gateway does anyway).
Tables are those of the folder given, or those of the package. Times are the CPU's, so that other
processes do not count.
"""

from __future__ import annotations

import ipaddress
import json
import random
import statistics
import sys
import time
from pathlib import Path

from bailment.detect.context import context_of, opened
from bailment.gateway.dialects.opening import opening_of
from bailment.store.folder import Folder
from bailment.store.tables import load_tables, shipped_tables

REQUESTS = 5_000
KEY = b"k" * 32
HEADERS = [
    (b"host", b"gateway.example"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"AsyncOpenAI/Python 3.51.0"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-package-version", b"3.51.0"),
    (b"x-stainless-os", b"Linux"),
    (b"x-stainless-arch", b"x64"),
    (b"x-stainless-runtime", b"CPython"),
    (b"x-stainless-runtime-version", b"3.11.9"),
    (b"x-stainless-async", b"async:asyncio"),
    (b"x-stainless-retry-count", b"0"),
    (b"authorization", b"DPoP " + b"t" * 900),
    (b"dpop", b"p" * 900),
]
WORDS = "the quick brown fox jumps over the lazy dog and reads 42 files "


def request(system: int, tools: int) -> dict[str, object]:
    """One whose system prompt has so many bytes, and as many tools as said, of 1 KiB each."""
    prompt = (WORDS * (system // len(WORDS) + 1))[:system]
    tool = {"name": "t", "description": WORDS * 15, "input_schema": {"type": "object"}}
    messages = [{"role": "user", "content": "hello"}]
    return {"system": prompt, "tools": [tool] * tools, "messages": messages}


def main() -> None:
    """Print the table."""
    tables = load_tables(Folder(Path(sys.argv[1])))[0] if sys.argv[1:] else shipped_tables()
    draw = random.Random(5)
    addresses = [str(ipaddress.IPv4Address(draw.getrandbits(32))) for _ in range(1000)]
    print(f"{'request':32} {'median':>8} {'p99':>8}   µs")
    for name, system, tools in (
        ("no system prompt", 0, 0),
        ("system 1 KiB", 1 << 10, 0),
        ("coding agent: 16 KiB, 20 tools", 16 << 10, 20),
        ("system 1 MiB", 1 << 20, 0),
    ):
        members = json.loads(json.dumps(request(system, tools)))
        took = []
        for number in range(REQUESTS if system < 1 << 20 else REQUESTS // 10):
            address = addresses[number % len(addresses)]
            began = time.thread_time_ns()
            context = context_of(address, HEADERS, tables, KEY)
            opened(context, opening_of(members), KEY)
            took.append((time.thread_time_ns() - began) / 1000)
        p99 = statistics.quantiles(took, n=100)[98]
        print(f"{name:32} {statistics.median(took):8.1f} {p99:8.1f}")


if __name__ == "__main__":
    main()
