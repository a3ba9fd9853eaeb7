"""Notices as time goes on: an issuer of its own, whose clock is set ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailment.access.nonce import Nonces
from bailment.control.notices import Notices
from bailment.ledger.incident_records import NoticeSent

from ..world import DAY, World, world

pytestmark = pytest.mark.anyio

HOUR = 3_600_000


async def test_a_notice_that_nobody_acknowledges_is_sent_again_when_it_is_due(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as lab:
        await _chased(lab)


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
