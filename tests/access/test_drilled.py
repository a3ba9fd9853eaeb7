"""A drill is told of when it is over, and of nothing that lives."""

from __future__ import annotations

import pytest

from bailment.access.drilled import is_drill
from bailment.access.reasons import Refused
from bailment.ledger.drill_records import DrillNoted
from bailment.ledger.records import DelegationEnded

from ..world import World, world

pytestmark = pytest.mark.anyio


def _noted(drill: str, recipient: str) -> DrillNoted:
    return DrillNoted(drill, "breach-2026", (recipient,), 1, 2, (), "00" * 32, "tests")


async def test_only_recipients_whose_links_are_ended_are_noted(tmp_path) -> None:  # type: ignore[no-untyped-def]
    async with world(tmp_path) as lab:
        await _check(lab)


async def _check(lab: World) -> None:
    recipient = await lab.recipient()
    register, now = lab.register, lab.clock.now()
    living = register.check(_noted("a", recipient.id), now)
    assert isinstance(living, Refused) and "not ended" in living.detail
    assert register.check(_noted("a", "00" * 16), now) is not None
    await lab.issuer.actions.append(
        lambda now: DelegationEnded(recipient.link.id, "tests", "no longer needed")
    )
    assert not is_drill(register, recipient.id)
    await lab.issuer.actions.append(lambda now: _noted("a", recipient.id))
    assert is_drill(register, recipient.id)
    again = register.check(_noted("a", recipient.id), now)
    assert isinstance(again, Refused) and "already" in again.detail
