"""New tables of networks are taken as they come, and old ones are told of, once a day."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailment.detect.event import Finding
from bailment.detect.networks import Source, Tables, layer_of, tables_of
from bailment.gateway.freshness import Freshness
from bailment.gateway.metrics import Metrics
from bailment.store.durable import Files
from bailment.store.log import Log
from bailment.store.tables import Origins, tables_path

from ..store.issuer import START, Issuer

pytestmark = pytest.mark.anyio

DAY, HOUR = 86_400_000, 3_600_000
BASE = 0x08080800


def tables(date: int, asn: int = 64500) -> Tables:
    layers = [layer_of([(BASE, BASE + 255, asn)])] + [layer_of(())] * 2 + [layer_of((), 64)] * 3
    return tables_of((Source("list", "", date, 1),), layers)


class Bench:
    """A log with its tables, and the findings about them."""

    def __init__(self, log: Log) -> None:
        self.log, self.path = log, tables_path(log.folder)
        self.path.write_bytes(tables(START).encode())
        self.found: list[Finding] = []
        self.metrics = Metrics()
        self.start()

    def start(self) -> None:
        self.origins = Origins(self.log.folder)
        report = self.found.append
        self.freshness = Freshness(self.log, self.origins, self.metrics, report)

    async def tick(self, now: int) -> None:
        await self.freshness.tick(now, now / 1000)

    def asn(self, address: str = "8.8.8.8") -> int:
        return self.origins.context(address, []).asn


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Issuer.make(tmp_path / "issuer").open() as log:
        yield Bench(log)


async def test_new_tables_are_taken_without_a_restart(bench: Bench) -> None:
    assert bench.asn() == 64500
    bench.path.write_bytes(tables(START, 64501).encode())
    await bench.tick(START)
    assert bench.asn() == 64501
    assert bench.origins.own


@pytest.mark.parametrize("damaged", [b"", b"bailment-networks 1\n{}\n", b"\x00" * 5000])
async def test_damaged_tables_leave_the_old_ones_in_use(bench: Bench, damaged: bytes) -> None:
    bench.path.write_bytes(damaged)
    await bench.tick(START)
    assert bench.asn() == 64500
    bench.path.write_bytes(tables(START, 7).encode())
    await bench.tick(START)
    assert bench.asn() == 7


async def test_without_tables_of_its_own_an_issuer_has_those_of_the_package(bench: Bench) -> None:
    bench.path.unlink()
    await bench.tick(START)
    assert not bench.origins.own
    assert bench.asn("17.1.1.1") == 714


async def test_a_start_with_damaged_tables_takes_those_of_the_package(bench: Bench) -> None:
    bench.path.write_bytes(b"damaged")
    bench.start()
    assert bench.asn("17.1.1.1") == 714


async def test_tables_that_are_fresh_enough_are_not_told_of(bench: Bench) -> None:
    bench.start()
    await bench.tick(START + 29 * DAY)
    await bench.tick(START + 30 * DAY)
    assert bench.found == []


async def test_old_tables_are_a_finding_once_a_day_whoever_restarts(bench: Bench) -> None:
    now = START + 31 * DAY
    bench.start()
    await bench.tick(now)  # there is an hour to bring new ones
    assert bench.found == []
    for _ in range(23):
        now += HOUR
        await bench.tick(now)
    bench.start()
    await bench.tick(now)
    await bench.tick(now + HOUR)
    (found,) = bench.found
    assert (found.kind, found.subject, found.severity) == ("tables-old", "", "low")
    assert found.numbers == {"days": 31, "allowed": 30}
    assert "31 days old" in found.sentence
    await bench.tick(now + 3 * HOUR)
    assert len(bench.found) == 2


async def test_a_disk_that_takes_nothing_neither_hides_it_nor_ends_the_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(files: Files, path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(Files, "write", full)
    now = START + 31 * DAY
    bench.start()
    await bench.tick(now)
    for hours in range(1, 4):
        await bench.tick(now + hours * HOUR)
    assert [one.kind for one in bench.found] == ["tables-old"]


async def test_new_tables_end_it(bench: Bench) -> None:
    now = START + 31 * DAY
    bench.start()
    await bench.tick(now)
    bench.path.write_bytes(tables(now).encode())
    await bench.tick(now + 2 * HOUR)
    assert bench.found == []


async def test_their_age_is_a_metric(bench: Bench) -> None:
    assert b"bailment_network_tables_age_seconds" in bench.metrics.expose()


async def test_the_key_is_its_owners_alone_and_stays(bench: Bench) -> None:
    path = bench.log.folder.secrets / "context.key"
    assert path.stat().st_mode & 0o777 == 0o600
    before = bench.origins.context("192.0.2.1", []).prefix
    bench.start()
    assert bench.origins.context("192.0.2.1", []).prefix == before
