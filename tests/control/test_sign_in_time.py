"""Sign-ins run out, and clocks disagree. Each test has an issuer of its own: there is one clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bailment.ledger.identity_records import PersonSignedIn

from ..employer import (
    MARIA,
    Browser,
    Stage,
    begin,
    complete,
    completion,
    employer,
    enrolled,
    name,
    register,
    signed_in,
)
from ..world import Device, Recipient, World, world
from .test_enrolment import problem
from .test_sign_in import HOSTS, failed

pytestmark = pytest.mark.anyio

MINUTES = 60_000
#: How far the provider's clock is ahead of the issuer's (s); a test changes it.
Skew = dict[str, float]


@pytest.fixture
def skew() -> Skew:
    return {"s": 0}


@pytest.fixture
async def lab(tmp_path: Any) -> AsyncIterator[World]:
    async with world(tmp_path, more=HOSTS) as made:
        yield made


@pytest.fixture
async def provider(lab: World, skew: Skew) -> AsyncIterator[Stage]:
    async with employer(lambda: lab.clock.now() / 1000 + skew["s"]) as made:
        yield made


@pytest.fixture
async def acme(lab: World, provider: Stage) -> Recipient:
    recipient = await lab.recipient()
    sent = await register(recipient, provider)
    assert sent.status_code == 201, sent.text
    return recipient


async def test_an_invitation_runs_out_for_a_sign_in_too(lab: World, acme: Recipient) -> None:
    person, device = await name(acme), Device(lab)
    lab.clock.ahead = 15 * MINUTES + 1
    sent = await device.post("/sign-in", {"invitation": person.code})
    assert problem(sent) == (403, "chain-broken")


async def test_a_sign_in_under_way_runs_out_after_15_minutes(lab: World, acme: Recipient) -> None:
    """Each of its steps: the page, the way back, the completion."""
    person, device = await name(acme), Device(lab)
    asked, browser = await begin(device, person), Browser()
    callback = await browser.pick(await browser.leave(asked["url"]), MARIA)
    lab.clock.ahead = 15 * MINUTES + 1
    assert (await browser.http.get(callback)).status_code == 404
    assert (await browser.http.get(asked["url"])).status_code == 404
    status = await device.send("GET", f"/sign-in/{asked['id']}/status")
    assert problem(status) == (403, "sign-in-failed")


async def test_a_sign_in_is_of_no_use_once_the_invitation_ran_out(
    lab: World, acme: Recipient
) -> None:
    person, device, since = await name(acme), Device(lab), lab.size
    lab.clock.ahead = 14 * MINUTES
    asked = await begin(device, person)
    page = await Browser().sign_in(asked["url"])
    lab.clock.ahead = 15 * MINUTES + 1000
    done = await complete(device, asked, completion(page))
    assert problem(done) == (403, "chain-broken")
    assert lab.of(PersonSignedIn, since) == []


@pytest.mark.parametrize("ahead", [-600, 600])
async def test_a_providers_clock_10_minutes_off_is_noticed_and_said(
    lab: World, acme: Recipient, skew: Skew, ahead: float
) -> None:
    person, device = await name(acme), Device(lab)
    skew["s"] = ahead
    asked = await begin(device, person)
    why = await failed(await Browser().sign_in(asked["url"]), device, asked)
    assert "clock" in why or "expired" in why or "not yet" in why or "future" in why


async def test_a_providers_clock_a_few_seconds_off_does_not_matter(
    lab: World, acme: Recipient, skew: Skew
) -> None:
    for seconds in (-4, 4):
        skew["s"] = seconds
        await signed_in(Device(lab), await name(acme))


async def test_a_session_of_long_ago_is_no_sign_in(
    lab: World, acme: Recipient, provider: Stage
) -> None:
    """A provider that lets somebody in by an old session did not do as it was asked."""
    provider.alter = lambda claims: claims | {"auth_time": claims["auth_time"] - 3600}
    person, device = await name(acme), Device(lab)
    asked = await begin(device, person)
    why = await failed(await Browser().sign_in(asked["url"]), device, asked)
    assert "sign in again" in why


async def test_a_device_that_was_not_confirmed_in_time_renews_nothing(
    lab: World, acme: Recipient
) -> None:
    person, device = await name(acme), Device(lab)
    await signed_in(device, person)
    await person.enrol(device)
    sent = await device.post("/sign-in", {"device": device.id})
    assert problem(sent) == (401, "proof-key")


async def test_a_person_whose_link_has_ended_renews_nothing(lab: World, acme: Recipient) -> None:
    person, device = await enrolled(lab, acme)
    asked = await begin(device)
    page = await Browser().sign_in(asked["url"])
    await lab.act("link-end", link=person.link.id, reason="a test")
    done = await complete(device, asked, completion(page))
    assert problem(done) == (403, "link-ended")
