"""A certificate's end, by a clock that a test moves; so there is one issuer at a time here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailment.access.certificate import PATH, certification_body
from bailment.ledger.identity_records import DeviceCertified

from ..world import world
from .mtls import ask_for_certificate, desk
from .test_journey_mtls import refused

pytestmark = pytest.mark.anyio


async def test_an_expired_certificate_is_refused_on_a_connection_that_is_still_open(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, tls=True) as lab, desk(lab, tmp_path) as at:
        until = lab.clock.now() + 200_000
        person = await (await lab.recipient()).person()
        device = await person.device(until=until)
        certified = await at.ready(device)
        assert (await certified.ask()).status_code == 200
        lab.clock.ahead = 200_001
        assert refused(await certified.ask()) == (401, "certificate-expired")
        fetched = await certified.request_token()
        assert fetched.json()["reason"] == "certificate-expired"


async def test_a_proof_that_is_too_old_gets_no_certificate(tmp_path: Path) -> None:
    async with world(tmp_path, tls=True) as lab:
        device = await lab.device()
        proof = device.proof("POST", PATH, certification_body(device.id))
        lab.clock.ahead = 66_000
        body = certification_body(device.id)
        sent = await lab.http.post(lab.url + PATH, content=body, headers={"dpop": proof})
        assert sent.json()["reason"] == "proof-stale"
        assert (await ask_for_certificate(device)).status_code == 201


async def test_a_device_gets_so_many_certificates_in_an_hour(tmp_path: Path) -> None:
    async with world(tmp_path, tls=True) as lab:
        device, other = await lab.device(), await lab.device()
        for _ in range(10):
            assert (await ask_for_certificate(device)).status_code == 201
        since = lab.size
        sent = await ask_for_certificate(device)
        assert (sent.status_code, sent.json()["reason"]) == (429, "too-often")
        assert lab.of(DeviceCertified, since) == []
        assert (await ask_for_certificate(other)).status_code == 201
        lab.clock.ahead = 3_600_001
        assert (await ask_for_certificate(device)).status_code == 201
