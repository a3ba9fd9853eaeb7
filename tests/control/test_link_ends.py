"""To end all that a recipient has takes two people where the spec says so, as to hold it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bailment.auditor.audit import audit_export
from bailment.auditor.findings import Kind
from bailment.ledger.records import DelegationEnded

from ..auditor.forge import Forgery
from ..world import World, world
from .people import Signer, apply_spec, approver

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        await apply_spec(made, "end-recipient")
        yield made


async def both(lab: World) -> list[Signer]:
    return [await approver(lab, name) for name in ("ada", "bob")]


async def end(lab: World, link: str) -> tuple[int, dict[str, Any]]:
    value = {"act": "link-end", "author": "root", "link": link, "reason": "a test"}
    sent = await lab.console.post("http://console/act", json=value)
    return sent.status_code, sent.json()


async def test_it_is_proposed_signed_by_two_and_then_effective(lab: World, tmp_path: Path) -> None:
    ada, bob = await both(lab)
    acme, since = await lab.recipient(), lab.size
    status, told = await end(lab, acme.link.id)
    assert (status, told["act"], told["people"]) == (202, "end-recipient", 2)
    assert lab.of(DelegationEnded, since) == []
    shown = lab.register.state.proposals[told["proposed"]].act["shown"]
    assert shown == {"organisation": lab.register.organisations[acme.id].handle}
    assert (await ada.sign(told["proposed"])).json()["missing"] == 1
    last = (await bob.sign(told["proposed"])).json()
    assert last["missing"] == 0 and last["done"]["cut"] == 0
    (ended,) = lab.of(DelegationEnded, since)
    assert (ended.link, ended.approval) == (acme.link.id, told["proposed"])
    assert lab.register.state.links[acme.link.id].ended

    key = lab.issuer.secrets.log
    forgery = Forgery(lab.issuer.log.reader)
    good = await asyncio.to_thread(audit_export, forgery.write(tmp_path / "good", key), key.public)
    assert good.clean, good.findings
    forgery.rows[at := forgery.first(DelegationEnded)].change(approval="0" * 32)
    bad = await asyncio.to_thread(audit_export, forgery.write(tmp_path / "bad", key), key.public)
    assert (at, Kind.BAD_RECORD) in [(one.index, one.kind) for one in bad.findings]


async def test_what_is_below_a_recipient_one_ends_alone(lab: World) -> None:
    await both(lab)
    acme = await lab.recipient(depth=1)
    person = await acme.person()
    assert (await end(lab, person.link.id))[0] == 200
    assert lab.register.state.links[person.link.id].ended
    await lab.act("person-erase", person=(await acme.person()).id, reason="asked for it")
    assert not lab.register.state.links[acme.link.id].ended


async def test_with_nobody_to_sign_it_goes_ahead_since_it_stops_access(lab: World) -> None:
    await approver(lab, "ada")
    acme = await lab.recipient()
    assert (await end(lab, acme.link.id))[0] == 200


async def test_what_rehearsed_with_canaries_alone_one_ends_alone(tmp_path: Path) -> None:
    canary = '\n[models.canary]\nurl = "http://127.0.0.1:9"\ncontext = 8192\noutput = 512\n'
    async with world(tmp_path, more=canary + "canary = true\n") as lab:
        await apply_spec(lab, "end-recipient")
        await both(lab)
        only, more = [await lab.recipient(models=one) for one in (("canary",), ("canary", "other"))]
        assert [(await end(lab, one.link.id))[0] for one in (only, more)] == [200, 202]
