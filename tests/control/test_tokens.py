"""The token endpoint: what a device must show, and how each refusal reads in RFC 6749's words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from bailment.access import jws
from bailment.access.answers import ANSWERS
from bailment.access.assertion import TYPE_URI
from bailment.access.proof import token_hash
from bailment.access.reasons import Reason
from bailment.ledger.records import TokenIssued

from ..world import DAY, PURPOSE, Device, Key, World, refused, world

pytestmark = pytest.mark.anyio

Try = Callable[[Device], Awaitable[httpx2.Response]]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


def error(answered: httpx2.Response) -> tuple[int, str, str]:
    """Status, RFC 6749 code and reason of a refusal."""
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["cache-control"] == "no-store"
    assert answered.headers["dpop-nonce"]
    body = answered.json()
    assert body.keys() == {"error", "error_description", "reason"}
    told = ANSWERS[Reason(body["reason"])]
    assert body["error_description"].startswith(told.title)
    assert told.status != 401 or body["error_description"] == told.title
    return answered.status_code, body["error"], body["reason"]


async def test_a_device_gets_a_token_bound_to_its_key(lab: World) -> None:
    device = await lab.device()
    since = lab.size
    fetched = await device.fetch(models=["smollm2"])
    assert fetched.status_code == 200
    body = fetched.json()
    assert body["token_type"] == "DPoP"
    assert 299 <= body["expires_in"] <= 300
    detail = {"type": "bailment_access", "purpose": PURPOSE, "models": ["smollm2"]}
    assert body["authorization_details"] == [detail]
    claims = json.loads(jws.parse(body["access_token"]).payload)
    path = lab.register.path(lab.register.link_of[device.id])
    assert claims["cnf"] == {"jkt": device.public.thumbprint}
    assert claims["lnk"] == [link.id for link in path]
    assert (claims["sub"], claims["client_id"]) == (path[1].subject, device.id)
    assert claims["exp"] - claims["iat"] == 300
    (record,) = lab.of(TokenIssued, since)
    assert record.token == token_hash(body["access_token"])
    assert record.thumbprint == device.public.thumbprint
    assert (record.person, record.links) == (path[1].subject, tuple(claims["lnk"]))


async def test_the_metadata_says_where_and_how(lab: World) -> None:
    found = await lab.http.get(lab.url + "/.well-known/oauth-authorization-server")
    metadata = found.json()
    assert metadata["issuer"] == lab.url
    assert metadata["token_endpoint"] == lab.url + "/oauth/token"
    assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert "ES256" in metadata["dpop_signing_alg_values_supported"]


def form(**changes: Any) -> Try:
    return lambda device: device.request_token(**changes)


def assertion(**changes: Any) -> Try:
    async def attempt(device: Device) -> httpx2.Response:
        given = {name: made(device) if callable(made) else made for name, made in changes.items()}
        return await device.request_token(client_assertion=device.assertion(**given))

    return attempt


async def by_another_key(device: Device) -> httpx2.Response:
    """Somebody knows the device's id and has a key of their own."""
    return await device.request_token(key=Key(device.world, nonce=device.nonce))


async def with_anothers_assertion(device: Device) -> httpx2.Response:
    """The proof is the device's, the assertion is not."""
    thief = Key(device.world)
    return await device.request_token(client_assertion=device.assertion(thief))


async def without_proof(device: Device) -> httpx2.Response:
    return await device.world.http.post(device.world.url + "/oauth/token", data={"a": "b"})


def with_proof(**changes: Any) -> Try:
    async def attempt(device: Device) -> httpx2.Response:
        given = {name: made(device) if callable(made) else made for name, made in changes.items()}
        return await device.send("POST", "/oauth/token", body(device), **given)

    return attempt


def body(device: Device, **changes: str) -> bytes:
    given = {
        "grant_type": "client_credentials",
        "client_id": device.id,
        "client_assertion_type": TYPE_URI,
        "client_assertion": device.assertion(),
        "authorization_details": json.dumps([{"type": "bailment_access", "purpose": PURPOSE}]),
    }
    return urlencode({**given, **changes}).encode()


def raw(data: Callable[[Device], bytes]) -> Try:
    return lambda device: device.send("POST", "/oauth/token", data(device))


async def altered(device: Device) -> httpx2.Response:
    """The form is changed after it was signed."""
    signed = device.proof("POST", "/oauth/token", body(device))
    return await device.world.http.post(
        device.world.url + "/oauth/token", content=body(device), headers={"dpop": signed}
    )


async def again(device: Device) -> httpx2.Response:
    data = body(device)
    headers = {"dpop": device.proof("POST", "/oauth/token", data)}
    url = device.world.url + "/oauth/token"
    assert (await device.world.http.post(url, content=data, headers=headers)).status_code == 200
    return await device.world.http.post(url, content=data, headers=headers)


def later(seconds: int) -> Callable[[Device], int]:
    return lambda device: device.world.clock.now() // 1000 + seconds


DETAIL = {"type": "bailment_access", "purpose": PURPOSE}
REFUSALS: dict[str, tuple[Try, int, str, str]] = {
    "another grant": (form(grant_type="password"), 400, "invalid_request", "body-malformed"),
    "another assertion type": (
        form(client_assertion_type="saml"),
        401,
        "invalid_client",
        "client-assertion",
    ),
    "an unknown client": (form(client_id="0" * 32), 401, "invalid_client", "client-assertion"),
    "no client": (form(client_id=""), 401, "invalid_client", "client-assertion"),
    "no assertion": (form(client_assertion=""), 401, "invalid_client", "client-assertion"),
    "another's assertion": (with_anothers_assertion, 401, "invalid_client", "client-assertion"),
    "an assertion for another audience": (
        assertion(audience="http://elsewhere"),
        401,
        "invalid_client",
        "client-assertion",
    ),
    "an assertion for another device": (
        assertion(device="1" * 32),
        401,
        "invalid_client",
        "client-assertion",
    ),
    "an old assertion": (assertion(now_s=later(-66)), 401, "invalid_client", "client-assertion"),
    "an early assertion": (assertion(now_s=later(7)), 401, "invalid_client", "client-assertion"),
    "a long assertion": (assertion(lifetime_s=61), 401, "invalid_client", "client-assertion"),
    "another key": (by_another_key, 400, "invalid_dpop_proof", "proof-key"),
    "no proof": (without_proof, 400, "invalid_dpop_proof", "proof-missing"),
    "a proof for a resource": (
        with_proof(target=lambda device: device.world.url + "/v1/models"),
        400,
        "invalid_dpop_proof",
        "proof-target",
    ),
    "a proof with a token": (
        with_proof(token="x"),
        400,
        "invalid_dpop_proof",
        "proof-token",
    ),
    "a proof for another method": (
        lambda device: device.world.http.post(
            device.world.url + "/oauth/token",
            headers={"dpop": device.proof("GET", "/oauth/token")},
        ),
        400,
        "invalid_dpop_proof",
        "proof-method",
    ),
    "an old proof": (with_proof(now_s=later(-67)), 400, "invalid_dpop_proof", "proof-stale"),
    "an early proof": (with_proof(now_s=later(7)), 400, "invalid_dpop_proof", "proof-future"),
    "no nonce": (with_proof(nonce=None), 400, "use_dpop_nonce", "proof-nonce"),
    "another nonce": (with_proof(nonce="A" * 22), 400, "use_dpop_nonce", "proof-nonce"),
    "a form changed after signing": (altered, 400, "invalid_dpop_proof", "proof-body"),
    "the same request again": (again, 400, "invalid_dpop_proof", "proof-replayed"),
    "no form": (raw(lambda device: b"\xff\xfe"), 400, "invalid_request", "body-malformed"),
    "JSON": (raw(lambda device: b'{"a": 1}'), 400, "invalid_request", "body-malformed"),
    "a parameter twice": (
        raw(lambda device: body(device) + b"&client_id=" + device.id.encode()),
        400,
        "invalid_request",
        "body-malformed",
    ),
    "many parameters": (
        raw(lambda device: b"&".join(b"a%d=1" % n for n in range(100))),
        400,
        "invalid_request",
        "body-malformed",
    ),
    "a large form": (
        raw(lambda device: b"a=" + b"b" * 100_000),
        400,
        "invalid_request",
        "body-too-large",
    ),
    "no details": (form(authorization_details=""), 400, "invalid_request", "body-malformed"),
    "two details": (
        form(authorization_details=json.dumps([DETAIL, DETAIL])),
        400,
        "invalid_request",
        "body-malformed",
    ),
    "details of another type": (
        form(authorization_details=json.dumps([{**DETAIL, "type": "payment"}])),
        400,
        "invalid_request",
        "body-malformed",
    ),
    "details that say more": (
        form(authorization_details=json.dumps([{**DETAIL, "role": "admin"}])),
        400,
        "invalid_request",
        "body-malformed",
    ),
    "another purpose": (
        form(authorization_details=json.dumps([{**DETAIL, "purpose": "profit"}])),
        400,
        "invalid_authorization_details",
        "purpose-outside-chain",
    ),
    "a model outside the chain": (
        form(authorization_details=json.dumps([{**DETAIL, "models": ["smollm2", "other"]}])),
        400,
        "invalid_authorization_details",
        "model-outside-chain",
    ),
    "a model that does not exist": (
        form(authorization_details=json.dumps([{**DETAIL, "models": ["nothing"]}])),
        400,
        "invalid_authorization_details",
        "model-outside-chain",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_token_is_refused(lab: World, name: str) -> None:
    attempt, status, code, reason = REFUSALS[name]
    device, since = await lab.device(), lab.size
    assert error(await attempt(device)) == (status, code, reason)
    assert len(lab.of(TokenIssued, since)) == (reason == "proof-replayed")


async def test_a_device_that_nobody_confirmed_gets_no_token(lab: World) -> None:
    device = await (await (await lab.recipient()).person()).enrol()
    since = lab.size
    assert error(await device.fetch()) == (400, "invalid_grant", "link-unknown")
    assert lab.of(TokenIssued, since) == []


@pytest.mark.parametrize("kind", ["recipient", "person", "device"])
async def test_a_held_device_gets_no_token_and_that_is_on_the_record(lab: World, kind: str) -> None:
    device = await lab.device()
    recipient, person, _ = lab.register.path(lab.register.link_of[device.id])
    subject = {"recipient": recipient.subject, "person": person.subject, "device": device.id}
    async with lab.held(f"{kind}:{subject[kind]}"):
        since = lab.size
        assert error(await device.fetch()) == (400, "invalid_grant", "held")
        assert error(await device.fetch()) == (400, "invalid_grant", "held")
        assert lab.refusals(since) == [("held", 1)]
    assert (await device.fetch()).status_code == 200


@pytest.mark.parametrize("kind", ["person", "device"])
async def test_an_ended_link_gives_no_token(lab: World, kind: str) -> None:
    device = await lab.device()
    path = {link.kind: link for link in lab.register.path(lab.register.link_of[device.id])}
    await lab.act("link-end", link=path[kind].id, reason="a test")
    assert error(await device.fetch()) == (400, "invalid_grant", "link-ended")


async def test_a_link_that_has_not_begun_gives_no_token(lab: World) -> None:
    recipient = await lab.recipient()
    person = await recipient.person(start=recipient.link.start + DAY)
    device = await person.enrol()
    await recipient.confirm(device)
    assert error(await device.fetch()) == (400, "invalid_grant", "link-early")


async def test_the_dance_of_the_nonce_ends_in_a_token(lab: World) -> None:
    device = await lab.device()
    device.nonce = None
    first = await device.send("POST", "/oauth/token", body(device), nonce=None)
    assert error(first) == (400, "use_dpop_nonce", "proof-nonce")
    device.nonce = first.headers["dpop-nonce"]
    assert (await device.send("POST", "/oauth/token", body(device))).status_code == 200


async def test_of_many_identical_requests_one_gets_a_token(lab: World) -> None:
    device, since = await lab.device(), lab.size
    data = body(device)
    headers = {"dpop": device.proof("POST", "/oauth/token", data)}
    url = lab.url + "/oauth/token"
    answers = await asyncio.gather(
        *(lab.http.post(url, content=data, headers=headers) for _ in range(10))
    )
    assert sorted(answered.status_code for answered in answers) == [200] + [400] * 9
    assert len(lab.of(TokenIssued, since)) == 1


async def test_the_proof_of_a_token_request_opens_no_access(lab: World) -> None:
    """One memory of used proofs for both endpoints: a jti is used once."""
    device = await lab.device()
    jti = "used-at-the-token-endpoint-" + device.id[:8]
    sent = await device.send("POST", "/oauth/token", body(device), jti=jti)
    assert sent.status_code == 200
    assert refused(await device.ask(proof={"jti": jti})) == (401, "proof-replayed")


async def test_a_device_that_fetches_tokens_all_the_time_is_slowed_down(lab: World) -> None:
    device, other = await lab.device(), await lab.device()
    statuses = [(await device.fetch()).status_code for _ in range(60)]
    assert statuses[:59] == [200] * 59
    assert error(await device.fetch()) == (503, "slow_down", "overloaded")
    assert (await other.fetch()).status_code == 200


async def test_an_old_token_stays_good_when_there_is_a_new_one(lab: World) -> None:
    device = await lab.device()
    old = device.token
    await device.renew()
    device.token = old
    assert (await device.ask()).status_code == 200


async def test_only_post_is_answered(lab: World) -> None:
    assert (await lab.http.get(lab.url + "/oauth/token")).status_code == 405
