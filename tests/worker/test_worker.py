"""What the worker finds does not depend on when it ran, nor on how often it died."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bailment.detect.grouping import Recorded
from bailment.ledger.detection_records import FindingRaised
from bailment.worker import worker as worker_module
from bailment.worker.keeping import load
from bailment.worker.worker import Worker

from ..store.history import History
from ..store.issuer import Clock, Issuer, must
from . import toy

pytestmark = pytest.mark.anyio
STEPS = 500


class Died(Exception):
    """The process was killed here."""


class Desk:
    """Takes findings as the issuer does: what it has already it drops. `dies` says before or after
    which records the worker dies."""

    def __init__(self, dies: Callable[[], bool] = lambda: False) -> None:
        self.taken: dict[tuple[object, ...], Recorded] = {}
        self._dies = dies

    def tell(self, record: Recorded) -> bool:
        if self._dies():
            raise Died
        self.taken.setdefault(worker_module._name(record), record)
        if self._dies():
            raise Died
        return True

    @property
    def counts(self) -> Counter[str]:
        """How often each finding was seen."""
        found: Counter[str] = Counter()
        for record in self.taken.values():
            found[record.finding] += record.count
        return found


def work(worker: Worker) -> None:
    while worker.turn():
        pass


@pytest.fixture
async def lived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    """An issuer whose log has some hundred records."""
    monkeypatch.setattr(worker_module, "CHUNK", 16)
    monkeypatch.setattr(worker_module, "KEPT_EVERY", 0.0)
    monkeypatch.setattr(worker_module, "_SHARE", 0)
    issuer = Issuer.make(tmp_path / "issuer")
    clock = Clock()
    issuer.clock = clock
    issuer.folder.settings.touch()
    history = History(issuer, clock, random.Random(7))
    async with issuer.open(snapshot_every=50) as log:
        await history.live(log, STEPS)
    return issuer


def uninterrupted(issuer: Issuer) -> Counter[str]:
    desk = Desk()
    worker = Worker(issuer.folder, desk.tell, 0, (toy,))
    work(worker)
    worker.finish()
    issuer.folder.worker.unlink()
    assert len(desk.counts) > 4 and max(desk.counts.values()) > 1
    return desk.counts


async def test_who_dies_anywhere_finds_what_nobody_who_lived_would_have_missed(
    lived: Issuer,
) -> None:
    expected = uninterrupted(lived)
    chance = random.Random(1)
    for _ in range(5):
        desk = Desk(lambda: chance.random() < 0.1)
        while True:
            try:
                worker = Worker(lived.folder, desk.tell, 0, (toy,))
                while worker.turn():
                    if chance.random() < 0.05:
                        raise Died
            except Died:
                continue
            break
        assert desk.counts == expected
        lived.folder.worker.unlink()


async def test_what_is_in_the_log_is_not_told_again(lived: Issuer) -> None:
    desk = Desk(lambda: True)
    with pytest.raises(Died):
        work(Worker(lived.folder, desk.tell, 0, (toy,)))
    kept = load(lived.folder.worker)
    assert kept is not None and desk.taken == {}
    first = kept.untold[0]
    async with lived.open() as log:  # it arrived, and the worker died before it knew
        await must(log, log.sequencer.draft(first))
    again = Desk()
    work(Worker(lived.folder, again.tell, 0, (toy,)))
    assert worker_module._name(first) not in again.taken
    assert len(again.taken) > 3


async def test_who_begins_late_learns_from_what_is_before_and_tells_nothing_of_it(
    lived: Issuer,
) -> None:
    async with lived.open() as log:
        since = log.fold.size // 2
    desk = Desk()
    work(Worker(lived.folder, desk.tell, since, (toy,)))
    raised = [one for one in desk.taken.values() if isinstance(one, FindingRaised)]
    assert raised and all(min(one.records) >= since for one in raised)
    assert {one.finding for one in raised} >= {one.finding for one in desk.taken.values()}
    whole = uninterrupted_records(lived)
    assert {one.records[0] for one in raised} <= whole, "it counted what was before"


def uninterrupted_records(issuer: Issuer) -> set[int]:
    issuer.folder.worker.unlink(missing_ok=True)
    desk = Desk()
    work(Worker(issuer.folder, desk.tell, 0, (toy,)))
    issuer.folder.worker.unlink()
    return {index for one in desk.taken.values() for index in one.records}


async def test_what_was_kept_and_cannot_be_read_stops_nobody(lived: Issuer) -> None:
    expected = uninterrupted(lived)
    lived.folder.worker.write_bytes(b"\xc1 not what it was")
    desk = Desk()
    work(Worker(lived.folder, desk.tell, 0, (toy,)))
    assert desk.counts == expected


async def test_only_its_owner_may_read_what_is_kept(lived: Issuer) -> None:
    work(Worker(lived.folder, Desk().tell, 0, (toy,)))
    assert lived.folder.worker.stat().st_mode & 0o777 == 0o600


async def test_while_nothing_can_be_told_nothing_is_forgotten(lived: Issuer) -> None:
    expected = uninterrupted(lived)
    worker = Worker(lived.folder, lambda record: False, 0, (toy,))
    while worker.turn():
        pass
    assert worker.report.waiting > 0
    position = worker.report.position
    for _ in range(5):
        assert not worker.turn()
    assert worker.report.position == position
    desk = Desk()
    work(Worker(lived.folder, desk.tell, 0, (toy,)))
    assert desk.counts == expected
