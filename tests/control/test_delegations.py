"""Delegations: a link counts if the right party signed it and it gives nothing its parent lacks."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest

from bailment import canonical
from bailment.access import jws
from bailment.access.chain import Link, commit_person, sign_link
from bailment.ledger.records import Budget, DelegationGranted

from ..world import DAY, PURPOSE, Key, Recipient, World, refused, world

pytestmark = pytest.mark.anyio

PERSONAL = {"name": "Maria", "email": "maria@acme.example", "salt": "5a" * 16}
#: What links say that name her.
COMMITTED = commit_person(PERSONAL)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


def problem(answered: httpx2.Response) -> tuple[int, str]:
    assert answered.headers["content-type"] == "application/problem+json"
    return answered.status_code, answered.json()["reason"]


async def send(lab: World, compact: str, personal: Any = PERSONAL) -> httpx2.Response:
    value = {"link": compact} if personal is None else {"link": compact, "personal": personal}
    return await lab.http.post(lab.url + "/delegations", json=value)


async def test_a_persons_link_comes_back_with_an_invitation(lab: World) -> None:
    recipient = await lab.recipient()
    link = recipient.below("person")
    sent = await recipient.grant(link, PERSONAL)
    assert sent.status_code == 201
    body = sent.json()
    assert body["link"] == link.id
    invitation = body["invitation"]
    assert invitation["url"] == f"{lab.url}/enrol#{invitation['code']}"
    assert 890_000 < invitation["expires"] - lab.clock.now() <= 900_000


async def test_a_name_is_in_the_personal_part_only(lab: World) -> None:
    recipient, since = await lab.recipient(), lab.size
    await recipient.grant(recipient.below("person"), {"name": "Zebulon", "email": "z@acme"})
    records = list(lab.issuer.log.reader.records(since))
    assert all(b"Zebulon" not in record.body + record.entry for record in records)
    granted = next(r for r in records if isinstance(r.facts, DelegationGranted))
    stored = next(lab.issuer.log.reader.stored(granted.index, granted.index + 1))
    personal = lab.issuer.log.reader.personal(stored)
    assert personal is not None
    assert json.loads(personal).items() > {"name": "Zebulon", "email": "z@acme"}.items()


@pytest.mark.parametrize(
    "personal",
    [
        {},
        {"email": "m@acme"},
        {"name": ""},
        {"name": "x" * 201},
        {"name": "Maria", "salary": "1"},
        {"name": "M\u001b[2J"},
        {"name": "Maria\u202e"},
        {"name": "Maria", "email": "maria@acme\u2066.example"},
        {"name": "Maria", "email": ""},
        {"name": "Maria", "salt": ""},
        {"name": "Maria", "salt": "5a" * 15},
        {"name": "Maria", "salt": "5A" * 16},
    ],
)
async def test_a_person_comes_with_a_name_and_no_more_than_is_needed(
    lab: World, personal: dict[str, str]
) -> None:
    recipient, since = await lab.recipient(), lab.size
    named = {"salt": "5a" * 16, **personal}
    link = recipient.below("person", personal=commit_person(named))
    assert problem(await send(lab, recipient.sign(link), named)) == (400, "body-malformed")
    assert lab.of(DelegationGranted, since) == []


@pytest.mark.parametrize("personal", [None, "Maria", {"name": "Maria"}])
async def test_a_person_comes_with_a_name_and_salt(lab: World, personal: Any) -> None:
    recipient, since = await lab.recipient(), lab.size
    link = recipient.below("person", personal=COMMITTED)
    found = problem(await send(lab, recipient.sign(link), personal))
    assert found == ((400, "body-malformed") if personal else (403, "chain-broken"))
    assert lab.of(DelegationGranted, since) == []


@pytest.mark.parametrize(
    "other", [{"name": "Mario"}, {"email": "mario@acme.example"}, {"salt": "5b" * 16}]
)
async def test_nobody_puts_another_name_beside_a_link(lab: World, other: dict[str, str]) -> None:
    recipient, since = await lab.recipient(), lab.size
    compact = recipient.sign(recipient.below("person", personal=COMMITTED))
    assert problem(await send(lab, compact, {**PERSONAL, **other})) == (403, "chain-broken")
    without = recipient.sign(recipient.below("person"))
    assert problem(await send(lab, without)) == (403, "chain-broken")
    assert lab.of(DelegationGranted, since) == []
    assert (await send(lab, compact)).status_code == 201


async def test_only_a_persons_link_commits_to_a_name(lab: World) -> None:
    recipient = await lab.recipient(depth=1)
    key = Key(lab).public.jwk
    link = recipient.below("subcontractor", key=key, personal=COMMITTED)
    assert problem(await send(lab, recipient.sign(link), None)) == (403, "chain-broken")
    plain = msgspec.structs.replace(link, personal="")
    assert (await send(lab, recipient.sign(plain), None)).status_code == 201


# Who signs


async def test_a_link_counts_only_if_the_delegating_party_signed_it(lab: World) -> None:
    recipient, other = await lab.recipient(), await lab.recipient()
    device = await lab.device()
    link = recipient.below("person", personal=COMMITTED)
    for key in (Key(lab), other.admin, device):
        compact = sign_link(link, key.private, key.public.thumbprint)
        assert problem(await send(lab, compact)) == (403, "chain-broken")
    # Nor does the issuer speak for a recipient.
    secrets = lab.issuer.secrets
    compact = sign_link(link, secrets.issuer, secrets.issuer_key.thumbprint)
    assert problem(await send(lab, compact)) == (403, "chain-broken")
    assert (await send(lab, recipient.sign(link))).status_code == 201


async def test_an_altered_link_is_refused(lab: World) -> None:
    recipient = await lab.recipient()
    link = recipient.below("person", purposes=(PURPOSE,), personal=COMMITTED)
    wider = recipient.sign(link)
    head, _, signature = wider.split(".")
    payload = jws.sign(
        {"typ": "x"}, canonical.encode(msgspec.structs.replace(link, purposes=())), Key(lab).private
    ).split(".")[1]
    assert problem(await send(lab, f"{head}.{payload}.{signature}")) == (403, "chain-broken")


async def test_nobody_sends_a_recipients_link_over_http(lab: World) -> None:
    key = Key(lab)
    now = lab.clock.now()
    own = Link(
        id=os.urandom(16).hex(),
        parent="",
        kind="recipient",
        subject=os.urandom(16).hex(),
        start=now,
        until=now + DAY,
        key=key.public.jwk,
        models=("smollm2",),
        purposes=(PURPOSE,),
    )
    sent = await send(lab, sign_link(own, key.private, key.public.thumbprint), None)
    assert problem(sent) == (403, "chain-broken")


@pytest.mark.parametrize("link", ["", "a.b.c", "x" * 20_000, "e30.e30.e30", 1, None, {"id": "x"}])
async def test_what_is_no_link_is_refused(lab: World, link: Any) -> None:
    sent = await lab.http.post(lab.url + "/delegations", json={"link": link})
    assert problem(sent) == (400, "body-malformed")


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "short"},
        {"id": ""},
        {"subject": "../../etc"},
        {"kind": "admin"},
        {"networks": ["everywhere"]},
        {"networks": ["192.0.2.1/24"]},
        {"budget": {"tokens": 0, "seconds": 60}},
        {"budget": {"tokens": 1, "seconds": 0}},
        {"budget": {"tokens": -5, "seconds": 60}},
        {"until": 0},
        {"until": 2**60},
        {"start": "now"},
        {"colour": "red"},
        {"personal": "maria"},
        {"personal": COMMITTED.upper()},
        {"models": "smollm2"},
    ],
)
async def test_a_link_that_says_nonsense_is_refused(lab: World, changes: dict[str, Any]) -> None:
    recipient = await lab.recipient()
    values = {**json.loads(canonical.encode(recipient.below("person"))), **changes}
    header = {"kid": recipient.admin.public.thumbprint, "typ": "bailment-link+jwt"}
    compact = jws.sign(header, canonical.encode(values), recipient.admin.private)
    assert problem(await send(lab, compact)) == (400, "body-malformed")


async def test_a_token_is_no_link(lab: World) -> None:
    device = await lab.device()
    assert problem(await send(lab, device.token)) == (400, "body-malformed")


async def test_a_link_is_accepted_once(lab: World) -> None:
    recipient = await lab.recipient()
    compact = recipient.sign(recipient.below("person", personal=COMMITTED))
    assert (await send(lab, compact)).status_code == 201
    assert problem(await send(lab, compact)) == (403, "chain-broken")


# What it may give

PARENT: dict[str, Any] = {
    "models": ("smollm2",),
    "purposes": (PURPOSE,),
    "networks": ("10.0.0.0/8", "2001:db8::/32"),
}


@pytest.mark.parametrize(
    ("narrow", "reason"),
    [
        ({"models": ("smollm2", "other")}, "model-outside-chain"),
        ({"models": ("other",)}, "model-outside-chain"),
        ({"purposes": (PURPOSE, "profit")}, "purpose-outside-chain"),
        ({"networks": ("11.0.0.0/8",)}, "network-outside-chain"),
        ({"networks": ("10.0.0.0/7",)}, "network-outside-chain"),
        ({"networks": ("10.1.0.0/16", "0.0.0.0/0")}, "network-outside-chain"),
        ({"networks": ("2001:db9::/32",)}, "network-outside-chain"),
        ({"until": 1}, "chain-broken"),  # after the parent's, see below
        ({"start": -1}, "chain-broken"),  # before the parent's
        ({"kind": "subcontractor", "depth": 0}, "chain-broken"),
        ({"kind": "device"}, "chain-broken"),
        ({"parent": "0" * 32}, "chain-broken"),
        ({"parent": ""}, "chain-broken"),
    ],
)
async def test_a_link_gives_nothing_that_its_parent_lacks(
    lab: World, narrow: dict[str, Any], reason: str
) -> None:
    recipient, since = await lab.recipient(**PARENT), lab.size
    changes = dict(narrow)
    for name in ("until", "start"):  # given relative to the parent's
        if name in changes:
            changes[name] += getattr(recipient.link, name)
    if changes.get("kind", "person") != "person":
        changes["key"] = Key(lab).public.jwk
    parent = {"parent": changes.pop("parent")} if "parent" in changes else {}
    link = recipient.below(**{"kind": "person", **changes})
    sent = await recipient.grant(msgspec.structs.replace(link, **parent), PERSONAL)
    assert problem(sent) == (403, reason)
    assert lab.of(DelegationGranted, since) == []


@pytest.mark.parametrize(
    "narrow",
    [
        {},
        {"models": ("smollm2",), "purposes": (PURPOSE,)},
        {"networks": ("10.1.0.0/16", "2001:db8:1::/48")},
        {"budget": Budget(1, 1)},
    ],
)
async def test_a_link_may_narrow(lab: World, narrow: dict[str, Any]) -> None:
    recipient = await lab.recipient(**PARENT)
    assert (await recipient.grant(recipient.below("person", **narrow), PERSONAL)).status_code == 201


async def test_a_device_is_its_persons_alone(lab: World) -> None:
    recipient = await lab.recipient()
    maria, noor = await recipient.person("Maria"), await recipient.person("Noor")
    device = await maria.enrol()
    jwk = device.public.jwk
    other = Key(lab).public.jwk
    wrong = [
        recipient.below("device", noor.link, subject=device.id, key=jwk),
        recipient.below("device", maria.link, subject=device.id, key=other),
        recipient.below("device", maria.link, subject=os.urandom(16).hex(), key=jwk),
        recipient.below("device", recipient.link, subject=device.id, key=jwk),
        recipient.below("device", maria.link, subject=device.id),
    ]
    for link in wrong:
        assert problem(await recipient.grant(link)) == (403, "chain-broken")
    await recipient.confirm(device)
    again = recipient.below("device", maria.link, subject=device.id, key=jwk)
    assert problem(await recipient.grant(again)) == (403, "chain-broken")


async def test_another_recipient_confirms_nobodys_device(lab: World) -> None:
    recipient, other = await lab.recipient(), await lab.recipient()
    person = await recipient.person()
    device = await person.enrol()
    link = other.below("device", person.link, subject=device.id, key=device.public.jwk)
    assert problem(await other.grant(link)) == (403, "chain-broken")
    under_own = await other.person()
    link = other.below("device", under_own.link, subject=device.id, key=device.public.jwk)
    assert problem(await other.grant(link)) == (403, "chain-broken")


async def test_nobody_moves_another_organisations_person(lab: World) -> None:
    recipient, other = await lab.recipient(), await lab.recipient()
    person = await recipient.person()
    taken = other.below("person", subject=person.id)
    assert problem(await other.grant(taken, PERSONAL)) == (403, "chain-broken")
    taken = other.below("person", subject=recipient.id)
    assert problem(await other.grant(taken, PERSONAL)) == (403, "chain-broken")


async def test_nothing_is_granted_under_what_is_over(lab: World) -> None:
    recipient = await lab.recipient()
    person = await recipient.person()
    device = await person.enrol()
    await lab.act("link-end", link=person.link.id, reason="a test")
    link = recipient.below("device", person.link, subject=device.id, key=device.public.jwk)
    assert problem(await recipient.grant(link)) == (403, "link-ended")
    await lab.act("link-end", link=recipient.link.id, reason="a test")
    sent = await recipient.grant(recipient.below("person"), PERSONAL)
    assert problem(sent) == (403, "link-ended")


# Subcontractors


async def subcontract(recipient: Recipient, depth: int = 0, **narrow: Any) -> Recipient:
    """An organisation below another, with a key of its own."""
    admin = Key(recipient.world)
    link = recipient.below("subcontractor", key=admin.public.jwk, depth=depth, **narrow)
    sent = await recipient.grant(link)
    assert sent.status_code == 201, sent.text
    return Recipient(recipient.world, admin, link)


async def test_a_subcontractor_signs_for_its_own_and_for_nobody_else(lab: World) -> None:
    recipient = await lab.recipient(models=("smollm2", "other"), depth=1)
    sub = await subcontract(recipient, models=("smollm2",))
    person = await sub.person()
    # The recipient above has delegated, and does not sign in its place.
    link = recipient.below("person", sub.link)
    assert problem(await recipient.grant(link, PERSONAL)) == (403, "chain-broken")
    # Nor may it give what it does not have, or let others in below it.
    wider = sub.below("person", models=("other",))
    assert problem(await sub.grant(wider, PERSONAL)) == (403, "model-outside-chain")
    deeper = sub.below("subcontractor", key=Key(lab).public.jwk)
    assert problem(await sub.grant(deeper)) == (403, "chain-broken")
    # Its person's device works along a chain of four, and dies with the middle link.
    device = await person.enrol()
    own = sub.below("device", person.link, subject=device.id, key=device.public.jwk)
    assert (await sub.grant(own)).status_code == 201
    await device.renew()
    assert (await device.ask()).status_code == 200
    assert refused(await device.ask(model="other")) == (403, "model-outside-chain")
    await lab.act("link-end", link=sub.link.id, reason="a test")
    assert refused(await device.ask()) == (403, "link-ended")


async def test_a_hold_on_a_subcontractor_covers_its_people(lab: World) -> None:
    recipient = await lab.recipient(depth=1)
    sub = await subcontract(recipient)
    person = await sub.person()
    device = await person.enrol()
    await sub.grant(sub.below("device", person.link, subject=device.id, key=device.public.jwk))
    await device.renew()
    bystander = await (await recipient.person()).device()
    async with lab.held(f"subcontractor:{sub.id}"):
        assert refused(await device.ask()) == (403, "held")
        assert (await bystander.ask()).status_code == 200


async def test_depth_counts_down(lab: World) -> None:
    top = await lab.recipient(depth=2)
    first = await subcontract(top, depth=1)
    second = await subcontract(first, depth=0)
    deeper = second.below("subcontractor", key=Key(lab).public.jwk)
    assert problem(await second.grant(deeper)) == (403, "chain-broken")
    same = top.below("subcontractor", key=Key(lab).public.jwk, depth=2)
    assert problem(await top.grant(same)) == (403, "chain-broken")
