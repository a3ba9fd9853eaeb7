"""The sequencer: one order, conditions checked in it, and nothing said before it is durable."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bailment.access.admission import Stale
from bailment.access.reasons import Reason, Refused
from bailment.errors import VerificationError
from bailment.ledger.records import AccessOpened, Budget, InvitationIssued, LogHeads
from bailment.store.log import Log
from bailment.store.sequencer import MAX_BATCH, Draft, Sequenced
from bailment.store.staging import Batch, CommitFailed, Staging

from .checks import Seen, check
from .gate import Gate, queue
from .issuer import START, Clock, Device, Issuer, closing, hold, must, note

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.make(tmp_path / "issuer")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def log(issuer: Issuer, gate: Gate) -> AsyncIterator[Log]:
    """A log, its commits under the test's hand; all of it is checked at the end."""
    async with issuer.open(staging=gate.staging) as log:
        yield log
        gate.open()
        if not log.sequencer.failed.done():
            await log.sequencer.close()
            check(log, Seen(), issuer)


@pytest.fixture
async def device(issuer: Issuer, log: Log) -> Device:
    return await issuer.ready(log)


def opening(issuer: Issuer, log: Log, device: Device, ceiling: int = 100, proof: str = "") -> Draft:
    draft = issuer.opening(log, device, ceiling, proof)
    assert isinstance(draft, Draft), draft
    return draft


# Group commit


async def test_what_waits_while_a_commit_runs_shares_the_next_one(
    log: Log, device: Device, gate: Gate
) -> None:
    gate.batches.clear()
    gate.shut()
    appended = await queue(log, *(log.sequencer.draft(note(number)) for number in range(10)))
    gate.open()
    answers = await asyncio.gather(*appended)
    assert gate.batches == [1, 9]
    assert [answer.index for answer in answers] == list(range(log.fold.size - 10, log.fold.size))
    assert {answer.size for answer in answers[1:]} == {log.fold.size}


async def test_nobody_hears_of_a_record_before_it_is_durable(
    log: Log, device: Device, gate: Gate
) -> None:
    told: list[int] = []
    log.sequencer.listeners.append(lambda news: told.extend(index for index, _, _ in news))
    size, checkpoint = log.fold.size, log.sequencer.checkpoint
    gate.shut()
    (appended,) = await queue(log, log.sequencer.draft(note(1)))
    await asyncio.sleep(0.01)
    assert (appended.done(), told) == (False, [])
    assert (log.fold.size, log.sequencer.checkpoint) == (size, checkpoint)
    gate.open()
    assert (await appended).index == size
    assert told == [size]
    assert log.sequencer.checkpoint != checkpoint


async def test_an_entry_whose_condition_fails_is_dropped_alone(
    issuer: Issuer, log: Log, device: Device, gate: Gate
) -> None:
    good = [opening(issuer, log, device) for _ in range(4)]
    stale = opening(issuer, log, device)
    stale.epoch = 1
    again = opening(issuer, log, device, proof=good[0].facts.proof)  # type: ignore[attr-defined]
    gate.batches.clear()
    gate.shut()
    first, *rest = await queue(log, log.sequencer.draft(note(1)), good[0], stale, *good[1:], again)
    gate.open()
    await first
    answers = await asyncio.gather(*rest)
    assert [type(answer) for answer in answers] == [
        Sequenced, Stale, Sequenced, Sequenced, Sequenced, Refused,
    ]  # fmt: skip
    assert gate.batches == [1, 4]


async def test_closing_what_is_not_open_fails_alone(
    issuer: Issuer, log: Log, device: Device, gate: Gate
) -> None:
    opened = opening(issuer, log, device)
    await must(log, opened)
    elsewhere = closing(log, opened)
    elsewhere.recipient = os.urandom(16).hex()
    gate.shut()
    drafts = [elsewhere, closing(log, opened), closing(log, opened)]
    first, *rest = await queue(log, log.sequencer.draft(note(1)), *drafts)
    gate.open()
    await first
    in_another_slot, once, twice = await asyncio.gather(*rest, return_exceptions=True)
    assert isinstance(in_another_slot, VerificationError)
    assert isinstance(once, Sequenced)
    assert isinstance(twice, VerificationError)


async def test_a_waiter_that_left_leaves_its_record_and_its_neighbours_alone(
    log: Log, device: Device, gate: Gate
) -> None:
    gate.shut()
    first, left, stayed = await queue(log, *(log.sequencer.draft(note(n)) for n in range(3)))
    left.cancel()
    gate.open()
    await first
    assert (await stayed).index == log.fold.size - 1


async def test_close_commits_all_that_waits_and_takes_no_more(
    log: Log, device: Device, gate: Gate
) -> None:
    gate.shut()
    drafts = [log.sequencer.draft(note(number)) for number in range(2 * MAX_BATCH + 10)]
    appended = await queue(log, *drafts)
    closing_down = asyncio.ensure_future(log.sequencer.close())
    await asyncio.sleep(0)
    late = await log.sequencer.append(log.sequencer.draft(note(-1)))
    gate.open()
    await closing_down
    assert isinstance(late, Refused)
    assert late.reason is Reason.LOG_UNAVAILABLE
    assert {type(answer) for answer in await asyncio.gather(*appended)} == {Sequenced}
    assert max(gate.batches) == MAX_BATCH


# Conditions


async def test_a_proof_opens_one_access_however_many_come_at_once(
    issuer: Issuer, log: Log, device: Device, gate: Gate
) -> None:
    proof = opening(issuer, log, device).facts.proof  # type: ignore[attr-defined]
    gate.shut()
    drafts = [opening(issuer, log, device, proof=proof) for _ in range(20)]
    await queue(log, log.sequencer.draft(note(1)))
    waiting = await queue(log, *drafts)
    gate.open()
    answers = await asyncio.gather(*waiting)
    later = await log.sequencer.append(opening(issuer, log, device, proof=proof))
    refused = [answer.reason for answer in (*answers, later) if isinstance(answer, Refused)]
    assert isinstance(answers[0], Sequenced)
    assert refused == [Reason.PROOF_REPLAYED] * 20


async def test_ten_devices_cannot_overspend_what_they_share(issuer: Issuer, log: Log) -> None:
    await issuer.begin(log)
    party = await issuer.recipient(log, Budget(1_000, 3_600))
    own = Budget(500, 3_600)
    devices = []
    for _ in range(10):
        device = await issuer.device(log, party, await issuer.person(log, party, budget=own))
        await issuer.token(log, device)
        devices.append(device)

    async def spend(device: Device) -> list[Draft]:
        drafts = [opening(issuer, log, device) for _ in range(8)]
        answers = await asyncio.gather(*map(log.sequencer.append, drafts))
        return [d for d, one in zip(drafts, answers, strict=True) if isinstance(one, Sequenced)]

    opened = [draft for drafts in await asyncio.gather(*map(spend, devices)) for draft in drafts]
    assert len(opened) == 10  # 10 times 100 reserved of the organisation's 1000
    refused = await log.sequencer.append(opening(issuer, log, devices[0]))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.subject) == (Reason.BUDGET_SPENT, f"link:{party.link}")
    for draft in opened:
        await must(log, closing(log, draft))  # 30 of 100 each
    opened = [draft for drafts in await asyncio.gather(*map(spend, devices)) for draft in drafts]
    assert len(opened) == 7  # of the 700 that came free
    used = log.fold.admission.counted.budgets[party.link].used
    assert used == 10 * 30 + 7 * 100


async def test_a_person_cannot_overspend_a_share_of_their_own(issuer: Issuer, log: Log) -> None:
    await issuer.begin(log)
    party = await issuer.recipient(log, Budget(1_000, 3_600))
    person = await issuer.person(log, party, budget=Budget(250, 3_600))
    device = await issuer.device(log, party, person)
    await issuer.token(log, device)
    drafts = [opening(issuer, log, device) for _ in range(5)]
    answers = await asyncio.gather(*map(log.sequencer.append, drafts))
    assert [type(answer) for answer in answers] == [Sequenced] * 2 + [Refused] * 3
    assert {one.subject for one in answers if isinstance(one, Refused)} == {f"link:{person}"}
    assert log.fold.admission.counted.budgets[party.link].used == 200


async def test_a_rule_is_asked_again_at_the_moment_of_the_commit(
    issuer: Issuer, log: Log, gate: Gate
) -> None:
    await issuer.begin(log)
    party = await issuer.recipient(log)
    person = await issuer.person(log, party)
    until = log.fold.register.links[person].until
    clock = issuer.clock
    assert isinstance(clock, Clock)
    clock.now = until - 1
    late = InvitationIssued(os.urandom(32).hex(), person, until)
    assert log.fold.register.check(late, clock.now) is None
    gate.shut()
    first, waiting = await queue(
        log, log.sequencer.draft(note(1)), log.sequencer.draft(late, party.pseudonym)
    )
    clock.now = until
    gate.open()
    await first
    refused = await waiting
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.LINK_EXPIRED


async def test_an_access_that_waits_past_its_tokens_record_does_not_enter(
    issuer: Issuer, log: Log, device: Device
) -> None:
    """Else the log could not be folded again: the access would name an unknown token."""
    assert device.token is not None
    clock = issuer.clock
    assert isinstance(clock, Clock)
    clock.now = device.token.until - 1
    last = opening(issuer, log, device)
    clock.now += log.fold.register.policy.decision_ms
    await issuer.token(log, device)  # sweeps out tokens that are over
    assert isinstance(await log.sequencer.append(last), Sequenced)
    clock.now = device.token.until + log.fold.register.policy.decision_ms
    late = replace(last, facts=_at(last, clock.now), replay=os.urandom(16), done=None)
    await issuer.token(log, device)
    await issuer.token(log, device)
    refused = await log.sequencer.append(late)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.TOKEN_UNRECORDED


def _at(draft: Draft, now: int) -> AccessOpened:
    assert isinstance(draft.facts, AccessOpened)
    return msgspec.structs.replace(draft.facts, access=os.urandom(16).hex(), decided=now)


# The clock


async def test_a_clock_set_back_an_hour_stops_accesses_and_no_control_record(
    issuer: Issuer, log: Log, device: Device
) -> None:
    clock = issuer.clock
    assert isinstance(clock, Clock)
    assert not log.sequencer.clock_behind
    clock.now = START - 3_600_000
    assert log.sequencer.clock_behind
    answer = await log.sequencer.append(opening(issuer, log, device))
    assert isinstance(answer, Stale)
    held = await must(log, log.sequencer.draft(hold("everything"), urgent=True))
    assert held.time == START
    assert isinstance(issuer.opening(log, device), Refused)
    clock.now = START + 1
    assert not log.sequencer.clock_behind
    assert (await must(log, log.sequencer.draft(note(1)))).time == START + 1


async def test_a_clock_set_back_stays_behind_after_a_restart(issuer: Issuer) -> None:
    async with issuer.open() as log:
        device = await issuer.ready(log)
    issuer.clock = Clock(START - 3_600_000)
    async with issuer.open() as log:
        assert log.sequencer.clock_behind
        assert isinstance(await log.sequencer.append(opening(issuer, log, device)), Stale)
        assert (await must(log, log.sequencer.draft(note(1)))).time == START
        issuer.clock.now = START
        assert not log.sequencer.clock_behind
        await must(log, opening(issuer, log, device))


# Heads


async def test_heads_follow_records_within_the_policys_time_and_rest_when_nothing_does(
    issuer: Issuer, log: Log, device: Device, gate: Gate
) -> None:
    clock = issuer.clock
    assert isinstance(clock, Clock)

    async def tick() -> int:
        clock.now += log.fold.register.policy.heads_ms
        before = log.fold.size
        log.sequencer.tick()
        await log.sequencer.append(_unwanted(log))  # refused, but only after the commit before it
        return log.fold.size - before

    assert await tick() == 1
    assert isinstance(next(log.reader.records(log.fold.size - 1)).facts, LogHeads)
    assert await tick() == 0
    await must(log, log.sequencer.draft(note(1)))
    assert await tick() == 1


async def test_heads_cover_what_the_process_before_left_uncovered(issuer: Issuer) -> None:
    clock = issuer.clock
    assert isinstance(clock, Clock)
    async with issuer.open() as log:
        await issuer.ready(log)
        size = log.fold.size
    clock.now += 60_000
    async with issuer.open() as log:
        log.sequencer.tick()
        await log.sequencer.append(_unwanted(log))
        assert log.fold.heads == (clock.now, size + 1)


def _unwanted(log: Log) -> Draft:
    return log.sequencer.draft(note(0), epoch=-1)


# Failure


class FailingStaging(Staging):
    fails = False

    def commit(self, batch: Batch) -> None:
        if FailingStaging.fails:
            raise CommitFailed("the disk is gone")
        super().commit(batch)


@pytest.fixture
async def failing(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    monkeypatch.setattr(FailingStaging, "fails", False)
    async with issuer.open(staging=FailingStaging) as log:
        yield log


async def test_after_a_failed_commit_everybody_is_refused_and_the_cause_is_told(
    issuer: Issuer, failing: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = failing
    await issuer.ready(log)
    size = log.fold.size
    monkeypatch.setattr(FailingStaging, "fails", True)
    waiting = await queue(log, *(log.sequencer.draft(note(number)) for number in range(2000)))
    answers = await asyncio.gather(*waiting)
    assert {answer.reason for answer in answers} == {Reason.LOG_UNAVAILABLE}
    cause = await log.sequencer.failed
    assert isinstance(cause, CommitFailed)
    assert "the disk is gone" in str(cause)
    monkeypatch.setattr(FailingStaging, "fails", False)
    late = await log.sequencer.append(log.sequencer.draft(hold("everything"), urgent=True))
    assert isinstance(late, Refused)
    log.sequencer.tick()
    assert log.fold.size == size


async def test_a_listener_that_fails_ends_the_log(log: Log, device: Device) -> None:
    def broken(news: object) -> None:
        raise RuntimeError("a bug")

    loop, told = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    log.sequencer.listeners.append(broken)
    answers = await asyncio.gather(
        *(log.sequencer.append(log.sequencer.draft(note(number))) for number in range(3))
    )
    assert {answer.reason for answer in answers if isinstance(answer, Refused)} == {
        Reason.LOG_UNAVAILABLE
    }
    assert "a bug" in str(await log.sequencer.failed)
    await log.sequencer.close()
    assert [str(error) for error in told] == ["a bug"]
