"""Attacks on the chain of delegation, each by its name, against an issuer that serves."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bailment import canonical
from bailment.access import jws
from bailment.access.chain import Link, sign_link
from bailment.ledger.records import AccessOpened, AccessRefused, Budget, DelegationGranted

from ..gateway.scripted import Peer
from ..world import PATIENCE, PURPOSE, YEARS, Asked, Device, Key, Recipient, World, world
from ..world import refused as refusal_of
from .test_delegations import problem, send, subcontract

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


def written(link: Link, by: Key, **changes: Any) -> str:
    """A link as somebody signs it who does not use our program."""
    told = {**json.loads(canonical.encode(link)), **changes}
    header = {"kid": by.public.thumbprint, "typ": "bailment-link+jwt"}
    return jws.sign(header, canonical.encode(told), by.private)


def registering(lab: World, handle: str) -> dict[str, Any]:
    """The act that registers a recipient."""
    return {
        "act": "recipient-add",
        "author": "tests",
        "handle": handle,
        "contact": "c",
        "key": Key(lab).public.jwk,
        "models": ["smollm2"],
        "purposes": [PURPOSE],
        "until": lab.clock.now() + 1_000_000,
    }


# Oversized chain, depth exceeded


async def test_a_chain_ends_at_the_eighth_subcontractor(lab: World) -> None:
    """So that the longest there is has eleven links; a token may name sixteen."""
    last = await lab.recipient(depth=20)
    for below in range(7, -1, -1):
        last = await subcontract(last, depth=below + 5)
    ninth = last.below("subcontractor", key=Key(lab).public.jwk, depth=0)
    assert problem(await last.grant(ninth)) == (403, "chain-broken")
    person = await last.person()
    device = await person.enrol()
    await last.grant(last.below("device", person.link, subject=device.id, key=device.public.jwk))
    await device.renew()
    assert (await device.ask()).status_code == 200
    claims = json.loads(jws.parse(device.token).payload)
    assert len(claims["lnk"]) == 11


async def test_a_token_of_seventeen_links_is_no_token(lab: World) -> None:
    """Though the issuer's own key signed it."""
    device = await lab.device()
    signed = jws.parse(device.token)
    claims = json.loads(signed.payload)
    more = [os.urandom(16).hex() for _ in range(17 - len(claims["lnk"]))]
    told = canonical.encode({**claims, "lnk": claims["lnk"] + more})
    device.token = jws.sign({"typ": signed.header["typ"]}, told, lab.issuer.secrets.issuer)
    assert refusal_of(await device.ask()) == (401, "token-malformed")


@pytest.mark.parametrize(("size", "status"), [(20_000, 400), (200_000, 413)])
async def test_an_oversized_link_is_refused_and_leaves_nothing(
    lab: World, size: int, status: int
) -> None:
    recipient = await lab.recipient(depth=1)
    link = recipient.below("subcontractor", key=Key(lab).public.jwk, handle="vendor")
    since = lab.size
    sent = await send(lab, written(link, recipient.admin, contact="x" * size), None)
    assert sent.status_code == status
    assert lab.of(DelegationGranted, since) == []


async def test_a_link_of_two_hundred_kilobytes_in_the_log_is_refused_by_the_register(
    lab: World,
) -> None:
    recipient = await lab.recipient(depth=1)
    link = recipient.below("subcontractor", key=Key(lab).public.jwk, handle="vendor")
    facts = DelegationGranted(written(link, recipient.admin, contact="x" * 200_000))
    refused = lab.register.check(facts, lab.clock.now())
    assert refused is not None
    assert "longer than" in refused.detail


# A link signed by the wrong party

SIGNERS = (
    *("the recipient above", "the subcontractor beside it", "the subcontractor below it"),
    *("another recipient", "its own person's device", "nobody who is known"),
)


@pytest.mark.parametrize("who", SIGNERS)
@pytest.mark.parametrize("forged", [False, True], ids=["own kid", "forged kid"])
async def test_a_link_signed_by_the_wrong_party_is_refused(
    lab: World, who: str, forged: bool
) -> None:
    top = await lab.recipient(depth=2)
    sub = await subcontract(top, depth=1)
    person = await sub.person()
    device = await person.enrol()
    await sub.grant(sub.below("device", person.link, subject=device.id, key=device.public.jwk))
    keys = {
        "the recipient above": top.admin,
        "the subcontractor beside it": (await subcontract(top)).admin,
        "the subcontractor below it": (await subcontract(sub, depth=0)).admin,
        "another recipient": (await lab.recipient()).admin,
        "its own person's device": device,
        "nobody who is known": Key(lab),
    }
    assert keys.keys() == set(SIGNERS)
    kid = (sub.admin if forged else keys[who]).public.thumbprint
    since = lab.size
    for kind in ("person", "subcontractor", "workload"):
        more: dict[str, Any] = {"key": Key(lab).public.jwk} if kind == "subcontractor" else {}
        if kind == "workload":
            job = {"iss": "https://ci.example", "aud": "us", "sub": "job"}
            more = {"owner": person.id, "workload": job}
        compact = sign_link(sub.below(kind, **more), keys[who].private, kid)
        assert problem(await send(lab, compact, None)) == (403, "chain-broken")
    assert lab.of(DelegationGranted, since) == []


async def test_a_subcontractor_does_not_widen_itself_by_a_second_link(lab: World) -> None:
    """Its own subject under a link of its own, or once more under its recipient's."""
    top = await lab.recipient(models=("smollm2", "other"), depth=2)
    sub = await subcontract(top, depth=1, models=("smollm2",))
    again = sub.below("subcontractor", subject=sub.id, key=sub.admin.public.jwk)
    assert problem(await sub.grant(again)) == (403, "chain-broken")
    twice = top.below("subcontractor", subject=sub.id, key=sub.admin.public.jwk, depth=1)
    assert problem(await top.grant(twice)) == (403, "chain-broken")


# Path normalisation in identities

HANDLES = (
    *("..", ".", "../acme", "acme/vendor", "vendor/", "/vendor", "a/../b", "a..b", "%2e%2e"),
    *("vendor\n", "ven dor", "Vendor", "vendör", "\uff56endor", "ven\u200bdor", "vendor\u202e"),
    *("-vendor", "vendor-", "a" * 41, "vendor\x00"),
)


@pytest.mark.parametrize("handle", HANDLES, ids=ascii)
async def test_a_handle_is_one_name_in_one_spelling(lab: World, handle: str) -> None:
    recipient = await lab.recipient(depth=1)
    link = recipient.below("subcontractor", key=Key(lab).public.jwk)
    since = lab.size
    sent = await send(lab, written(link, recipient.admin, handle=handle), None)
    assert problem(sent) == (400, "body-malformed")
    assert lab.of(DelegationGranted, since) == []


@pytest.mark.parametrize("member", ["id", "parent", "subject"])
@pytest.mark.parametrize("how", ["../", "upper case", "a newline", "full width", "an escape"])
async def test_an_id_is_one_name_in_one_spelling(lab: World, member: str, how: str) -> None:
    recipient = await lab.recipient(depth=1)
    link = recipient.below("subcontractor", key=Key(lab).public.jwk, handle="vendor")
    named: str = "ab" + getattr(link, member)[2:]
    other = {
        "../": "../" + named[3:],
        "upper case": named.upper(),
        "a newline": named + "\n",
        "full width": "\uff41" + named[1:],
        "an escape": "%61" + named[1:],
    }[how]
    sent = await send(lab, written(link, recipient.admin, **{member: other}), None)
    assert problem(sent) == (400, "body-malformed")


@pytest.mark.parametrize(
    "handle", ["acme/vendor", "../acme", "acme\n", "\u0430cme", "acme%2fvendor"]
)
async def test_a_recipient_is_not_called_like_a_subcontractor(lab: World, handle: str) -> None:
    since = lab.size
    sent = await lab.console.post("http://console/act", json=registering(lab, handle))
    assert sent.status_code == 400
    assert lab.size == since


async def test_two_recipients_are_not_told_apart_by_case_alone(lab: World) -> None:
    known = await lab.recipient()
    handle = lab.register.organisations[known.id].handle
    sent = await lab.console.post("http://console/act", json=registering(lab, handle.upper()))
    assert (sent.status_code, "reads like" in sent.text) == (400, True)


async def test_two_subcontractors_are_not_called_alike_be_it_by_what_stands_in_for_a_name(
    lab: World,
) -> None:
    recipient = await lab.recipient(depth=1)
    nameless = await subcontract(recipient, depth=0)
    link = recipient.below(
        "subcontractor", key=Key(lab).public.jwk, handle=nameless.link.subject[:8]
    )
    assert problem(await recipient.grant(link)) == (403, "chain-broken")


PATHS = (
    *("{mine}/../{other}", "{mine}%2f..%2f{other}", "{mine}/%2e%2e/{other}", "./{other}"),
    *("{mine}//{other}", "{mine}%00{other}", "{mine};{other}", "{mine}?{other}", "{other}%20"),
)


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_does_not_lead_to_another_device(lab: World, path: str) -> None:
    mine, other = await lab.device(), await lab.device()
    told = path.format(mine=mine.id, other=other.id)
    answered = await mine.send("GET", f"/enrol/requests/{told}")
    assert answered.status_code != 200 or answered.json()["device"] == mine.id


# Time of check, time of use


async def test_time_of_check_time_of_use_ten_children_at_once_spend_one_budget(
    lab: World,
) -> None:
    """All ten are decided before any is in the log; the log lets in as many as fit."""
    ceiling = await lab.ceiling()
    top = await lab.recipient(depth=1, budget=Budget(3 * ceiling, YEARS))
    sub = await subcontract(top, depth=0)
    devices = [await below(by) for by in (top, sub) for _ in range(5)]
    since, answering, plain = lab.size, asyncio.Event(), lab.model.play

    async def wait(peer: Peer, asked: Asked) -> None:
        await asyncio.wait_for(answering.wait(), PATIENCE)
        await plain(peer, asked)

    lab.model.play = wait
    try:
        async with lab.brake.holding(AccessOpened.TYPE):
            asked = [asyncio.create_task(device.ask()) for device in devices]
            await lab.brake.reach()
        for done in asyncio.as_completed(asked):
            assert (await done).status_code == 403
            if sum(task.done() for task in asked) == 7:
                break
        opened = lab.of(AccessOpened, since)
        assert sum(one.ceiling for one in opened) == 3 * ceiling
    finally:
        answering.set()
        lab.model.play = plain
    answers = await asyncio.gather(*asked)
    assert sorted(one.status_code for one in answers) == [200] * 3 + [403] * 7
    for one in answers:
        if one.status_code == 403:
            assert refusal_of(one) == (403, "budget-spent")
            assert top.link.id in one.json()["detail"]


async def test_time_of_check_time_of_use_a_link_ended_meanwhile_opens_nothing(lab: World) -> None:
    """Whoever was decided on before the end and comes to the log after it is decided on again."""
    top = await lab.recipient(depth=1)
    sub = await subcontract(top, depth=0)
    device, beside = await below(sub), await below(top)
    since = lab.size
    async with lab.brake.holding("delegation.ended"):
        ending = asyncio.create_task(lab.act("link-end", link=sub.link.id, reason="a test"))
        await lab.brake.reach()
        asked = [asyncio.create_task(one.ask()) for one in (device, beside)]
        await lab.settle()
    await ending
    first, second = await asyncio.gather(*asked)
    assert refusal_of(first) == (403, "link-ended")
    assert second.status_code == 200
    assert len(lab.of(AccessOpened, since)) == 1
    assert [one.reason for one in lab.of(AccessRefused, since)] == ["link-ended"]


async def below(by: Recipient) -> Device:
    """A device with a token, of a new person's."""
    person = await by.person()
    device = await person.enrol()
    link = by.below("device", person.link, subject=device.id, key=device.public.jwk)
    assert (await by.grant(link)).status_code == 201
    return await device.renew()
