"""A recipient's admin says where its own keys lie, of its own alone, and by a signed request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bailment.control.custody import DECLARATIONS
from bailment.incident.blast_radius import Extent
from bailment.incident.graph import Graph
from bailment.incident.subjects import unfit
from bailment.ledger.identity_records import SignalSource
from bailment.ledger.incident_records import CustodyDeclared

from ..world import Device, Recipient, World, world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


async def party(lab: World) -> tuple[Recipient, Device]:
    recipient = await lab.recipient()
    return recipient, await (await recipient.person()).device()


async def declare(recipient: Recipient, **said: Any) -> Any:
    told = {"system": "ci-vault", "runs": "vendor:vaultly", **said}
    return await recipient.admin.post("/custody", told)


async def test_what_it_declares_leads_from_a_vendor_to_its_own(lab: World) -> None:
    recipient, device = await party(lab)
    since, stored = lab.size, f"device:{device.id}"
    said = {"reached": ["vendor:mercury"], "stored": [stored], "since": 7}
    answered = await declare(recipient, **said)
    assert answered.status_code == 201, answered.text
    (facts,) = lab.of(CustodyDeclared, since)
    handle = lab.register.organisations[recipient.id].handle
    assert facts.system == answered.json()["system"] == f"{handle}/ci-vault"
    assert (facts.organisation, facts.since, bool(facts.proof)) == (recipient.id, 7, True)
    graph = Graph(lab.register, [facts])
    radius = Extent(graph, lab.register, ["vendor:mercury"]).with_uses(())
    assert stored in [one.node for one in radius.reached]
    assert unfit(lab.register, f"system:{handle}/ci-vault") == ""


async def test_it_speaks_of_nobody_else_and_learns_of_nobody(lab: World) -> None:
    (recipient, mine), (other, theirs) = await party(lab), await party(lab)
    source = SignalSource("5" * 32, other.id, "scim", "", "", "0" * 64, "tests")
    await lab.issuer.actions.append(lambda now: source)
    since, own = lab.size, f"device:{mine.id}"
    person = lab.register.path(lab.register.link_of[theirs.id])[-2].subject
    link = lab.register.link_of[theirs.id]
    for foreign in (
        *(f"device:{theirs.id}", f"person:{person}", f"recipient:{other.id}", f"link:{link}"),
        *(f"source:{source.source}", f"device:{'0' * 32}", f"workload:{mine.id}", "model:small"),
    ):
        for said in ({"stored": [own, foreign]}, {"reached": [foreign]}, {"runs": foreign}):
            answered = await declare(recipient, **said)
            assert (answered.status_code == 201, foreign in answered.text) == (False, True)
    assert lab.of(CustodyDeclared, since) == []


async def test_two_recipients_systems_of_one_name_are_two(lab: World) -> None:
    since = lab.size
    for recipient, device in (await party(lab), await party(lab)):
        said = await declare(recipient, runs="", stored=[f"device:{device.id}"])
        assert said.status_code == 201
    first, second = lab.of(CustodyDeclared, since)
    assert first.system != second.system
    assert first.runs == f"recipient:{first.organisation}"


@pytest.mark.parametrize(
    "said",
    [
        *({"system": "../etc"}, {"system": "a/b"}, {"runs": "vendor:../etc"}, {"reached": ["x"]}),
        *({"since": 2**52}, {"since": -1}, {"stored": ["device:x"] * 65}, {"more": 1}),
        {"stored": ["vendor:vaultly"]},
    ],
)
async def test_what_is_no_declaration_is_refused(lab: World, said: dict[str, Any]) -> None:
    recipient, since = await lab.recipient(), lab.size
    assert (await declare(recipient, **said)).status_code in (400, 401, 403, 404, 409, 422)
    assert lab.of(CustodyDeclared, since) == []


async def test_the_lab_speaks_for_no_organisation(lab: World) -> None:
    recipient, since = await lab.recipient(), lab.size
    handle = lab.register.organisations[recipient.id].handle
    said = {"act": "custody-declare", "author": "tests", "system": f"{handle}/ci-vault"}
    said |= {"kind": "secrets", "runs": "vendor:vaultly"}
    sent = await lab.console.post("http://console/act", json=said)
    assert sent.status_code != 200
    assert lab.of(CustodyDeclared, since) == []


async def test_an_hour_takes_so_many_and_the_next_one_more(lab: World) -> None:
    (recipient, device), (other, theirs) = await party(lab), await party(lab)
    since, stored = lab.size, [f"device:{device.id}"]
    for number in range(DECLARATIONS):
        # What is refused counts as well.
        said = {"stored": stored} if number else {"stored": ["device:none"]}
        assert (await declare(recipient, **said)).status_code == (201 if number else 403)
    sent = await declare(recipient, stored=stored)
    assert (sent.status_code, sent.json()["reason"]) == (429, "too-often")
    assert len(lab.of(CustodyDeclared, since)) == DECLARATIONS - 1
    assert (await declare(other, stored=[f"device:{theirs.id}"])).status_code == 201
    lab.clock.ahead += 3_600_000
    assert (await declare(recipient, stored=stored)).status_code == 201


async def test_a_proof_is_good_for_one_record_and_nothing_is_said_twice(lab: World) -> None:
    recipient, device = await party(lab)
    body = json.dumps({"system": "ci-vault", "stored": [f"device:{device.id}"]}).encode()
    await recipient.admin.send("GET", "/notices")  # for a nonce
    headers = {"dpop": recipient.admin.proof("POST", "/custody", body)}
    since = lab.size
    for status in (201, 401):
        sent = await lab.http.post(f"{lab.url}/custody", content=body, headers=headers)
        assert sent.status_code == status
    assert len(lab.of(CustodyDeclared, since)) == 1
    twice = body.replace(b"{", b'{"ended": true, "ended": false, ')
    sent = await recipient.admin.send("POST", "/custody", twice)
    assert (sent.status_code, sent.json()["reason"]) == (400, "body-malformed")
    assert len(lab.of(CustodyDeclared, since)) == 1
