"""Reading back: any range, from bundles and staging together, while both change."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from bailment.errors import BailmentError, VerificationError
from bailment.store import log as log_module
from bailment.store.durable import Files
from bailment.store.log import Log
from bailment.store.publisher import Publisher, bodies_path
from bailment.store.staging import Staging

from .issuer import Clock, Issuer, must, note

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    monkeypatch.setattr(log_module, "PUBLISH_SECONDS", 3600.0)
    return Issuer.make(tmp_path / "issuer")


async def grow(log: Log, count: int) -> None:
    drafts = [log.sequencer.draft(note(number)) for number in range(count)]
    await asyncio.gather(*(must(log, draft) for draft in drafts))


async def fill(issuer: Issuer) -> None:
    """700 entries and more: two full bundles, a row across their end, rows after it."""
    for step in (3, 250, 100, 350):
        async with issuer.open() as log:
            if not log.fold.size:
                await issuer.begin(log)
            await grow(log, step)


async def test_any_range_is_read_whole_and_in_order(issuer: Issuer) -> None:
    await fill(issuer)
    async with issuer.open() as log:
        await grow(log, 40)
        size = log.fold.size
        whole = list(log.reader.stored())
        assert [stored.index for stored in whole] == list(range(size))
        chance = random.Random(1)
        edges = [0, 1, 255, 256, 257, 511, 512, 513, size - 1, size]
        ranges = [(a, b) for a in edges for b in edges]
        ranges += [(chance.randrange(size), chance.randrange(size)) for _ in range(50)]
        for start, stop in ranges:
            assert list(log.reader.stored(start, stop)) == whole[start:stop]
        assert list(log.reader.stored(size - 3)) == whole[-3:]
        assert list(log.reader.stored(size + 5)) == []


async def test_a_range_is_read_while_its_rows_are_published_and_forgotten(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        await grow(log, 200)
        writer = log.sequencer._staging
        staging = Staging(issuer.folder.staging, read_only=True)
        key = issuer.secrets.log.public
        ours = Publisher(issuer.folder, staging, key, Files(), writer.settle)
        size = log.fold.size
        begun = log.reader.stored()
        first = [next(begun) for _ in range(10)]
        await grow(log, 400)
        ours.publish()
        await grow(log, 20)  # forgets the rows that `begun` is reading
        assert writer.since(0)[0].first > 0
        staging.close()
        rest = list(begun)
        assert [stored.index for stored in first + rest] == list(range(size))
        assert first + rest == list(log.reader.stored(0, size))


async def test_the_first_bundle_since_a_time_leaves_nothing_out(issuer: Issuer) -> None:
    clock = issuer.clock
    assert isinstance(clock, Clock)
    async with issuer.open() as log:
        await issuer.begin(log)
    for _ in range(9):
        async with issuer.open() as log:
            for _ in range(9):
                clock.now += 1000
                await grow(log, 10)
    async with issuer.open() as log:
        times = [record.leaf.time for record in log.reader.records()]
        for time in {times[0] - 1, times[-1] + 1, *times}:
            start = log.reader.first_since(time)
            assert all(one < time for one in times[:start])
            expected = next((i for i, one in enumerate(times) if one >= time), len(times))
            assert expected - start <= 256 * 2 or start >= len(times) - 256


async def test_a_missing_bundle_is_named(issuer: Issuer) -> None:
    await fill(issuer)
    async with issuer.open() as log:
        path = bodies_path(issuer.folder, 1)
        path.unlink()
        assert len(list(log.reader.stored(0, 256))) == 256
        with pytest.raises(VerificationError, match=str(path)):
            list(log.reader.stored(0, 257))


async def test_bodies_that_were_altered_or_exchanged_are_refused(issuer: Issuer) -> None:
    await fill(issuer)
    async with issuer.open() as log:
        path = bodies_path(issuer.folder, 0)
        good = path.read_bytes()
        for at in (0, 9, 60, len(good) // 2):
            altered = bytearray(good)
            altered[at] ^= 1
            path.write_bytes(altered)
            with pytest.raises(BailmentError):
                list(log.reader.records())
            path.write_bytes(good[:at])
            with pytest.raises(BailmentError):
                list(log.reader.records())
        path.write_bytes(bodies_path(issuer.folder, 1).read_bytes())
        with pytest.raises(VerificationError):
            list(log.reader.records())
        one, other = list(log.reader.stored(300, 302))
        exchanged = type(one)(one.index, one.entry, other.facts, one.personal)
        with pytest.raises(VerificationError):
            log.reader.open(exchanged)
