"""Derives the simulator's two small tables from public data.

    python benchmarks/fleet_tables.py FOLDER

FOLDER holds `network/asn_ipv4.csv.gz` (@ip-location-db/asn, CC-BY-4.0), `asn_country_ipv4.csv.gz`
(@ip-location-db/asn-country, NRO), `x4b_datacenter_ipv4.txt.gz` and `x4b_vpn_ipv4.txt.gz`
(X4BNet/lists_vpn, MIT), `traces/azure_llm_2023_{conv,code}.csv.gz` (Azure/AzurePublicDataset,
CC-BY-4.0) and `traces/mooncake_conversation.jsonl.gz` (kvcache-ai/Mooncake, Apache-2.0).
Written are `networks.json`: per country a few networks of the largest autonomous systems, and
`traces.json`:
percentiles of tokens and of the time between two turns. Notices: `NOTICE.txt` beside them.
"""

from __future__ import annotations

import bisect
import csv
import gzip
import ipaddress
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).parents[1] / "src/bailment/drills/fleet/data"
COUNTRIES = (
    *("US", "GB", "DE", "FR", "NL", "SE", "CH", "PL", "ES", "IT", "IE", "CA", "AU", "JP", "KR"),
    *("SG", "IN", "IL", "BR", "ZA", "MX", "TR", "UA", "VN", "NG", "AR", "RO", "ID"),
)
#: Ranges kept of an autonomous system, and systems kept of a country, by kind.
RANGES, MOST = 3, {"": 10, "hosting": 5, "vpn": 4}


def rows(path: Path) -> Iterator[list[str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from csv.reader(file)


def prefixes(path: Path) -> tuple[list[int], list[int]]:
    """The first and last addresses of the networks that a list names, in order."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found = sorted(
            (int(net.network_address), int(net.broadcast_address))
            for line in file
            if "." in line
            for net in [ipaddress.ip_network(line.strip())]
        )
    return [first for first, _ in found], [last for _, last in found]


def within(lists: tuple[list[int], list[int]], address: int) -> bool:
    at = bisect.bisect_right(lists[0], address) - 1
    return at >= 0 and address <= lists[1][at]


def networks(folder: Path) -> list[list[object]]:
    """`[asn, country, kind, first address, addresses]` per range."""
    countries = [(int(r[0]), int(r[1]), r[2]) for r in rows(folder / "asn_country_ipv4.csv.gz")]
    starts = [first for first, _, _ in countries]
    hosting = prefixes(folder / "x4b_datacenter_ipv4.txt.gz")
    vpn = prefixes(folder / "x4b_vpn_ipv4.txt.gz")
    found: dict[tuple[str, str], dict[int, list[tuple[int, int]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows(folder / "asn_ipv4.csv.gz"):
        first, last, asn = int(row[0]), int(row[1]), int(row[2])
        at = bisect.bisect_right(starts, first) - 1
        if last - first < 255 or at < 0 or last > countries[at][1]:
            continue  # it lies in two countries, or is smaller than what is hashed together
        country, middle = countries[at][2], (first + last) // 2
        if country not in COUNTRIES:
            continue
        kind = "vpn" if within(vpn, middle) else "hosting" if within(hosting, middle) else ""
        found[country, kind][asn].append((last - first + 1, first))
    table: list[list[object]] = []
    for (country, kind), systems in sorted(found.items()):
        largest = sorted(systems, key=lambda asn: -sum(n for n, _ in systems[asn]))[: MOST[kind]]
        for asn in largest:
            for addresses, first in sorted(systems[asn], reverse=True)[:RANGES]:
                table.append([asn, country, kind, first, min(addresses, 1 << 16)])
    return table


def percentiles(values: list[float]) -> list[int]:
    ordered = sorted(values)
    return [round(ordered[(len(ordered) - 1) * at // 100]) for at in range(101)]


def traces(folder: Path) -> dict[str, list[int]]:
    """Percentiles 0..100: tokens in and out of chat and code, and ms from turn to turn."""
    table: dict[str, list[int]] = {}
    for name, part in (("chat", "conv"), ("code", "code")):
        sizes = [row[1:] for row in rows(folder / f"azure_llm_2023_{part}.csv.gz")][1:]
        table[f"{name}_in"] = percentiles([float(size[0]) for size in sizes])
        table[f"{name}_out"] = percentiles([float(size[1]) for size in sizes])
    latest: dict[tuple[int, ...], float] = {}
    gaps: list[float] = []
    with gzip.open(folder / "mooncake_conversation.jsonl.gz", "rt") as file:
        for line in file:
            asked = json.loads(line)
            ids, time = tuple(asked["hash_ids"]), float(asked["timestamp"])
            # All share the first block; a conversation goes on where two or more are as before.
            # The last block is rarely full, so it differs from one turn to the next.
            for length in range(len(ids) - 1, 1, -1):
                before = latest.get(ids[:length])
                if before is not None:
                    if time > before:
                        gaps.append(time - before)
                    break
            latest[ids[:-1] if len(ids) > 2 else ids] = time
    table["turn_gap"] = percentiles(gaps)
    return table


def main() -> None:
    folder = Path(sys.argv[1])
    HOME.mkdir(parents=True, exist_ok=True)
    for name, made in (
        ("networks", networks(folder / "network")),
        ("traces", traces(folder / "traces")),
    ):
        text = json.dumps(made, separators=(",", ":")) + "\n"
        (HOME / f"{name}.json").write_text(text.replace("],[", "],\n["))
        print(name, len(text), "bytes")


if __name__ == "__main__":
    main()
