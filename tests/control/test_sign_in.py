"""A device enrols for whoever signed in at the employer's provider, and for nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import httpx2
import pytest

from bailment.access.enrolment import code_of
from bailment.ledger.identity_records import PersonSignedIn, ProviderRegistered

from ..employer import (
    MARIA,
    NOOR,
    Browser,
    Stage,
    begin,
    complete,
    completion,
    confirm,
    employer,
    enrolled,
    name,
    register,
    signed_in,
)
from ..world import Device, Recipient, World, world
from .test_enrolment import problem

pytestmark = pytest.mark.anyio

HOSTS = '\n[outbound]\nhosts = ["127.0.0.1"]\n'


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), more=HOSTS) as made:
        yield made


@pytest.fixture(scope="module")
async def served(lab: World) -> AsyncIterator[Stage]:
    async with employer(lambda: lab.clock.now() / 1000) as made:
        yield made


@pytest.fixture
async def provider(served: Stage) -> Stage:
    served.alter = lambda claims: claims
    served.names_itself = True
    return served


@pytest.fixture
async def acme(lab: World, provider: Stage) -> Recipient:
    """A recipient whose people sign in."""
    recipient = await lab.recipient()
    sent = await register(recipient, provider)
    assert sent.status_code == 201, sent.text
    return recipient


async def failed(page: httpx2.Response, device: Device, asked: dict[str, Any]) -> str:
    """What the browser is told of a sign-in that came to nothing, and the device too."""
    assert page.status_code == 403, page.text
    assert "You are not signed in" in page.text
    told = (await device.send("GET", f"/sign-in/{asked['id']}/status")).json()
    assert told["status"] == "failed"
    why: str = told["why"]
    return why


# What it is for


async def test_a_person_signs_in_and_a_second_one_confirms_the_device(
    lab: World, acme: Recipient
) -> None:
    since = lab.size
    person, device = await enrolled(lab, acme)
    (found,) = lab.of(PersonSignedIn, since)
    assert (found.person, found.key) == (person.id, device.public.thumbprint)
    assert (found.acr, found.amr) == ("phr", ("hwk", "user"))
    assert abs(found.auth_time - lab.clock.now()) < 60_000
    await device.renew()
    assert (await device.ask()).status_code == 200


async def test_the_admin_sees_that_the_person_signed_in(
    lab: World, acme: Recipient, provider: Stage
) -> None:
    person, device = await name(acme), Device(lab)
    await signed_in(device, person)
    await person.enrol(device)
    found = await acme.admin.send("GET", "/enrol/pending", query=f"?code={device.code}")
    assert found.json()["signed_in"]["issuer"] == provider.issuer


async def test_without_a_sign_in_the_invitation_is_worth_nothing(
    lab: World, acme: Recipient
) -> None:
    person = await name(acme)
    sent = await Device(lab).post("/enrol/requests", {"invitation": person.code, "name": "x"})
    assert problem(sent) == (403, "sign-in-needed")


async def test_where_an_organisation_has_no_provider_nobody_is_sent_to_one(lab: World) -> None:
    recipient = await lab.recipient()
    person, device = await recipient.person(), Device(lab)
    asked = await begin(device, person)
    assert asked["url"] == ""
    await person.enrol(device)


async def test_a_sign_in_is_renewed(lab: World, acme: Recipient) -> None:
    person, device = await enrolled(lab, acme)
    before = lab.register.state.signed_in[person.id]
    await signed_in(device, None)
    after = lab.register.state.signed_in[person.id]
    assert after.token != before.token
    assert (after.account, after.invitation) == (before.account, "")


@pytest.mark.parametrize("auth", ["private_key_jwt", "client_secret_basic"])
async def test_we_prove_to_the_provider_who_we_are(lab: World, provider: Stage, auth: str) -> None:
    recipient = await lab.recipient()
    assert (await register(recipient, provider, auth=auth)).status_code == 201
    if auth == "client_secret_basic":
        kept = await recipient.admin.send("POST", "/providers/secret", b"s3cret")
        assert kept.status_code == 200
        secret = lab.folder.secrets / f"provider-{recipient.id}"
        assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("s3cret", 0o600)
    await enrolled(lab, recipient)
    for record in lab.issuer.log.reader.records(0):
        assert b"s3cret" not in record.body + record.entry


async def test_an_organisation_on_hold_changes_no_provider(lab: World, provider: Stage) -> None:
    """Its admin's key may be what was stolen."""
    recipient = await lab.recipient()
    since = lab.size
    async with lab.held(f"recipient:{recipient.id}"):
        refused = await register(recipient, provider)
    assert (refused.status_code, refused.json()["reason"]) == (403, "held")
    assert not lab.of(ProviderRegistered, since)
    assert (await register(recipient, provider)).status_code == 201


async def test_a_person_can_be_named_by_the_providers_subject(lab: World, provider: Stage) -> None:
    recipient = await lab.recipient()
    assert (await register(recipient, provider, claim="sub")).status_code == 201
    person = await name(recipient, email="", account=MARIA.sub)
    await signed_in(Device(lab), person)


async def test_names_addresses_and_accounts_are_in_no_fact(lab: World, acme: Recipient) -> None:
    since = lab.size
    person, _ = await enrolled(lab, acme)
    for record in lab.issuer.log.reader.records(since):
        for word in (MARIA.sub, MARIA.email, "Maria", "Noor"):
            assert word.encode() not in record.body + record.entry
    await lab.act("person-erase", person=person.id, reason="asked to")
    assert lab.register.state.signed_in[person.id].account  # which says nothing any more


# Who it is not for


async def test_an_invitation_is_not_usable_by_another_person(lab: World, acme: Recipient) -> None:
    person, device, since = await name(acme), Device(lab), lab.size
    asked = await begin(device, person)
    why = await failed(await Browser().sign_in(asked["url"], NOOR), device, asked)
    assert "not the one that your admin named" in why
    assert lab.of(PersonSignedIn, since) == []
    sent = await device.post("/enrol/requests", {"invitation": person.code, "name": "x"})
    assert problem(sent) == (403, "sign-in-needed")


async def test_an_address_that_the_provider_did_not_verify_is_nobodys(
    lab: World, acme: Recipient, provider: Stage
) -> None:
    provider.alter = lambda claims: claims | {"email_verified": False}
    person, device = await name(acme), Device(lab)
    asked = await begin(device, person)
    assert "not the one" in await failed(await Browser().sign_in(asked["url"]), device, asked)


async def test_an_invitation_is_used_once_after_a_sign_in_too(lab: World, acme: Recipient) -> None:
    person, device = await name(acme), Device(lab)
    await signed_in(device, person)
    await person.enrol(device)
    again = await device.post("/enrol/requests", {"invitation": person.code, "name": "x"})
    assert problem(again) == (403, "chain-broken")
    asked = await device.post("/sign-in", {"invitation": person.code})
    assert problem(asked) == (403, "chain-broken")


async def test_a_sign_in_is_for_the_key_that_asked_and_no_other(
    lab: World, acme: Recipient
) -> None:
    person, device, thief = await name(acme), Device(lab), Device(lab)
    await signed_in(device, person)
    stolen = await thief.post("/enrol/requests", {"invitation": person.code, "name": "x"})
    assert problem(stolen) == (403, "sign-in-needed")
    await person.enrol(device)


async def test_another_account_cannot_take_over_a_person_who_has_signed_in(
    lab: World, acme: Recipient, provider: Stage
) -> None:
    """An address that the employer gave to somebody else is not that person any more."""
    _, device = await enrolled(lab, acme)
    provider.alter = lambda claims: claims | {"sub": "other"}
    asked = await begin(device)
    page = await Browser().sign_in(asked["url"])
    done = await complete(device, asked, completion(page))
    assert problem(done) == (403, "chain-broken")
    assert "another account" in done.json()["detail"]


@pytest.mark.parametrize("by", [{"name": "Maria"}, {"name": " MARIA@acme.example"}])
async def test_who_enrols_does_not_confirm(lab: World, acme: Recipient, by: dict[str, str]) -> None:
    person, device = await name(acme), Device(lab)
    await signed_in(device, person)
    await person.enrol(device)
    sent = await confirm(acme, device, **by)
    assert problem(sent) == (403, "chain-broken")
    assert "does not confirm" in sent.json()["detail"]


async def test_a_confirmation_names_its_author(lab: World, acme: Recipient) -> None:
    person, device = await name(acme), Device(lab)
    await signed_in(device, person)
    await person.enrol(device)
    sent = await acme.grant(
        acme.below("device", person.link, subject=device.id, key=device.public.jwk)
    )
    assert problem(sent) == (403, "chain-broken")
    assert "who confirmed" in sent.json()["detail"]


# The browser's way


async def test_code_fixation_gets_nobody_a_persons_sign_in(lab: World, acme: Recipient) -> None:
    """A thief of the invitation has Maria sign in for the thief's own device: she sees the code of
    another device and, if she goes on all the same, what she is handed never comes to the thief."""
    person, thief, since = await name(acme), Device(lab), lab.size
    asked = await begin(thief, person)
    browser = Browser()
    page = await browser.http.get(asked["url"])
    assert code_of(thief.public.thumbprint) in page.text
    assert "somebody else wants to use your name" in page.text
    await browser.sign_in(asked["url"])
    told = (await thief.send("GET", f"/sign-in/{asked['id']}/status")).json()
    assert told == {"status": "signed-in", "why": "", "hint": ""}
    for guess in ("AAAAAAAA", "", "é"):
        done = await complete(thief, asked, guess)
        assert done.status_code in (400, 403)
    assert lab.of(PersonSignedIn, since) == []


async def test_a_completion_is_guessed_five_times_at_most(lab: World, acme: Recipient) -> None:
    person, device, since = await name(acme), Device(lab), lab.size
    asked = await begin(device, person)
    right = completion(await Browser().sign_in(asked["url"]))
    for _ in range(5):
        assert problem(await complete(device, asked, "AAAAAAAA")) == (403, "sign-in-failed")
    assert problem(await complete(device, asked, right)) == (403, "sign-in-failed")
    assert lab.of(PersonSignedIn, since) == []


async def test_another_device_cannot_complete_a_sign_in(lab: World, acme: Recipient) -> None:
    person, device, thief = await name(acme), Device(lab), Device(lab)
    asked = await begin(device, person)
    right = completion(await Browser().sign_in(asked["url"]))
    assert problem(await complete(thief, asked, right)) == (403, "sign-in-failed")
    found = await thief.send("GET", f"/sign-in/{asked['id']}/status")
    assert problem(found) == (403, "sign-in-failed")
    assert (await complete(device, asked, right)).status_code == 201
    # And not twice.
    assert problem(await complete(device, asked, right)) == (403, "sign-in-failed")


async def test_login_csrf_a_callback_in_another_browser_is_nobodys(
    lab: World, acme: Recipient
) -> None:
    """An attacker signs in as themselves and has the victim's browser come back in their place."""
    person, device = await name(acme), Device(lab)
    asked = await begin(device, person)
    mine, victim = Browser(), Browser()
    callback = await mine.pick(await mine.leave(asked["url"]), MARIA)
    assert (await victim.http.get(callback)).status_code == 404
    assert completion(await mine.http.get(callback))


async def test_a_replayed_state_comes_back_to_nothing(lab: World, acme: Recipient) -> None:
    person, device = await name(acme), Device(lab)
    asked = await begin(device, person)
    browser = Browser()
    callback = await browser.pick(await browser.leave(asked["url"]), MARIA)
    assert completion(await browser.http.get(callback))
    assert (await browser.http.get(callback)).status_code == 404
    assert (await browser.http.get(asked["url"])).status_code == 404


async def test_the_state_of_an_earlier_departure_is_over(lab: World, acme: Recipient) -> None:
    person, device = await name(acme), Device(lab)
    asked = await begin(device, person)
    browser = Browser()
    old = await browser.pick(await browser.leave(asked["url"]), MARIA)
    new = await browser.pick(await browser.leave(asked["url"]), MARIA)
    assert (await browser.http.get(old)).status_code == 404
    assert completion(await browser.http.get(new))


@pytest.mark.parametrize("found", ["other", "none", "absent"])
async def test_idp_mix_up_is_noticed_by_the_issuer_in_the_callback(
    lab: World, acme: Recipient, provider: Stage, found: str
) -> None:
    """RFC 9207: what is not by the provider that was asked is not believed."""
    person, device = await name(acme), Device(lab)
    asked = await begin(device, person)
    browser = Browser()
    callback = await browser.pick(await browser.leave(asked["url"]), MARIA)
    base, _, query = callback.partition("?")
    given = httpx2.QueryParams(query)
    wanted = {"other": given.set("iss", "https://evil.example"), "none": given.set("iss", "")}
    changed = wanted.get(found, given.remove("iss"))
    why = await failed(await browser.http.get(f"{base}?{changed}"), device, asked)
    assert "another provider answers" in why


async def test_idp_mix_up_each_organisation_has_a_callback_of_its_own(
    lab: World, acme: Recipient
) -> None:
    person, device = await name(acme), Device(lab)
    asked = await begin(device, person)
    browser, other = Browser(), await lab.recipient()
    callback = await browser.pick(await browser.leave(asked["url"]), MARIA)
    assert (await browser.http.get(callback.replace(acme.id, other.id))).status_code == 404


async def test_a_callback_that_says_something_twice_is_nobodys(lab: World, acme: Recipient) -> None:
    person, device = await name(acme), Device(lab)
    asked = await begin(device, person)
    browser = Browser()
    callback = await browser.pick(await browser.leave(asked["url"]), MARIA)
    assert (await browser.http.get(f"{callback}&code=other")).status_code == 404


async def test_a_provider_that_says_no_is_explained_without_its_own_words(
    lab: World, acme: Recipient
) -> None:
    person, device = await name(acme), Device(lab)
    asked = await begin(device, person)
    browser = Browser()
    callback = await browser.pick(await browser.leave(asked["url"]), MARIA)
    given = httpx2.QueryParams(callback.partition("?")[2]).remove("code")
    given = given.set("error", "<script>alert(1)</script>")
    page = await browser.http.get(f"{callback.partition('?')[0]}?{given}")
    assert "did not let the person sign in" in await failed(page, device, asked)
    assert "script" not in page.text


async def test_every_page_is_bare_and_locked(lab: World, acme: Recipient) -> None:
    person, device = await name(acme), Device(lab)
    asked = await begin(device, person)
    browser = Browser()
    ask = await browser.http.get(asked["url"])
    done = await browser.sign_in(asked["url"])
    invited = await browser.http.get(f"{lab.url}/enrol")
    for page in (ask, done, invited, await browser.http.get(f"{lab.url}/sign-in/none")):
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert "<script" not in page.text


async def test_the_browser_goes_back_to_the_devices_own_listener(
    lab: World, acme: Recipient
) -> None:
    person, device = await name(acme), Device(lab)
    back = "http://127.0.0.1:9/0123456789abcdef"
    asked = await begin(device, person, back=back)
    page = await Browser().sign_in(asked["url"])
    assert page.status_code == 303
    assert page.headers["location"].startswith(f"{back}?completion=")


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example/0123456789abcdef",
        "http://127.0.0.1:9",
        "http://127.0.0.1:9/short",
        "http://127.0.0.1@evil.example:9/0123456789abcdef",
        "http://localhost:9/0123456789abcdef",
        "http://127.0.0.1:9/0123456789abcdef?x=",
    ],
)
async def test_the_browser_goes_back_to_nowhere_else(
    lab: World, acme: Recipient, back: str
) -> None:
    person = await name(acme)
    sent = await Device(lab).post("/sign-in", {"invitation": person.code, "back": back})
    assert problem(sent) == (400, "body-malformed")


async def test_an_invitation_begins_eight_sign_ins_and_no_more(lab: World, acme: Recipient) -> None:
    """Each has the provider called; and who holds one invitation hinders nobody with another."""
    person, device = await name(acme), Device(lab)
    await begin(device, person)  # so that it knows the nonce
    rest = [device.post("/sign-in", {"invitation": person.code}) for _ in range(12)]
    begun = [sent.status_code for sent in await asyncio.gather(*rest)]
    assert sorted(begun) == [201] * 7 + [429] * 5
    sent = await device.post("/sign-in", {"invitation": person.code})
    assert problem(sent) == (429, "too-often")
    await begin(device, await name(acme))


# The provider's registration


async def test_the_admin_registers_a_provider_and_says_so_by_a_proof(
    lab: World, acme: Recipient, provider: Stage
) -> None:
    found = lab.register.state.providers[acme.id]
    assert (found.issuer, found.client, found.claim) == (provider.issuer, "bailment", "email")
    assert len(found.body) == 2 * sha256().digest_size


async def test_nobody_registers_a_provider_for_another_organisation(
    lab: World, acme: Recipient, provider: Stage
) -> None:
    other, since = await lab.recipient(), lab.size
    sent = await register(other, provider, organisation=acme.id)
    assert problem(sent) == (401, "proof-key")
    assert lab.of(ProviderRegistered, since) == []


@pytest.mark.parametrize(
    ("issuer", "why"),
    [
        ("http://login.example", "is not https"),
        ("https://login.example?x=1", "is no"),
        ("https://a@login.example", "is no"),
        ("file:///etc/passwd", "is no"),
    ],
)
async def test_what_is_no_provider_is_not_registered(
    lab: World, provider: Stage, issuer: str, why: str
) -> None:
    recipient, since = await lab.recipient(), lab.size
    sent = await register(recipient, provider, issuer=issuer)
    assert sent.status_code == 403, sent.text
    assert lab.of(ProviderRegistered, since) == []


async def test_a_provider_by_another_name_is_not_registered(lab: World, provider: Stage) -> None:
    recipient = await lab.recipient()
    sent = await register(recipient, provider, issuer=f"{provider.issuer}/")
    assert problem(sent) == (403, "sign-in-failed")
    assert "another name" in sent.json()["detail"]


async def test_a_provider_is_ended_by_the_admin(
    lab: World, acme: Recipient, provider: Stage
) -> None:
    sent = await register(acme, provider, issuer="", client="")
    assert sent.status_code == 201, sent.text
    person, device = await name(acme), Device(lab)
    assert (await begin(device, person))["url"] == ""
