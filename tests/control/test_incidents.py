"""Containment of a running issuer: done once, signed by two where it takes two, looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from bailment.access.nonce import Nonces
from bailment.access.register import Register
from bailment.control import containment
from bailment.control.notices import Notices
from bailment.incident.containment import Act as Planned
from bailment.incident.containment import Plan, still_allowed
from bailment.ledger.incident_records import (
    ContainmentExecuted,
    ContainmentVerified,
    RotationDemanded,
    RotationDone,
)
from bailment.ledger.records import HoldAdded

from ..gateway.scripted import Peer
from ..world import Asked, Device, World, world
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


async def saved(lab: Lab, incident: str, *acts: dict[str, Any]) -> Plan:
    """A plan of these acts, on record."""
    made = Plan(incident, 1, 1, (), msgspec.convert(acts, tuple[Planned, ...]), (), ())
    counts = {"acts": len(acts), "cut": 0, "beside": 0}
    await lab.world.act("containment-plan", incident=incident, plan=made.digest, **counts)
    return made


async def carried_out(lab: Lab, plan: Plan) -> dict[str, Any]:
    return await lab.world.act("containment-execute", plan=msgspec.to_builtins(plan))


async def executed(lab: Lab, incident: str, *acts: dict[str, Any]) -> list[dict[str, Any]]:
    done = await carried_out(lab, await saved(lab, incident, *acts))
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


@pytest.mark.parametrize("edit", [{"subject": "everything"}, {"within": 1}, {"organisation": ""}])
async def test_an_act_that_was_edited_after_its_plan_was_put_on_record_is_not_done(
    plain: Lab, edit: dict[str, Any]
) -> None:
    lab = plain
    kept, organisation = await device(lab)
    incident, since = await opened(lab, f"device:{kept.id}"), lab.world.size
    hold, rotate = acts(f"device:{kept.id}", organisation)
    plan = await saved(lab, incident, hold, rotate)
    edited = msgspec.structs.replace(plan.acts[1], **edit)
    with pytest.raises(AssertionError, match="it was changed since"):
        await carried_out(lab, msgspec.structs.replace(plan, acts=(plan.acts[0], edited)))
    assert lab.world.of(HoldAdded, since) == lab.world.of(RotationDemanded, since) == []
    assert (await kept.ask()).status_code == 200


async def test_a_plan_is_for_the_incident_that_it_was_made_for_and_for_as_long_as_that_is_open(
    plain: Lab,
) -> None:
    lab = plain
    kept, organisation = await device(lab)
    incident = await opened(lab, f"device:{kept.id}")
    other, since = await opened(lab, f"device:{kept.id}"), lab.world.size
    plan = await saved(lab, incident, *acts(f"device:{kept.id}", organisation))
    with pytest.raises(AssertionError, match="no such plan is on record"):
        await carried_out(lab, msgspec.structs.replace(plan, incident=other))
    await lab.world.act("incident-close", incident=incident, reason="it was nothing")
    with pytest.raises(AssertionError, match="the incident is closed"):
        await carried_out(lab, plan)
    assert lab.world.of(HoldAdded, since) == []


async def test_what_another_device_of_the_same_person_has_open_is_not_counted(plain: Lab) -> None:
    lab, recipient = plain, await plain.world.recipient()
    person = await recipient.person()
    held = await person.device()
    sent = await recipient.grant(recipient.below("person", subject=person.id), {"name": "Maria"})
    other = await person.enrol(code=sent.json()["invitation"]["code"])
    await recipient.confirm(other)
    await other.renew()
    incident = await opened(lab, f"device:{held.id}")
    await lab.world.hold(f"device:{held.id}")
    asked, answer, usual = asyncio.Event(), asyncio.Event(), lab.world.model.play

    async def waits(peer: Peer, question: Asked) -> None:
        asked.set()
        await answer.wait()
        await usual(peer, question)

    lab.world.model.play = waits
    async with asyncio.TaskGroup() as group:
        group.create_task(other.ask())
        await asked.wait()
        found = lab.world.issuer.log.fold.admission.open.values()
        assert [one.device for one in found] == [other.id]
        seen = await verified(lab, incident, held.id)
        answer.set()
    lab.world.model.play = usual
    assert (seen["contained"], seen["open"]) == (True, 0)


async def test_many_credentials_are_decided_about_a_few_at_a_time(
    plain: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, sizes = plain, []
    incident = await opened(lab, "vendor:mercury")

    def counted(register: Register, devices: Sequence[str], now: int) -> list[str]:
        sizes.append(len(devices))
        return still_allowed(register, devices, now)

    monkeypatch.setattr(containment, "still_allowed", counted)
    seen = await verified(lab, incident, *(f"{number:032x}" for number in range(70)))
    assert (seen["decided"], sizes) == (70, [32, 32, 6])
    with pytest.raises(AssertionError, match="50000"):
        await verified(lab, incident, *["0" * 8] * 50_001)


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
