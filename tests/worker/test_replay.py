"""Detectors over a log that is there already find what they would have found."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bailment.detect.grouping import Recorded
from bailment.ledger.detection_records import FindingRaised
from bailment.spec.detection import DetectionTerms, RuleTerms
from bailment.worker.following import Following
from bailment.worker.replay import Replay
from bailment.worker.worker import Worker

from ..store.history import History
from ..store.issuer import Clock, Issuer, must
from . import toy

pytestmark = pytest.mark.anyio


@pytest.fixture
async def lived(tmp_path: Path) -> Issuer:
    issuer = Issuer.make(tmp_path / "issuer")
    clock = Clock()
    issuer.clock = clock
    issuer.folder.settings.touch()
    async with issuer.open() as log:
        await History(issuer, clock, random.Random(3)).live(log, 400)
    return issuer


def replay(issuer: Issuer, terms: DetectionTerms | None = None) -> Replay:
    following, done = Following(issuer.folder), Replay((toy,), terms)
    for record in following.records(0, following.end()):
        done.take(record.index, record.leaf.time, record.facts)
    done.end()
    following.close()
    return done


async def test_a_replay_finds_what_the_worker_found(lived: Issuer) -> None:
    told: list[Recorded] = []

    def tell(record: Recorded) -> bool:
        told.append(record)
        return True

    worker = Worker(lived.folder, tell, 0, (toy,))
    while worker.turn():
        pass
    raised = [one for one in told if isinstance(one, FindingRaised)]
    done = replay(lived)
    assert raised and [hit.raised for hit in done.hits] == raised
    assert sum(hit.count for hit in done.hits) == sum(one.count for one in told)
    assert not any(hit.recorded for hit in done.hits)
    async with lived.open() as log:
        await must(log, log.sequencer.draft(raised[0]))
    assert [hit.recorded for hit in replay(lived).hits] == [True] + [False] * (len(raised) - 1)


async def test_another_spec_is_tried_without_being_in_force(lived: Issuer) -> None:
    off = DetectionTerms(rules={toy.KIND: RuleTerms("off")})
    assert replay(lived, off).hits == []
