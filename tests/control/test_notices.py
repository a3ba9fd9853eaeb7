"""One record that cannot be made keeps no other from being made."""

from __future__ import annotations

from typing import Any

import pytest

from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.control.actions import Actions, Denied
from bailment.control.notices import Notices
from bailment.ledger.incident_records import NoticeSent, RotationDone

from ..world import DAY, world

pytestmark = pytest.mark.anyio

HOUR = 3_600_000


async def test_what_cannot_be_sent_or_noted_stops_nothing_else(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as lab:
        opened = await lab.act("incident-open", title="t", source="person", subjects=[])
        devices = []
        for _ in range(2):
            recipient = await lab.recipient()
            device = await (await recipient.person()).device()
            draft = {"organisation": recipient.id, "since": 1, "accesses": 0}
            draft |= {"subjects": [], "check": [], "rotate": []}
            await lab.act("notice-send", incident=opened["incident"], notices=[draft])
            one = {"subject": f"device:{device.id}", "organisation": recipient.id, "why": "t"}
            await lab.act("rotate", credentials=[one], within=HOUR)
            await lab.act("link-end", link=lab.register.link_of[device.id], reason="replaced")
            devices.append(device.id)
        register, since = lab.register, lab.size
        first = next(iter(register.state.notices))
        rotation = register.state.rotations[f"device:{devices[0]}"].rotation
        lab.clock.ahead += 2 * DAY
        append = Actions.append

        async def denies(actions: Actions, make: Any, **given: Any) -> Any:
            facts = make(0)
            if getattr(facts, "chases", "") == first or getattr(facts, "rotation", "") == rotation:
                raise Denied(Refused(Reason.CHAIN_BROKEN, "never"))
            return await append(actions, make, **given)

        monkeypatch.setattr(Actions, "append", denies)
        desk = Notices(lab.issuer.actions, Nonces(bytes(32), HOUR))
        assert await desk.chase() == 1
        assert await desk.sweep() == 1
        assert [one.chases for one in lab.of(NoticeSent, since)] != [first]
        assert [one.rotation for one in lab.of(RotationDone, since)] != [rotation]
