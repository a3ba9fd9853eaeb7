"""Rehearsing with a canary: what is seen there earns standing, and a drill measures for real."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bailment.access.revoking import LONGEST
from bailment.access.sightings import Sightings
from bailment.agent.profile import Device as Profiled
from bailment.agent.profile import Profile
from bailment.agent.ratchet import Ratchet
from bailment.agent.rehearsal import Rehearsed, rehearse
from bailment.auditor.audit import audit_export
from bailment.auditor.findings import Kind
from bailment.control.observations import Observer
from bailment.errors import BailmentError
from bailment.ledger.evidence_records import EvidenceReceived
from bailment.ledger.records import AccessOpened, HoldAdded, HoldLifted, ModelRegistered
from bailment.spec.quantity import DAY

from ..access.small_spec import SPEC
from ..auditor.forge import Forgery
from ..gateway.scripted import Peer
from ..world import PURPOSE, STREAM, Asked, Device, answer, canned, chunk, events, world
from ..world import refused as refusal
from .test_assurance import Lab

pytestmark = pytest.mark.anyio

TEXT = SPEC.replace(
    b"tiers:\n",
    b"""  gw.use: {adapter: gateway/1, class: machine, max_age: P1D, scope: org}
  gw.register: {adapter: gateway/1, class: machine, max_age: P1D, scope: org}
  drill.revoke: {adapter: drill/1, class: process, max_age: P90D, scope: org}
tiers:
""",
    1,
).replace(
    b"    satisfied_by: {kind: roster, claim: unmatched_accounts, max: 0}\n",
    b"""    satisfied_by:
      all:
        - {kind: gw.use, claim: bound_ppm, min: 1000000, min_independence: observed}
        - {kind: gw.register, claim: undeclared_parties, max: 0, min_independence: observed}
        - {kind: drill.revoke, claim: refused_after_ms, max: 8000, min_independence: observed}
""",
    1,
)
CANARY = """
[models.canary]
url = "{model}"
context = 4096
output = 512
canary = true
"""


class Stage:
    """Acme, with an enclave and a device, at a lab whose spec asks for a rehearsal."""

    def __init__(self, lab: Lab, device: Device, recipient: str, person: str) -> None:
        self.lab, self.device, self.recipient, self.person = lab, device, recipient, person
        self.world = lab.world

    @property
    def profiled(self) -> Profiled:
        profile = Profile(
            gateway=self.world.url, device=self.device.id, person=self.person,
            key_class="software", status="active", purposes=(PURPOSE,),
        )  # fmt: skip
        folder = self.world.root / "profile"
        folder.mkdir(0o700, exist_ok=True)
        return Profiled(folder, profile, self.device.private)

    async def rehearse(self, model: str = "canary") -> Rehearsed:
        """As the device's person does, with the handle of the device's last token."""
        profiled = self.profiled
        handle = Ratchet(profiled.folder)
        handle.write(self.device.handle)
        try:
            return await asyncio.to_thread(rehearse, profiled, PURPOSE, model, 9.0)
        finally:
            self.device.handle = handle.read()

    def items(self, kind: str) -> list[dict[str, Any]]:
        received = self.world.of(EvidenceReceived)
        return [facts.item for facts in received if facts.item["kind"] == kind]

    async def why(self) -> dict[str, str]:
        """What keeps acme from T1."""
        unmet: dict[str, Any] = self.world.register.proven(self.recipient).unmet
        return dict(unmet.get("T1", {}))


async def endless(peer: Peer, asked: Asked) -> None:
    """A stream that does not end by itself; everything else as usual."""
    body, stream = canned(asked)
    if not stream:
        await answer(peer, asked)
        return
    await peer.send(STREAM, *map(chunk, events(body)[:3]))
    await peer.gone()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    more = CANARY.format(model=f"unix://{tmp_path}/./model.sock")
    async with world(tmp_path, more=more, start=False) as made:
        settings = made.folder.settings
        settings.write_text(settings.read_text().replace(
            f"unix://{tmp_path / 'model.sock'}", f"unix://{made.server.path}"
        ))  # fmt: skip
        await made.start()
        lab = Lab(made)
        await lab.prepare(TEXT)
        recipient = await made.recipient(models=("smollm2", "canary"))
        await made.act("enclave-declare", recipient=recipient.id, org=["acme.example"])
        person = await recipient.person()
        made.model.play = endless
        yield Stage(lab, await person.device(), recipient.id, person.id)


async def test_a_canary_is_one_by_its_settings_and_again_none(stage: Stage) -> None:
    world, settings = stage.world, stage.world.folder.settings
    assert world.register.state.models["canary"].canary is True
    assert world.register.state.models["smollm2"].canary is not True
    settings.write_text(settings.read_text().replace("canary = true", ""))
    since = world.size
    await world.restart()
    (again,) = [facts for facts in world.of(ModelRegistered, since) if facts.model == "canary"]
    assert again.canary is not True
    await stage.device.renew()
    assert refusal(await stage.device.ask(model="canary"))[1] == "model-untiered"


async def test_whoever_has_no_standing_earns_it_at_the_canary(stage: Stage) -> None:
    assert refusal(await stage.device.ask())[1] == "model-untiered"
    await stage.lab.tier("smollm2", "T1")
    assert (await stage.device.ask(model="canary")).status_code == 200
    await stage.world.until(lambda: len(stage.items("gw.use")) > 0)
    await stage.world.until(lambda: stage.items("gw.use")[-1]["claims"].get("requests"))
    item = stage.items("gw.use")[-1]
    assert item["people"] == [stage.person]
    assert (item["independence"], item["claims"]["bound_ppm"]) == ("observed", 1_000_000)
    assert refusal(await stage.device.ask())[1] == "standing-too-low"
    playing = asyncio.create_task(stage.rehearse())
    done = await stage.world.act("drill-revoke", recipient=stage.recipient)
    seen = await playing
    assert (seen.streams, seen.answered) == (0, 0)
    assert done["claims"]["opened_after_hold"] == 0
    assert {"cut_after_ms", "refused_after_ms", "refused_after_s"} <= done["claims"].keys()
    assert await stage.why() == {}
    await stage.device.renew()
    assert (await stage.device.ask()).status_code == 200


async def test_a_drill_leaves_nothing_but_a_hold_that_was_lifted(stage: Stage) -> None:
    since = stage.world.size
    playing = asyncio.create_task(stage.rehearse())
    done = await stage.world.act("drill-revoke", recipient=stage.recipient, person=stage.person)
    await playing
    (held,) = stage.world.of(HoldAdded, since)
    (lifted,) = stage.world.of(HoldLifted, since)
    assert (held.subject, held.hold) == (f"person:{stage.person}", lifted.hold)
    assert "drill" not in (held.reason + lifted.reason).lower()
    assert stage.world.clock.now() < held.until <= stage.world.clock.now() + LONGEST
    (item,) = stage.items("drill.revoke")
    assert (item["id"], item["report"]) == (done["item"], f"drill:{held.hold}")
    assert (item["collector"], item["independence"]) == ("gateway", "observed")
    assert (await stage.device.ask(model="canary")).status_code == 200


async def test_without_a_stream_there_is_no_drill_and_no_hold(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailment.control.revocation._PATIENCE", 0.05)
    since = stage.world.size
    sent = await stage.lab.act("drill-revoke", recipient=stage.recipient)
    assert sent.status_code == 403
    assert "bailment rehearse" in json.loads(sent.content)["detail"]
    assert not stage.world.of(HoldAdded, since)
    assert not stage.world.of(AccessOpened, since)


async def test_nobody_rehearses_with_a_model_that_is_no_canary(stage: Stage) -> None:
    since = stage.world.size
    for model in ("smollm2", "nothing"):
        with pytest.raises(BailmentError, match=f"`{model}` is no canary of yours") as caught:
            await stage.rehearse(model)
        assert caught.value.hint == "one of canary"
    assert not stage.world.of(AccessOpened, since)


async def test_who_has_no_canary_is_told_whom_to_ask(stage: Stage) -> None:
    settings = stage.world.folder.settings
    settings.write_text(settings.read_text().replace("canary = true", ""))
    await stage.world.restart()
    with pytest.raises(BailmentError, match="`canary` is no canary of yours") as caught:
        await stage.rehearse()
    assert caught.value.hint == "ask the lab to grant you one"


async def test_an_auditor_measures_and_counts_the_same(stage: Stage, tmp_path: Path) -> None:
    playing = asyncio.create_task(stage.rehearse())
    await stage.world.act("drill-revoke", recipient=stage.recipient)
    await playing
    signer = stage.world.issuer.secrets.log
    forgery = Forgery(stage.world.issuer.log.reader)
    assert len(stage.items("gw.use")) > 0 and len(stage.items("gw.register")) > 0
    honest = audit_export(forgery.write(tmp_path / "honest", signer), signer.public)
    assert honest.clean, honest.findings
    at = forgery.first(EvidenceReceived, lambda facts: facts.item["kind"] == "drill.revoke")
    facts = forgery.rows[at].facts
    assert isinstance(facts, EvidenceReceived)
    for name, change in {
        "faster": {"claims": {**facts.item["claims"], "refused_after_ms": 0}},
        "another hold": {"report": "drill:" + "ab" * 16},
        "later": {"dated": facts.item["dated"] + 1},
    }.items():
        forgery.rows[at].facts = msgspec.structs.replace(facts, item={**facts.item, **change})
        report = audit_export(forgery.write(tmp_path / name, signer), signer.public)
        named = {(finding.kind, finding.index) for finding in report.findings}
        assert (Kind.FALSE_OBSERVATION, at) in named, name


async def test_a_longer_window_asked_for_while_the_log_is_read_back_is_read_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer, applied, spans = Observer(stage.world.issuer.log), threading.Event(), []
    read = observer._read

    def slowly(sightings: Sightings, since: int, size: int) -> None:
        applied.wait(10)
        spans.append(observer._span)
        read(sightings, since, size)

    monkeypatch.setattr(observer, "_read", slowly)
    starting = asyncio.create_task(observer.start())
    await asyncio.sleep(0)
    await stage.lab.apply(
        TEXT.replace(b"1.0.0", b"1.0.1").replace(
            b"class: machine, max_age: P1D", b"class: machine, max_age: P2D"
        )
    )
    applied.set()
    await starting
    assert spans == [DAY, 2 * DAY]
