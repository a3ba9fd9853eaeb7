"""Notices and demands as time goes on: an issuer of its own, whose clock is set ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailment.access.nonce import Nonces
from bailment.control.notices import Notices
from bailment.ledger.incident_records import NoticeSent, RotationDemanded

from ..world import DAY, World, world

pytestmark = pytest.mark.anyio

HOUR = 3_600_000


async def test_a_notice_that_nobody_acknowledges_is_sent_again_when_it_is_due(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as lab:
        await _chased(lab)


async def test_a_demand_says_by_when_it_is_in_force_even_where_that_is_past(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        recipient = await lab.recipient()
        device = await (await recipient.person()).device()
        one = {"subject": f"device:{device.id}", "organisation": recipient.id, "why": "a test"}
        since, told = lab.size, []
        for within in (HOUR, DAY, DAY):
            done = await lab.act("rotate", credentials=[one], within=within)
            told.append(done["rotated"][0]["until"])
            lab.clock.ahead += 2 * HOUR  # the third finds the first deadline past
        assert [one.until for one in lab.of(RotationDemanded, since)] == told
        assert len(set(told)) == 1
        incident = (await lab.act("incident-open", title="a test", source="person"))["incident"]
        draft = {"organisation": recipient.id, "since": 1, "accesses": 0, "subjects": []}
        draft |= {"check": [], "rotate": [one["subject"]]}
        await lab.act("notice-send", incident=incident, notices=[draft])
        assert [one.until for one in lab.of(NoticeSent, since)] == told[:1]


async def _chased(lab: World) -> None:
    organisation = (await lab.recipient()).id
    subject = f"recipient:{organisation}"
    told = await lab.act("incident-open", title="a test", source="person", subjects=[subject])
    incident = told["incident"]
    since = lab.size
    draft = {"organisation": organisation, "since": 1, "accesses": 0}
    draft |= {"subjects": [], "check": [], "rotate": []}
    done = await lab.act("notice-send", incident=incident, notices=[draft])
    (notice,) = done["notices"]
    desk = Notices(lab.issuer.actions, Nonces(bytes(32), HOUR))
    assert await desk.chase() == 0
    lab.clock.ahead += DAY + HOUR  # for the rest: the log's time never goes back
    assert await desk.chase() == 1
    assert await desk.chase() == 0
    sent = lab.of(NoticeSent, since)
    assert [one.chases for one in sent[1:]] == [notice]
    assert sent[1].due > sent[0].due
