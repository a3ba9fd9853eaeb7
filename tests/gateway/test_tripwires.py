"""Secrets that open nothing, shown at the gateway: answered as anything else, noticed at once."""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import UNSET

from bailment.access.tripwire import (
    CAPABILITY,
    PATH,
    SLUG,
    digest,
    registration_body,
    shown,
    split,
    without_slug,
)
from bailment.agent.signer import Signer, advance
from bailment.auditor.audit import audit_export
from bailment.ledger.detection_records import FindingGrouped, FindingRaised
from bailment.ledger.identity_records import TripwireSet
from bailment.ledger.records import AccessOpened
from bailment.store.export import export_log
from bailment.store.view import open_view

from ..world import DIALECTS, Device, Recipient, World, world

pytestmark = pytest.mark.anyio

#: Where a finder might show one. Each is a path with its query, and headers.
PLACES: dict[str, tuple[str, dict[str, str]]] = {
    "bearer": ("/v1/models", {"authorization": "Bearer {}"}),
    "dpop": ("/v1/models", {"authorization": "DPoP {}"}),
    "x-api-key": ("/v1/models", {"x-api-key": "{}"}),
    "both": ("/v1/models", {"authorization": "Bearer {}", "x-api-key": "{}"}),
    "basic": ("/v1/models", {"authorization": "Basic {basic}"}),
    "cookie": ("/v1/models", {"cookie": "key={}"}),
    "proof": ("/v1/models", {"dpop": "{}"}),
    "query": ("/v1/models?key={}", {}),
    "escaped": ("/v1/models?key={escaped}", {}),
    "path": ("/v1/{}", {}),
    "deep path": ("/r/{}x/v1/models", {}),
    "page": ("/console/{}", {}),
    "log": ("/log/nothing?key={}", {}),
    "token endpoint": ("/oauth/token", {"authorization": "Basic {basic}"}),
    "health": ("/healthz", {"authorization": "Bearer {}"}),
}


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


def capability() -> str:
    return CAPABILITY + secrets.token_urlsafe(32)


async def register(device: Device, secret: str, **changes: Any) -> httpx2.Response:
    body = registration_body(device.id, digest(secret.encode()))
    headers = {"content-type": "application/json"}
    return await device.send("POST", PATH, body, headers=headers, **changes)


async def show(lab: World, place: str, secret: str) -> tuple[int, bytes, list[tuple[str, str]]]:
    """What whoever shows a secret is answered, but for what every answer has anew."""
    target, headers = PLACES[place]
    forms = {
        "basic": b64encode(f"x:{secret}".encode()).decode(),
        "escaped": secret.replace("-", "%2D"),
    }
    sent = await lab.http.get(
        lab.url + target.format(secret, **forms),
        headers={name: value.format(secret, **forms) for name, value in headers.items()},
    )
    kept = [(k, v) for k, v in sent.headers.items() if k not in ("date", "dpop-nonce")]
    return sent.status_code, sent.content, kept


async def found(lab: World, since: int, least: int = 1) -> list[FindingRaised]:
    """The findings since, once there are so many and nothing is left to do."""
    await lab.until(lambda: len(lab.of(FindingRaised, since)) >= least)
    await lab.settle()
    return lab.of(FindingRaised, since)


@pytest.mark.parametrize("place", PLACES)
async def test_a_capability_is_noticed_wherever_it_is_shown(lab: World, place: str) -> None:
    device, secret = await lab.device(), capability()
    assert (await register(device, secret)).status_code == 201
    unknown, since = await show(lab, place, capability()), lab.size
    answered = await show(lab, place, secret)
    if "path" not in place and place != "page":
        assert answered == unknown
    assert answered[0] == unknown[0]
    (finding,) = await found(lab, since)
    assert (finding.kind, finding.subject) == ("tripwire", f"device:{device.id}")
    person = lab.register.path(lab.register.link_of[device.id])[1].subject
    assert person in finding.sentence
    assert device.id in finding.sentence


async def test_what_nobody_registered_is_no_finding(lab: World) -> None:
    since = lab.size
    await show(lab, "bearer", capability())
    await show(lab, "query", SLUG + secrets.token_urlsafe(16))
    assert await found(lab, since, 0) == []


async def test_the_secret_is_not_in_the_log(lab: World) -> None:
    device, secret = await lab.device(), capability()
    since = lab.size
    await register(device, secret)
    await show(lab, "bearer", secret)
    await found(lab, since)
    written = [repr(facts) for _, _, facts in lab.news if secret in repr(facts)]
    assert not written
    (wire,) = lab.of(TripwireSet, since)
    assert (wire.secret, wire.kind) == (digest(secret.encode()), "capability")


# Registration


async def test_nobody_registers_for_another_device(lab: World) -> None:
    one, other = await lab.device(), await lab.device()
    body = registration_body(one.id, digest(b"x"))
    headers = {"content-type": "application/json"}
    sent = await other.send("POST", PATH, body, headers=headers)
    assert (sent.status_code, sent.json()["reason"]) == (401, "proof-key")


async def test_a_secret_is_one_devices(lab: World) -> None:
    one, other, secret = await lab.device(), await lab.device(), capability()
    since = lab.size
    assert (await register(one, secret)).status_code == 201
    assert (await register(one, secret)).status_code == 201
    sent = await register(other, secret)
    assert (sent.status_code, sent.json()["reason"]) == (403, "chain-broken")
    assert len(lab.of(TripwireSet, since)) == 1


async def test_a_secret_in_place_of_its_hash_is_refused(lab: World) -> None:
    device = await lab.device()
    body = registration_body(device.id, capability())
    headers = {"content-type": "application/json"}
    sent = await device.send("POST", PATH, body, headers=headers)
    assert (sent.status_code, sent.json()["reason"]) == (403, "chain-broken")


async def test_an_issuer_does_not_set_a_devices_tripwire_itself(lab: World) -> None:
    """Else it could lay a trail to whom it likes."""
    device, other, secret = await lab.device(), await lab.device(), digest(b"x")
    body = registration_body(device.id, secret)
    for proof in (UNSET, other.proof("POST", PATH, body), device.proof("POST", PATH, b"{}")):
        facts = TripwireSet(secret, "capability", f"device:{device.id}", proof)
        assert lab.register.check(facts, lab.clock.now()) is not None
    proof = device.proof("POST", PATH, body)
    facts = TripwireSet(secret, "capability", f"device:{device.id}", proof)
    assert lab.register.check(facts, lab.clock.now()) is None
    for kind, subject in (("slug", f"device:{device.id}"), ("other", f"device:{device.id}")):
        assert lab.register.check(TripwireSet(secret, kind, subject, proof), lab.clock.now())


async def test_a_log_with_tripwires_passes_an_audit(lab: World, tmp_path: Path) -> None:
    device, secret = await lab.device(), capability()
    since = lab.size
    await register(device, secret)
    await show(lab, "bearer", secret)
    await found(lab, since)
    view = open_view(lab.folder)
    await asyncio.to_thread(export_log, lab.folder, view.reader, view.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings
    assert report.types[TripwireSet.TYPE] > 1


# An organisation's own address


async def address(lab: World) -> tuple[Recipient, str]:
    """A new organisation, and the slug that its admin was told."""
    told: list[str] = []
    act = lab.act

    async def listening(name: str, **members: Any) -> dict[str, Any]:
        done = await act(name, **members)
        told.append(done["base_url"])
        return done

    lab.act = listening  # type: ignore[method-assign]
    try:
        made = await lab.recipient()
    finally:
        lab.act = act  # type: ignore[method-assign]
    return made, told[0].removeprefix(lab.url)


async def test_clients_use_their_organisations_own_address(lab: World) -> None:
    recipient, below = await address(lab)
    device = await (await recipient.person()).device()
    since = lab.size
    for dialect, (path, _) in DIALECTS.items():
        _, body, headers = device.request(dialect)
        sent = await lab.http.post(lab.url + below + path, content=body, headers=headers)
        assert sent.status_code == 200, sent.text
    assert {one.path for one in lab.of(AccessOpened, since)} == {p for p, _ in DIALECTS.values()}
    assert await found(lab, since, 0) == []


async def test_our_own_signer_signs_for_the_address_without_the_slug(lab: World) -> None:
    recipient, below = await address(lab)
    device = await (await recipient.person()).device()
    url, headers = lab.url + below + "/v1/models", {"authorization": f"DPoP {device.token}"}
    flow = Signer(device.private).flow(
        lambda: httpx2.Request("GET", url, headers=headers), device.token
    )
    step = advance(flow)
    while isinstance(step, httpx2.Request):
        step = advance(flow, await lab.http.send(step))
    assert step.status_code == 200, step.text


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/chat/completions", "/", "/admin", "/.git/HEAD"]
)
async def test_a_stranger_at_an_organisations_address_names_it(lab: World, path: str) -> None:
    recipient, below = await address(lab)
    since = lab.size
    there = await lab.http.get(lab.url + below + path)
    plain = await lab.http.get(lab.url + path)
    assert (there.status_code, there.content) == (plain.status_code, plain.content)
    (finding,) = await found(lab, since)
    assert finding.subject == f"recipient:{recipient.id}"


async def test_another_organisations_client_there_is_served_and_noticed(lab: World) -> None:
    recipient, below = await address(lab)
    other, since = await lab.device(), lab.size
    path, body, headers = other.request()
    assert (await lab.http.post(lab.url + below + path, content=body, headers=headers)).is_success
    (finding,) = await found(lab, since)
    assert finding.subject == f"recipient:{recipient.id}"


async def test_an_address_opens_nothing(lab: World) -> None:
    _, below = await address(lab)
    sent = await lab.http.get(
        lab.url + "/v1/models", headers={"authorization": f"Bearer {below.removeprefix('/r/')}"}
    )
    assert sent.status_code == 401


def test_only_a_whole_slug_is_taken_off_a_path() -> None:
    slug = SLUG + "a" * 22
    assert split(f"/r/{slug}/v1/models") == (slug, "/v1/models")
    for path in (f"/r/{slug}", f"/r/{slug}b/v1", f"/x/r/{slug}/v1", "/r//v1", "/v1/models"):
        assert split(path) == ("", path)
    assert without_slug(f"https://h:8/r/{slug}/v1?q=1") == "https://h:8/v1?q=1"
    assert without_slug("https://h:8/v1") == "https://h:8/v1"


def test_a_broken_basic_credential_is_nothing() -> None:
    assert shown(b"/", b"", [(b"authorization", b"Basic \xff*")]) == set()


async def test_the_first_request_is_noticed_and_those_after_are_counted(lab: World) -> None:
    """The last of this file: the clock stays ahead, for a log's time never runs back."""
    device, secret = await lab.device(), capability()
    await register(device, secret)
    lab.clock.ahead += 60_000 - lab.clock.now() % 60_000  # a minute begins
    since = lab.size
    await asyncio.gather(*(show(lab, "bearer", secret) for _ in range(20)))
    assert len(await found(lab, since)) == 1
    lab.clock.ahead += 60_000
    await lab.until(lambda: bool(lab.of(FindingGrouped, since)))
    (grouped,) = lab.of(FindingGrouped, since)
    assert (grouped.finding, grouped.count) == (lab.of(FindingRaised, since)[0].finding, 19)
    lab.clock.ahead += 3_600_000
    await show(lab, "bearer", secret)
    assert len(await found(lab, since, 2)) == 2
