"""Workloads: a CI job exchanges the job token of its platform for a token bound to its own key."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bailment import canonical
from bailment.access import base64url, jwk, jws
from bailment.access.chain import Job
from bailment.access.job import JobToken, read_job
from bailment.access.reasons import Refused
from bailment.control.client_auth import EXCHANGE_GRANT, JOB_GRANT
from bailment.control.outbound import Outbound
from bailment.control.workloads import Workloads
from bailment.ledger.records import AccessOpened, TokenIssued

from ..gateway.scripted import Peer
from ..world import (
    PURPOSE,
    STREAM,
    Asked,
    Device,
    Key,
    Person,
    Recipient,
    World,
    broken,
    canned,
    chunk,
    events,
    refused,
    world,
)

pytestmark = pytest.mark.anyio

AUDIENCE = "https://bailment.example"
SUBJECT = "repo:acme/tests:ref:refs/heads/main"


@dataclass
class Platform:
    """An OpenID Connect provider that signs for jobs."""

    url: str
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    asked: int = 0
    play: Callable[[], Response] | None = None

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/keys", self.keys),
            ]
        )

    async def discovery(self, request: Request) -> Response:
        self.asked += 1
        if self.play is not None:
            return self.play()
        return JSONResponse({"issuer": self.url, "jwks_uri": self.url + "/keys"})

    async def keys(self, request: Request) -> Response:
        public = jwk.from_key(self.private.public_key())
        broken = {"kty": "EC", "crv": "P-521", "x": "A", "y": "A", "kid": public.thumbprint}
        good = {**public.jwk, "kid": public.thumbprint, "use": "sig", "alg": "ES256"}
        return JSONResponse({"keys": [broken, good]})

    def token(self, now_s: int, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A job token."""
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": SUBJECT,
            "iat": now_s,
            "exp": now_s + 300,
            "jti": os.urandom(16).hex(),
            **changes,
        }
        kid = jwk.from_key(self.private.public_key()).thumbprint
        told = {name: value for name, value in claims.items() if value is not None}
        given = {"typ": "JWT", "kid": kid, **(header or {})}
        return jws.sign(given, canonical.encode(told), self.private)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def platform() -> AsyncIterator[Platform]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Platform(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(made.app(), log_level="error", lifespan="off"))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield made
        finally:
            server.should_exit = True
            await serving


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory, platform: Platform) -> AsyncIterator[World]:
    allowed = f'\n[outbound]\nhosts = ["{platform.url.removeprefix("http://")}"]\n'
    async with world(tmp_path_factory.mktemp("lab"), more=allowed) as made:
        yield made


@dataclass
class Declared:
    """A workload that a recipient declared, and who answers for it."""

    by: Recipient
    owner: Person
    id: str
    link: str

    async def job(self, lab: World, assertion: str, **form: str) -> tuple[Device, httpx2.Response]:
        """A job with a key of its own exchanges its token."""
        device = Device(lab)
        device.id = self.id
        return device, await exchange(device, assertion, **form)


async def exchange(key: Key, assertion: str, **form: str) -> httpx2.Response:
    detail = json.dumps([{"type": "bailment_access", "purpose": PURPOSE}])
    given = {"grant_type": JOB_GRANT, "assertion": assertion, "authorization_details": detail}
    answered = await key.send("POST", "/oauth/token", urlencode({**given, **form}).encode())
    if answered.status_code == 200 and isinstance(key, Device):
        key.token = answered.json()["access_token"]
    return answered


async def declare(
    lab: World, issuer: str, subject: str = SUBJECT, by: Recipient | None = None
) -> Declared:
    recipient = by or await lab.recipient()
    owner = await recipient.person("Olga")
    known = Job(issuer, AUDIENCE, subject)
    link = recipient.below("workload", owner=owner.id, workload=known)
    sent = await recipient.grant(link)
    assert sent.status_code == 201, sent.text
    return Declared(recipient, owner, link.subject, link.id)


@pytest.fixture
async def declared(lab: World, platform: Platform) -> AsyncIterator[Declared]:
    made = await declare(lab, platform.url)
    yield made
    await lab.act("link-end", link=made.link, reason="the test is over")


def now(lab: World) -> int:
    return lab.clock.now() // 1000


def reason(answered: httpx2.Response) -> tuple[int, str]:
    return answered.status_code, answered.json().get("reason", "")


async def test_a_job_uses_a_model_by_the_token_of_its_platform(
    lab: World, platform: Platform, declared: Declared
) -> None:
    since = lab.size
    job, fetched = await declared.job(lab, platform.token(now(lab)))
    assert fetched.status_code == 200, fetched.text
    assert "ratchet" not in fetched.json()
    assert (await job.ask()).status_code == 200
    (issued,) = lab.of(TokenIssued, since)
    assert (issued.device, issued.person) == (declared.id, declared.owner.id)
    assert issued.thumbprint == job.public.thumbprint
    assert issued.job
    assert len(lab.of(AccessOpened, since)) == 1


async def test_a_job_token_is_good_once_be_it_by_another_key_or_with_another_signature(
    lab: World, platform: Platform, declared: Declared
) -> None:
    token = platform.token(now(lab))
    _, first = await declared.job(lab, token)
    assert first.status_code == 200
    assert reason((await declared.job(lab, token))[1]) == (400, "job-token")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    head, payload, signature = token.split(".")
    raw = base64url.decode(signature)
    flipped = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twin = f"{head}.{payload}.{base64url.encode(flipped)}"
    assert reason((await declared.job(lab, twin))[1]) == (400, "job-token")


EXCHANGE = {
    "grant_type": EXCHANGE_GRANT,
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
}


async def test_a_job_token_may_be_exchanged_as_well(
    lab: World, platform: Platform, declared: Declared
) -> None:
    """RFC 8693: the same, by another name; and good once by either."""
    token = platform.token(now(lab))
    job, fetched = await declared.job(lab, "", **EXCHANGE, subject_token=token)
    assert fetched.status_code == 200, fetched.text
    told = fetched.json()
    assert told["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert (await job.ask()).status_code == 200
    assert reason((await declared.job(lab, token))[1]) == (400, "job-token")


@pytest.mark.parametrize(
    "more",
    [
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token": "x", "actor_token_type": "urn:ietf:params:oauth:token-type:jwt"},
    ],
)
async def test_an_exchange_of_another_kind_is_refused(
    lab: World, platform: Platform, declared: Declared, more: dict[str, str]
) -> None:
    form = {**EXCHANGE, "subject_token": platform.token(now(lab)), **more}
    _, answered = await declared.job(lab, "", **form)
    assert reason(answered) == (400, "body-malformed")


async def test_a_job_token_is_good_once_across_a_restart(tmp_path: Any, platform: Platform) -> None:
    allowed = f'\n[outbound]\nhosts = ["{platform.url.removeprefix("http://")}"]\n'
    async with world(tmp_path, more=allowed) as lab:
        declared = await declare(lab, platform.url)
        token = platform.token(now(lab))
        assert (await declared.job(lab, token))[1].status_code == 200
        await lab.restart()
        assert reason((await declared.job(lab, token))[1]) == (400, "job-token")
        assert (await declared.job(lab, platform.token(now(lab))))[1].status_code == 200


async def test_of_many_who_show_one_job_token_one_gets_a_token(
    lab: World, platform: Platform, declared: Declared
) -> None:
    token, since = platform.token(now(lab)), lab.size
    answers = await asyncio.gather(*(declared.job(lab, token) for _ in range(8)))
    assert sorted(one.status_code for _, one in answers) == [200] + [400] * 7
    assert len(lab.of(TokenIssued, since)) == 1


TAMPERED: dict[str, dict[str, Any]] = {
    "another subject": {"sub": SUBJECT + "x"},
    "a subject that begins like it": {"sub": "repo:acme/tests"},
    "another audience": {"aud": "https://elsewhere.example"},
    "two audiences": {"aud": [AUDIENCE, "https://elsewhere.example"]},
    "another issuer": {"iss": "https://elsewhere.example"},
    "the issuer with a slash": {"iss": "/"},
    "no subject": {"sub": None},
    "no end": {"exp": None},
    "a fractional time": {"iat": "soon"},
    "an act claim that names the workload": {"sub": "x", "act": {"sub": SUBJECT}},
}


@pytest.mark.parametrize("name", TAMPERED)
async def test_a_job_token_that_is_not_exactly_the_workloads_is_refused(
    lab: World, platform: Platform, declared: Declared, name: str
) -> None:
    changes = dict(TAMPERED[name])
    if changes.get("iss") == "/":
        changes["iss"] = platform.url + "/"
    since = lab.size
    _, answered = await declared.job(lab, platform.token(now(lab), **changes))
    assert reason(answered) == (400, "job-token")
    assert answered.json()["error"] == "invalid_grant"
    assert lab.of(TokenIssued, since) == []


async def test_act_is_never_read_for_access(
    lab: World, platform: Platform, declared: Declared
) -> None:
    """RFC 8693 §4.1: what `act` says makes no difference, whomever it names."""
    other = await lab.device()
    acts = ({"sub": other.id}, {"sub": "admin", "act": {"sub": "root"}}, "nonsense", None)
    for act in acts:
        _, answered = await declared.job(lab, platform.token(now(lab), act=act))
        assert answered.status_code == 200
        claims = json.loads(jws.parse(answered.json()["access_token"]).payload)
        assert claims["sub"] == claims["client_id"] == declared.id
        assert "act" not in claims


@pytest.mark.parametrize(("iat", "exp"), [(-400, -10), (60, 300), (-3700, 300)])
async def test_a_job_token_of_another_time_is_refused(
    lab: World, platform: Platform, declared: Declared, iat: int, exp: int
) -> None:
    token = platform.token(now(lab), iat=now(lab) + iat, exp=now(lab) + exp)
    assert reason((await declared.job(lab, token))[1]) == (400, "job-token")


async def test_a_job_token_that_another_signed_is_refused(
    lab: World, platform: Platform, declared: Declared
) -> None:
    forger = Platform(platform.url)
    named = {"kid": jwk.from_key(platform.private.public_key()).thumbprint}
    for header in ({}, named, {"jwk": jwk.from_key(forger.private.public_key()).jwk}):
        token = forger.token(now(lab), header=header)
        assert reason((await declared.job(lab, token))[1]) == (400, "job-token")


@pytest.mark.parametrize("alg", ["none", "HS256", "RS256", "ES384"])
async def test_algorithm_confusion_at_the_exchange(
    lab: World, platform: Platform, declared: Declared, alg: str
) -> None:
    head, payload, signature = platform.token(now(lab)).split(".")
    header = {**json.loads(base64url.decode(head)), "alg": alg}
    token = f"{base64url.encode(json.dumps(header).encode())}.{payload}.{signature}"
    assert reason((await declared.job(lab, token))[1]) == (400, "job-token")


async def test_the_token_of_a_job_is_worth_nothing_without_its_key(
    lab: World, platform: Platform, declared: Declared
) -> None:
    job, _ = await declared.job(lab, platform.token(now(lab)))
    thief = Device(lab, nonce=job.nonce)
    thief.token = job.token
    assert refused(await thief.ask()) == (401, "proof-key")


async def test_a_job_without_a_proof_gets_nothing(
    lab: World, platform: Platform, declared: Declared
) -> None:
    form = {"grant_type": JOB_GRANT, "assertion": platform.token(now(lab))}
    answered = await lab.http.post(lab.url + "/oauth/token", data=form)
    assert reason(answered) == (400, "proof-missing")


async def test_a_job_whose_owner_is_gone_or_held_has_no_access(
    lab: World, platform: Platform, declared: Declared
) -> None:
    job, _ = await declared.job(lab, platform.token(now(lab)))
    async with lab.held(f"person:{declared.owner.id}"):
        assert refused(await job.ask()) == (403, "owner-gone")
        assert reason((await declared.job(lab, platform.token(now(lab))))[1])[1] == "owner-gone"
    assert (await job.ask()).status_code == 200
    await lab.act("link-end", link=declared.owner.link.id, reason="left")
    assert refused(await job.ask()) == (403, "owner-gone")
    assert reason((await declared.job(lab, platform.token(now(lab))))[1])[1] == "owner-gone"


async def test_a_hold_on_its_owner_cuts_a_jobs_running_stream(
    lab: World, platform: Platform, declared: Declared, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(peer: Peer, asked: Asked) -> None:
        await peer.send(STREAM, *map(chunk, events(canned(asked)[0])[:3]))
        await peer.gone()

    job, _ = await declared.job(lab, platform.token(now(lab)))
    monkeypatch.setattr(lab.model, "play", hangs)
    async with job.wire(stream=True) as wire:
        await wire.until(lambda: wire.body)
        async with lab.held(f"person:{declared.owner.id}"):
            await wire.end()
            assert broken(wire.body) == "owner-gone"


async def test_a_workload_whose_link_was_ended_gets_no_token(
    lab: World, platform: Platform
) -> None:
    declared = await declare(lab, platform.url, "repo:acme/old")
    job, _ = await declared.job(lab, platform.token(now(lab), sub="repo:acme/old"))
    await lab.act("link-end", link=declared.link, reason="over")
    assert refused(await job.ask()) == (403, "link-ended")
    _, answered = await declared.job(lab, platform.token(now(lab), sub="repo:acme/old"))
    assert reason(answered) == (400, "job-token")


async def test_another_organisation_that_names_the_same_job_gets_nothing_by_it(
    lab: World, platform: Platform, declared: Declared
) -> None:
    rival = await declare(lab, platform.url)
    try:
        _, unnamed = await declared.job(lab, platform.token(now(lab)))
        assert reason(unnamed) == (400, "job-token")
        job, named = await declared.job(lab, platform.token(now(lab)), client_id=declared.id)
        assert named.status_code == 200
        claims = json.loads(jws.parse(job.token).payload)
        assert claims["client_id"] == declared.id
    finally:
        await lab.act("link-end", link=rival.link, reason="over")


async def test_an_issuer_in_our_own_network_is_not_called(lab: World) -> None:
    """SSRF: the operator allowed one host, and this is another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for scheme in ("http", "https"):
            url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
            inside = Platform(url)
            declared = await declare(lab, url)
            _, answered = await declared.job(lab, inside.token(now(lab)))
            assert reason(answered) == (400, "job-token")
            await lab.act("link-end", link=declared.link, reason="over")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    "play",
    [
        lambda: RedirectResponse("http://169.254.169.254/"),
        lambda: Response("no JSON"),
        lambda: JSONResponse([]),
        lambda: JSONResponse({"issuer": "https://elsewhere.example", "jwks_uri": "x"}),
        lambda: Response(status_code=500),
        lambda: Response(b" " * 1_000_000),
    ],
)
async def test_an_issuer_that_answers_nonsense_vouches_for_nobody(
    tmp_path: Any, platform: Platform, play: Callable[[], Response]
) -> None:
    token = read_job(platform.token(0))
    assert isinstance(token, JobToken)
    host = platform.url.removeprefix("http://")
    workloads = Workloads(None, Outbound(frozenset({host})))  # type: ignore[arg-type]
    platform.play = play
    try:
        assert isinstance(await workloads._keys(token), Refused)
        before = platform.asked
        # and is not called again for a while
        assert isinstance(await workloads._keys(token), Refused)
        assert platform.asked == before
    finally:
        platform.play = None


async def test_an_issuers_keys_are_fetched_once_for_many_jobs(
    lab: World, platform: Platform, declared: Declared
) -> None:
    await declared.job(lab, platform.token(now(lab)))
    before = platform.asked
    await declared.job(lab, platform.token(now(lab)))
    assert platform.asked == before


async def test_keys_of_an_issuer_that_cannot_be_reached_any_more_are_not_kept(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, at = read_job(platform.token(0)), [0.0]
    assert isinstance(token, JobToken)
    monkeypatch.setattr("bailment.control.key_sets.steady_ms", lambda: at[0])
    host = platform.url.removeprefix("http://")
    workloads = Workloads(None, Outbound(frozenset({host})))  # type: ignore[arg-type]
    assert len(await workloads._keys(token)) == 1  # type: ignore[arg-type]
    platform.play = lambda: Response(status_code=500)
    try:
        at[0] = 299_999
        assert len(await workloads._keys(token)) == 1  # type: ignore[arg-type]
        for at[0] in (300_000, 310_000, 320_000):
            assert isinstance(await workloads._keys(token), Refused)
            before = platform.asked
            assert isinstance(await workloads._keys(token), Refused)
            assert platform.asked == before
    finally:
        platform.play = None
    assert isinstance(await workloads._keys(token), Refused)
    at[0] = 330_000
    assert len(await workloads._keys(token)) == 1  # type: ignore[arg-type]


async def test_a_crowd_of_jobs_of_a_new_issuer_waits_for_its_keys(platform: Platform) -> None:
    read = [read_job(platform.token(0)) for _ in range(5)]
    host = platform.url.removeprefix("http://")
    workloads = Workloads(None, Outbound(frozenset({host})))  # type: ignore[arg-type]
    before = platform.asked
    found = await asyncio.gather(
        *(workloads._keys(one) for one in read if isinstance(one, JobToken))
    )
    assert [len(keys) for keys in found if isinstance(keys, list)] == [1] * 5
    assert platform.asked == before + 1
