"""SCIM: a leaver's access dies with the event, nobody else's does, and nothing is granted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest

from bailment.ledger.identity_records import SignalReceived, SignalSource
from bailment.ledger.records import AccessOpened, HoldAdded, HoldLifted

from ..directory import ENTERPRISE, GROUP, PATCH, USER, Directory, directory
from ..world import Device, Person, Recipient, World, broken, refused, world
from .test_enrolment import problem

pytestmark = pytest.mark.anyio

MAIL = "maria@acme.example"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
async def acme(lab: World) -> Recipient:
    return await lab.recipient()


@pytest.fixture
async def idp(acme: Recipient) -> Directory:
    return await directory(acme)


@pytest.fixture
async def maria(acme: Recipient) -> Person:
    return await acme.person()


def held(lab: World, person: Person) -> list[str]:
    """Who holds the person."""
    return [hold.author for hold in lab.register.holds_on.get(f"person:{person.id}", ())]


# A leaver

ENTRA: dict[str, Any] = {"op": "Replace", "path": "active", "value": "False"}
LEAVES = [
    pytest.param(ENTRA, id="entra"),
    pytest.param({"op": "replace", "value": {"active": False}}, id="okta"),
    pytest.param({"op": "replace", "value": {"active": "False"}}, id="without a path, as text"),
    pytest.param({"op": "replace", "path": "active", "value": False}, id="with a path"),
    pytest.param({"op": "Add", "path": "active", "value": "false"}, id="add"),
    pytest.param({"op": "replace", "path": f"{USER}:active", "value": False}, id="with a schema"),
]


@pytest.mark.parametrize("operation", LEAVES)
async def test_a_leavers_access_dies_with_the_event_in_every_spelling(
    lab: World, idp: Directory, maria: Person, operation: dict[str, Any]
) -> None:
    device = await maria.device()
    user = await idp.add(MAIL)
    assert (await device.ask()).status_code == 200
    await idp.patch(user, operation)
    assert (await idp.call("GET", f"/Users/{user}")).json()["active"] is False
    assert refused(await device.ask()) == (403, "held")
    assert held(lab, maria) == [f"signal:{idp.source}"]


async def test_a_leavers_stream_is_cut_with_the_event(
    lab: World, idp: Directory, maria: Person
) -> None:
    device, user = await maria.device(), await idp.add(MAIL)

    async def endless(peer: Any, asked: Any) -> None:
        from ..world import STREAM, canned, chunk, events

        first = events(canned(asked)[0])[0]
        await peer.send(STREAM, chunk(first))
        await peer.gone()

    before, lab.model.play = lab.model.play, endless
    try:
        async with device.wire(stream=True) as wire:
            await wire.until(lambda: wire.body)
            await idp.set_active(user, False)
            await wire.until(lambda: wire.ended)
            assert broken(wire.body) == "held"
    finally:
        lab.model.play = before


async def test_what_leaves_is_on_the_record(lab: World, idp: Directory, maria: Person) -> None:
    user, since = await idp.add(MAIL), lab.size
    await idp.set_active(user, False)
    (said,) = lab.of(SignalReceived, since)
    assert (said.source, said.event) == (idp.source, "scim:user.updated")
    assert (said.subject, said.effect) == (f"person:{maria.id}", "hold.added")
    (hold,) = lab.of(HoldAdded, since)
    assert (hold.subject, hold.author) == (said.subject, f"signal:{idp.source}")
    assert "inactive" in hold.reason
    slots = {leaf.recipient for at, leaf, facts in lab.news if at >= since}
    assert slots == {idp.of.id}


async def test_a_deleted_account_is_a_leavers(lab: World, idp: Directory, maria: Person) -> None:
    user = await idp.add(MAIL)
    assert (await idp.call("DELETE", f"/Users/{user}")).status_code == 204
    assert held(lab, maria) == [f"signal:{idp.source}"]
    assert (await idp.call("GET", f"/Users/{user}")).status_code == 404


async def test_a_replaced_account_that_is_not_active_is_a_leavers(
    lab: World, idp: Directory, maria: Person
) -> None:
    user = await idp.add(MAIL)
    told = {"schemas": [USER], "userName": MAIL, "active": False}
    assert (await idp.call("PUT", f"/Users/{user}", told)).status_code == 200
    assert held(lab, maria)


async def test_an_account_that_was_inactive_before_its_person_was_named(
    lab: World, acme: Recipient, idp: Directory
) -> None:
    await idp.add(MAIL, active=False)
    person = await acme.person()
    await lab.until(lambda: held(lab, person))


async def test_a_leaver_who_was_renamed_first_is_still_the_leaver(
    lab: World, idp: Directory, maria: Person
) -> None:
    user = await idp.add(MAIL)
    await idp.patch(user, {"op": "replace", "path": "userName", "value": "0f3c-maria@old"})
    await idp.set_active(user, False)
    assert held(lab, maria)


# Nothing is granted


async def test_active_again_lifts_only_the_hold_that_the_source_set(
    lab: World, idp: Directory, maria: Person
) -> None:
    user = await idp.add(MAIL)
    hold = await lab.hold(f"person:{maria.id}")
    await idp.set_active(user, False)
    await idp.set_active(user, True)
    assert held(lab, maria) == ["tests"]
    since = lab.size
    await idp.set_active(user, True)
    assert lab.of(HoldLifted, since) == []
    await lab.lift(hold)


async def test_another_source_of_the_same_organisation_lifts_nothing(
    lab: World, acme: Recipient, idp: Directory, maria: Person
) -> None:
    other = await directory(acme)
    user, again = await idp.add(MAIL), await other.add(MAIL)
    await idp.set_active(user, False)
    await other.set_active(again, True)
    assert held(lab, maria) == [f"signal:{idp.source}"]


async def test_a_second_account_that_is_inactive_keeps_the_hold(
    lab: World, idp: Directory, maria: Person
) -> None:
    one = await idp.add(MAIL)
    two = await idp.add("maria.admin", emails=[{"value": MAIL}])
    await idp.set_active(one, False)
    await idp.set_active(two, False)
    await idp.set_active(one, True)
    assert held(lab, maria)
    await idp.set_active(two, True)
    assert not held(lab, maria)


async def test_an_account_and_a_group_let_nobody_in(lab: World, idp: Directory) -> None:
    people = set(lab.register.links)
    user = await idp.add("stranger@acme.example")
    group = {"schemas": [GROUP], "displayName": "red-team", "members": [{"value": user}]}
    made = await idp.call("POST", "/Groups", group)
    assert made.status_code == 201
    assert set(lab.register.links) == people


async def test_members_of_groups_come_and_go(idp: Directory) -> None:
    one, two = await idp.add("one"), await idp.add("two")
    made = await idp.call("POST", "/Groups", {"schemas": [GROUP], "displayName": "team"})
    path = f"/Groups/{made.json()['id']}"
    for operation in (
        {"op": "Add", "path": "members", "value": [{"value": one}, {"value": two}]},
        {"op": "Remove", "path": "members", "value": [{"value": one}]},  # Entra
    ):
        sent = await idp.call("PATCH", path, {"schemas": [PATCH], "Operations": [operation]})
        assert sent.status_code in (200, 204), sent.text
    found = (await idp.call("GET", path)).json()
    assert [member["value"] for member in found["members"]] == [two]
    gone = {"op": "remove", "path": f'members[value eq "{two}"]'}  # Okta
    await idp.call("PATCH", path, {"schemas": [PATCH], "Operations": [gone]})
    assert not (await idp.call("GET", path)).json().get("members")
    assert (await idp.call("DELETE", path)).status_code == 204


# What directories ask


async def test_directories_find_accounts_as_they_do(idp: Directory) -> None:
    user = await idp.add(MAIL, externalId="E-1", **{ENTERPRISE: {"department": "x"}})
    for query in (f'userName eq "{MAIL}"', 'externalId eq "E-1"', f'userName eq "{MAIL.upper()}"'):
        found = (await idp.call("GET", f"/Users?filter={query}")).json()
        assert [one["id"] for one in found["Resources"]] == [user], query
    none = (await idp.call("GET", '/Users?filter=userName eq "nobody"&startIndex=1&count=1')).json()
    assert (none["totalResults"], none.get("Resources", [])) == (0, [])
    again = await idp.call("POST", "/Users", {"schemas": [USER], "userName": MAIL})
    assert (again.status_code, again.json()["scimType"]) == (409, "uniqueness")


async def test_accounts_come_in_pages(idp: Directory) -> None:
    for number in range(5):
        await idp.add(f"user-{number}")
    page = (await idp.call("GET", "/Users?startIndex=3&count=2")).json()
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (5, 3, 2)


async def test_what_is_not_needed_is_not_kept(lab: World, idp: Directory) -> None:
    secret = {"title": "a title", "addresses": [{"locality": "Ulm"}], "password": "pa55"}
    await idp.add("somebody", **secret)
    stored = (lab.folder.accounts.read_bytes(), *map(read, lab.folder.root.glob("accounts.db-*")))
    for word in (b"a title", b"Ulm", b"pa55"):
        assert not any(word in data for data in stored)


def read(path: Any) -> bytes:
    data: bytes = path.read_bytes()
    return data


async def test_the_erasure_of_a_person_takes_the_account_along(
    lab: World, idp: Directory, maria: Person
) -> None:
    user = await idp.add(MAIL)
    await lab.act("person-erase", person=maria.id, reason="asked to")
    await lab.settle()
    assert (await idp.call("GET", f"/Users/{user}")).status_code == 404


# Attacks


async def test_another_organisations_person_cannot_be_touched(
    lab: World, acme: Recipient, maria: Person
) -> None:
    """Whatever a directory calls its accounts: only its own organisation's people are meant."""
    evil = await directory(await lab.recipient())
    since = lab.size
    for claim in ({"userName": MAIL}, {"externalId": maria.id}, {"emails": [{"value": MAIL}]}):
        user = await evil.add(f"x{len(str(claim))}", **claim)
        await evil.set_active(user, False)
        await evil.call("DELETE", f"/Users/{user}")
    assert not held(lab, maria)
    assert lab.of(SignalReceived, since) == []


@pytest.mark.parametrize(
    "name",
    [
        "../maria@acme.example",
        "acme/../maria@acme.example",
        "maria@acme.example/",
        "maria@acme.example%00",
        " maria@acme.example",
        "maria@acme.example\u200b",
        "m\u0430ria@acme.example",  # a Cyrillic a
        "\uff4daria@acme.example",  # a full-width m
        "maria@acm\u00e9.example",
        "maria+tag@acme.example",
        "mari\u0131@acme.example",
    ],
)
async def test_look_alikes_and_paths_are_nobodys_names(
    lab: World, idp: Directory, maria: Person, name: str
) -> None:
    user = await idp.add(name, active=False)
    assert not held(lab, maria)
    assert (await idp.call("DELETE", f"/Users/{user}")).status_code == 204
    assert not held(lab, maria)


async def test_letters_in_another_case_are_the_same_name(
    lab: World, idp: Directory, maria: Person
) -> None:
    await idp.add("MARIA@Acme.Example", active=False)
    assert held(lab, maria)


@pytest.mark.parametrize(
    "path", ["/Users/../Users", "/Users/..%2f..%2foauth%2ftoken", "//Users", "/users", "/Users/"]
)
async def test_a_path_is_taken_as_it_is_written(lab: World, idp: Directory, path: str) -> None:
    sent = await idp.call("GET", path)
    assert sent.status_code in (200, 404), sent.text


async def test_the_credential_of_another_source_shows_another_directory(
    lab: World, acme: Recipient, idp: Directory
) -> None:
    user, other = await idp.add(MAIL), await directory(acme)
    assert (await other.call("GET", f"/Users/{user}")).status_code == 404
    assert (await other.call("DELETE", f"/Users/{user}")).status_code == 404
    assert (await other.call("GET", "/Users")).json()["totalResults"] == 0


@pytest.mark.parametrize("credential", ["", "wrong", "é"])
async def test_without_the_credential_there_is_nothing(
    lab: World, idp: Directory, credential: str
) -> None:
    header = f"Bearer {credential}".strip().encode()
    url = f"{lab.url}/scim/v2/Users"
    sent = await lab.http.get(url, headers=[(b"authorization", header)])
    assert sent.status_code == 401
    assert sent.headers["www-authenticate"].startswith("Bearer")
    assert sent.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]


async def test_ten_megabytes_are_too_much(lab: World, idp: Directory) -> None:
    sent = await idp.call("POST", "/Users", {"schemas": [USER], "userName": "x" * 10_000_000})
    assert sent.status_code == 413


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"schemas":[]}', b"\xff", b"[" * 100_000, b'{"userName":1}']
)
async def test_what_is_no_account_is_refused(lab: World, idp: Directory, body: bytes) -> None:
    headers = {"authorization": f"Bearer {idp.credential}"}
    sent = await lab.http.post(f"{lab.url}/scim/v2/Users", content=body, headers=headers)
    assert sent.status_code == 400, sent.text


# The credential


async def test_only_the_digest_of_the_credential_is_kept(lab: World, idp: Directory) -> None:
    (source,) = [one for one in lab.of(SignalSource) if one.source == idp.source]
    assert source.credential == sha256(idp.credential.encode()).hexdigest()
    for path in lab.folder.root.rglob("*"):
        assert not path.is_file() or idp.credential.encode() not in path.read_bytes()


async def test_a_rotated_credential_replaces_the_one_before(
    acme: Recipient, idp: Directory
) -> None:
    user = await idp.add(MAIL)
    sent = await acme.admin.post(f"/signals/sources/{idp.source}", {"act": "rotate"})
    old, idp.credential = idp.credential, sent.json()["credential"]
    assert (await idp.call("GET", f"/Users/{user}")).status_code == 200
    idp.credential = old
    assert (await idp.call("GET", f"/Users/{user}")).status_code == 401


async def test_a_source_that_has_ended_is_not_heard_and_what_it_told_is_gone(
    lab: World, acme: Recipient, idp: Directory
) -> None:
    await idp.add("gone-soon")
    sent = await acme.admin.post(f"/signals/sources/{idp.source}", {"act": "end"})
    assert sent.status_code == 200
    assert (await idp.call("GET", "/Users")).status_code == 401
    await lab.settle()
    again = await acme.admin.post(f"/signals/sources/{idp.source}", {"act": "rotate"})
    assert problem(again) == (403, "signals-failed")


async def test_an_admin_changes_no_source_of_another_organisation(
    lab: World, idp: Directory
) -> None:
    other = await lab.recipient()
    for act in ("rotate", "end"):
        sent = await other.admin.post(f"/signals/sources/{idp.source}", {"act": act})
        assert problem(sent) == (403, "signals-failed")
    assert (await other.admin.send("GET", "/signals/sources")).json() == {"sources": []}
    assert (await idp.call("GET", "/Users")).status_code == 200


async def test_a_device_adds_no_source(lab: World) -> None:
    sent = await Device(lab).post("/signals/sources", {"kind": "scim"})
    assert problem(sent)[1] == "proof-key"


# After a restart


async def test_what_was_told_and_held_outlives_the_process(
    lab: World, idp: Directory, maria: Person
) -> None:
    device, user = await maria.device(), await idp.add(MAIL, externalId="E-9")
    await idp.set_active(user, False)
    version = (await idp.call("GET", f"/Users/{user}")).json()["meta"]["version"]
    await lab.restart()
    since = lab.size
    assert (await idp.call("GET", f"/Users/{user}")).json()["meta"]["version"] == version
    assert (await device.fetch()).json()["reason"] == "held"
    assert lab.of(AccessOpened, since) == []
    await idp.set_active(user, True)
    assert not held(lab, maria)
