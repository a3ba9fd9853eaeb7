"""Invitations and enrolments run out. Each test has an issuer of its own: there is one clock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ..world import Device, World, world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


async def test_an_invitation_runs_out(lab: World) -> None:
    person = await (await lab.recipient()).person()
    lab.clock.ahead = 899_000
    assert (await Device(lab).post("/enrol/requests", {"invitation": "x", "name": "x"})).json()
    other = await (await lab.recipient()).person()
    lab.clock.ahead = 900_001
    sent = await Device(lab).post("/enrol/requests", {"invitation": person.code, "name": "x"})
    assert (sent.status_code, sent.json()["reason"]) == (403, "chain-broken")
    assert (await other.enrol()).id


async def test_an_enrolment_that_nobody_confirms_runs_out(lab: World) -> None:
    recipient = await lab.recipient()
    person = await recipient.person()
    device = await person.enrol()
    seen = (
        await recipient.admin.send("GET", "/enrol/pending", query=f"?code={device.code}")
    ).json()
    lab.clock.ahead = 900_001
    found = await recipient.admin.send("GET", "/enrol/pending", query=f"?code={device.code}")
    assert (found.status_code, found.json()["reason"]) == (403, "link-unknown")
    link = recipient.below("device", person.link, subject=device.id, key=seen["key"])
    sent = await recipient.grant(link)
    assert (sent.status_code, sent.json()["reason"]) == (403, "link-expired")
    status = (await device.send("GET", f"/enrol/requests/{device.id}")).json()
    assert status["status"] == "expired"
