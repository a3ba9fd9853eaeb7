"""What people say of an incident and of shared systems is looked at before it is on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bailment.ledger.incident_records import CustodyDeclared, IncidentNoted, IncidentOpened

from ..world import DAY, World, world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


async def refused(lab: World, act: str, **members: Any) -> str:
    """Why, and that nothing of it is on record."""
    size = lab.size
    sent = await lab.console.post(
        "http://console/act", json={"act": act, "author": "tests", **members}
    )
    assert sent.status_code != 200
    assert lab.size == size
    return str(sent.text)


async def opened(lab: World, **members: Any) -> str:
    done = await lab.act("incident-open", title="a test", source="person", **members)
    incident: str = done["incident"]
    return incident


async def test_an_incident_is_about_what_there_is(lab: World) -> None:
    incident = await opened(lab, subjects=["vendor:mercury"])
    for bad in ("vendor:../../etc", "person:nobody", "vndor:mercury"):
        told = await refused(lab, "incident-open", title="t", source="tip", subjects=[bad])
        assert f"`{bad}`" in told
        told = await refused(lab, "incident-note", incident=incident, text="t", subjects=[bad])
        assert f"`{bad}`" in told


async def test_what_happened_did_not_happen_in_time_to_come(lab: World) -> None:
    since, now = lab.size, lab.issuer.log.fold.time
    incident = await opened(lab, times={"occurred": now - DAY, "aware": now})
    for name in ("occurred", "detected", "aware", "classified", "determined"):
        for time in (now + DAY, -1):
            members = {"text": "t", "times": {name: time}}
            assert f"`{name}`" in await refused(lab, "incident-note", incident=incident, **members)
            members = {"title": "t", "source": "tip", "times": {name: time}}
            assert f"`{name}`" in await refused(lab, "incident-open", **members)
    (facts,) = lab.of(IncidentOpened, since)
    assert (facts.times.occurred, facts.times.aware) == (now - DAY, now)


async def test_a_shared_system_has_a_name_and_keeps_what_there_is(lab: World) -> None:
    good = {"system": "ci-vault", "kind": "secrets", "runs": "vendor:vaultly"}
    since = lab.size
    await lab.act("custody-declare", **good)
    for bad in (
        *({"system": "../etc"}, {"runs": "vendor:../etc"}, {"stored": ["device:none"]}),
        {"since": lab.issuer.log.fold.time + DAY},
    ):
        await refused(lab, "custody-declare", **{**good, **bad})
    assert len(lab.of(CustodyDeclared, since)) == 1


async def test_nothing_is_added_to_a_closed_incident(lab: World) -> None:
    incident, since = await opened(lab, findings=["f" * 32]), lab.size
    again = {"title": "t", "source": "finding", "findings": ["f" * 32]}
    assert incident[:8] in await refused(lab, "incident-open", **again)
    await lab.act("incident-close", incident=incident, reason="over")
    assert "closed already" in await refused(
        lab, "incident-close", incident=incident, reason="over"
    )
    told = await refused(lab, "incident-note", incident=incident, text="t")
    assert "open a new one" in told
    draft = {"organisation": (await lab.recipient()).id, "since": 1, "accesses": 0}
    draft |= {"subjects": [], "check": [], "rotate": []}
    told = await refused(lab, "notice-send", incident=incident, notices=[draft])
    assert "open a new one" in told
    assert lab.of(IncidentNoted, since) == []
    assert await opened(lab, findings=["f" * 32]) != incident
