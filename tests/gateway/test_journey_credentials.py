"""Who did not prove who they are: 401 in their dialect, nothing upstream, and a bounded record."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import jws
from bailment.access.token import AccessDetail, Claims, Confirmation, sign_token
from bailment.ledger.records import AccessOpened, AccessRefused

from ..world import DIALECTS, PURPOSE, Device, Key, World, refused, world

pytestmark = pytest.mark.anyio

Try = Callable[[Device, str], Awaitable[httpx2.Response]]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


def with_headers(**headers: str | None) -> Try:
    """Ask with these headers replaced; `{}` stands for the token."""

    async def attempt(device: Device, dialect: str) -> httpx2.Response:
        given = {
            name.replace("_", "-"): text and text.format(device.token)
            for name, text in headers.items()
        }
        return await device.ask(dialect, headers=given)

    return attempt


def with_proof(**changes: Any) -> Try:
    """Ask with a proof over something else."""

    async def attempt(device: Device, dialect: str) -> httpx2.Response:
        given = {name: made(device) if callable(made) else made for name, made in changes.items()}
        return await device.ask(dialect, proof=given)

    return attempt


def with_token(make: Callable[[Device], str]) -> Try:
    async def attempt(device: Device, dialect: str) -> httpx2.Response:
        token = make(device)
        headers = {"authorization": f"DPoP {token}"}
        return await device.ask(dialect, headers=headers, proof={"token": token})

    return attempt


def claims(device: Device, **changes: Any) -> dict[str, Any]:
    """The claims of a token like the device's, not in the log."""
    now = int(time.time())
    made = Claims(
        iss=device.world.url,
        aud=device.world.url,
        sub="0" * 32,
        client_id=device.id,
        iat=now,
        exp=now + 60,
        jti=secrets.token_hex(16),
        cnf=Confirmation(device.public.thumbprint),
        lnk=("0" * 32,),
        key_class="software",
        authorization_details=(AccessDetail(type="bailment_access", purpose=PURPOSE),),
    )
    values: dict[str, Any] = json.loads(canonical.encode(made))
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


def signed(device: Device, by: ec.EllipticCurvePrivateKey | None = None, **changes: Any) -> str:
    key = by or device.world.issuer.secrets.issuer
    return jws.sign({"typ": "at+jwt"}, canonical.encode(claims(device, **changes)), key)


async def another_key(device: Device, dialect: str) -> httpx2.Response:
    """The token in somebody else's hands."""
    thief = Key(device.world, nonce=device.nonce)
    path, body, headers = device.request(dialect)
    headers["dpop"] = thief.proof("POST", path, body, device.token)
    return await device.world.http.post(device.world.url + path, content=body, headers=headers)


async def altered_proof(device: Device, dialect: str) -> httpx2.Response:
    path, body, headers = device.request(dialect)
    other = device.proof("POST", path, body, device.token)
    headers["dpop"] = headers["dpop"].rpartition(".")[0] + "." + other.rpartition(".")[2]
    return await device.world.http.post(device.world.url + path, content=body, headers=headers)


async def two_proofs(device: Device, dialect: str) -> httpx2.Response:
    path, body, headers = device.request(dialect)
    fields = [*headers.items(), ("dpop", headers["dpop"])]
    return await device.world.http.post(device.world.url + path, content=body, headers=fields)


async def twice(device: Device, dialect: str) -> httpx2.Response:
    path, body, headers = device.request(dialect)
    url = device.world.url + path
    assert (await device.world.http.post(url, content=body, headers=headers)).status_code == 200
    return await device.world.http.post(url, content=body, headers=headers)


async def same_jti(device: Device, dialect: str) -> httpx2.Response:
    jti = secrets.token_urlsafe(16)
    first = await device.ask(dialect, proof={"jti": jti})
    assert first.status_code == 200
    return await device.ask(dialect, proof={"jti": jti}, temperature=0)


async def changed_body(device: Device, dialect: str) -> httpx2.Response:
    path, body, headers = device.request(dialect)
    body = body.replace(b"hello", b"Hello")
    return await device.world.http.post(device.world.url + path, content=body, headers=headers)


async def undigested(device: Device, dialect: str) -> httpx2.Response:
    """A proof as RFC 9449 has it, which is not over the body."""
    path, body, headers = device.request(dialect)
    parsed = jws.parse(headers["dpop"])
    plain = {n: v for n, v in json.loads(parsed.payload).items() if n != "content_digest"}
    header = {n: v for n, v in parsed.header.items() if n != "alg"}
    headers["dpop"] = jws.sign(header, canonical.encode(plain), device.private)
    return await device.world.http.post(device.world.url + path, content=body, headers=headers)


def seconds(ahead: int) -> Callable[[Device], int]:
    return lambda device: device.world.clock.now() // 1000 + ahead


# What is tried: the reason for which it is refused, and whether a device is named by it.
TRIES: dict[str, tuple[Try, str, bool]] = {
    "no token": (with_headers(authorization=None), "token-missing", False),
    "empty token": (with_headers(authorization="DPoP"), "token-missing", False),
    "another scheme": (with_headers(authorization="Basic {}"), "token-malformed", False),
    "an API key": (with_headers(authorization="Bearer sk-1234"), "token-malformed", False),
    "a token of ours, unrecorded": (with_token(signed), "token-unrecorded", False),
    "a token of another issuer": (
        with_token(lambda device: signed(device, ec.generate_private_key(ec.SECP256R1()))),
        "token-untrusted",
        False,
    ),
    "a token for another audience": (
        with_token(lambda device: signed(device, aud="http://elsewhere")),
        "token-untrusted",
        False,
    ),
    "a token that lives long": (
        with_token(lambda device: signed(device, exp=int(time.time()) + 3600)),
        "token-untrusted",
        False,
    ),
    "an unbound token": (
        with_token(lambda device: signed(device, cnf=None)),
        "token-unbound",
        False,
    ),
    "key and bearer disagree": (with_headers(x_api_key="other"), "credentials-disagree", False),
    "no proof": (with_headers(dpop=None), "proof-missing", True),
    "no proof, bearer": (
        with_headers(dpop=None, authorization="Bearer {}"),
        "proof-missing",
        True,
    ),
    "no proof, key": (
        with_headers(dpop=None, authorization=None, x_api_key="{}"),
        "proof-missing",
        True,
    ),
    "garbage for a proof": (with_headers(dpop="a.b.c"), "proof-malformed", True),
    "two proofs": (two_proofs, "proof-malformed", True),
    "another's proof": (another_key, "proof-key", True),
    "an altered proof": (altered_proof, "proof-signature", True),
    "htm": (with_proof(method="GET"), "proof-method", True),
    "htm in lower case": (with_proof(method="post"), "proof-method", True),
    "htu of another path": (
        with_proof(target=lambda device: device.world.url + "/v1/models"),
        "proof-target",
        True,
    ),
    "htu of another host": (
        with_proof(target="http://elsewhere/v1/chat/completions"),
        "proof-target",
        True,
    ),
    "htu of another scheme": (
        with_proof(target=lambda d: d.world.url.replace("http", "https") + "/v1/messages"),
        "proof-target",
        True,
    ),
    "ath of another token": (with_proof(token="another"), "proof-token", True),
    "no ath": (with_proof(token=None), "proof-token", True),
    "iat too old": (with_proof(now_s=seconds(-67)), "proof-stale", True),
    "iat in the future": (with_proof(now_s=seconds(+7)), "proof-future", True),
    "no nonce": (with_proof(nonce=None), "proof-nonce", True),
    "another's nonce": (with_proof(nonce="A" * 22), "proof-nonce", True),
    "a body changed after signing": (changed_body, "proof-body", True),
    "a proof over no body": (undigested, "proof-body", True),
    "the same request again": (twice, "proof-replayed", True),
    "the same jti for another": (same_jti, "proof-replayed", True),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", TRIES)
async def test_who_proves_nothing_gets_nothing(lab: World, name: str, dialect: str) -> None:
    attempt, reason, named = TRIES[name]
    device, since, asked = await lab.device(), lab.size, len(lab.model.requests)
    counter = f'bailment_refusals_total{{reason="{reason}"}}'
    before = await lab.metric(counter)

    answered = await attempt(device, dialect)

    assert refused(answered, dialect) == (401, reason)
    legitimate = len(lab.of(AccessOpened, since))
    assert legitimate == (reason == "proof-replayed")
    assert len(lab.model.requests) == asked + legitimate
    assert lab.refusals(since) == ([(reason, 1)] if named else [])
    assert await lab.metric(counter) == before + 1
    if named:
        (record,) = lab.of(AccessRefused, since)
        assert record.device == device.id
    # To somebody who proved nothing it is not said what the register holds.
    error = answered.json()["error"]
    assert error["details"]["detail"] == "" or reason == "proof-replayed"
    assert device.id not in answered.text


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_client_that_lacks_the_nonce_is_told_it(lab: World, dialect: str) -> None:
    device = await lab.device()
    answered = await device.ask(dialect, proof={"nonce": None})
    assert refused(answered, dialect) == (401, "proof-nonce")
    assert 'error="use_dpop_nonce"' in answered.headers["www-authenticate"]
    device.nonce = answered.headers["dpop-nonce"]
    assert (await device.ask(dialect)).status_code == 200


@pytest.mark.parametrize(
    ("attempt", "error"),
    [("no token", ""), ("a token of ours, unrecorded", "invalid_token"), ("htm", "invalid_dpop")],
)
async def test_the_challenge_says_what_kind_of_thing_is_wrong(
    lab: World, attempt: str, error: str
) -> None:
    answered = await TRIES[attempt][0](await lab.device(), "chat")
    challenge = answered.headers["www-authenticate"]
    assert f'error="{error}' in challenge if error else "error=" not in challenge
    assert 'algs="ES256 RS256 PS256"' in challenge


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_of_many_identical_requests_at_once_exactly_one_gets_through(
    lab: World, dialect: str
) -> None:
    device, since, asked = await lab.device(), lab.size, len(lab.model.requests)
    path, body, headers = device.request(dialect)
    answers = await asyncio.gather(
        *(lab.http.post(lab.url + path, content=body, headers=headers) for _ in range(25))
    )
    passed = [answered for answered in answers if answered.status_code == 200]
    assert len(passed) == 1
    others = [refused(answered, dialect) for answered in answers if answered.status_code != 200]
    assert others == [(401, "proof-replayed")] * 24
    assert len(lab.model.requests) == asked + 1
    assert len(lab.of(AccessOpened, since)) == 1
    assert lab.refusals(since) == [("proof-replayed", 1)]  # the rest are counted later


async def test_two_devices_may_use_the_same_jti(lab: World) -> None:
    jti = secrets.token_urlsafe(16)
    for device in (await lab.device(), await lab.device()):
        assert (await device.ask(proof={"jti": jti})).status_code == 200


async def test_a_proof_for_one_server_is_good_at_no_other(
    lab: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Even where the same token is known, as behind a load balancer: the nonce is the process's."""
    device = await lab.device()
    path, body, headers = device.request()
    await lab.restart()
    answered = await lab.http.post(lab.url + path, content=body, headers=headers)
    assert refused(answered) == (401, "proof-nonce")
    device.nonce = answered.headers["dpop-nonce"]
    assert (await device.ask()).status_code == 200  # the token itself outlives the process


async def test_what_was_counted_is_on_the_record_when_the_process_ends(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with world(tmp_path_factory.mktemp("lab")) as lab:
        device, since = await lab.device(), lab.size
        for _ in range(3):
            await device.ask(headers={"dpop": None})
        await lab.stop()
        assert sum(count for _, count in lab.refusals(since)) == 3


async def test_noise_by_nobody_in_particular_grows_no_log(lab: World) -> None:
    await lab.restart()  # so that no heads record is due
    since = lab.size
    for _ in range(50):
        await lab.http.post(lab.url + "/v1/messages", content=os.urandom(20))
    assert lab.size == since


def test_the_table_names_tokens_signed_by_the_product_itself() -> None:
    """`signed` above must differ from a real token in nothing but what a case changes."""
    made = Claims(
        iss="http://a",
        aud="http://a",
        sub="0" * 32,
        client_id="1" * 32,
        iat=1,
        exp=2,
        jti="x",
        cnf=Confirmation("A" * 43),
        lnk=("2" * 32,),
        key_class="software",
        authorization_details=(AccessDetail(type="bailment_access", purpose=PURPOSE),),
    )
    key = ec.generate_private_key(ec.SECP256R1())
    assert jws.parse(sign_token(made, key)).header == {"alg": "ES256", "typ": "at+jwt"}
