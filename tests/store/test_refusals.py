"""Refusals: the first on the record, the rest of the minute counted."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bailment import canonical
from bailment.access.reasons import Reason, Refused
from bailment.ledger.records import AccessRefused
from bailment.store import refusals as module
from bailment.store.log import Log
from bailment.store.refusals import Refusals

from .issuer import START, Clock, Issuer

pytestmark = pytest.mark.anyio

MINUTE = START // 60_000 * 60_000
HELD = Refused(Reason.HELD, "access is on hold", "everything")


@pytest.fixture
def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    issuer = Issuer.make(tmp_path / "issuer")
    issuer.clock = Clock(MINUTE)
    monkeypatch.setattr(module, "now_ms", issuer.clock)
    return issuer


def recorded(log: Log) -> list[AccessRefused]:
    facts = [record.facts for record in log.reader.records()]
    return [one for one in facts if isinstance(one, AccessRefused)]


async def test_a_thousand_refusals_of_a_minute_are_two_records(issuer: Issuer) -> None:
    async with issuer.open() as log:
        device = await issuer.ready(log)
        refusals, token = Refusals(log), device.token
        assert token is not None
        for _ in range(1000):
            await refusals.record(HELD, token, action="generate", model="glasswing-1")
        await refusals.flush(MINUTE + 59_999)
        assert [one.count for one in recorded(log)] == [1]
        await refusals.flush(MINUTE + 60_000)
        first, rest = recorded(log)
        assert (first.count, first.since, first.until) == (1, MINUTE, MINUTE)
        assert (rest.count, rest.since, rest.until) == (999, MINUTE, MINUTE + 59_999)
        for one in (first, rest):
            assert (one.device, one.person) == (device.id, device.person)
            assert (one.reason, one.model, one.action) == ("held", "glasswing-1", "generate")
        await refusals.flush(MINUTE + 120_000)
        assert len(recorded(log)) == 2


async def test_each_reason_device_and_minute_is_told_apart(issuer: Issuer) -> None:
    clock = issuer.clock
    assert isinstance(clock, Clock)
    async with issuer.open() as log:
        device = await issuer.ready(log)
        refusals, token = Refusals(log), device.token
        assert token is not None
        spent = Refused(Reason.BUDGET_SPENT)
        for refused in (HELD, spent, HELD, spent):
            await refusals.record(refused, token)
        clock.now += 60_000
        await refusals.record(HELD, token)
        await refusals.flush(clock.now)
        found = [(one.reason, one.count, one.since) for one in recorded(log)]
        assert found == [
            ("held", 1, MINUTE),
            ("budget-spent", 1, MINUTE),
            ("held", 1, MINUTE + 60_000),
            ("held", 1, MINUTE),
            ("budget-spent", 1, MINUTE),
        ]


async def test_they_lie_in_the_slot_of_whose_device_it_is(issuer: Issuer) -> None:
    async with issuer.open() as log:
        device = await issuer.ready(log)
        assert device.token is not None
        await Refusals(log).record(HELD, device.token)
        (record,) = log.reader.records(log.fold.size - 1)
        assert record.leaf.recipient == device.recipient


async def test_text_from_outside_is_bounded(issuer: Issuer) -> None:
    async with issuer.open() as log:
        device = await issuer.ready(log)
        assert device.token is not None
        refusals = Refusals(log)
        await refusals.record(Refused(Reason.HELD, "x" * 5000), device.token, model="m" * 5000)
        await refusals.record(Refused(Reason.LINK_ENDED, "ü" * 300), device.token, model="modèle")
        first, second = recorded(log)
        assert (len(first.model), second.model) == (128, "")
        assert b"xxx" not in canonical.encode(first)  # it may quote what the caller sent


async def test_a_device_of_nobody_is_not_recorded(issuer: Issuer) -> None:
    async with issuer.open() as log:
        device = await issuer.ready(log)
        assert device.token is not None
        stranger = msgspec.structs.replace(device.token, device="ff" * 16)
        await Refusals(log).record(HELD, stranger)
        assert recorded(log) == []


async def test_tallies_are_bounded(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    async with issuer.open() as log:
        device = await issuer.ready(log)
        assert device.token is not None
        refusals = Refusals(log)
        for reason in (Reason.HELD, Reason.LINK_ENDED, Reason.BUDGET_SPENT):
            await refusals.record(Refused(reason), device.token)
        assert [one.reason for one in recorded(log)] == ["held", "link-ended"]
