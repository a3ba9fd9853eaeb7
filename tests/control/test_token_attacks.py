"""Attacks on tokens that others' systems fell to, each by its name."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bailment import canonical
from bailment.access import base64url, jws
from bailment.access.admission import Admission, Counted
from bailment.access.proof import check_time, read_proof, replay_key
from bailment.access.reasons import Refused
from bailment.ledger.records import AccessOpened, Policy, TokenIssued

from ..access.test_admission import TOKEN
from ..access.test_proof import made
from ..world import Device, Key, World, refused, world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made_world:
        yield made_world


def reason(answered: httpx2.Response) -> tuple[int, str]:
    return answered.status_code, answered.json()["reason"]


def resigned(compact: str, key: Key, header: dict[str, Any], drop: tuple[str, ...] = ()) -> str:
    """The same claims under another header, by this key."""
    parsed = jws.parse(compact)
    kept = {name: value for name, value in parsed.header.items() if name not in (*drop, "alg")}
    return jws.sign({**kept, **header}, parsed.payload, key.private)


def confused(compact: str, key: Key, alg: str) -> str:
    """The same claims under another algorithm, which needs nobody's private key."""
    head, payload, _ = compact.split(".")
    header = {**json.loads(base64url.decode(head)), "alg": alg}
    text = f"{base64url.encode(json.dumps(header).encode())}.{payload}"
    if alg == "none":
        return f"{text}."
    pem = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return f"{text}.{base64url.encode(hmac.digest(pem, text.encode(), 'sha256'))}"


async def test_token_substitution_between_recipients(lab: World) -> None:
    """Two devices of two recipients: neither can use the other's token, by whichever key."""
    one, two = await lab.device(), await lab.device()
    one.token, two.token = two.token, one.token
    since = lab.size
    assert refused(await one.ask()) == (401, "proof-key")
    assert refused(await two.ask()) == (401, "proof-key")
    assert lab.of(AccessOpened, since) == []


async def test_an_assertion_of_one_recipients_device_fetches_no_token_for_anothers(
    lab: World,
) -> None:
    one, two = await lab.device(), await lab.device()
    stolen = await one.request_token(client_id=two.id)
    assert reason(stolen) == (400, "proof-key")
    handed = await one.request_token(client_assertion=two.assertion())
    assert reason(handed) == (401, "client-assertion")


async def test_a_handle_of_one_recipients_device_is_none_of_anothers(lab: World) -> None:
    one, two = await lab.device(), await lab.device()
    await one.ask()
    one.handle, two.handle = two.handle, one.handle
    assert reason(await one.fetch()) == (400, "ratchet-forked")


@pytest.mark.parametrize("alg", ["none", "HS256", "HS512", "RS256", "PS256", "ES384", "EdDSA"])
async def test_algorithm_confusion(lab: World, alg: str) -> None:
    device = await lab.device()
    assertion = confused(device.assertion(), device, alg)
    answered = await device.request_token(client_assertion=assertion)
    assert reason(answered) == (401, "client-assertion")
    path, body, headers = device.request()
    headers["dpop"] = confused(headers["dpop"], device, alg)
    sent = await lab.http.post(lab.url + path, content=body, headers=headers)
    assert refused(sent) == (401, "proof-malformed")
    token, device.token = device.token, confused(device.token, device, alg)
    assert refused(await device.ask())[0] == 401
    device.token = token
    assert (await device.ask()).status_code == 200


OTHER_KEYS: dict[str, Any] = {
    "jku": "https://thief.example/keys",
    "x5u": "https://thief.example/certificate",
    "x5c": ["MIIB"],
    "x5t#S256": "A" * 43,
    "kid": "../../key",
}


@pytest.mark.parametrize("name", OTHER_KEYS)
async def test_a_key_in_the_header_other_than_jwk_is_none(lab: World, name: str) -> None:
    device, thief = await lab.device(), Key(lab)
    named = {name: OTHER_KEYS[name]}
    path, body, headers = device.request()
    own = headers["dpop"]
    headers["dpop"] = resigned(own, thief, named, drop=("jwk",))
    sent = await lab.http.post(lab.url + path, content=body, headers=headers)
    assert refused(sent) == (401, "proof-malformed")
    headers["dpop"] = resigned(own, thief, named)  # beside the device's `jwk`
    sent = await lab.http.post(lab.url + path, content=body, headers=headers)
    assert refused(sent) == (401, "proof-signature")


@pytest.mark.parametrize("name", ["jwk", *OTHER_KEYS])
async def test_a_key_in_an_assertions_header_is_not_the_devices(lab: World, name: str) -> None:
    device, thief = await lab.device(), Key(lab)
    told = {**OTHER_KEYS, "jwk": thief.public.jwk}[name]
    assertion = resigned(device.assertion(), thief, {name: told})
    answered = await device.request_token(client_assertion=assertion)
    assert reason(answered) == (401, "client-assertion")


async def test_a_token_that_brings_its_own_key_is_not_the_issuers(lab: World) -> None:
    device, thief = await lab.device(), Key(lab)
    device.token = resigned(device.token, thief, {"jwk": thief.public.jwk})
    assert refused(await device.ask()) == (401, "token-untrusted")


async def test_dpop_refresh_without_proof(lab: World) -> None:
    """A renewal takes the proof as the first token did; the handle alone, or by another key, gets
    nothing, and is not used up."""
    device, since = await lab.device(), lab.size
    form = {
        "grant_type": "client_credentials",
        "client_id": device.id,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": device.assertion(),
        "authorization_details": '[{"type":"bailment_access","purpose":"red-team"}]',
    }
    bare = await lab.http.post(lab.url + "/oauth/token", data=form)
    assert reason(bare) == (400, "proof-missing")
    other = Key(lab, nonce=device.nonce)
    assert reason(await device.request_token(key=other)) == (400, "proof-key")
    assert lab.of(TokenIssued, since) == []
    assert (await device.fetch()).status_code == 200


@given(
    early=st.integers(-5, 5),
    wait=st.integers(0, 80_000),
    policy=st.just(Policy()),
)
def test_replay_cache_ignoring_skew(early: int, wait: int, policy: Policy) -> None:
    """A proof from a clock that is ahead stays acceptable for longer, and is remembered as long:
    there is no moment at which it is both good and forgotten."""
    now = 1_000_000_000_000
    proof = read_proof(made(now_s=now // 1000 + early))
    assert not isinstance(proof, Refused)
    admission = Admission(Counted(tokens={"token": TOKEN}))
    replay = replay_key(proof.thumbprint, proof.claims.jti)
    admission._remember(replay, now, policy)
    admission._remember(b"another", now + wait, policy)  # which forgets what is old
    good = check_time(proof, now_ms=now + wait, lifetime_ms=policy.proof_ms, skew_ms=policy.skew_ms)
    assert good is not None or replay in admission._replays


async def test_act_claim_used_for_access(lab: World) -> None:
    """RFC 8693 §4.1. Whomever an assertion names as `act`, the token is for who signed it; and a
    token names no actor at all."""
    device, other = await lab.device(), await lab.device()
    parsed = jws.parse(device.assertion())
    for act in ({"sub": other.id}, {"sub": other.id, "act": {"sub": "root"}}, "x", []):
        jti = sha256(repr(act).encode()).hexdigest()
        own = {"jti": jti, "ratchet": device.handle}
        claims = {**json.loads(parsed.payload), "act": act, **own}
        assertion = jws.sign({"typ": "JWT"}, canonical.encode(claims), device.private)
        answered = await device.request_token(client_assertion=assertion)
        assert answered.status_code == 200, answered.text
        told = json.loads(jws.parse(answered.json()["access_token"]).payload)
        assert told["client_id"] == device.id
        assert "act" not in told


async def test_a_token_for_one_model_opens_no_other(lab: World) -> None:
    device: Device = await lab.device(models=("smollm2", "other"))
    await device.renew(models=("other",))
    assert refused(await device.ask()) == (403, "model-outside-chain")
