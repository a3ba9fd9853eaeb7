"""Containment of a running issuer: done once, signed by two where it takes two, looked at again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bailment.access.nonce import Nonces
from bailment.control.notices import Notices
from bailment.ledger.incident_records import (
    ContainmentExecuted,
    ContainmentVerified,
    RotationDemanded,
    RotationDone,
)
from bailment.ledger.records import HoldAdded

from ..world import Device, World, world
from .people import Signer, apply_spec, approver

pytestmark = pytest.mark.anyio

HOUR = 3_600_000


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


class Lab:
    """An issuer whose holds on recipients take two people; those on persons take none."""

    world: World
    ada: Signer
    bob: Signer


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        found = Lab()
        found.world = made
        await apply_spec(made, "hold-recipient")
        found.ada, found.bob = await approver(made, "ada"), await approver(made, "bob")
        yield found


@pytest.fixture(scope="module")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """An issuer without a spec, at which everybody is let in."""
    async with world(tmp_path_factory.mktemp("plain")) as made:
        found = Lab()
        found.world = made
        yield found


async def device(lab: Lab) -> tuple[Device, str]:
    """A device that is let in, and the organisation that it is of."""
    recipient = await lab.world.recipient()
    made = await (await recipient.person()).device()
    return made, recipient.id


async def opened(lab: Lab, subject: str) -> str:
    done = await lab.world.act("incident-open", title="a test", source="person", subjects=[subject])
    incident: str = done["incident"]
    return incident


async def executed(lab: Lab, incident: str, *acts: dict[str, Any]) -> list[dict[str, Any]]:
    done = await lab.world.act(
        "containment-execute", incident=incident, plan="0" * 64, acts=list(acts)
    )
    found: list[dict[str, Any]] = done["acts"]
    return found


async def verified(lab: Lab, incident: str, *devices: str) -> dict[str, Any]:
    return await lab.world.act(
        "containment-verify", incident=incident, plan="0" * 64, devices=list(devices)
    )


def acts(subject: str, organisation: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        {"act": "hold", "subject": subject, "why": "a test"},
        {
            "act": "rotate",
            "subject": subject,
            "why": "a test",
            "organisation": organisation,
            "within": HOUR,
        },
    )


async def test_what_waits_for_two_people_is_proposed_once_and_done_once(lab: Lab) -> None:
    _, organisation = await device(lab)
    subject, since = f"recipient:{organisation}", lab.world.size
    incident, todo = await opened(lab, subject), acts(subject, organisation)
    first = await executed(lab, incident, *todo)
    proposal, rotation = first[0]["proposal"], first[1]["made"]
    assert proposal
    assert rotation

    again = await executed(lab, incident, *todo)
    assert (again[0]["proposal"], again[0]["already"]) == (proposal, True)
    assert (again[1]["made"], again[1]["already"]) == (rotation, True)
    assert lab.world.of(HoldAdded, since) == []

    assert (await lab.ada.sign(proposal)).json()["missing"] == 1
    assert (await lab.bob.sign(proposal)).json()["missing"] == 0
    (hold,) = lab.world.of(HoldAdded, since)
    last = await executed(lab, incident, *todo)
    assert [(one["made"], one["already"]) for one in last] == [(hold.hold, True), (rotation, True)]
    assert len(lab.world.of(HoldAdded, since)) == len(lab.world.of(RotationDemanded, since)) == 1
    assert len(lab.world.of(ContainmentExecuted, since)) == 3


async def test_it_is_not_contained_before_the_hold_and_is_after_it(plain: Lab) -> None:
    lab = plain
    held, organisation = await device(lab)
    subject, since = f"device:{held.id}", lab.world.size
    incident = await opened(lab, subject)
    assert (await held.ask()).status_code == 200
    before = await verified(lab, incident, held.id)
    assert (before["contained"], before["allowed"]) == (False, [subject])
    await executed(lab, incident, *acts(subject, organisation))
    after = await verified(lab, incident, held.id)
    assert (after["contained"], after["decided"], after["refused"]) == (True, 1, 1)
    assert (await held.ask()).status_code == 403
    assert [one.refused for one in lab.world.of(ContainmentVerified, since)] == [0, 1]


async def test_what_was_on_hold_must_still_be_when_the_plan_is_carried_out(plain: Lab) -> None:
    lab = plain
    held, _ = await device(lab)
    register = lab.world.register
    subject = f"person:{register.path(register.link_of[held.id])[-2].subject}"
    incident = await opened(lab, subject)
    act = {"act": "held", "subject": subject, "why": "on hold already"}
    hold = await lab.world.hold(subject)
    (kept,) = await executed(lab, incident, act)
    assert (kept["made"], kept["already"]) == (hold, True)
    await lab.world.lift(hold)
    (gone,) = await executed(lab, incident, act)
    assert "not on hold any more" in gone["failed"]


async def test_a_credential_whose_delegation_is_over_counts_as_replaced(plain: Lab) -> None:
    lab = plain
    old, organisation = await device(lab)
    since, register = lab.world.size, lab.world.register
    one = {"subject": f"device:{old.id}", "organisation": organisation, "why": "a test"}
    done = await lab.world.act("rotate", credentials=[one], within=HOUR)
    rotation = done["rotated"][0]["rotation"]
    desk = Notices(lab.world.issuer.actions, Nonces(bytes(32), HOUR))
    assert await desk.sweep() == 0
    await lab.world.act("link-end", link=register.link_of[old.id], reason="replaced")
    assert await desk.sweep() == 1
    assert [one.rotation for one in lab.world.of(RotationDone, since)] == [rotation]
    assert f"device:{old.id}" not in register.state.rotations
