"""What a spec's tier asks of sign-ins, from the first refusal to the renewal that mends it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ..employer import Browser, Stage, begin, employer, enrolled, name, register, signed_in
from ..world import Device, Recipient, refused, world
from .test_assurance import LONE, Acme, Lab
from .test_enrolment import problem
from .test_sign_in import HOSTS, failed

pytestmark = pytest.mark.anyio

HOUR = 3_600_000
_TTL = b"    invitation_ttl: PT15M\n"
TERMS = LONE.replace(_TTL, _TTL + b"    by_tier: {T1: {max_sign_in_age: PT1H, acr: [phr, phrh]}}\n")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    assert TERMS != LONE
    async with world(tmp_path, more=HOSTS) as made:
        found = Lab(made)
        await found.prepare(TERMS)
        await found.tier("smollm2", "T1")
        yield found


@pytest.fixture
async def provider(lab: Lab) -> AsyncIterator[Stage]:
    async with employer(lambda: lab.world.clock.now() / 1000) as made:
        yield made


@pytest.fixture
async def acme(lab: Lab) -> Acme:
    found = await lab.acme()
    assert (await found.hand("roster", found.roster())).json()["items"]
    return found


async def signing(acme: Acme, provider: Stage) -> Recipient:
    sent = await register(acme.recipient, provider)
    assert sent.status_code == 201, sent.text
    return acme.recipient


async def test_a_sign_in_that_is_too_old_is_refused_and_renewed(
    lab: Lab, acme: Acme, provider: Stage
) -> None:
    _, device = await enrolled(lab.world, await signing(acme, provider))
    assert (await (await device.renew()).ask()).status_code == 200
    lab.world.clock.ahead = HOUR + 60_000
    assert (await acme.hand("roster", acme.roster())).json()["items"]
    answered = await (await device.renew()).ask()
    assert refused(answered) == (403, "sign-in-too-old")
    assert "bailment sign-in" in answered.text
    await signed_in(device, None)
    assert (await (await device.renew()).ask()).status_code == 200


async def test_an_organisation_without_a_provider_enrols_nobody_where_the_tier_asks_for_sign_ins(
    lab: Lab, acme: Acme
) -> None:
    person, device = await acme.recipient.person(), Device(lab.world)
    for path, body in (
        ("/sign-in", {"invitation": person.code}),
        ("/enrol/requests", {"invitation": person.code, "name": "x"}),
    ):
        sent = await device.post(path, body)
        assert problem(sent) == (403, "sign-in-needed")
        assert "bailment recipient provider" in sent.json()["detail"]


async def test_what_a_tier_asks_of_how_one_signs_in_is_asked_of_the_provider(
    lab: Lab, acme: Acme, provider: Stage
) -> None:
    recipient = await signing(acme, provider)
    provider.alter = lambda claims: claims | {"acr": "pwd", "amr": ["pwd"]}
    person, device = await name(recipient), Device(lab.world)
    asked = await begin(device, person)
    browser = Browser()
    form = await browser.leave(asked["url"])
    assert form.url.params["acr_values"] == "phr phrh"
    assert (form.url.params["prompt"], form.url.params["max_age"]) == ("login", "0")
    why = await failed(await browser.sign_in(asked["url"]), device, asked)
    assert "has to sign in by `phr` or `phrh`" in why
