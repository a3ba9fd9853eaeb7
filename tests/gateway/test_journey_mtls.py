"""mTLS (RFC 8705) through a whole issuer: what a certificate gets, and what it does not.

Real handshakes, real sockets; nothing is stood in for but the model's server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import UNSET

from bailment.access import jws
from bailment.access.certificate import PATH, certification_body, thumbprint
from bailment.auditor.audit import audit_export
from bailment.clock import now_ms
from bailment.ledger.identity_records import DeviceCertified
from bailment.ledger.records import AccessClosed, AccessOpened, AccessRefused, TokenIssued
from bailment.store.authority import open_authority
from bailment.store.durable import Files
from bailment.store.export import export_log
from bailment.store.folder import Folder
from bailment.store.view import open_view

from ..world import DAY, World, broken, events, world
from .mtls import Desk, ask_for_certificate, desk
from .test_journey_laws import some_events

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), tls=True) as made:
        yield made


@pytest.fixture
async def at(lab: World, tmp_path: Path) -> AsyncIterator[Desk]:
    play = lab.model.play
    async with desk(lab, tmp_path) as found:
        yield found
    lab.model.play = play


def refused(answered: httpx2.Response) -> tuple[int, str]:
    body = answered.json()
    reason: str = body["error"]["code"] if isinstance(body.get("error"), dict) else body["reason"]
    return answered.status_code, reason


async def nothing_happens(lab: World, at: int, asked: int) -> None:
    """No access was opened since the entry `at`, and the model was not asked again."""
    await lab.settle()
    assert lab.of(AccessOpened, at) == []
    assert len(lab.model.requests) == asked


# What works


async def test_a_device_is_certified_over_its_own_key_and_it_is_on_the_record(
    lab: World, at: Desk
) -> None:
    device, since = await lab.device(), lab.size
    before = lab.clock.now()
    sent = await ask_for_certificate(device)
    assert sent.status_code == 201
    assert sent.headers["cache-control"] == "no-store"
    body = sent.json()
    made = x509.load_pem_x509_certificate(body["certificate"].encode())
    assert made.public_key() == device.private.public_key()
    (record,) = lab.of(DeviceCertified, since)
    assert record.device == device.id
    name = thumbprint(made.public_bytes(Encoding.DER))
    assert record.certificate == body["x5t#S256"] == name
    assert record.until == body["until"] == made.not_valid_after_utc.timestamp() * 1000
    assert before < record.until <= lab.clock.now() + lab.register.conditions.certificate_ms


async def test_a_certificate_ends_with_the_shortest_link_of_its_chain(lab: World, at: Desk) -> None:
    until = lab.clock.now() + 600_000
    person = await (await lab.recipient()).person(until=until)
    certified = await at.certify(await person.device())
    assert 0 <= until - certified.made.not_valid_after_utc.timestamp() * 1000 < 1000


async def test_a_token_by_certificate_is_bound_to_it_and_to_nothing_else(
    lab: World, at: Desk
) -> None:
    certified, since = await at.certify(), lab.size
    fetched = await certified.request_token()
    assert fetched.status_code == 200, fetched.text
    body = fetched.json()
    assert body["token_type"] == "Bearer"
    claims = json.loads(jws.parse(body["access_token"]).payload)
    assert claims["cnf"] == {"x5t#S256": certified.name}
    (record,) = lab.of(TokenIssued, since)
    assert (record.certificate, record.proof) == (certified.name, "")
    assert record.thumbprint == certified.device.public.thumbprint


@pytest.mark.parametrize("dialect", ["chat", "responses", "messages"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("where", ["bearer", "x-api-key", "both"])
async def test_an_access_is_recorded_as_mtls_with_its_certificate(
    lab: World, at: Desk, dialect: str, stream: bool, where: str
) -> None:
    certified, since = await at.ready(), lab.size
    headers: dict[str, str | None] = {
        "authorization": None if where == "x-api-key" else f"Bearer {certified.token}",
        "x-api-key": None if where == "bearer" else certified.token,
    }
    answered = await certified.ask(dialect, headers=headers, stream=stream)
    assert answered.status_code == 200, answered.text
    (opened,) = lab.of(AccessOpened, since)
    assert (opened.kind, opened.proof, opened.certificate) == ("mtls", "", certified.name)
    assert (await lab.closed(since)).outcome == "complete"


async def test_a_connection_carries_many_requests_and_each_is_recorded(
    lab: World, at: Desk
) -> None:
    certified, since = await at.ready(), lab.size
    for _ in range(4):
        assert (await certified.ask()).status_code == 200
    assert {one.certificate for one in lab.of(AccessOpened, since)} == {certified.name}
    assert len(lab.of(AccessOpened, since)) == 4


async def test_proofs_work_as_before_beside_and_over_a_certified_connection(
    lab: World, at: Desk
) -> None:
    certified, since = await at.ready(), lab.size
    device = await certified.device.renew()
    for http in (lab.http, certified.http):
        path, body, headers = device.request()
        answered = await http.post(lab.url + path, content=body, headers=headers)
        assert answered.status_code == 200
    assert {(one.kind, one.certificate) for one in lab.of(AccessOpened, since)} == {
        ("dpop-body", UNSET)
    }


async def test_a_device_renews_and_both_certificates_are_good_until_the_next(
    lab: World, at: Desk
) -> None:
    first = await at.ready()
    second = await at.ready(first.device)
    assert first.name != second.name
    assert (await first.ask()).status_code == (await second.ask()).status_code == 200
    third = await at.ready(first.device)
    assert refused(await first.ask()) == (401, "certificate-other")
    assert (await second.ask()).status_code == (await third.ask()).status_code == 200


async def test_certificates_outlive_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path, tls=True) as lab, desk(lab, tmp_path) as at:
        certified = await at.certify()
        await lab.restart()
        await certified.renew()
        assert (await certified.ask()).status_code == 200


async def test_a_log_with_mtls_passes_an_audit(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    async with world(tmp_path / "lab", tls=True) as lab, desk(lab, tmp_path) as at:
        certified = await at.ready()
        for stream in (False, True):
            assert (await certified.ask(stream=stream)).status_code == 200
        assert (await certified.device.ask()).status_code == 200
        assert refused(await certified.ask(by=lab.http)) == (401, "certificate-missing")
        await at.ready(certified.device)
        await lab.hold(f"device:{certified.device.id}")
        assert refused(await certified.ask()) == (403, "held")
    view = open_view(lab.folder)
    export_log(lab.folder, view.reader, view.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings
    assert report.accesses == 3


# Whose certificate, whose token


async def test_a_token_without_its_certificate_is_refused_and_its_owner_is_named(
    lab: World, at: Desk
) -> None:
    certified, since, asked = await at.ready(), lab.size, len(lab.model.requests)
    answered = await certified.ask(by=lab.http)
    assert refused(answered) == (401, "certificate-missing")
    assert answered.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert lab.refusals(since) == [("certificate-missing", 1)]
    assert lab.of(AccessRefused, since)[0].device == certified.device.id
    await nothing_happens(lab, since, asked)


@pytest.mark.parametrize("of", ["person", "recipient", "stranger"])
async def test_a_token_over_another_devices_connection_is_refused(
    lab: World, at: Desk, of: str
) -> None:
    """Token substitution: between devices of one person, of one recipient, and of two."""
    recipient = await lab.recipient()
    person = await recipient.person()
    certified = await at.ready(await person.device())
    if of == "person":
        other = await (await recipient.person(subject=person.id)).device()
    elif of == "recipient":
        other = await (await recipient.person("Lena")).device()
    else:
        other = await lab.device()
    thief = await at.ready(other)
    since, asked = lab.size, len(lab.model.requests)
    assert refused(await certified.ask(by=thief.http)) == (401, "certificate-other")
    assert lab.refusals(since) == [("certificate-other", 1)]
    assert lab.of(AccessRefused, since)[0].device == certified.device.id
    await nothing_happens(lab, since, asked)


@pytest.mark.parametrize("of", ["person", "stranger"])
async def test_a_certificate_gets_no_token_of_another_device(lab: World, at: Desk, of: str) -> None:
    recipient = await lab.recipient()
    person = await recipient.person()
    certified = await at.certify(await person.device())
    again = await recipient.person(subject=person.id)
    other = await (again.device() if of == "person" else lab.device())
    since = lab.size
    answered = await certified.request_token(client_id=other.id, ratchet=other.handle)
    assert (answered.status_code, answered.json()["error"]) == (401, "invalid_client")
    assert answered.json()["reason"] == "certificate-other"
    unknown = await certified.request_token(client_id="0" * 32)
    assert unknown.json() == answered.json(), "nobody is told which devices there are"
    assert lab.of(TokenIssued, since) == []


async def test_a_certificate_that_the_log_does_not_hold_is_worth_nothing(
    lab: World, at: Desk
) -> None:
    """The authority's key in the wrong hands: it opens the handshake, and no more."""
    device = await lab.device()
    now = now_ms()
    made = lab.issuer.authority.certify(device.id, device.public, now, now + DAY)
    forged = await at.show(device, made)
    answered = await forged.request_token()
    assert answered.json()["reason"] == "certificate-other"
    known = await at.ready(device)
    assert refused(await known.ask(by=forged.http)) == (401, "certificate-other")


async def test_a_certificate_with_its_signature_rewritten_is_another(lab: World, at: Desk) -> None:
    """ECDSA has a second signature for each: the certificate holds, and its hash is unknown."""
    from cryptography.hazmat.primitives.asymmetric.utils import (
        decode_dss_signature,
        encode_dss_signature,
    )

    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    certified = await at.ready()
    der = certified.made.public_bytes(Encoding.DER)
    r, s = decode_dss_signature(certified.made.signature)
    body = certified.made.tbs_certificate_bytes
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    signature = b"\0" + encode_dss_signature(r, order - s)
    signature = b"\x03" + bytes([len(signature)]) + signature
    inner = body + algorithm + signature
    twin = x509.load_der_x509_certificate(b"\x30\x82" + len(inner).to_bytes(2, "big") + inner)
    twin.verify_directly_issued_by(lab.issuer.authority.certificate)
    shown = await at.show(certified.device, twin)
    assert twin.public_bytes(Encoding.DER) != der
    assert refused(await certified.ask(by=shown.http)) == (401, "certificate-other")


async def test_another_authoritys_certificate_ends_the_handshake(
    lab: World, at: Desk, tmp_path: Path
) -> None:
    device = await lab.device()
    now = now_ms()
    other = open_authority(Folder(tmp_path / "other"), Files(), "lab.example/log", now)
    forged = await at.show(device, other.certify(device.id, device.public, now, now + DAY))
    with pytest.raises(httpx2.TransportError):
        await forged.request_token()


# One for the other


async def test_a_proof_does_not_stand_in_for_the_certificate(lab: World, at: Desk) -> None:
    """Not even by the right key, and not even over the right connection."""
    certified, since, asked = await at.ready(), lab.size, len(lab.model.requests)
    device = certified.device
    device.token = certified.token
    for http in (lab.http, certified.http):
        path, body, headers = device.request()
        answered = await http.post(lab.url + path, content=body, headers=headers)
        assert refused(answered) == (401, "proof-key")
    assert lab.refusals(since) == [("proof-key", 1)] or lab.refusals(since) == [("proof-key", 2)]
    await nothing_happens(lab, since, asked)


async def test_a_certificate_does_not_stand_in_for_a_proof(lab: World, at: Desk) -> None:
    certified = await at.certify()
    await certified.device.renew()
    since, asked = lab.size, len(lab.model.requests)
    certified.token = certified.device.token
    for scheme in ("Bearer", "DPoP"):
        headers = {"authorization": f"{scheme} {certified.token}"}
        assert refused(await certified.ask(headers=headers)) == (401, "proof-missing")
    await nothing_happens(lab, since, asked)


async def test_a_token_request_with_a_proof_over_a_certified_connection_binds_to_the_key(
    lab: World, at: Desk
) -> None:
    """What is proven is what is bound: never both."""
    certified, since = await at.certify(), lab.size
    plain, lab.http = lab.http, certified.http
    try:
        fetched = await certified.device.fetch()
    finally:
        lab.http = plain
    assert fetched.json()["token_type"] == "DPoP"
    (record,) = lab.of(TokenIssued, since)
    assert record.certificate is UNSET
    assert record.proof


async def test_an_assertion_without_proof_or_certificate_gets_no_token(
    lab: World, at: Desk
) -> None:
    certified, since = await at.certify(), lab.size
    other, certified.http = certified.http, lab.http
    try:
        answered = await certified.request_token()
    finally:
        certified.http = other
    assert answered.json()["reason"] == "proof-missing"
    assert lab.of(TokenIssued, since) == []


# When it is over


@pytest.mark.parametrize("kind", ["everything", "recipient", "person", "device", "link"])
async def test_a_held_device_gets_nothing_by_its_certificate(
    lab: World, at: Desk, kind: str
) -> None:
    recipient = await lab.recipient()
    person = await recipient.person()
    certified = await at.ready(await person.device())
    subject = {
        "everything": "everything",
        "recipient": f"recipient:{recipient.id}",
        "person": f"person:{person.id}",
        "device": f"device:{certified.device.id}",
        "link": f"link:{person.link.id}",
    }[kind]
    async with lab.held(subject):
        since, asked = lab.size, len(lab.model.requests)
        assert refused(await certified.ask()) == (403, "held")
        assert (await certified.request_token()).json()["reason"] == "held"
        sent = await ask_for_certificate(certified.device)
        assert (sent.status_code, sent.json()["reason"]) == (403, "held")
        await nothing_happens(lab, since, asked)
    assert (await certified.ask()).status_code == 200


async def test_a_hold_cuts_a_stream_over_mtls(lab: World, at: Desk) -> None:
    certified, since = await at.ready(), lab.size
    lab.model.play = some_events
    url, body, headers = certified.request(stream=True)
    async with certified.http.stream("POST", url, content=body, headers=headers) as answered:
        got, parts = b"", answered.aiter_raw()
        while b"hold" not in got and not events(got):
            got += await anext(parts)
        async with lab.held(f"device:{certified.device.id}"):
            with pytest.raises(httpx2.RemoteProtocolError):
                while True:
                    got += await anext(parts)
    assert broken(got) == "held"
    assert (await lab.closed(since)).outcome == "cut"


async def test_an_ended_link_ends_its_certificates(lab: World, at: Desk) -> None:
    person = await (await lab.recipient()).person()
    certified = await at.ready(await person.device())
    await lab.act("link-end", link=person.link.id, reason="a leaver")
    assert refused(await certified.ask()) == (403, "link-ended")
    assert (await certified.request_token()).json()["reason"] == "link-ended"
    sent = await ask_for_certificate(certified.device)
    assert sent.json()["reason"] == "link-ended"


# Asking for one


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "body-malformed"),
        (b"{}", "body-malformed"),
        (b"[]", "body-malformed"),
        (b'{"device":1}', "body-malformed"),
        (b'{"device":"x","csr":"y"}', "body-malformed"),
        (b'{"device": "%b"}', "body-malformed"),
        (certification_body("0" * 32), "proof-key"),
        (b"x" * 70_000, "body-too-large"),
    ],
)
async def test_a_request_for_a_certificate_is_one_text(
    lab: World, body: bytes, reason: str
) -> None:
    device, since = await lab.device(), lab.size
    body = body.replace(b"%b", device.id.encode())
    sent = await device.send("POST", PATH, body)
    assert sent.json()["reason"] == reason
    assert lab.of(DeviceCertified, since) == []


async def test_nobody_asks_for_another_devices_certificate(lab: World) -> None:
    device, thief = await lab.device(), await lab.device()
    since = lab.size
    sent = await thief.send("POST", PATH, certification_body(device.id))
    assert (sent.status_code, sent.json()["reason"]) == (401, "proof-key")
    without = await lab.http.post(lab.url + PATH, content=certification_body(device.id))
    assert (without.status_code, without.json()["reason"]) == (401, "proof-missing")
    assert lab.of(DeviceCertified, since) == []


async def test_a_device_that_waits_to_be_confirmed_is_not_certified(lab: World) -> None:
    device = await (await (await lab.recipient()).person()).enrol()
    sent = await ask_for_certificate(device)
    assert sent.json()["reason"] == "link-unknown"


async def test_a_captured_request_for_a_certificate_gets_no_second(lab: World) -> None:
    device = await lab.device()
    proof = device.proof("POST", PATH, certification_body(device.id))
    answers = [
        await lab.http.post(
            lab.url + PATH, content=certification_body(device.id), headers={"dpop": proof}
        )
        for _ in range(2)
    ]
    assert [one.status_code for one in answers] == [201, 401]
    assert answers[1].json()["reason"] == "proof-replayed"


async def test_where_nothing_ends_tls_nobody_is_certified(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        sent = await ask_for_certificate(await lab.device())
        assert (sent.status_code, sent.json()["reason"]) == (404, "route-unknown")


# What a client may not say


@pytest.mark.parametrize(
    "name", ["x-client-cert", "client-cert", "x-ssl-client-cert", "x-forwarded-client-cert"]
)
async def test_a_certificate_in_a_header_is_no_certificate(lab: World, at: Desk, name: str) -> None:
    """RFC 9440 is for proxies, and there is none whose word on this is taken."""
    certified = await at.ready()
    pem = certified.made.public_bytes(Encoding.PEM).decode().replace("\n", "")
    answered = await certified.ask(by=lab.http, headers={name: pem})
    assert refused(answered) == (401, "certificate-missing")


async def test_many_devices_at_once_are_each_themselves(lab: World, at: Desk) -> None:
    everyone = [await at.ready() for _ in range(6)]
    since = lab.size
    await asyncio.gather(*(one.ask() for one in everyone for _ in range(4)))
    tokens = {one.token: one.name for one in everyone}
    assert len(tokens) == 6
    found = [(one.token, one.certificate) for one in lab.of(AccessOpened, since)]
    assert len(found) == 24
    of_token = {record.token: record.certificate for record in lab.of(TokenIssued)}
    assert all(of_token[token] == certificate for token, certificate in found)
    outcomes = [one.outcome for one in lab.of(AccessClosed, since)]
    assert outcomes == ["complete"] * 24
