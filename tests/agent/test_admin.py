"""The recipient's admin: what it signs, and what it will not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailment.access import jwk
from bailment.access.chain import Link, commit_person, read_link
from bailment.access.reasons import Reason
from bailment.agent import profile
from bailment.agent.admin import Admin, Delegated, make_admin_key
from bailment.agent.answers import GatewayRefused
from bailment.agent.client import Pending, enrol, fetch_token, wait_until_active
from bailment.errors import ConfigurationError, FormatError, VerificationError
from bailment.ledger.records import Budget

from .conftest import PURPOSE
from .gateway import Gateway

pytestmark = pytest.mark.anyio


@pytest.fixture
def organisation(gateway: Gateway, tmp_path: Path) -> Link:
    """The link of an organisation whose admin's key is in the folder `admin`."""
    return gateway.register(make_admin_key(tmp_path / "admin"))


@pytest.fixture
async def admin(organisation: Link, gateway: Gateway, tmp_path: Path) -> AsyncIterator[Admin]:
    async with Admin(tmp_path / "admin", gateway.url) as admin:
        yield admin


async def invited(admin: Admin, folder: Path) -> tuple[Delegated, Pending]:
    """Ann is delegated to, and enrols a device."""
    granted = await admin.sign_person_link("Ann", "ann@example.org", purposes=(PURPOSE,))
    assert granted.invitation is not None
    return granted, await enrol(granted.invitation.url, folder, "laptop")


def test_the_admins_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    public = make_admin_key(tmp_path / "admin")
    path = tmp_path / "admin" / "admin.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert public.jwk.keys() == {"kty", "crv", "x", "y"}
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="open to other users"):
        Admin(tmp_path / "admin", "https://gateway.example")


async def test_a_person_a_device_and_a_token_follow_from_one_another(
    admin: Admin, organisation: Link, gateway: Gateway, tmp_path: Path
) -> None:
    granted, shown = await invited(admin, tmp_path / "d")
    waiting = await admin.pending(shown.code.lower().replace("-", ""))
    assert (waiting.person_name, waiting.name, waiting.device) == ("Ann", "laptop", shown.device)
    assert waiting.person == granted.person
    confirmed = await admin.confirm(waiting)
    device = await wait_until_active(tmp_path / "d", poll=0)
    assert await fetch_token(device, PURPOSE)
    person, link = gateway.links[granted.link], gateway.links[confirmed.link]
    assert (person.kind, person.parent, person.key) == ("person", organisation.id, None)
    assert (link.kind, link.parent, link.subject) == ("device", person.id, shown.device)
    assert link.key == device.public.jwk
    assert person.until == link.until == organisation.until
    known = gateway.people[granted.person]
    assert known.items() > {"name": "Ann", "email": "ann@example.org"}.items()


async def test_the_code_alone_confirms_a_device(
    admin: Admin, gateway: Gateway, tmp_path: Path
) -> None:
    _, shown = await invited(admin, tmp_path / "d")
    until = gateway.now_ms() + 60_000
    confirmed = await admin.confirm_device(shown.code, until)
    assert gateway.links[confirmed.link].until == until


async def test_a_person_may_be_given_less_than_the_organisation_has(
    admin: Admin, organisation: Link, gateway: Gateway
) -> None:
    until = organisation.until - 1000
    granted = await admin.sign_person_link(
        "Ann",
        until=until,
        models=("m-1",),
        networks=("192.0.2.0/24",),
        budget=Budget(1000, 60),
    )
    link = gateway.links[granted.link]
    assert (link.until, link.models, link.purposes) == (until, ("m-1",), ())
    assert (link.networks, link.budget) == (("192.0.2.0/24",), Budget(1000, 60))
    assert gateway.people[granted.person].items() > {"name": "Ann"}.items()


async def test_somebody_who_has_a_link_keeps_the_same_id(admin: Admin) -> None:
    first = await admin.sign_person_link("Ann")
    second = await admin.sign_person_link("Ann", person=first.person)
    assert second.person == first.person
    assert second.link != first.link


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"models": ("m-2",)}, Reason.MODEL_OUTSIDE_CHAIN),
        ({"purposes": ("curiosity",)}, Reason.PURPOSE_OUTSIDE_CHAIN),
        ({"until": 2**53 - 1}, Reason.CHAIN_BROKEN),
    ],
)
async def test_more_than_the_organisation_has_is_not_even_signed(
    more: dict[str, tuple[str, ...]], reason: Reason, admin: Admin, gateway: Gateway
) -> None:
    with pytest.raises(GatewayRefused) as caught:
        await admin.sign_person_link("Ann", **more)
    assert caught.value.reason == reason
    assert "m-1" in caught.value.hint
    assert "/delegations" not in {seen.path for seen in gateway.seen}


async def test_a_key_that_does_not_have_the_code_is_not_signed_for(
    admin: Admin, gateway: Gateway, tmp_path: Path
) -> None:
    _, shown = await invited(admin, tmp_path / "d")
    gateway.show_code = shown.code
    gateway.devices[shown.device].key = jwk.from_key(
        profile.device_key(tmp_path / "other").public_key()
    )
    links = len(gateway.links)
    with pytest.raises(VerificationError, match=shown.code):
        await admin.confirm_device(shown.code)
    assert len(gateway.links) == links


async def test_a_code_that_nobody_shows_and_one_that_is_none_are_refused(admin: Admin) -> None:
    with pytest.raises(GatewayRefused, match="no device of yours"):
        await admin.pending("AAAA-AAAA")
    with pytest.raises(FormatError, match="not a code"):
        await admin.pending("AAAA")


async def test_a_stranger_is_nobodys_admin(gateway: Gateway, tmp_path: Path) -> None:
    make_admin_key(tmp_path / "stranger")
    async with Admin(tmp_path / "stranger", gateway.url) as stranger:
        with pytest.raises(GatewayRefused, match="not an admin's"):
            await stranger.own_link()


@pytest.mark.parametrize("ahead_ms", [3_600_000 * 24, -3_600_000 * 24, 1_900, -1_900])
async def test_links_begin_by_the_gateways_clock(
    ahead_ms: int, gateway: Gateway, tmp_path: Path
) -> None:
    gateway.ahead_ms = ahead_ms
    gateway.register(make_admin_key(tmp_path / "admin"))
    async with Admin(tmp_path / "admin", gateway.url) as admin:
        _, shown = await invited(admin, tmp_path / "d")
        confirmed = await admin.confirm_device(shown.code)
    assert gateway.links[confirmed.link].start <= gateway.now_ms()


async def test_what_is_sent_is_a_link_that_the_admins_key_signed(
    admin: Admin, gateway: Gateway
) -> None:
    granted = await admin.sign_person_link("Ann")
    sent = json.loads(gateway.seen[-1].body)
    link = read_link(sent["link"])
    assert link.id == granted.link
    assert sent["personal"].keys() == {"name", "salt"}
    assert sent["personal"]["name"] == "Ann"
    assert link.personal == commit_person(sent["personal"])
    await admin.sign_person_link("Ann")
    again = json.loads(gateway.seen[-1].body)
    assert read_link(again["link"]).personal != link.personal
