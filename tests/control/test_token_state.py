"""Introspection (RFC 7662) and revocation (RFC 7009): who may ask, and what becomes of a token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from bailment.access.assertion import TYPE_URI
from bailment.access.proof import token_hash
from bailment.ledger.identity_records import TokenRevoked
from bailment.ledger.records import AccessClosed, AccessOpened, Budget

from ..world import AUDITOR, PURPOSE, STREAM, Asked, Device, Key, Peer, World, refused, world

pytestmark = pytest.mark.anyio

SERVER = "a resource server's credential"
MORE = f"""
[resource_servers]
search = "{sha256(SERVER.encode()).hexdigest()}"
"""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), more=MORE) as made:
        yield made


def form(device: Device, token: str, **changes: str) -> dict[str, str]:
    given = {
        "client_id": device.id,
        "client_assertion_type": TYPE_URI,
        "client_assertion": device.assertion(),
        "token": token,
    }
    return {**given, **changes}


async def post(lab: World, what: str, fields: dict[str, str], bearer: str = "") -> httpx2.Response:
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    return await lab.http.post(f"{lab.url}/oauth/{what}", data=fields, headers=headers)


async def introspect(lab: World, token: str, bearer: str = SERVER) -> dict[str, Any]:
    answered = await post(lab, "introspect", {"token": token}, bearer)
    assert answered.status_code == 200
    assert answered.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answered.json()
    return found


async def revoke(device: Device, token: str = "", **changes: str) -> httpx2.Response:
    return await post(device.world, "revoke", form(device, token or device.token, **changes))


# Introspection


@pytest.mark.parametrize("credential", [SERVER, AUDITOR])
async def test_a_resource_server_and_an_auditor_learn_what_a_token_says(
    lab: World, credential: str
) -> None:
    device = await lab.device()
    found = await introspect(lab, device.token, credential)
    path = lab.register.path(lab.register.link_of[device.id])
    assert found["active"] is True
    assert found["token_type"] == "DPoP"
    assert found["cnf"] == {"jkt": device.public.thumbprint}
    assert (found["sub"], found["client_id"]) == (path[1].subject, device.id)
    assert found["lnk"] == [link.id for link in path]
    assert found["iss"] == found["aud"] == lab.url
    assert found["authorization_details"][0]["purpose"] == PURPOSE
    assert "act" not in found


async def test_a_device_learns_of_its_own_tokens_alone(lab: World) -> None:
    device, other = await lab.device(), await lab.device()
    own = await post(lab, "introspect", form(device, device.token))
    assert own.json()["active"] is True
    foreign = await post(lab, "introspect", form(device, other.token))
    unknown = await post(lab, "introspect", form(device, "nothing"))
    assert foreign.status_code == unknown.status_code == 200
    assert foreign.json() == unknown.json() == {"active": False}


async def test_who_is_not_authenticated_learns_nothing(lab: World) -> None:
    """Whatever the token, the answer is the same to the last byte."""
    device = await lab.device()
    for bearer in ("", "another credential"):
        answers = [
            await post(lab, "introspect", {"token": token}, bearer)
            for token in (device.token, "nothing")
        ]
        assert [one.status_code for one in answers] == [401, 401]
        assert answers[0].content == answers[1].content
        assert answers[0].json()["error"] == "invalid_client"
        assert answers[0].headers["www-authenticate"] == "Bearer"


async def test_the_token_itself_is_no_credential_for_introspection(lab: World) -> None:
    device = await lab.device()
    answered = await post(lab, "introspect", {"token": device.token}, device.token)
    assert answered.status_code == 401


async def test_an_assertion_is_good_once(lab: World) -> None:
    device = await lab.device()
    fields = form(device, device.token)
    assert (await post(lab, "introspect", fields)).status_code == 200
    for what in ("introspect", "revoke"):
        assert (await post(lab, what, fields)).status_code == 401
    assert (await device.ask()).status_code == 200


async def test_an_assertion_that_fetched_a_token_is_used(lab: World) -> None:
    device = await lab.device()
    assertion = device.assertion()
    fetched = await device.request_token(client_assertion=assertion)
    assert fetched.status_code == 200
    answered = await post(lab, "revoke", form(device, device.token, client_assertion=assertion))
    assert answered.status_code == 401


async def test_a_proof_that_comes_along_must_hold(lab: World) -> None:
    device, thief = await lab.device(), Key(lab)
    body = urlencode(form(device, device.token)).encode()
    answered = await thief.send("POST", "/oauth/introspect", body)
    assert (answered.status_code, answered.json()["reason"]) == (400, "proof-key")
    body = urlencode(form(device, device.token)).encode()
    assert (await device.send("POST", "/oauth/introspect", body)).json()["active"] is True


async def test_a_token_of_a_device_on_hold_is_not_active(lab: World) -> None:
    device = await lab.device()
    async with lab.held(f"device:{device.id}"):
        assert await introspect(lab, device.token) == {"active": False}
    assert (await introspect(lab, device.token))["active"] is True


@pytest.mark.parametrize("fields", [{}, {"token": ""}, {"token": "ü"}])
async def test_a_request_about_no_token_is_malformed(lab: World, fields: dict[str, str]) -> None:
    answered = await post(lab, "introspect", fields, SERVER)
    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_request")


# Revocation


async def test_a_revoked_token_is_refused_from_then_on(lab: World) -> None:
    device, since = await lab.device(), lab.size
    assert (await device.ask()).status_code == 200
    answered = await revoke(device)
    assert (answered.status_code, answered.json()) == (200, {})
    (record,) = lab.of(TokenRevoked, since)
    assert (record.token, record.device) == (token_hash(device.token), device.id)
    assert refused(await device.ask()) == (401, "token-revoked")
    assert await introspect(lab, device.token) == {"active": False}
    await device.renew()
    assert (await device.ask()).status_code == 200


async def test_a_revocation_cuts_the_streams_by_that_token_and_no_other(lab: World) -> None:
    device, begun = await lab.device(), asyncio.Event()
    first, since = device.token, lab.size
    go = asyncio.Event()

    async def play(peer: Peer, asked: Asked) -> None:
        await peer.send(STREAM)
        begun.set()
        await go.wait()

    lab.model.play, before = play, lab.model.play
    try:
        async with device.wire(stream=True) as one:
            await begun.wait()
            await device.renew()
            begun.clear()
            async with device.wire(stream=True) as two:
                await begun.wait()
                assert (await revoke(device, first)).status_code == 200
                await one.end()
                assert b"token-revoked" in one.got
                assert not two.ended
        go.set()
    finally:
        lab.model.play = before
        go.set()
    opened = {facts.access: facts.token for facts in lab.of(AccessOpened, since)}
    await lab.until(
        lambda: (
            [
                facts.outcome
                for facts in lab.of(AccessClosed, since)
                if opened.get(facts.access) == token_hash(first)
            ]
            == ["cut"]
        )
    )


async def test_an_unknown_token_is_as_good_as_revoked(lab: World) -> None:
    device, since = await lab.device(), lab.size
    for token in ("nothing", "a.b.c", device.token + "x"):
        assert (await revoke(device, token)).status_code == 200
    assert lab.of(TokenRevoked, since) == []


async def test_a_token_is_revoked_once_however_often_it_is_asked_for(lab: World) -> None:
    device, since = await lab.device(), lab.size
    answers = await asyncio.gather(*(revoke(device) for _ in range(5)))
    assert {answered.status_code for answered in answers} == {200}
    assert len(lab.of(TokenRevoked, since)) == 1


async def test_nobody_revokes_anothers_token(lab: World) -> None:
    device, other = await lab.device(), await lab.device()
    answered = await revoke(other, device.token)
    assert (answered.status_code, answered.json()["error"]) == (400, "unauthorized_client")
    assert (await device.ask()).status_code == 200


@pytest.mark.parametrize("bearer", ["", SERVER, AUDITOR])
async def test_who_is_no_device_revokes_nothing(lab: World, bearer: str) -> None:
    device = await lab.device()
    answered = await post(lab, "revoke", {"token": device.token}, bearer)
    assert (answered.status_code, answered.json()["error"]) == (401, "invalid_client")
    assert (await device.ask()).status_code == 200


async def test_the_hint_of_a_type_changes_nothing(lab: World) -> None:
    device = await lab.device()
    assert (await revoke(device, token_type_hint="refresh_token")).status_code == 200
    assert refused(await device.ask()) == (401, "token-revoked")


async def test_a_revocation_outlives_a_restart_and_the_log_agrees(tmp_path: Any) -> None:
    async with world(tmp_path) as lab:
        device = await lab.device()
        await revoke(device)
        await lab.restart()
        device.nonce = None
        await device.get("/v1/models")  # for a nonce
        assert refused(await device.ask())[1] == "token-revoked"


# What narrows a token (RFC 9396)


def details(**more: Any) -> str:
    return json.dumps([{"type": "bailment_access", "purpose": PURPOSE, **more}])


async def ask_for(device: Device, **more: Any) -> httpx2.Response:
    fetched = await device.request_token(authorization_details=details(**more))
    device.token = fetched.json().get("access_token", "")
    return fetched


async def test_a_budget_of_the_tokens_own_is_spent_by_it_alone(lab: World) -> None:
    device = await lab.device()
    ceiling = await lab.ceiling()
    before = device.token
    fetched = await ask_for(device, budget={"tokens": ceiling, "seconds": 10**9})
    assert fetched.json()["authorization_details"][0]["budget"]["tokens"] == ceiling
    narrow = device.token
    assert (await device.ask()).status_code == 200
    assert refused(await device.ask()) == (403, "budget-spent")
    device.token = before
    assert (await device.ask()).status_code == 200
    device.token = narrow
    assert refused(await device.ask()) == (403, "budget-spent")


async def test_a_budget_above_the_chains_widens_nothing(lab: World) -> None:
    ceiling = await lab.ceiling()
    device = await lab.device(budget=Budget(ceiling, 10**9))
    fetched = await ask_for(device, budget={"tokens": 10**12, "seconds": 10**9})
    (told,) = fetched.json()["authorization_details"]
    assert told["budget"] == {"tokens": ceiling, "seconds": 10**9}
    assert (await device.ask()).status_code == 200
    assert refused(await device.ask()) == (403, "budget-spent")


async def test_a_network_of_the_tokens_own_is_where_it_must_be_used(lab: World) -> None:
    device = await lab.device()
    assert (await ask_for(device, networks=["127.0.0.0/8"])).status_code == 200
    assert (await device.ask()).status_code == 200
    answered = await ask_for(device, networks=["192.0.2.0/24"])
    assert answered.json()["reason"] == "network-outside-chain"
    assert answered.json()["error"] == "invalid_authorization_details"


async def test_a_network_outside_the_chains_is_no_narrowing(lab: World) -> None:
    device = await lab.device(networks=("127.0.0.0/16",))
    answered = await ask_for(device, networks=["127.0.0.0/8"])
    assert answered.json()["reason"] == "network-outside-chain"
    fetched = await ask_for(device, networks=["127.0.0.0/24"])
    assert fetched.json()["authorization_details"][0]["networks"] == ["127.0.0.0/24"]
    assert (await device.ask()).status_code == 200


async def test_the_answer_tells_what_the_token_is_good_for(lab: World) -> None:
    chain = {"budget": Budget(10**6, 3600), "networks": ("127.0.0.0/8",)}
    device = await lab.device(models=("smollm2", "other"), **chain)
    (told,) = (await ask_for(device)).json()["authorization_details"]
    assert told == {
        "type": "bailment_access",
        "purpose": PURPOSE,
        "models": ["other", "smollm2"],
        "budget": {"tokens": 10**6, "seconds": 3600},
        "networks": ["127.0.0.0/8"],
    }


@pytest.mark.parametrize(
    "more",
    [
        {"budget": {"tokens": 0, "seconds": 1}},
        {"budget": {"tokens": 1, "seconds": 0}},
        {"budget": {"tokens": 1}},
        {"budget": {"tokens": 1, "seconds": 1, "models": 3}},
        {"budget": 7},
        {"networks": []},
        {"networks": ["everywhere"]},
        {"networks": ["127.0.0.1/8"]},
        {"networks": ["127.0.0.0/8"] * 17},
        {"networks": "127.0.0.0/8"},
    ],
)
async def test_details_of_another_form_are_refused(lab: World, more: dict[str, Any]) -> None:
    answered = await ask_for(await lab.device(), **more)
    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_request")
