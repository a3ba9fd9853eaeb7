"""How soon `bailment blast-radius` answers: a thousand organisations, ten million accesses.

python -m benchmarks.blast_radius [--organisations 1000] [--accesses 10000000] [--days 90]

What is measured: the graph over a register of that size and the index (`store/exposure.py`) with
the rows that so many accesses leave behind, on a file. What is not: the log. Its records are not
written one by one, which would take hours; the index's rows are made as the fold over them would,
and `--follow N` measures that fold over N records. People and devices are invented: twenty a
recipient, a tenth of the organisations subcontractors, two devices in ten people, networks and
clients that mostly stay the same.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bailment.access.chain import Link
from bailment.access.state import Granted, Indexed
from bailment.incident.blast_radius import totals
from bailment.ledger.incident_records import CustodyDeclared
from bailment.ledger.records import AccessClosed, AccessOpened, RecipientRegistered, TokenIssued
from bailment.store.exposure import Exposure, Read
from bailment.store.folder import Folder
from bailment.store.incidents import Incidents

START = 1_780_000_000_000
_DAY = 86_400_000
MODELS, PURPOSES = ("large", "small", "canary"), ("red-team", "audit")


def name(*parts: object) -> str:
    """An id."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


class Fleet:
    """A register with organisations, people and devices, not signed, since nobody verifies it."""

    def __init__(self, organisations: int, people: int, seed: int) -> None:
        self.draw = random.Random(seed)
        self.register = Indexed()
        self.devices: list[str] = []
        self.people: list[str] = []
        self.organisations: list[Link] = []
        self.subcontractors: list[Link] = []
        self._entry = 0
        for number in range(organisations):
            self._organisation(number, people)

    def _organisation(self, number: int, people: int) -> None:
        draw, subject = self.draw, name("organisation", number)
        if number % 10 == 9:
            above = draw.choice(self.organisations)
            link = self._link("subcontractor", subject, above, handle=f"sub{number}", depth=0)
            self.subcontractors.append(link)
        else:
            facts = RecipientRegistered(subject, f"org{number}", "c", {}, "benchmark")
            self.register.state.recipients[subject] = facts
            self.register.register_recipient(facts)
            models = MODELS if number % 3 else MODELS[1:]
            link = self._link("recipient", subject, None, models=models, purposes=PURPOSES, depth=2)
            self.organisations.append(link)
        for one in range(people):
            person = self._link("person", name(subject, one), link)
            self.people.append(person.subject)
            for device in range(2 if one % 10 < 2 else 1):
                granted = self._link("device", name(subject, one, device), person)
                self.devices.append(granted.subject)

    def _link(self, kind: Any, subject: str, parent: Link | None, **more: Any) -> Link:
        above = parent.id if parent else ""
        until = START + 400 * _DAY
        link = Link(name("link", subject), above, kind, subject, START, until, **more)
        self.register.state.links[link.id] = Granted("", self._entry)
        self.register.index(link)
        self._entry += 1
        return link

    def custody(self, systems: int) -> Iterator[CustodyDeclared]:
        """Shared systems, each with the keys of thirty devices of everybody."""
        for number in range(systems):
            stored = tuple(f"device:{one}" for one in self.draw.sample(self.devices, 30))
            reached = (f"subcontractor:{self.draw.choice(self.subcontractors).subject}",)
            runs = f"vendor:v{number % 20}"
            yield CustodyDeclared(
                f"system{number}", "secrets", runs, "benchmark", reached, stored, since=START
            )


def fill(index: Exposure, fleet: Fleet, accesses: int, days: int) -> tuple[int, int]:
    """Rows as that many accesses leave them, in one transaction; how many accesses and rows."""
    draw, each = fleet.draw, accesses / (len(fleet.devices) * days)
    db = index._db
    index._db.execute("BEGIN")
    entry = done = rows = 0
    names = {one: index._name(one) for one in (*fleet.devices, *MODELS, *PURPOSES, "")}
    networks = [index._name(f"AS{64_500 + one}") for one in range(3000)]
    clients = [index._name(one) for one in ("openai", "anthropic", "curl", "other")]
    usual: dict[tuple[Any, ...], list[int]] = {}
    day_rows: list[tuple[int, ...]] = []
    for day in range(days):
        for device in fleet.devices:
            count = int(draw.expovariate(1 / each)) + (draw.random() < 0.5)
            if not count:
                continue
            at = int(device[:6], 16)
            network = networks[at % 3000 if draw.random() < 0.9 else draw.randrange(3000)]
            key = (
                *(names[device], names[MODELS[at % 2]], names[PURPOSES[at % 7 == 0]]),
                *(network, names[""], clients[at % 4]),
            )
            began = START + day * _DAY + draw.randrange(_DAY // 2)
            ended, first = began + _DAY // 2 - 1, entry
            entry += 3 * count
            values = (count, 900 * count, first, entry - 1, began, ended)
            day_rows.append((*key, START // _DAY + day, *values))
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


def follow(index: Exposure, fleet: Fleet, records: int) -> float:
    """Records a second that the index takes in, of tokens, accesses and their ends."""
    proof, body, device = "p" * 400, "0" * 64, fleet.devices[0]

    def entries(start: int) -> Iterator[Read]:
        for at in range(start, records):
            time_ms, turn = START + at * 100, at // 20
            if at % 20 == 0:
                given = (name("t", turn), fleet.devices[turn % len(fleet.devices)], "", (), ())
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


def timed(ask: Callable[[], Any], times: int = 5) -> tuple[float, Any]:
    """The longest of several runs, ms, and an answer."""
    longest, answer = 0.0, None
    for _ in range(times):
        began = time.perf_counter()
        answer = ask()
        longest = max(longest, time.perf_counter() - began)
    return round(longest * 1000, 1), answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--organisations", type=int, default=1000)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--accesses", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--follow", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    fleet = Fleet(asked.organisations, asked.people, asked.seed)
    with tempfile.TemporaryDirectory() as root:
        small = Exposure(Path(root) / "follow.db")
        rate = follow(small, fleet, asked.follow)
        small.close()
        folder = Folder(Path(root))
        incidents = Incidents(folder, None, fleet.register)  # type: ignore[arg-type]
        done, rows = fill(incidents.index, fleet, asked.accesses, asked.days)
        custody = list(fleet.custody(100))
        for number, facts in enumerate(custody):
            row = (number, START, facts.TYPE, facts.system, msgspec.json.encode(facts))
            incidents.index._db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row)
        size = folder.exposure.stat().st_size
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"{asked.organisations} organisations, {len(fleet.people)} people, "
            f"{len(fleet.devices)} devices, {len(custody)} shared systems; {done} accesses "
            f"in {asked.days} days, {rows} rows, {size >> 20} MiB; {round(rate)} records/s taken in"
        )
        subjects = {
            "device": f"device:{fleet.devices[7]}",
            "person": f"person:{fleet.people[7]}",
            "subcontractor": f"subcontractor:{fleet.subcontractors[3].subject}",
            "recipient": f"recipient:{fleet.organisations[3].subject}",
            "shared system": "system:system3",
            "vendor": "vendor:v3",
            "network": "network:AS64577",
            "model": "model:large",
        }
        print(
            f"{'subject':15} {'reached':>8} {'through':>8} {'accesses':>10} {'ms':>8} {'since':>8}"
        )
        for title, subject in subjects.items():
            took, found = timed(partial(incidents.extent, [subject]))
            since = START + (asked.days - 7) * _DAY
            late, _ = timed(partial(incidents.extent, [subject], since))
            radius = found.radius
            used = totals(radius.uses)["accesses"]
            print(
                f"{title:15} {len(radius.reached):8} {len(radius.through):8} {used:10} "
                f"{took:8} {late:8}"
            )
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"memory: {after >> 10} MiB at the most, of which {before >> 10} before the questions"
        )


if __name__ == "__main__":
    main()
