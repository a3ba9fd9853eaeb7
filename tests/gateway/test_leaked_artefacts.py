"""What each leaked artefact is worth to whoever finds it, and when we notice: `docs/leaks.md`.

Each test plays one thief and ends in the row of the table that it saw. A blind spot is a row too:
its test shows that the thief is served and that nothing is said, so that a way to see it, once
there is one, has to change the table.
"""

from __future__ import annotations

import copy
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from bailment.access.tripwire import CAPABILITY, PATH, SLUG, digest, registration_body
from bailment.detect.rules import wrong_key
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.identity_records import TripwireSet
from bailment.ledger.records import AccessOpened, AccessRefused, HoldAdded

from ..world import Device, Key, World, world
from .mtls import Certified, Desk, desk

pytestmark = pytest.mark.anyio

TABLE = Path(__file__).parents[2] / "docs" / "leaks.md"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), tls=True) as made:
        yield made


@pytest.fixture
async def at(lab: World, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(lab, tmp_path) as made:
        yield made


def rows() -> dict[str, tuple[str, str, str]]:
    """The document's table: by what leaked, what it is worth, what tells, after how many."""
    found = re.findall(r"^\| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", TABLE.read_text(), re.M)
    return {leaked: (worth, notice, after) for leaked, worth, notice, after in found[1:]}


def is_row(leaked: str, worth: str, notice: str, after: str) -> None:
    """What was seen is what the document says."""
    assert rows()[leaked] == (worth, notice, after)


class Watch:
    """What the log says of a thief's requests from here on."""

    def __init__(self, lab: World) -> None:
        self.lab = lab
        self.since = lab.size
        self.asked = len(lab.model.requests)

    @property
    def served(self) -> int:
        """Accesses that were opened and answers that the model gave; they are as many."""
        opened = len(self.lab.of(AccessOpened, self.since))
        assert len(self.lab.model.requests) - self.asked == opened
        return opened

    async def refusal(self, reason: str, device: Device) -> str:
        await self.lab.until(lambda: self.lab.of(AccessRefused, self.since))
        (one,) = self.lab.of(AccessRefused, self.since)
        assert (one.reason, one.device, one.count) == (reason, device.id, 1)
        assert one.person == person_of(device)
        if reason in wrong_key.HOW:
            return f"{await self.finding(f'device:{device.id}', wrong_key.KIND)}, of `{reason}`"
        return f"refusal `{reason}` on record"

    async def finding(self, subject: str, kind: str = "tripwire") -> str:
        await self.lab.until(lambda: self.lab.of(FindingRaised, self.since))
        (one,) = self.lab.of(FindingRaised, self.since)
        assert (one.kind, one.subject) == (kind, subject)
        return f"finding `{kind}`"

    async def silence(self) -> str:
        await self.lab.settle()
        for kind in (FindingRaised, AccessRefused, HoldAdded):
            assert self.lab.of(kind, self.since) == []
        return "nothing"


def person_of(device: Device) -> str:
    register = device.world.register
    person: str = register.path(register.link_of[device.id])[1].subject
    return person


BOTH = ", with person and device"


async def test_the_slug(lab: World) -> None:
    recipient = await lab.recipient()
    (wire,) = [one for one in lab.of(TripwireSet) if one.subject == f"recipient:{recipient.id}"]
    assert wire.kind == "slug"
    told = await lab.act(
        "recipient-add",
        handle=f"acme-{secrets.token_hex(4)}",
        contact="c@acme.example",
        key=Key(lab).public.jwk,
        models=("smollm2",),
        purposes=("red-team",),
        networks=(),
        budget=None,
        depth=0,
        until=lab.clock.now() + 86_400_000,
    )
    slug = told["base_url"].rpartition("/")[2]
    assert slug.startswith(SLUG)
    watch = Watch(lab)
    sent = await lab.http.get(f"{told['base_url']}/v1/models")
    notice = await watch.finding(f"recipient:{told['recipient']}")
    assert (sent.status_code, watch.served) == (401, 0)
    is_row(
        "an organisation's address (its slug)", "nothing", f"{notice}, with the organisation", "1"
    )


async def test_the_local_capability(lab: World) -> None:
    device, secret = await lab.device(), CAPABILITY + secrets.token_urlsafe(32)
    headers = {"content-type": "application/json"}
    body = registration_body(device.id, digest(secret.encode()))
    assert (await device.send("POST", PATH, body, headers=headers)).status_code == 201
    watch = Watch(lab)
    sent = await lab.http.post(lab.url + "/v1/messages", json={}, headers={"x-api-key": secret})
    notice = await watch.finding(f"device:{device.id}")
    assert person_of(device) in lab.of(FindingRaised, watch.since)[0].sentence
    assert (sent.status_code, watch.served) == (401, 0)
    is_row("an agent's capability, in a CI log", "nothing", notice + BOTH, "1")


async def test_an_access_token(lab: World) -> None:
    device = await lab.device()
    watch = Watch(lab)
    sent = await device.ask(headers={"dpop": None})
    notice = await watch.refusal("proof-missing", device)
    assert (sent.status_code, watch.served) == (401, 0)
    is_row("an access token", "nothing", notice + BOTH, "1")


async def test_an_access_token_with_the_thiefs_own_key(lab: World) -> None:
    device = await lab.device()
    thief = Device(lab, id=device.id, token=device.token, nonce=device.nonce)
    watch = Watch(lab)
    sent = await thief.ask()
    notice = await watch.refusal("proof-key", device)
    assert (sent.status_code, watch.served) == (401, 0)
    leaked = "an access token, shown with a key of the thief's"
    is_row(leaked, "nothing", notice + BOTH, "1")


async def sent_again(lab: World, captured: tuple[str, bytes, dict[str, str]]) -> httpx2.Response:
    path, body, headers = captured
    return await lab.http.post(lab.url + path, content=body, headers=headers)


async def test_a_captured_request(lab: World) -> None:
    device = await lab.device()
    captured = device.request()
    assert (await sent_again(lab, captured)).status_code == 200  # the owner's
    watch = Watch(lab)
    sent = await sent_again(lab, captured)
    notice = await watch.refusal("proof-replayed", device)
    assert (sent.status_code, watch.served) == (401, 0)
    leaked = "a captured request, proof and all, after its owner's was served"
    is_row(leaked, "nothing", notice + BOTH, "1")


async def test_a_captured_proof_over_another_body(lab: World) -> None:
    device = await lab.device()
    path, body, headers = device.request()
    watch = Watch(lab)
    sent = await sent_again(lab, (path, body.replace(b"hello", b"other"), headers))
    notice = await watch.refusal("proof-body", device)
    assert (sent.status_code, watch.served) == (401, 0)
    is_row("a captured request, turned to another body", "nothing", notice + BOTH, "1")


async def test_a_captured_request_that_overtakes_its_owners(lab: World) -> None:
    device = await lab.device()
    captured = device.request()
    watch = Watch(lab)
    assert (await sent_again(lab, captured)).status_code == 200  # the thief's
    assert (await sent_again(lab, captured)).status_code == 401  # the owner's
    notice = await watch.refusal("proof-replayed", device)
    assert watch.served == 1
    leaked = "a captured request, before its owner's comes"
    is_row(leaked, "that one answer, once", f"{notice}, of the owner's request", "1, the owner's")


async def test_a_certificate(lab: World, at: Desk) -> None:
    owner: Certified = await at.ready()
    thief = Device(lab, token=owner.token)  # the certificate is public, its key is not in it
    await thief.get("/v1/models")  # to learn a nonce, without what leaked
    watch = Watch(lab)
    sent = await thief.ask()
    notice = await watch.refusal("proof-key", owner.device)
    assert (sent.status_code, watch.served) == (401, 0)
    is_row("a device's certificate", "nothing", notice + BOTH, "1")


OUT = ", device on hold, both out"


async def test_a_copied_software_key(lab: World) -> None:
    owner = await lab.device()
    thief, watch = copy.copy(owner), Watch(lab)
    await thief.renew()
    assert (await thief.ask()).status_code == 200
    assert lab.of(FindingRaised, watch.since) == []
    assert (await owner.fetch()).status_code == 400
    notice = await watch.finding(f"device:{owner.id}", "ratchet-forked")
    assert (await thief.ask()).status_code == (await owner.ask()).status_code == 403
    assert watch.served == 1
    worth = "real access, until its owner asks for a token: within five minutes of the owner's work"
    is_row("a software key and its handle, copied", worth, notice + OUT, "1, the owner's")


async def test_a_copied_software_key_that_comes_late(lab: World) -> None:
    owner = await lab.device()
    thief = copy.copy(owner)
    await owner.renew()
    assert (await owner.ask()).status_code == 200
    watch = Watch(lab)
    assert (await thief.fetch()).status_code == 400
    notice = await watch.finding(f"device:{owner.id}", "ratchet-forked")
    assert (await owner.ask()).status_code == 403
    assert watch.served == 0
    leaked = "a software key and its handle, the owner having gone on since"
    is_row(leaked, "nothing", notice + OUT, "1")


async def test_blind_spot_a_copied_software_key_whose_owner_is_away(lab: World) -> None:
    owner = await lab.device()
    thief, watch = copy.copy(owner), Watch(lab)
    for _ in range(3):
        await thief.renew()
        assert (await thief.ask()).status_code == 200
    assert watch.served == 3
    leaked = "a software key and its handle, the owner away"
    worth = "real access, within budget, networks and the age of the sign-in"
    is_row(leaked, worth, await watch.silence(), "never")


async def test_blind_spot_malware_on_the_device(lab: World) -> None:
    """It signs with the key where the key is, whatever keeps it: nothing differs on the wire."""
    owner, watch = await lab.device(), Watch(lab)
    assert (await owner.ask()).status_code == 200  # the owner's
    assert (await owner.ask()).status_code == 200  # the malware's
    assert watch.served == 2
    leaked = "a device's key in use by malware on the device, in a TPM or not"
    worth = "real access, while it is there"
    is_row(leaked, worth, await watch.silence(), "never")


async def test_blind_spot_a_person_who_lends_the_session(lab: World) -> None:
    """Somebody else types; the person's device signs."""
    owner, watch = await lab.device(), Watch(lab)
    assert (await owner.ask()).status_code == 200
    (opened,) = lab.of(AccessOpened, watch.since)
    assert lab.register.path(lab.register.link_of[owner.id])[1].subject == person_of(owner)
    assert opened.kind == "dpop-body"
    worth = "real access, in that person's name"
    is_row("a person who lends the session", worth, await watch.silence(), "never")


def test_every_row_of_the_document_has_a_test() -> None:
    """Each row's first words are in a test above, and no row is without one."""
    text = Path(__file__).read_text()
    assert len(rows()) == 13
    for leaked in rows():
        assert f'"{leaked}"' in text, leaked
