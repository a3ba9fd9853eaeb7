"""A plan that marks evidence stale: who steps down is shown, then does, and is seen to have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bailment.auditor.audit import audit_export
from bailment.incident.blast_radius import Extent, Use
from bailment.incident.containment import Plan, plan
from bailment.incident.graph import Graph
from bailment.incident.stepping_down import Lost
from bailment.incident.timeline import timeline
from bailment.ledger.evidence_records import EvidenceStaled, StandingNoticed
from bailment.ledger.incident_records import ContainmentExecuted, ContainmentVerified

from ..auditor.forge import Forgery
from ..world import Device, refused, world
from .people import Signer
from .test_assurance import LONE, Acme, Lab

pytestmark = pytest.mark.anyio

HOUR = 3_600_000
MODEL = "smollm2"


class Scene:
    """Two recipients that hold T2, which the model needs, each with a device that is let in."""

    lab: Lab
    acme: Acme
    other: Acme
    device: Device
    beside: Device
    signers: tuple[Signer, ...] = ()

    async def draw(self) -> Plan:
        """A plan, on record, that holds nobody and marks a recipient's scans stale."""
        made = self.lab.world
        opened = await made.act("incident-open", title="a test", source="person", subjects=[])
        register, start = made.register, "vendor:mercury"
        graph = Graph(register, [])
        uses = [Use(self.device.id, MODEL, "", "", "", "", 8, 0, 0, 0, 0, 0)]
        radius = Extent(graph, register, [start]).with_uses(())
        incident: str = opened["incident"]
        now, stale = made.issuer.log.sequencer.time, {self.acme.id: ("scan",)}
        drawn = plan(register, graph, radius, incident, uses, HOUR, now, stale)
        counts = {"acts": len(drawn.acts), "cut": 0, "beside": 0}
        await made.act("containment-plan", incident=drawn.incident, plan=drawn.digest, **counts)
        return drawn

    async def execute(self, drawn: Plan) -> dict[str, Any]:
        done = await self.lab.world.act("containment-execute", plan=msgspec.to_builtins(drawn))
        (found,) = done["acts"]
        told: dict[str, Any] = found
        return told

    async def verify(self, drawn: Plan) -> dict[str, Any]:
        lost = {one.organisation: one.left for one in drawn.lost}
        given = {"incident": drawn.incident, "plan": drawn.digest}
        return await self.lab.world.act("containment-verify", **given, devices=[], lost=lost)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(params=[b"", b"hold-recipient"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    async with world(tmp_path) as made:
        found = Scene()
        found.lab = lab = Lab(made)
        await lab.prepare(LONE.replace(b"two_person: []", b"two_person: [%s]" % request.param))
        if request.param:
            keys = lab.approvers.items()
            found.signers = tuple(Signer(made, name, key.private) for name, key in keys)
        await lab.tier(MODEL, "T2")
        found.acme, found.other = await lab.acme(), await lab.acme()
        for one in (found.acme, found.other):
            await one.pass_all()
        found.device = await (await found.acme.recipient.person()).device()
        found.beside = await (await found.other.recipient.person()).device()
        yield found


async def test_who_steps_down_is_shown_does_and_may_come_back(scene: Scene, tmp_path: Path) -> None:
    made, acme = scene.lab.world, scene.acme
    drawn, since = await scene.draw(), made.size
    assert drawn.lost == (Lost(acme.id, 2, 1, ("ID-2",), (MODEL,), 1, 2),)
    assert [(one.act, one.subject, one.kinds) for one in drawn.acts] == [
        ("stale", f"recipient:{acme.id}", ("scan",))
    ]
    assert (await scene.device.ask()).status_code == 200
    assert (await scene.verify(drawn))["above"] == [acme.id]

    done = await scene.execute(drawn)
    if scene.signers:
        assert (await scene.execute(drawn))["proposal"] == done["proposal"]
        assert (await scene.verify(drawn))["contained"] is False
        assert made.of(EvidenceStaled, since) == []
        for signer in scene.signers:
            assert (await signer.sign(done["proposal"])).status_code == 200
    seen = await scene.verify(drawn)
    assert (seen["contained"], seen["tiers"], seen["above"]) == (True, {acme.id: 1}, [])
    assert refused(await scene.device.ask()) == (403, "standing-too-low")
    assert (await scene.beside.ask()).status_code == 200
    assert [one.recipient for one in made.of(StandingNoticed, since)] == [acme.id]
    assert (await scene.execute(drawn))["already"] is True
    told = [
        one.what for one in timeline([(0, 0, one) for one in made.of(ContainmentExecuted, since)])
    ]
    assert (told[0] == "contained: 1 of 1 acts done") is not bool(scene.signers)
    assert told[-1] == "contained: 1 of 1 acts done"
    (marked,) = made.of(EvidenceStaled, since)
    assert (marked.incident, marked.kinds) == (drawn.incident, ("scan",))
    assert made.of(ContainmentVerified, since)[-1].tiers == {acme.id: 1}

    assert (await acme.hand("scan", acme.scan())).json()["tier"] == "T2"
    assert (await scene.device.ask()).status_code == 200
    key = made.issuer.secrets.log
    out = Forgery(made.issuer.log.reader).write(tmp_path / "out", key)
    audited = audit_export(out, key.public)
    assert audited.clean, audited.findings
