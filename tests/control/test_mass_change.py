"""A mass change as it is served: held by a record, once; ended by evidence or by a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from bailment.access.reasons import Reason, Refused
from bailment.assurance.standing import Standing
from bailment.auditor.audit import audit_export
from bailment.auditor.findings import Kind
from bailment.cli.serve import opened
from bailment.control.actions import Denied
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.evidence_records import StandingEvaluated, StandingHeld, StandingReleased

from ..access.small_spec import HOUR
from ..auditor.forge import Forgery
from ..world import world
from .test_assurance import TEXT, Acme, Lab

pytestmark = pytest.mark.anyio


class Outage:
    """Three of four recipients, held since their scans became too old at once."""

    def __init__(self, lab: Lab, crowd: list[Acme], other: Acme) -> None:
        self.lab, self.world, self.crowd, self.other = lab, lab.world, crowd, other
        self.since = self.world.size

    async def look(self) -> None:
        """Have the evaluator look at whoever may have changed; returns once it has."""
        other = self.other
        await self.world.act("enclave-declare", recipient=other.id, tenant=[other.tenant])

    def evaluated(self, since: int) -> list[StandingEvaluated]:
        """The standings of the crowd put on record since then."""
        names = {acme.id for acme in self.crowd}
        return [one for one in self.world.of(StandingEvaluated, since) if one.recipient in names]

    @property
    def holds(self) -> set[str]:
        return {self.world.register.proven(acme.id).hold for acme in self.crowd}


@pytest.fixture
async def coming(tmp_path: Path) -> AsyncIterator[Outage]:
    """Their scans are too old, and nobody has looked yet."""
    async with world(tmp_path) as made:
        lab = Lab(made)
        await lab.prepare(TEXT)
        crowd = [await lab.acme() for _ in range(3)]
        for acme in crowd:
            await acme.pass_all()
        held = Outage(lab, crowd, await lab.acme())
        made.clock.ahead = 2 * HOUR + 60_000
        yield held


@pytest.fixture
async def outage(coming: Outage) -> Outage:
    await coming.look()
    return coming


async def test_many_who_would_fall_at_once_are_held_and_a_person_is_paged(outage: Outage) -> None:
    made, crowd = outage.world, outage.crowd
    (finding,) = made.of(FindingRaised, outage.since)
    assert finding.kind == "standing-held"
    assert finding.numbers == {"recipients": 3, "total": 4}
    (hold,) = made.of(StandingHeld, outage.since)
    assert hold.recipients == tuple(sorted(acme.id for acme in crowd))
    assert [facts.held for facts in outage.evaluated(outage.since)] == [True] * 3
    assert {acme.tier for acme in crowd} == {2}
    assert all([(await acme.standing())["held_back"] for acme in crowd])
    done = await made.act("standing-release", reason="the scanner is theirs")
    assert sorted(done["recipients"]) == sorted(acme.id for acme in crowd)
    told = await crowd[0].standing()
    assert (told["phase"], told["held_back"]) == ("grace", False)
    assert made.of(FindingRaised, outage.since)[-1].kind == "standing-released"
    made.clock.ahead += 2 * HOUR
    assert [(await acme.standing())["tier"] for acme in crowd] == ["T1"] * 3


async def test_while_they_are_held_nothing_more_is_put_on_record(outage: Outage) -> None:
    size = outage.world.size
    for _ in range(3):
        await outage.look()
    await outage.world.restart()
    await outage.look()
    assert outage.evaluated(size) == []
    assert outage.world.of(StandingHeld, size) == []
    assert outage.holds == {"held"}


async def test_a_release_outlives_a_restart(outage: Outage) -> None:
    await outage.world.act("standing-release", reason="the scanner is theirs")
    assert outage.holds == {"released"}
    size = outage.world.size
    await outage.world.restart()
    for _ in range(2):
        await outage.look()
    assert outage.world.of(StandingHeld, size) == []
    assert outage.evaluated(size) == []
    assert [(await acme.standing())["phase"] for acme in outage.crowd] == ["grace"] * 3


async def test_a_release_amid_a_turn_is_not_undone_by_it(coming: Outage) -> None:
    made = coming.world
    async with made.brake.holding(StandingEvaluated.TYPE):
        looking = asyncio.create_task(coming.look())
        await made.brake.reach()
        releasing = asyncio.create_task(made.act("standing-release", reason="theirs"))
    await looking
    assert len((await releasing)["recipients"]) == 3
    assert coming.holds == {"released"}
    assert [(await acme.standing())["phase"] for acme in coming.crowd] == ["grace"] * 3


async def test_a_release_that_was_all_that_reached_the_log_takes_effect(outage: Outage) -> None:
    await outage.world.stop()
    names = tuple(sorted(acme.id for acme in outage.crowd))
    async with opened(outage.world.folder) as issuer:
        await issuer.actions.append(lambda now: StandingReleased(names, "theirs", "tests"))
    await outage.world.restart()
    await outage.look()
    assert [(await acme.standing())["phase"] for acme in outage.crowd] == ["grace"] * 3


async def test_evidence_that_comes_again_ends_the_hold(outage: Outage) -> None:
    for acme in outage.crowd:
        assert (await acme.hand("scan", acme.scan())).json()["tier"] == "T2"
    await outage.look()
    assert outage.holds == {""}
    assert not any([(await acme.standing())["held_back"] for acme in outage.crowd])


async def test_what_the_log_does_not_take_is_tried_again(outage: Outage) -> None:
    lab = outage.lab
    acme = await lab.acme()
    await acme.hand("roster", acme.roster())
    actions = lab.world.issuer.actions
    append = type(actions).append
    refusals: list[str] = []

    async def refusing(self: Any, make: Any, **given: Any) -> Any:
        if not refusals and isinstance(make(self.log.sequencer.time), StandingEvaluated):
            refusals.append(acme.id)
            raise Denied(Refused(Reason.LOG_UNAVAILABLE, "no room"))
        return await append(self, make, **given)

    with patch.object(type(actions), "append", refusing):
        assert (await acme.hand("scan", acme.scan())).status_code == 201
        await lab.world.until(lambda: acme.tier == 2)
    assert refusals == [acme.id]


async def test_a_restart_puts_nothing_on_record_of_who_holds_nothing(coming: Outage) -> None:
    size = coming.world.size
    await coming.world.restart()
    await coming.world.act("standing-release", reason="which waits for the evaluator")
    told = [facts.recipient for facts in coming.world.of(StandingEvaluated, size)]
    assert told
    assert coming.other.id not in told


async def test_a_hold_ends_by_itself_and_a_person_is_paged_again(outage: Outage) -> None:
    made, crowd = outage.world, outage.crowd
    size = made.size
    made.clock.ahead += 6 * HOUR
    told = await crowd[0].standing()
    assert (told["phase"], told["tier"]) == ("grace", "T2"), "whether anybody looks or not"
    await outage.look()
    await outage.look()
    (finding,) = made.of(FindingRaised, size)
    assert finding.kind == "standing-hold-over"
    assert finding.numbers == {"recipients": 3, "total": 4}
    assert [facts.held for facts in outage.evaluated(size)] == [msgspec.UNSET] * 3
    assert outage.holds == {"over"}
    assert made.of(StandingHeld, size) == []
    await made.restart()
    await outage.look()
    assert len(made.of(FindingRaised, size)) == 1
    made.clock.ahead += HOUR
    assert [(await acme.standing())["tier"] for acme in crowd] == ["T1"] * 3
    await outage.look()
    assert made.of(StandingHeld, size) == []


async def test_an_auditor_derives_the_end_of_a_hold_again(outage: Outage, tmp_path: Path) -> None:
    made = outage.world
    made.clock.ahead += 6 * HOUR
    await outage.look()
    signer = made.issuer.secrets.log
    forgery = Forgery(made.issuer.log.reader)
    audited = audit_export(forgery.write(tmp_path / "out", signer), signer.public)
    assert audited.clean, audited.findings
    assert audited.standings >= 6
    late = [
        at
        for at in forgery.of(StandingEvaluated, lambda facts: facts.held is True)
        if at >= outage.since
    ]
    (row, *_) = [forgery.rows[at] for at in late]
    assert isinstance(row.facts, StandingEvaluated)
    standing = msgspec.convert(row.facts.standing, Standing)
    for footing in standing.footings:
        assert footing.lapses is not None
    longer = tuple(
        msgspec.structs.replace(one, lapses=(one.lapses or 0) + HOUR) for one in standing.footings
    )
    steps = (standing.steps[0],)
    told = msgspec.to_builtins(msgspec.structs.replace(standing, footings=longer, steps=steps))
    row.change(standing=told)
    forged = audit_export(forgery.write(tmp_path / "forged", signer), signer.public)
    assert Kind.BAD_RECORD in forged.counts
