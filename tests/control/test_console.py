"""The control socket: its owner's alone, and what the issuer's staff may and may not do."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bailment.ledger.records import DelegationEnded, PersonErased, RecipientRegistered
from bailment.store.vault import Erased

from ..world import DAY, Key, World, refused, world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


async def act(lab: World, **members: Any) -> tuple[int, str]:
    """Status and reason of what is not done."""
    sent = await lab.console.post("http://console/act", json={"author": "tests", **members})
    return sent.status_code, sent.json().get("reason", "")


async def test_the_socket_is_its_owners_alone(lab: World) -> None:
    mode = lab.folder.control_socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(lab.folder.root.stat().st_mode) == 0o700


async def test_the_console_is_not_on_the_public_listener(lab: World) -> None:
    for path in ("/act", "/status"):
        assert refused(await lab.http.post(lab.url + path, json={})) == (404, "route-unknown")


async def test_the_status_says_what_goes_on(lab: World) -> None:
    status = (await lab.console.get("http://console/status")).json()
    assert status["size"] == lab.size
    assert status["epoch"] == lab.register.epoch
    assert (status["open"], status["access"]) == (0, "served")


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"act": "hold-add"},
        {"act": "launch"},
        {"act": "hold-add", "subject": "everything", "reason": "x", "forever": True},
        {"act": "hold-add", "subject": 1, "reason": "x"},
        [],
    ],
)
async def test_what_is_no_act_does_nothing(lab: World, value: Any) -> None:
    since = lab.size
    value = {"author": "tests", **value} if isinstance(value, dict) else value
    sent = await lab.console.post("http://console/act", json=value)
    assert (sent.status_code, sent.json()["reason"]) == (400, "body-malformed")
    sent = await lab.console.post("http://console/act", content=b"\xff{")
    assert sent.status_code == 400
    assert lab.size == since


async def test_a_reason_that_a_reader_would_not_see_as_it_is_is_refused(lab: World) -> None:
    value = {"author": "tests", "act": "hold-add", "subject": "everything"}
    sent = await lab.console.post("http://console/act", json={**value, "reason": "no\u202eon"})
    assert sent.json()["detail"].startswith("`reason` holds U+202E, which a reader would not see")


@pytest.mark.parametrize(
    "subject",
    [
        *("", "nothing", "everything:", "person:", "person:" + "0" * 32, "device:x", "link:x"),
        *("model:gpt", "purpose:profit", "network:0.0.0.0/0", "recipient:acme", "human:x"),
    ],
)
async def test_a_hold_on_nothing_is_refused(lab: World, subject: str) -> None:
    since = lab.size
    done = await act(lab, act="hold-add", subject=subject, reason="x")
    assert done == (403, "chain-broken")
    assert lab.size == since


async def test_a_hold_names_the_kind_of_its_subject(lab: World) -> None:
    """A person's id after `device:` holds nobody, and is not accepted as if it did."""
    recipient = await lab.recipient()
    person = await recipient.person()
    for kind in ("device", "recipient", "subcontractor", "link"):
        done = await act(lab, act="hold-add", subject=f"{kind}:{person.id}", reason="x")
        assert done == (403, "chain-broken")


async def test_what_is_not_held_cannot_be_lifted(lab: World) -> None:
    done = await act(lab, act="hold-lift", hold="0" * 32, reason="x")
    assert done == (403, "chain-broken")


async def test_a_link_is_ended_once(lab: World) -> None:
    recipient = await lab.recipient()
    await lab.act("link-end", link=recipient.link.id, reason="x")
    assert await act(lab, act="link-end", link=recipient.link.id, reason="x") == (
        403,
        "chain-broken",
    )
    assert await act(lab, act="link-end", link="0" * 32, reason="x") == (403, "link-unknown")


def recipient_of(lab: World, **changes: Any) -> dict[str, Any]:
    given = {
        "act": "recipient-add",
        "handle": "acme-new",
        "contact": "security@acme.example",
        "key": Key(lab).public.jwk,
        "models": ["smollm2"],
        "purposes": ["red-team"],
        "until": lab.clock.now() + DAY,
    }
    return {**given, **changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"models": ["gpt"]}, (403, "model-outside-chain")),
        ({"models": []}, (403, "chain-broken")),
        ({"purposes": []}, (403, "chain-broken")),
        ({"key": {}}, (403, "chain-broken")),
        ({"key": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}, (403, "chain-broken")),
        ({"key": {"kty": "oct", "k": "c2VjcmV0"}}, (403, "chain-broken")),
        ({"networks": ["here"]}, (400, "body-malformed")),
        ({"budget": {"tokens": 0, "seconds": 1}}, (400, "body-malformed")),
        ({"until": 1}, (400, "body-malformed")),
        ({"handle": ""}, (400, "body-malformed")),
        ({"handle": "a b\u001b"}, (400, "body-malformed")),
        ({"handle": "acme\u202e"}, (400, "body-malformed")),
        ({"contact": "security\u202e@acme.example"}, (400, "body-malformed")),
        ({"purposes": ["red-team", "blue\u2067"]}, (400, "body-malformed")),
        ({"author": "root\u001b[2J"}, (400, "body-malformed")),
    ],
)
async def test_a_recipient_that_cannot_be_leaves_nothing_behind(
    lab: World, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    since = lab.size
    assert await act(lab, **recipient_of(lab, **changes)) == expected
    assert lab.of(RecipientRegistered, since) == []


async def test_a_handle_is_taken_once(lab: World) -> None:
    assert (await act(lab, **recipient_of(lab, handle="acme-once")))[0] == 200
    assert await act(lab, **recipient_of(lab, handle="acme-once")) == (403, "chain-broken")


async def test_an_erased_person_is_nobody(lab: World) -> None:
    recipient = await lab.recipient()
    person = await recipient.person("Zebulon")
    device = await person.device()
    assert (await device.ask()).status_code == 200
    reader, since = lab.issuer.log.reader, lab.size
    before = [s for s in reader.stored() if reader.open(s).leaf.personal]
    named = [s for s in before if b"Zebulon" in (reader.personal(s) or b"")]
    assert named
    await lab.act("person-erase", person=person.id, reason="asked to")
    assert refused(await device.ask()) == (403, "link-ended")
    assert [facts.person for facts in lab.of(PersonErased, since)] == [person.id]
    assert len(lab.of(DelegationEnded, since)) == 1
    assert reader.personal(named[0]) is None
    with pytest.raises(Erased):
        lab.issuer.log.vault.open(named[0].personal, reader.open(named[0]).leaf.personal)
    assert lab.issuer.actions.people.name(person.id) == f"erased:{person.id[:8]}"
    # Everything else can still be read, and folds to the same.
    assert len(list(reader.records())) == lab.size
    assert await act(lab, act="person-erase", person="0" * 32, reason="x") == (403, "link-unknown")


async def test_a_person_with_two_links_is_erased_from_both(lab: World) -> None:
    recipient = await lab.recipient()
    first = await recipient.person()
    device = await first.device()
    second = recipient.below("person", subject=first.id)
    sent = await recipient.grant(second, {"name": "Maria"})
    assert sent.status_code == 201
    await lab.act("person-erase", person=first.id, reason="asked to")
    assert refused(await device.ask()) == (403, "link-ended")
    assert lab.register.state.links[second.id].ended


async def test_records_name_who_did_it(lab: World) -> None:
    since = lab.size
    hold = await lab.hold("model:other")
    await lab.lift(hold)
    facts = [json.loads(record.body[16:]) for record in lab.issuer.log.reader.records(since)]
    assert [each["author"] for each in facts] == ["tests", "tests"]
