"""Enrolment: an invitation is used once, a device proves its key, another person confirms it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from bailment.access.answers import ANSWERS
from bailment.access.enrolment import code_of
from bailment.access.reasons import Reason
from bailment.control.actions import invitation_hash
from bailment.ledger.records import EnrolmentRequested, InvitationIssued

from ..world import Device, Key, World, world

pytestmark = pytest.mark.anyio

#: Control characters, those that turn the direction, that have no width, that end a line.
HIDDEN = "\0\n\x1b\x7f\x9b\u00ad\u061c\u200b\u200f\u202a\u202e\u2066\u2069\u2028\u2029\ufeff"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


def problem(answered: httpx2.Response) -> tuple[int, str]:
    """Status and reason of an RFC 9457 problem."""
    assert answered.headers["content-type"] == "application/problem+json"
    body = answered.json()
    assert body["type"] == f"urn:bailment:reason:{body['reason']}"
    assert body["status"] == answered.status_code
    told = ANSWERS[Reason(body["reason"])]
    assert (body["status"], body["title"]) == (told.status, told.title)
    assert (answered.status_code == 401) == ("www-authenticate" in answered.headers)
    assert answered.status_code != 401 or not body["detail"]
    return answered.status_code, body["reason"]


async def test_a_device_is_pending_until_it_is_confirmed(lab: World) -> None:
    recipient = await lab.recipient()
    person = await recipient.person()
    device = Device(lab)
    sent = await device.post(
        "/enrol/requests", {"invitation": person.code, "key_class": "software", "name": "laptop"}
    )
    assert sent.status_code == 201
    enrolled = sent.json()
    assert enrolled.keys() == {"device", "code", "status", "person", "key_class", "expires"}
    assert (enrolled["status"], enrolled["person"]) == ("pending", person.id)
    # Both sides compute the code from the key itself.
    assert enrolled["code"] == code_of(device.public.thumbprint)
    device.id, device.code = enrolled["device"], enrolled["code"]
    status = (await device.send("GET", f"/enrol/requests/{device.id}")).json()
    assert status == {
        "device": device.id,
        "status": "pending",
        "links": [],
        "models": [],
        "canaries": [],
        "purposes": [],
    }
    link = await recipient.confirm(device)
    status = (await device.send("GET", f"/enrol/requests/{device.id}")).json()
    assert status == {
        "device": device.id,
        "status": "active",
        "links": [recipient.link.id, person.link.id, link.id],
        "models": ["smollm2"],
        "canaries": [],
        "purposes": ["red-team"],
    }


async def test_the_admin_sees_whose_device_it_is_and_its_key(lab: World) -> None:
    recipient = await lab.recipient()
    person = await recipient.person("Noor")
    device = await person.enrol()
    found = await recipient.admin.send("GET", "/enrol/pending", query=f"?code={device.code}")
    seen = found.json()
    assert (seen["device"], seen["person"], seen["person_name"]) == (device.id, person.id, "Noor")
    assert (seen["name"], seen["key_class"]) == ("laptop", "software")
    assert seen["key"] == device.public.jwk
    assert seen["parent"] == person.link.id
    await recipient.confirm(device)  # and then it waits no more
    found = await recipient.admin.send("GET", "/enrol/pending", query=f"?code={device.code}")
    assert problem(found) == (403, "link-unknown")


async def test_what_a_device_is_called_is_no_fact_and_is_erased_with_its_person(lab: World) -> None:
    recipient, since = await lab.recipient(), lab.size
    person = await recipient.person("Zoe")
    device = Device(lab)
    sent = await device.post("/enrol/requests", {"invitation": person.code, "name": "Zoe's own"})
    device.id = sent.json()["device"]
    assert [facts.name for facts in lab.of(EnrolmentRequested, since)] == [""]
    for record in lab.issuer.log.reader.records(since):
        assert b"Zoe" not in record.body + record.entry
    people = lab.issuer.actions.people
    assert people.device(device.id) == "Zoe's own"
    await lab.act("person-erase", person=person.id, reason="asked to")
    assert people.device(device.id) == ""


async def test_of_two_enrolments_of_one_key_the_admin_sees_the_later(lab: World) -> None:
    recipient = await lab.recipient()
    person = await recipient.person()
    device = await person.enrol()
    first = device.id
    again = recipient.below("person", subject=person.id)
    sent = await recipient.grant(again, {"name": "Maria"})
    await person.enrol(device, sent.json()["invitation"]["code"])
    assert device.id != first
    found = await recipient.admin.send("GET", "/enrol/pending", query=f"?code={device.code}")
    assert found.json()["device"] == device.id


async def test_of_two_enrolments_of_one_key_one_is_confirmed_and_the_other_then_never(
    lab: World,
) -> None:
    recipient = await lab.recipient()
    person = await recipient.person()
    device = await person.enrol()
    first = device.id
    again = recipient.below("person", subject=person.id)
    sent = await recipient.grant(again, {"name": "Maria"})
    await person.enrol(device, sent.json()["invitation"]["code"])
    assert (await recipient.confirm(device)).subject == device.id != first
    with pytest.raises(AssertionError, match="another device's"):
        await recipient.confirm(device)  # by the same code that is now the first's
    assert first not in lab.register.link_of


async def test_an_invitation_is_used_once(lab: World) -> None:
    person = await (await lab.recipient()).person()
    first = await person.enrol()
    again = await Device(lab).post("/enrol/requests", {"invitation": person.code, "name": "x"})
    assert problem(again) == (403, "chain-broken")
    devices = [facts.device for facts in lab.of(EnrolmentRequested)]
    assert devices[-1] == first.id


async def test_of_many_that_show_an_invitation_at_once_one_enrols(lab: World) -> None:
    person, since = await (await lab.recipient()).person(), lab.size
    devices = [Device(lab) for _ in range(8)]
    answers = await asyncio.gather(
        *(d.post("/enrol/requests", {"invitation": person.code, "name": "x"}) for d in devices)
    )
    assert sorted(answered.status_code for answered in answers) == [201] + [403] * 7
    assert len(lab.of(EnrolmentRequested, since)) == 1


@pytest.mark.parametrize("code", ["unknown", "x" * 200, "é"])
async def test_an_unknown_invitation_enrols_nobody(lab: World, code: str) -> None:
    sent = await Device(lab).post("/enrol/requests", {"invitation": code, "name": "x"})
    assert problem(sent) == (403, "chain-broken")


async def test_only_the_hash_of_an_invitation_is_kept(lab: World) -> None:
    since = lab.size
    person = await (await lab.recipient()).person()
    (issued,) = lab.of(InvitationIssued, since)
    assert issued.invitation == invitation_hash(person.code)
    for record in lab.issuer.log.reader.records(since):
        assert person.code.encode() not in record.body


async def test_an_invitation_of_an_ended_person_enrols_nobody(lab: World) -> None:
    person = await (await lab.recipient()).person()
    await lab.act("link-end", link=person.link.id, reason="a test")
    sent = await Device(lab).post("/enrol/requests", {"invitation": person.code, "name": "x"})
    assert problem(sent) == (403, "link-ended")


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"name": "x"},
        {"invitation": "a"},
        {"invitation": "a", "name": ""},
        {"invitation": "a", "name": "x" * 201},
        *({"invitation": "a", "name": f"laptop{found}x"} for found in HIDDEN),
        {"invitation": "a", "name": "x", "admin": True},
        {"invitation": "a", "name": "x", "key_class": "hw-attested", "attestation": "mine"},
        {"invitation": "a", "name": "x", "key_class": "platinum"},
        {"invitation": ["a"], "name": "x"},
        [],
        "a",
    ],
)
async def test_a_malformed_request_enrols_nobody(lab: World, value: Any) -> None:
    sent = await Device(lab).post("/enrol/requests", value)
    assert problem(sent) == (400, "body-malformed")


async def test_a_large_request_enrols_nobody(lab: World) -> None:
    sent = await Device(lab).post("/enrol/requests", {"invitation": "a", "name": "x" * 100_000})
    assert problem(sent) == (413, "body-too-large")


async def test_a_device_must_prove_its_key(lab: World) -> None:
    person, since = await (await lab.recipient()).person(), lab.size
    value = {"invitation": person.code, "name": "x"}
    device, data = Device(lab), json.dumps(value).encode()
    url = lab.url + "/enrol/requests"
    assert problem(await lab.http.post(url, json=value)) == (401, "proof-missing")
    assert problem(await device.post("/enrol/requests", value, nonce=None)) == (401, "proof-nonce")
    device.nonce = (await lab.http.post(url)).headers["dpop-nonce"]
    for changes, reason in (
        ({"target": lab.url + "/oauth/token"}, "proof-target"),
        ({"method": "GET"}, "proof-method"),
        ({"now_s": lab.clock.now() // 1000 - 67}, "proof-stale"),
        ({"now_s": lab.clock.now() // 1000 + 7}, "proof-future"),
        ({"body_sha256": bytes(32)}, "proof-body"),
        ({"token": "x"}, "proof-token"),
    ):
        signed = {"dpop": device.proof("POST", "/enrol/requests", data, **changes), **JSON}
        assert problem(await lab.http.post(url, content=data, headers=signed)) == (401, reason)
    signed = {"dpop": "a.b.c", **JSON}
    assert problem(await lab.http.post(url, content=data, headers=signed)) == (
        401,
        "proof-malformed",
    )
    assert lab.of(EnrolmentRequested, since) == []
    assert (await device.post("/enrol/requests", value)).status_code == 201


async def test_nobody_else_learns_a_devices_status(lab: World) -> None:
    device = await lab.device()
    for key in (Key(lab), await lab.device()):
        found = await key.send("GET", f"/enrol/requests/{device.id}")
        assert problem(found) == (401, "proof-key")
    # Nor whether there is such a device: the proof is looked at first, and the answer is the same.
    none = f"/enrol/requests/{'0' * 32}"
    assert problem(await device.send("GET", none)) == (401, "proof-key")
    for path in (none, f"/enrol/requests/{device.id}"):
        assert problem(await lab.http.get(lab.url + path)) == (401, "proof-missing")


async def test_another_recipients_admin_finds_nothing(lab: World) -> None:
    device = await (await (await lab.recipient()).person()).enrol()
    other = await lab.recipient()
    found = await other.admin.send("GET", "/enrol/pending", query=f"?code={device.code}")
    assert problem(found) == (403, "link-unknown")


async def test_who_is_no_admin_finds_nothing(lab: World) -> None:
    device = await (await (await lab.recipient()).person()).enrol()
    for key in (Key(lab), device):
        found = await key.send("GET", "/enrol/pending", query=f"?code={device.code}")
        assert problem(found) == (401, "proof-key")
        assert problem(await key.send("GET", "/delegations/mine")) == (401, "proof-key")
    unproven = await lab.http.get(lab.url + f"/enrol/pending?code={device.code}")
    assert problem(unproven) == (401, "proof-missing")


async def test_an_admin_is_shown_the_link_it_delegates_from(lab: World) -> None:
    recipient = await lab.recipient(networks=("192.0.2.0/24",))
    mine = (await recipient.admin.send("GET", "/delegations/mine")).json()["link"]
    assert (mine["id"], mine["kind"], mine["subject"]) == (
        recipient.link.id,
        "recipient",
        recipient.id,
    )
    assert mine["networks"] == ["192.0.2.0/24"]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/enrol/", (404, "route-unknown")),
        ("GET", "/enrol/pending/", (404, "route-unknown")),
        ("POST", "/oauth/token/", (404, "route-unknown")),
        ("GET", "/oauth/token", (405, "method-not-allowed")),
        ("DELETE", "/delegations", (405, "method-not-allowed")),
    ],
)
async def test_what_is_no_route_is_a_problem_and_sends_nobody_elsewhere(
    lab: World, method: str, path: str, expected: tuple[int, str]
) -> None:
    found = await lab.http.request(method, lab.url + path)
    assert problem(found) == expected
    assert "location" not in found.headers
    assert (found.status_code == 405) == ("allow" in found.headers)
