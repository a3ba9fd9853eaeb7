"""What a set of processes has used, read from /proc."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def family(root: int) -> list[int]:
    """The process `root` and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_ns(pids: list[int]) -> int:
    """CPU time of every living thread, in nanoseconds (the ticks of /proc/PID/stat are 10 ms)."""
    tasks = (task for pid in pids for task in (PROC / str(pid) / "task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def rss_bytes(pids: list[int]) -> int:
    """The sum of the resident sets; pages that processes share are counted in each."""
    page = os.sysconf("SC_PAGE_SIZE")
    return page * sum(int((PROC / str(p) / "statm").read_text().split()[1]) for p in pids)


def core_busy_ns(core: int) -> int:
    """How long a core has not been idle since the machine started."""
    for line in (PROC / "stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, ticks)
            return (user + nice + system + irq + softirq) * TICK_NS
    raise LookupError(f"no core {core} in /proc/stat")


@dataclass(frozen=True)
class Reading:
    """A moment of the meter; the difference of two is what happened between them."""

    at_ns: int
    cpu_ns: int
    busy_ns: tuple[int, int]

    @classmethod
    def take(cls, pids: list[int]) -> Reading:
        return cls(time.monotonic_ns(), cpu_ns(pids), (core_busy_ns(0), core_busy_ns(1)))

    def busy_since(self, earlier: Reading) -> list[float]:
        """The share of the time that core 0 and core 1 were busy, 0..1."""
        elapsed = self.at_ns - earlier.at_ns
        pairs = zip(self.busy_ns, earlier.busy_ns, strict=True)
        return [round((now - then) / elapsed, 2) for now, then in pairs]
